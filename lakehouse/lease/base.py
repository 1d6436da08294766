"""One writer: a run holds a lease on the lake, and asks before each commit whether it still does. Readers need none.

On a disk the lease is a locked file, which the kernel frees when its process ends, however it ends. On S3 it is an
object that is written conditionally and renewed: who stops renewing loses it. Its times are the server's, and how long
a renewal lasts is counted from before it was asked for: a wrong clock neither steals a lease nor overstays its own.

What no lease can do: a process that is stopped between `check` and its commit for longer than the margin commits late.
"""

import getpass
import json
import os
import socket
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Self

from lakehouse.errors import LeaseHeldError, LeaseLostError

OnLost = Callable[[LeaseLostError], None]

NAME = "lease.json"
LIMIT = 64 * 1024
"""Bytes of a lease that are read; one of ours has some 200."""
TRIES = 5
PAUSE = 0.002
"""Seconds after the first try; after each other one as much more."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease.

    Attributes:
        id: the holding's own, another one each time a lease is acquired.
        name: for people: user, machine and process.
        since: UTC; on S3 by the server's clock.
        expires: the same, unless it is renewed; None on a disk, where it ends with the process.
    """

    id: str
    name: str
    since: datetime
    expires: datetime | None


class Lease(ABC):
    """The right to write to a lake, held by one at a time.

    As a context manager it is acquired, renewed and watched by threads, and released. `acquire` alone does not renew.

    Attributes:
        holding: the id under which it was acquired last.
    """

    def __init__(self, lake: str, ttl: float, on_lost: OnLost | None) -> None:
        self.lake = lake
        self._ttl = ttl
        self._on_lost = on_lost
        self._turn = threading.Lock()
        self.holding = ""
        self._process: int | None = None
        self._lost = ""
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.acquire()
        self._stop.clear()
        # Two, for a renewal may hang for as long as the network lets it.
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._keep, self._watch)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lease.

        Raises:
            LeaseHeldError: somebody holds it; the message says who, since when, and what to do.
            StorageError: the lake cannot be written to, or not be reached.
        """
        with self._turn:
            if self._process == os.getpid():
                raise LeaseHeldError(f"The lease on {self.lake} is held by this very run; release it first.")
            self.holding = str(uuid.uuid4())
            self._take(self.holding)
            self._process, self._lost = os.getpid(), ""

    def check(self) -> None:
        """Make sure that the lease is still ours, without asking the network; to be called before each commit.

        Raises:
            LeaseLostError: it is not, or nobody can say; it will not be again before it is released and acquired.
        """
        # A forked child has the object, and neither the lock nor the thread that renews.
        if self._process != os.getpid():
            raise LeaseLostError(f"This process does not hold the lease on {self.lake}: acquire it before writing.")
        loss = self._lost or self._loss()
        if loss:
            self._lost = loss
            raise LeaseLostError(
                f"The lease on {self.lake} is lost: {loss}. Nothing more is written; run again, "
                "which goes on where this run ended."
            )

    def release(self) -> None:
        """Give the lease back, if it is still ours."""
        if self._process != os.getpid():
            return
        self._stop.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        with self._turn:
            if self._process is not None:  # else `on_lost` was quicker
                self._process = None
                self._give_back()

    @abstractmethod
    def holder(self) -> Holder | None:
        """Who holds the lease now; None where it is free. What cannot be read is named so.

        Raises:
            StorageError: the lake cannot be reached.
        """

    @abstractmethod
    def break_abandoned(self) -> bool:
        """Remove a lease whose holder is gone; returns whether there was one.

        Raises:
            LeaseHeldError: the holder is alive, or cannot be told from a live one yet.
            StorageError: the lake cannot be written to, or not be reached.
        """

    @abstractmethod
    def _take(self, holding: str) -> None:
        """Acquire the lease under this id."""

    @abstractmethod
    def _renew(self) -> bool:
        """Prolong the lease; where that fails it is tried again soon."""

    @abstractmethod
    def _loss(self) -> str:
        """Why the lease is not ours any more; empty where it is. Asks no network."""

    @abstractmethod
    def _give_back(self) -> None:
        """Free the lease, or what is left of it."""

    def _keep(self) -> None:
        pause = self._ttl / 3
        while not self._stop.wait(pause) and not self._lost:
            pause = self._ttl / (3 if self._renew() else 30)

    def _watch(self) -> None:
        while not self._stop.wait(self._ttl / 30):
            try:
                self.check()
            except LeaseLostError as error:
                if self._on_lost is not None and not self._stop.is_set():
                    self._on_lost(error)
                return

    def _held(self, holder: Holder) -> LeaseHeldError:
        ends = f"at {shown(holder.expires)} unless it is renewed" if holder.expires else "with that process"
        return LeaseHeldError(
            f"The lake {self.lake} is written to by {holder.name} since {shown(holder.since)}, and has one writer at "
            f"a time. Wait until that run is done. Its lease ends {ends}; if it is abandoned, `fruits doctor --repair` "
            "removes it."
        )


def shown(moment: datetime) -> str:
    """A moment, for people."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def own_name() -> str:
    """Who this process is, for people: user, machine and process."""
    return f"{user_name()} (process {os.getpid()})"


def user_name() -> str:
    """Who runs this process, for people: user and machine."""
    return f"{own_user()}@{socket.gethostname()}"


def own_user() -> str:
    """The name of the user whose process this is."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"  # in a container, of a user that no file names


def body_of(holder: Holder) -> bytes:
    """What a lease that is held looks like."""
    return json.dumps(asdict(holder), default=datetime.isoformat).encode()


def free_body(holding: str) -> bytes:
    """What a lease that was given back looks like."""
    # It names the holding that ended: had all free states one ETag, a write that was meant for one and comes late
    # would hit another.
    return json.dumps({"free": True, "last": holding}).encode()


def parse(body: bytes) -> Holder | None:
    """The holder that a lease names, None where it is free; ValueError where it is no lease."""
    if not body:
        return None
    try:
        said = json.loads(body)
        if "free" in said:
            return None
        expires = None if said["expires"] is None else _time(said["expires"])
        return Holder(str(said["id"]), str(said["name"]), _time(said["since"]), expires)
    except (KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError("not a lease") from error


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
