"""The lease on a lake on S3."""

from collections.abc import Mapping
from functools import cached_property

from lakehouse.errors import StorageError
from lakehouse.lease.base import LIMIT, NAME, OnLost
from lakehouse.lease.object import ObjectLease, Reply
from lakehouse.storage import aws, aws_errors
from lakehouse.storage.boto import Answer, Client, Operation


class S3Lease(ObjectLease):
    """See `ObjectLease`; by boto3, which gives the answers' headers."""

    def __init__(self, lake: str, ttl: float, on_lost: OnLost | None) -> None:
        super().__init__(lake, ttl, on_lost)
        self._bucket, prefix = aws.split(lake)
        self._key = f"{prefix.strip('/')}/{NAME}".lstrip("/")

    def _get(self) -> Reply:
        return self._sent("get_object")

    def _replace(self, body: bytes, etag: str | None) -> Reply:
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        return self._sent("put_object", Body=body, ContentType="application/json", **condition)

    def _sent(self, operation: Operation, **arguments: object) -> Reply:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._requested(operation, arguments)
            content = answer["Body"].read(LIMIT) if "Body" in answer else b""
        except ClientError as error:
            if not aws_errors.is_unmet(error):
                raise self._failed(error) from error
            return Reply(_date(error.response))
        except (BotoCoreError, ValueError) as error:  # ValueError: of an endpoint that is no URL
            raise self._failed(error) from error
        return Reply(_date(answer), answer["ETag"], content, answer.get("LastModified"))

    def _requested(self, operation: Operation, arguments: Mapping[str, object]) -> Answer:
        from botocore.exceptions import ClientError

        where = {"Bucket": self._bucket, "Key": self._key}
        try:
            answer: Answer = getattr(self._client, operation)(**where, **arguments)
        except ClientError as error:
            if not aws_errors.have_ended(error):
                raise
            del self._client  # another one looks for credentials anew
            answer = getattr(self._client, operation)(**where, **arguments)
        return answer

    @cached_property
    def _client(self) -> Client:
        # Short, so that a renewal can be tried more than once. A repeated conditional write whose first try was done
        # without our hearing of it is refused, and who is refused looks whether it was by its own.
        seconds = min(max(self._ttl / 24, 0.5), 5.0)
        retries = {"mode": "standard", "total_max_attempts": 3}
        return aws.client(connect_timeout=seconds, read_timeout=seconds, retries=retries)

    def _failed(self, error: Exception) -> StorageError:
        return aws_errors.failed(error, f"The lease s3://{self._bucket}/{self._key} is out of reach")


def _date(answer: Answer) -> str | None:
    return answer["ResponseMetadata"]["HTTPHeaders"].get("date")
