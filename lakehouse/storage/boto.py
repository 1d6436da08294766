"""What this package uses of boto3, which has no types: its session, its client for S3, and what that answers."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, Protocol, Required, Self, TypedDict

Operation = Literal[
    "get_object",
    "head_object",
    "put_object",
    "delete_object",
    "create_multipart_upload",
    "upload_part",
    "complete_multipart_upload",
    "abort_multipart_upload",
]
"""What is asked of one object."""


class Credentials(Protocol):
    """Credentials as they are at one time."""

    access_key: str
    secret_key: str
    token: str | None


class Found(Protocol):
    """Credentials as a session finds them, which may expire."""

    def get_frozen_credentials(self) -> Credentials:
        """As they are now."""


class Session(Protocol):
    """A session, which finds credentials and a region."""

    region_name: str | None

    def client(self, service: str, /, **settings: object) -> Any:
        """A client, whose methods are what the service can be asked for."""

    def get_available_regions(self, service: str, /) -> list[str]:
        """The regions in which this boto3 knows an endpoint of a service's; asks nobody."""

    def get_credentials(self) -> Found | None:
        """What was found; None where there are none."""


class Body(Protocol):
    """An object's bytes, which come while they are read."""

    def read(self, amount: int | None = None, /) -> bytes:
        """So many of them at the most; by default all."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class Answer(TypedDict, total=False):
    """What S3 says to an Operation; to most it says but a part of this."""

    ResponseMetadata: Required[dict[Literal["HTTPHeaders"], dict[str, str]]]
    Body: Body
    ContentLength: int
    ETag: str
    LastModified: datetime
    UploadId: str


class Object(TypedDict):
    """An object in a listing."""

    Key: str
    Size: int
    LastModified: datetime


class Page(TypedDict, total=False):
    """A part of a listing."""

    CommonPrefixes: list[dict[Literal["Prefix"], str]]
    Contents: list[Object]
    KeyCount: int
    IsTruncated: bool
    NextContinuationToken: str


class Events(Protocol):
    """What happens to a client's requests, which others may look at."""

    def register(self, name: str, handler: Callable[..., None], /) -> None:
        """Have a function called with what happens."""


class Meta(Protocol):
    """Where a client goes."""

    events: Events
    endpoint_url: str
    region_name: str | None


class Client(Protocol):
    """A client for S3. It has a method for each Operation, too, which are called by their names."""

    meta: Meta

    def head_bucket(self, **request: object) -> Answer:
        """Whether a bucket is there, and where."""

    def list_objects_v2(self, **request: object) -> Page:
        """A part of a listing."""
