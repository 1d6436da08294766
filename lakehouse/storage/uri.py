"""How files are named: `file:///fruits/a b%20#.jpg` is the file `/fruits/a b%20#.jpg`, as `s3://bucket/key` is for S3.

A scheme and the name *as it is*. Nothing is percent-encoded, so no name has two spellings.
"""

import os
from pathlib import Path

FILE, S3 = "file://", "s3://"
OBJECT_STORES = {"s3": S3, "s3a": S3, "s3n": S3}  # three clients of Hadoop's, one store
"""Schemes whose URIs name a bucket and a key, and how such a URI is written here."""


def absolute_uri(name: str) -> str:
    """The URI of a folder given as a path (relative, `~`) or a URI, without a slash at its end.

    Raises:
        ValueError: the scheme is not supported, or the name is empty.
    """
    if not name.strip():
        raise ValueError("a folder's name is needed.")
    scheme, separator, rest = name.partition("://")
    if separator and scheme in OBJECT_STORES:
        if not rest.strip("/"):
            raise ValueError(f"a bucket's name is needed: {scheme}://bucket/folder.")
        return OBJECT_STORES[scheme] + rest.rstrip("/")
    if separator and scheme != "file":
        known = ", ".join(f"{one}://" for one in ("file", *OBJECT_STORES))
        raise ValueError(f"the scheme {scheme}:// is not supported; name a folder or a URI with one of {known}.")
    path = Path(rest if separator else name).expanduser()
    return FILE + os.path.abspath(path)


def on_disk(uri: str) -> bool:
    """Whether a URI, or a path, names something that this machine's programs can open by a path."""
    return not uri.startswith(tuple(OBJECT_STORES.values()))


def native_name(uri: str) -> str:
    """What other programs call it: a path on a disk, the URI elsewhere."""
    return str(local_path(uri)) if on_disk(uri) else uri


def local_path(uri: str) -> Path:
    """The file-system path of a `file://` URI, or of a path."""
    return Path(uri.removeprefix(FILE))
