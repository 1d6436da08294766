"""One writer at a time for a lake: on a disk by a locked file, on S3 by an object that is written conditionally."""

from lakehouse.errors import SettingsError
from lakehouse.lease.base import Lease, OnLost
from lakehouse.storage.uri import OBJECT_STORES, S3


def open_lease(lake_uri: str, ttl: float = 60.0, on_lost: OnLost | None = None) -> Lease:
    """The lease on a lake, not acquired yet; nothing is written or looked at.

    Args:
        lake_uri: a folder's path or `file://` URI, or `s3://bucket/prefix`.
        ttl: seconds a holder on S3 may be silent before it loses the lease. For itself it is lost a sixth earlier.
        on_lost: called once, by a thread of the block, within a thirtieth of `ttl` after the lease was lost.

    Raises:
        SettingsError: there can be no lease at such a URI.
    """
    scheme, separator, rest = lake_uri.partition("://")
    if not separator or scheme == "file":
        return _local_lease(lake_uri, ttl, on_lost)
    store = OBJECT_STORES.get(scheme)
    if store not in _OBJECT_LEASES or not rest.strip("/"):
        known = " nor ".join(f"{one}bucket/prefix" for one in _OBJECT_LEASES)
        raise SettingsError(f"The lake {lake_uri} is neither a folder nor {known}: name one of these.")
    return _OBJECT_LEASES[store](store + rest, ttl, on_lost)


# Imported when needed: on a disk boto3 is not.


def _local_lease(lake_uri: str, ttl: float, on_lost: OnLost | None) -> Lease:
    from lakehouse.lease.local import LocalLease

    return LocalLease(lake_uri, ttl, on_lost)


def _s3_lease(lake_uri: str, ttl: float, on_lost: OnLost | None) -> Lease:
    from lakehouse.lease.s3 import S3Lease

    return S3Lease(lake_uri, ttl, on_lost)


_OBJECT_LEASES = {S3: _s3_lease}
