"""What docs/extending.md says about a lease in another object store, with a store that is this process's memory."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from queue import SimpleQueue
from typing import TYPE_CHECKING

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import MemoryStore

from lakehouse.errors import LeaseHeldError, LeaseLostError, StorageError
from lakehouse.lease.base import NAME, OnLost
from lakehouse.lease.object import ObjectLease, Reply

if TYPE_CHECKING:
    from obstore import PutMode


class MemoryLease(ObjectLease):
    """A lease by the conditional writes of obstore's memory, whose clock is this machine's, some time ahead."""

    def __init__(
        self,
        store: MemoryStore,
        ttl: float = 60.0,
        ahead: timedelta | None = timedelta(),
        on_lost: OnLost | None = None,
    ) -> None:
        super().__init__("memory://lake", ttl, on_lost)
        self._store, self._ahead = store, ahead

    def _get(self) -> Reply:
        try:
            found = obstore.get(self._store, NAME)
        except FileNotFoundError:
            return Reply(self._date())
        return Reply(self._date(), found.meta["e_tag"], bytes(found.bytes()), found.meta["last_modified"])

    def _replace(self, body: bytes, etag: str | None) -> Reply:
        mode: PutMode = "create" if etag is None else {"e_tag": etag}
        try:
            return Reply(self._date(), obstore.put(self._store, NAME, body, mode=mode)["e_tag"])
        except (AlreadyExistsError, PreconditionError):
            return Reply(self._date())

    def _date(self) -> str | None:
        return None if self._ahead is None else format_datetime(datetime.now(UTC) + self._ahead, usegmt=True)


def test_two_who_reach_one_store_exclude_each_other() -> None:
    """The second is refused until the first is done; the object stays, free."""
    store = MemoryStore()
    first, second = MemoryLease(store), MemoryLease(store)
    with first:
        with pytest.raises(LeaseHeldError, match="The lake memory://lake is written to by"):
            second.acquire()
        first.check()
    assert second.holder() is None
    with second:
        second.check()


def test_lease_that_another_has_taken_is_lost_and_left_alone() -> None:
    """Whoever finds it over, by the server's clock, takes it; the first hears of it when it would renew."""
    store = MemoryStore()
    losses: SimpleQueue[LeaseLostError] = SimpleQueue()
    second = MemoryLease(store, ahead=timedelta(minutes=5))
    with MemoryLease(store, ttl=6.0, on_lost=losses.put):
        second.acquire()
        assert "it is held by" in str(losses.get(timeout=30))
    second.check()
    assert second.holder() is not None
    second.release()


def test_malformed_lease_is_taken_for_a_live_one() -> None:
    """For ten minutes since it was written, which the server says."""
    store = MemoryStore()
    obstore.put(store, NAME, b"no lease")
    with pytest.raises(LeaseHeldError, match=r"\(memory://lake/lease.json is malformed\)"):
        MemoryLease(store).acquire()
    assert MemoryLease(store, ahead=timedelta(minutes=11)).holder() is None


def test_store_that_keeps_the_time_to_itself_is_refused() -> None:
    """A lease needs the server's clock."""
    with pytest.raises(StorageError, match="sends no Date"):
        MemoryLease(MemoryStore(), ahead=None).acquire()
