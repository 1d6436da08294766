"""How files are named: `file:///fruits/a b%20#.jpg` is the file `/fruits/a b%20#.jpg`, as `s3://bucket/key` is for S3.

A scheme and the name *as it is*. Nothing is percent-encoded, so no name has two spellings.
"""

import errno
import os
from pathlib import Path

from lakehouse.errors import SettingsError

FILE, S3 = "file://", "s3://"
OBJECT_STORES = {"s3": S3, "s3a": S3, "s3n": S3}  # three clients of Hadoop's, one store
"""Schemes whose URIs name a bucket and a key, and how such a URI is written here."""


def absolute_uri(name: str) -> str:
    """The URI of a folder given as a path (relative, `~`) or a URI, without a slash at its end.

    `~` and `~user` are homes where there is such a user, and else names like any other, as a shell has it.

    Raises:
        ValueError: the scheme is not supported, the name is empty, or holds the character NUL.
    """
    if not name.strip():
        raise ValueError("a folder's name is needed.")
    if "\0" in name:
        raise ValueError("no name holds the character NUL (\\x00). Take it out.")
    scheme, separator, rest = name.partition("://")
    if separator and scheme in OBJECT_STORES:
        if not rest.strip("/"):
            raise ValueError(f"a bucket's name is needed: {scheme}://bucket/folder.")
        return OBJECT_STORES[scheme] + rest.rstrip("/")
    if separator and scheme != "file":
        known = ", ".join(f"{one}://" for one in ("file", *OBJECT_STORES))
        raise ValueError(f"the scheme {scheme}:// is not supported; name a folder or a URI with one of {known}.")
    path = os.path.abspath(os.path.expanduser(rest if separator else name))  # noqa: PTH111 - Path's fails at a file `~x`
    return f"{FILE}/{path.lstrip('/')}"  # of two slashes at its start, which are one, POSIX keeps both


def is_relative(name: str) -> bool:
    """Whether a name is neither a URI nor a path from the root or somebody's home."""
    return "://" not in name and not os.path.expanduser(name).startswith("/")  # noqa: PTH111 - as `absolute_uri`


def check_utf8(text: str) -> str:
    """A name, or what else somebody said, if tables can hold it.

    Raises:
        ValueError: its bytes are not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is not UTF-8, so no table can hold it. Name it otherwise.") from None
    return text


def on_disk(uri: str) -> bool:
    """Whether a URI, or a path, names something that this machine's programs can open by a path."""
    return not uri.startswith(tuple(OBJECT_STORES.values()))


def bucket_of(uri: str) -> str | None:
    """The bucket of a URI; None where it names no object store."""
    return None if on_disk(uri) else uri.partition("://")[2].partition("/")[0]


def native_name(uri: str) -> str:
    """What other programs call it: a path on a disk, the URI elsewhere."""
    return str(local_path(uri)) if on_disk(uri) else uri


def local_path(uri: str) -> Path:
    """The file-system path of a `file://` URI, or of a path."""
    return Path(uri.removeprefix(FILE))


def followed(path: Path) -> Path:
    """The file that is written where a path is to be written: where links lead, whether it is there yet or not.

    Raises:
        OSError: the links lead in a circle.
    """
    led = Path(os.path.realpath(path))
    if led.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return led


def check_read_by_java(uri: str) -> None:
    """Refuse a bucket that Java's URIs take for no host: with dots in its name, and a digit after the last.

    Raises:
        SettingsError: Hadoop's client for S3 could not open it; it would say that the bucket is null.
    """
    bucket = bucket_of(uri) or ""
    _, dot, last = bucket.rpartition(".")
    if dot and not last[:1].isalpha():
        raise SettingsError(
            f"The bucket {bucket} cannot be opened by Spark, for Java's addresses have a letter after the last dot: "
            "put the lake into a bucket of another name, or use the engine `local`."
        )
