"""The lease on a lake on a disk: a locked file, which the kernel frees when its process ends, however it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from lakehouse.errors import StorageError
from lakehouse.failures import reason, what_to_do
from lakehouse.lease.base import LIMIT, NAME, PAUSE, TRIES, Holder, Lease, OnLost, body_of, own_name, parse
from lakehouse.storage.uri import local_path

_PATIENCE = 5.0
"""Seconds in which those who only look at a lease may be in the way of who takes it."""


class LocalLease(Lease):
    """A file under a kernel lock; what it says is for people, the lock alone decides."""

    def __init__(self, lake: str, ttl: float, on_lost: OnLost | None) -> None:
        super().__init__(lake, ttl, on_lost)
        self._path = local_path(lake) / NAME
        self._descriptor = -1

    def holder(self) -> Holder | None:
        """See `Lease.holder`."""
        with self._errors("read"):
            try:
                descriptor = _open(self._path, os.O_RDONLY)
            except FileNotFoundError:
                return None
            try:
                # Shared, and for an instant: lookers do not keep each other out, and who acquires tries again.
                return None if _locks(descriptor, fcntl.LOCK_SH) else self._named(descriptor)
            finally:
                _close(descriptor)

    def break_abandoned(self) -> bool:
        """See `Lease.break_abandoned`."""
        if self.holder() is None and not self._path.exists():
            return False
        descriptor = self._lock()
        abandoned = os.fstat(descriptor).st_size > 0
        _empty(descriptor)
        return abandoned

    def _take(self, holding: str) -> None:
        descriptor = self._lock()
        body = body_of(Holder(holding, own_name(), datetime.now(UTC), None))
        try:
            with self._errors("written"):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, body, 0)
        except StorageError:
            _close(descriptor)
            raise
        self._descriptor = descriptor

    def _lock(self) -> int:
        patient_until, attempt = time.monotonic() + _PATIENCE, 0
        with self._errors("written"):
            while attempt < TRIES:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                descriptor = _open(self._path, os.O_RDWR | os.O_CREAT)
                try:
                    if _locks(descriptor, fcntl.LOCK_EX) and self._is_in_place(descriptor):
                        return descriptor
                    # Where it can be shared nobody holds it: lookers are in the way, for as long as a busy machine
                    # keeps them from going on.
                    held = not _locks(descriptor, fcntl.LOCK_SH)
                except OSError:
                    _close(descriptor)
                    raise
                _close(descriptor)
                attempt += held or time.monotonic() > patient_until
                time.sleep(PAUSE * max(attempt, 1))
        raise self._held(self.holder() or Holder("", "a process that has just ended", datetime.now(UTC), None))

    def _is_in_place(self, descriptor: int) -> bool:
        # Whoever finds another file under this name locks that one.
        try:
            return os.path.samestat(self._path.stat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _renew(self) -> bool:
        return True

    def _loss(self) -> str:
        try:
            return "" if self._is_in_place(self._descriptor) else f"the file {self._path} was removed or replaced"
        except OSError as error:
            return f"the file {self._path} cannot be looked at ({error.strerror})"

    def _give_back(self) -> None:
        _empty(self._descriptor)

    def _named(self, descriptor: int) -> Holder:
        for attempt in range(1, TRIES + 1):
            with suppress(ValueError):
                holder = parse(os.pread(descriptor, LIMIT, 0))
                if holder is not None:
                    return holder
            time.sleep(PAUSE * attempt)  # the holder may be just about to write its name
        since = datetime.fromtimestamp(os.fstat(descriptor).st_mtime, UTC)
        return Holder("", f"a process without a name ({self._path} is malformed)", since, None)

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"The lease {self._path} cannot be {done}: {reason(error)} A run needs a lake that it may write to, on "
                f"a disk that knows file locks. {what_to_do(error)}"
            ) from error


_descriptors: set[int] = set()


def _open(path: Path, flags: int) -> int:
    descriptor = os.open(path, flags, 0o666)
    _descriptors.add(descriptor)
    return descriptor


def _close(descriptor: int) -> None:
    _descriptors.discard(descriptor)
    os.close(descriptor)


def _close_in_child() -> None:
    # A forked child shares its parent's locks, and would keep them when the parent has ended.
    while _descriptors:
        os.close(_descriptors.pop())


os.register_at_fork(after_in_child=_close_in_child)


def _locks(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _empty(descriptor: int) -> None:
    # Emptied and not removed: of two who lock files of one name, the old and the new, both would be right.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    _close(descriptor)
