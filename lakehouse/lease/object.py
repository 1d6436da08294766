"""The lease on a lake in an object store: an object that is written conditionally; who stops renewing it loses it.

How the store is asked is a subclass's, as `S3Lease`.
"""

import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from lakehouse.errors import LeaseHeldError, StorageError
from lakehouse.lease.base import (
    NAME,
    PAUSE,
    TRIES,
    Holder,
    Lease,
    OnLost,
    body_of,
    free_body,
    own_name,
    parse,
    shown,
)

_COARSENESS = timedelta(seconds=2)
"""How far a server's `Date` may be behind its clock: whole seconds, and some servers make it once a second."""
_UNREADABLE = timedelta(minutes=10)
"""How long a lease that cannot be read is taken for a live one after it was last written."""
# Goes on while the machine sleeps, as the server's clock does; time.monotonic() does not.
_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class _UnmetError(Exception):
    """The object is not what the request demanded it to be, or is not there."""


@dataclass(frozen=True)
class _Seen:
    """The lease object as the server has it: no `etag` where there is none, no `holder` where it is free."""

    etag: str | None
    holder: Holder | None
    now: datetime

    @property
    def alive(self) -> Holder | None:
        """The holder whose time is not over; `now` is never ahead of the server's clock."""
        over = self.holder is not None and self.holder.expires is not None and self.now > self.holder.expires
        return None if over else self.holder


@dataclass(frozen=True)
class Reply:
    """What a server says to a request for the lease object.

    Attributes:
        date: its header `Date`, by which the server tells its clock; None where it sends none.
        etag: the object's, None where it is not there, or not the one that was demanded.
        content: of a read, the first LIMIT bytes.
        written: of a read, when the object was written last.
    """

    date: str | None
    etag: str | None = None
    content: bytes = b""
    written: datetime | None = None


class ObjectLease(Lease):
    """An object replaced by compare-and-swap: of all who saw one state of it, one changes it.

    It is never deleted: servers that make a conditional PUT one step need not do so with a conditional DELETE.
    """

    @abstractmethod
    def _get(self) -> Reply:
        """Read the lease object.

        Raises:
            StorageError: it is out of reach.
        """

    @abstractmethod
    def _replace(self, body: bytes, etag: str | None) -> Reply:
        """Put a body in place of the object with this ETag, or (None) where there is none.

        Raises:
            StorageError: it is out of reach, or nobody can say whether it was written.
        """

    def __init__(self, lake: str, ttl: float, on_lost: OnLost | None) -> None:
        super().__init__(lake, ttl, on_lost)
        self._name = f"{lake.rstrip('/')}/{NAME}"
        self._margin = ttl / 6  # for the commit that follows a check
        self._holding = ""
        self._since = datetime.now(UTC)
        self._etag: str | None = None
        self._deadline = 0.0
        self._server = (self._since, 0.0)
        self._trouble = ""

    def holder(self) -> Holder | None:
        """See `Lease.holder`."""
        return self._read().alive

    def break_abandoned(self) -> bool:
        """See `Lease.break_abandoned`."""
        while True:
            seen = self._read()
            if seen.holder is None:
                return False
            if seen.alive:
                raise self._held(seen.alive)
            with suppress(_UnmetError):
                self._put(free_body(seen.holder.id), seen.etag)
                return True

    def _take(self, holding: str) -> None:
        self._holding = holding
        for attempt in range(1, TRIES + 1):
            seen = self._read()
            # It is our own where the answer to an earlier try was lost.
            if seen.alive and seen.alive.id != holding:
                raise self._held(seen.alive)
            self._since, self._etag = seen.now, seen.etag
            with suppress(_UnmetError):
                return self._prolong()
            time.sleep(PAUSE * attempt)
        raise LeaseHeldError(f"Others who want the lease on {self.lake} were quicker {TRIES} times: run again.")

    def _renew(self) -> bool:
        try:
            self._prolong()
        except _UnmetError:
            self._find_own()
            return False
        except Exception as error:  # noqa: BLE001 - whatever it was, the next try may do, until time is over
            self._trouble = str(error)
            return False
        return True

    def _loss(self) -> str:
        # A request may be on its way that would save it, but nobody knows before it is answered.
        if _now() <= self._deadline:
            return ""
        return f"it could not be renewed in time. {self._trouble}".rstrip(". ")

    def _give_back(self) -> None:
        for _ in range(2):
            if self._lost or self._loss():
                return
            try:
                self._put(free_body(self._holding), self._etag)
            except _UnmetError:
                self._find_own()
            except StorageError:
                return  # it ends by itself
            else:
                return

    def _prolong(self) -> None:
        begun = _now()
        date, asked = self._server
        # Late enough that nobody whom the server tells the time finds the lease over before we do.
        expires = date + _COARSENESS + timedelta(seconds=begun - asked + self._ttl)
        self._etag = self._put(body_of(Holder(self._holding, own_name(), self._since, expires)), self._etag)
        self._deadline = begun + self._ttl - self._margin
        self._trouble = ""

    def _find_own(self) -> None:
        # A write is refused too where one of ours came before it whose answer was lost.
        try:
            seen = self._read()
        except StorageError as error:
            self._trouble = str(error)
            return
        if seen.holder is None:
            self._lost = f"the object {self._name} was removed"
        elif seen.holder.id != self._holding:
            self._lost = f"it is held by {seen.holder.name} since {shown(seen.holder.since)}"
        else:
            self._etag = seen.etag

    def _read(self) -> _Seen:
        for attempt in range(1, TRIES + 1):
            reply = self._asked(self._get)
            if reply.etag is None:
                return _Seen(None, None, self._server[0])
            with suppress(ValueError):
                holder = parse(reply.content)
                # A lease that came from a disk with all its lake has no end.
                if holder is None or holder.expires is not None:
                    return _Seen(reply.etag, holder, self._server[0])
            time.sleep(PAUSE * attempt)  # some servers mix two states while one replaces the other
        assert reply.written is not None, "a read says when the object was written"
        name = f"a process without a name ({self._name} is malformed)"
        return _Seen(reply.etag, Holder("", name, reply.written, reply.written + _UNREADABLE), self._server[0])

    def _put(self, body: bytes, etag: str | None) -> str:
        reply = self._asked(lambda: self._replace(body, etag))
        if reply.etag is None:
            raise _UnmetError
        return reply.etag

    def _asked(self, request: Callable[[], Reply]) -> Reply:
        asked = _now()
        reply = request()
        if reply.date is None:
            raise StorageError(f"The server of {self.lake} sends no Date, and a lease needs its clock: use another.")
        self._server = parsedate_to_datetime(reply.date), asked
        return reply


def _now() -> float:
    return time.clock_gettime(_CLOCK)
