"""How a bucket is asked for that belongs to somebody else: signed like our own, at our cost, or by anybody."""

import os
from collections.abc import Mapping
from enum import StrEnum

_VARIABLE = "LAKEHOUSE_BUCKET_ACCESS"
"""Where this process and those that it starts look: `<bucket>=<access>`."""


class Access(StrEnum):
    """How requests to a bucket are made."""

    SIGNED = "signed"
    """By our credentials; who owns the bucket pays."""
    REQUESTER_PAYS = "requester_pays"
    """By our credentials, and each request says that we pay for it."""
    PUBLIC = "public"
    """Without credentials."""


def declare(bucket: str, access: Access) -> None:
    """Have this process, and those that it starts, ask for one bucket in a way of its own; for all others signed."""
    os.environ[_VARIABLE] = f"{bucket}={access}"


def access_to(bucket: str) -> Access:
    """How requests to a bucket are made."""
    declared, _, access = os.environ.get(_VARIABLE, "").partition("=")
    return Access(access) if declared == bucket else Access.SIGNED


def variables() -> Mapping[str, str]:
    """What processes must be told that do not inherit this one's environment."""
    return {name: os.environ[name] for name in ("AWS_REGION", _VARIABLE) if name in os.environ}
