"""What the machine refuses, in words: which file, why, and what to do about it.

Python, Arrow, delta-rs and DuckDB each have errors of their own for a full disk or a limit. Here they become one
sentence, by the number that the operating system gives all of them. Whoever knows which file it is about says so with
`refusals`; what passes everybody becomes a sentence where the command ends.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from lakehouse.errors import LakehouseError, StorageError

_PERMISSIONS = "Change its permissions, or run as a user who may use it"
_NETWORK = "The disk is reached over a network, which failed: mount it again"
_MEMORY = (
    "Let fewer processes run at once (the setting `processes`), lower `max_pixels`, or raise the limit (`ulimit -v`)"
)
_PROCESSES = "Let fewer processes run at once (the setting `processes`), or raise the limit of processes (`ulimit -u`)"
_OTHER_DISK = "Name a folder on a disk of another kind, as ext4 or xfs"
_ADVICE = {
    errno.ENOSPC: "Free space on that disk, or use another (`df -h` and, for the number of files, `df -i` show both)",
    errno.EDQUOT: "Free space within the quota (`quota -s` shows it), or have it raised",
    errno.EROFS: "The disk is mounted for reading alone: mount it for writing, or name another folder",
    errno.EACCES: _PERMISSIONS,
    errno.EPERM: "Change its permissions, or use a disk that knows owners and hard links, as ext4 or xfs",
    errno.EMFILE: "Raise this process' limit of open files (`ulimit -n 4096`)",
    errno.ENFILE: "Raise the machine's limit of open files (`sysctl fs.file-max`)",
    errno.EFBIG: "Raise the limit of a file's size (`ulimit -f`), or use a disk that takes larger files",
    errno.ENAMETOOLONG: "Use a shorter name",
    errno.EIO: "The disk, or the way to it, fails (`dmesg` says more): replace it, restore what is lost from a backup",
    errno.ENOMEM: _MEMORY,
    errno.EAGAIN: _PROCESSES,
    errno.ENOENT: "Check the name, and whether its disk is mounted",
    errno.ENOTDIR: "A file is where a folder is needed: move it away, or name another folder",
    errno.EEXIST: "A file is where a folder is needed: move it away, or name another folder",
    errno.EISDIR: "A folder has the name of a file: move it away, or use another name",
    errno.ELOOP: "Links lead in a circle there: mend them",
    errno.ENXIO: "It is no file: move it away, or use another name",
    errno.ENODEV: "It is no file: move it away, or use another name",
    errno.EBUSY: "Another program is using it: wait for that to end",
    errno.ENOLCK: _OTHER_DISK,
    errno.ENOTSUP: _OTHER_DISK,
    errno.ENOSYS: _OTHER_DISK,
    errno.EINVAL: _OTHER_DISK,
    errno.ESTALE: _NETWORK,
    errno.ENOTCONN: _NETWORK,
    errno.EHOSTDOWN: _NETWORK,
    errno.ETIMEDOUT: _NETWORK,
}
"""What to do, by the operating system's number of an error."""
OF_THE_PROCESS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What keeps this process from reading any file: no fault of the one that it was asked for."""
_OF_RUST = re.compile(r"\(os error (\d+)\)|Os \{ code: (\d+)")
_FILE = re.compile(r"(?:file|dir|directory|path) [\"']?(/[^\n\"']+)")


def why(error: OSError) -> str:
    """The operating system's reason, and what to do: two sentences, without the file's name."""
    return f"{reason(error)} {what_to_do(error)}".strip()


def reason(error: OSError) -> str:
    """The operating system's reason, a sentence."""
    number = _number(error)
    of_a_library = number is not None and error.errno is None
    said = os.strerror(number or 0) if of_a_library else error.strerror or str(error) or type(error).__name__
    return f"{said.strip().rstrip('.')}."


def what_to_do(error: OSError) -> str:
    """What to do about it, a sentence; empty where that is not known."""
    advice = _ADVICE.get(_number(error) or 0)
    return f"{advice}, and try again." if advice else ""


def refusal(error: BaseException) -> str | None:
    """Why the machine refused what it was asked for, with the file as far as the error names one; None for others."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryException":  # of DuckDB's
        return f"There is not enough memory. {_MEMORY}, and try again."
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return f"No thread can be started. {_PROCESSES}, and try again."
    number = _number(error)
    if not isinstance(error, OSError):
        if number is None:
            return None
        error = OSError(number, os.strerror(number), _named(str(error)))
    file = error.filename or _named(str(error))
    return f"{file}: {why(error)}" if file is not None else why(error)


def of_the_machine(error: OSError) -> bool:
    """Whether the operating system has raised it, and not a library that uses its class for errors of its own."""
    return _number(error) is not None


def _number(error: BaseException) -> int | None:
    """The operating system's number of an error; Rust's libraries have it in their words."""
    number = getattr(error, "errno", None)
    if number is None and (found := _OF_RUST.search(str(error))):
        number = int(found[1] or found[2])
    return number


def _named(text: str) -> str | None:
    """The file that delta-rs names."""
    found = _FILE.search(text)
    return found[1] if found else None


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Raise what the machine refuses in the block as an error that says what did not work, why, and what to do.

    Args:
        what: for example "The table runs cannot be written".

    Raises:
        StorageError: the machine refused something. Every other error passes as it is.
    """
    try:
        yield
    except LakehouseError:
        raise
    except Exception as error:
        if refused := refusal(error):
            raise StorageError(f"{what}: {refused}") from error
        raise
