"""The S3 server of the tests of storage."""

from tests.lakehouse.conftest import bucket, s3, s3_server  # noqa: F401 - fixtures
