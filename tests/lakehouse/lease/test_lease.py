"""One writer: whoever holds the lease on a lake, on a disk or on a real S3 server, holds it alone."""

import getpass
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse.errors import LeaseHeldError, LeaseLostError, SettingsError, StorageError
from lakehouse.lease import open_lease
from lakehouse.lease.base import Lease
from tests.lakehouse.s3server import Proxy, S3Server, environment

ROOT = Path(__file__).parents[3]
RACES, MANY_RACES = 100, 1000
CONTESTS = 20  # of eight threads each

# A process with a lease that evaluates what it is told to, line by line.
RUN = """
import os, subprocess, sys, time
from lakehouse.lease import open_lease
losses = []
lease = open_lease(sys.argv[1], float(sys.argv[2]), on_lost=losses.append)
def said(work):
    try:
        return work()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
def fork(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child
for line in sys.stdin:
    print(said(lambda: eval(line)), flush=True)
"""


class Run:
    """Another process with a lease of its own."""

    def __init__(self, lake: str, ttl: float = 60) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, lake, str(ttl)],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def tell(self, line: str) -> None:
        """Say what to evaluate."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """What came of it."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, line: str) -> str:
        """Evaluate this."""
        self.tell(line)
        return self.answer()

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def runs(lake: str, count: int = 1, ttl: float = 60) -> Iterator[list[Run]]:
    """Other processes, ready to be told something."""
    others = [Run(lake, ttl) for _ in range(count)]
    try:
        for other in others:
            assert other.ask("'ready'") == "ready"
        yield others
    finally:
        for other in others:
            other.kill()


def until(true: Callable[[], bool], seconds: float = 10) -> float:
    """Wait until something is true; returns how long it took."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds, "it does not come true"
        time.sleep(0.01)
    return time.monotonic() - begun


def is_lost(lease: Lease) -> bool:
    """Whether `check` says so."""
    try:
        lease.check()
    except LeaseLostError:
        return True
    return False


def is_taken(lease: Lease) -> bool:
    """Try to acquire."""
    try:
        lease.acquire()
    except LeaseHeldError:
        return False
    return True


def race(lease: Callable[[], Lease], contenders: int, rounds: int, prepare: Callable[[int], None]) -> list[int]:
    """Let threads with a lease each race for one that is free; returns the round's number for each winner of it."""
    leases = [lease() for _ in range(contenders)]
    wins: list[int] = []
    barrier = threading.Barrier(contenders)

    def contend(lease: Lease) -> None:
        for number in range(rounds):
            if lease is leases[0]:
                prepare(number)
            barrier.wait(60)
            won = is_taken(lease)
            barrier.wait(60)
            if won:
                wins.append(number)
                lease.check()
                lease.release()
            barrier.wait(60)

    in_threads(contend, leases)
    return wins


def in_threads(work: Callable[[Any], None], arguments: Iterable[Any]) -> None:
    """Work on all of these at the same time."""
    threads = [threading.Thread(target=work, args=(argument,)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def race_processes(lake: str, contenders: int, rounds: int, prepare: Callable[[int], None]) -> list[int]:
    """Let processes race for a lease that is free; returns the round's number for each winner of it."""
    wins = []
    with runs(lake, contenders) as others:
        for number in range(rounds):
            prepare(number)
            for other in others:
                other.tell("lease.acquire()")
            answers = [other.answer() for other in others]
            assert all(answer == "None" or answer.startswith("LeaseHeldError: ") for answer in answers), answers
            for other, answer in zip(others, answers, strict=True):
                if answer == "None":
                    wins.append(number)
                    assert other.ask("(lease.check(), lease.release())") == "(None, None)"
    return wins


def nothing(number: int) -> None:
    """Prepare nothing: the last winner has given the lease back."""


# On a disk


@pytest.fixture
def lake(tmp_path: Path) -> str:
    """A lake on a disk that is not there yet."""
    return f"file://{tmp_path}/a b%20#/lake"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where its lease is."""
    return tmp_path / "a b%20#/lake/lease.json"


def test_second_run_is_refused_with_the_holders_name_and_what_to_do(lake: str) -> None:
    """User, machine, process and since when; and as soon as the first is done the second is not refused."""
    second = open_lease(lake)
    with runs(lake) as (first,):
        assert first.ask("lease.acquire()") == "None"
        holder = second.holder()
        assert holder is not None
        assert holder.name == f"{getpass.getuser()}@{socket.gethostname()} (process {first.process.pid})"
        assert datetime.now(UTC) - holder.since < timedelta(seconds=30)
        assert holder.expires is None
        with pytest.raises(LeaseHeldError) as refused:
            second.acquire()
        assert str(refused.value) == (
            f"The lake {lake} is written to by {holder.name} since {holder.since:%Y-%m-%d %H:%M:%S} UTC, and has one "
            "writer at a time. Wait until that run is done. Its lease ends with that process; if it is abandoned, "
            "`fruits doctor --repair` removes it."
        )
        assert first.ask("lease.release()") == "None"
        second.acquire()
        assert first.ask("lease.acquire()").startswith("LeaseHeldError: ")


def test_killed_holder_frees_the_lease_at_once(lake: str) -> None:
    """By SIGKILL, which leaves no time to tidy up; the next one puts its own name in place of the dead one's."""
    lease = open_lease(lake)
    with runs(lake) as (other,):
        assert other.ask("lease.acquire()") == "None"
        other.kill()
        assert lease.holder() is None
        lease.acquire()
        holder = lease.holder()
        assert holder is not None
        assert f"process {os.getpid()}" in holder.name


@pytest.mark.parametrize("child", ["subprocess.Popen(['sleep', '60']).pid", "fork(lambda: time.sleep(60))"])
def test_children_of_a_killed_holder_do_not_keep_the_lease(lake: str, child: str) -> None:
    """Whether they were spawned or forked."""
    with runs(lake) as (other,):
        assert other.ask("lease.acquire()") == "None"
        pid = int(other.ask(child))
        try:
            other.kill()
            os.kill(pid, 0)  # it lives
            open_lease(lake).acquire()
        finally:
            os.kill(pid, signal.SIGKILL)


def test_forked_child_neither_holds_nor_releases_its_parents_lease(lake: str, tmp_path: Path) -> None:
    """The object is there, but the lease is the parent's."""
    file = tmp_path / "said"
    work = f"(open({str(file)!r}, 'w').write(str([said(lease.check), said(lease.acquire), lease.release()])))"
    with runs(lake) as (other,):
        assert other.ask("lease.acquire()") == "None"
        assert other.ask(f"os.waitpid(fork(lambda: {work}), 0)[1]") == "0"
        assert "LeaseLostError: This process does not hold" in file.read_text()
        assert "LeaseHeldError: " in file.read_text()
        assert other.ask("lease.check()") == "None"
        assert not is_taken(open_lease(lake))


def test_two_leases_of_one_process_exclude_each_other(lake: str) -> None:
    """And one lease cannot be acquired twice."""
    first, second = open_lease(lake), open_lease(lake)
    first.acquire()
    assert not is_taken(second)
    with pytest.raises(LeaseHeldError, match="held by this very run; release it first"):
        first.acquire()
    first.check()
    first.release()
    assert is_taken(second)


def test_every_race_of_threads_has_one_winner(lake: str) -> None:
    """On a disk."""
    assert race(lambda: open_lease(lake), 8, 100, nothing) == [*range(100)]


def test_every_race_of_processes_has_one_winner(lake: str) -> None:
    """On a disk, where the file is removed before every other race."""

    def remove(number: int) -> None:
        if number % 2:
            (Path(lake.removeprefix("file://")) / "lease.json").unlink()

    assert race_processes(lake, 5, 100, remove) == [*range(100)]


def test_looking_who_holds_a_lease_refuses_nobody(lake: str) -> None:
    """`fruits doctor` may look at the very moment when a run begins."""
    lease, over = open_lease(lake), threading.Event()

    def look() -> None:
        while not over.is_set():
            open_lease(lake).holder()

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(300):
            lease.acquire()
            lease.release()
    finally:
        over.set()
        for looker in lookers:
            looker.join()


def test_lease_whose_file_is_removed_is_lost(lake: str, file: Path) -> None:
    """Another can then hold a lease on a file of that name, and the loser's release leaves that alone."""
    losses: list[LeaseLostError] = []
    with open_lease(lake, 0.3, losses.append) as first:
        first.check()
        file.unlink()
        with pytest.raises(
            LeaseLostError, match=r"lease on file://.*/lake is lost: the file .* was removed or replaced"
        ):
            first.check()
        second = open_lease(lake)
        second.acquire()
        assert is_lost(first)
        until(lambda: bool(losses))
        time.sleep(0.3)
    assert ["was removed" in str(loss) for loss in losses] == [True]
    second.check()
    assert not is_taken(open_lease(lake))


@pytest.mark.parametrize("replace", [True, False])
def test_lease_whose_file_or_folder_is_gone_is_lost(lake: str, file: Path, replace: bool) -> None:
    """Replaced by a copy, or away with the whole lake; it stays lost when all is back, until it is acquired anew."""
    lease = open_lease(lake)
    lease.acquire()
    here, elsewhere = (file, file.parent / "elsewhere") if replace else (file.parent, file.parent.parent / "elsewhere")
    here.rename(elsewhere)
    if replace:
        file.write_bytes(elsewhere.read_bytes())
    assert is_lost(lease)
    elsewhere.rename(here)
    assert is_lost(lease)
    lease.release()
    lease.acquire()
    lease.check()


def test_lease_may_be_released_by_who_is_told_that_it_is_lost(lake: str, file: Path) -> None:
    """Though that is a thread of the block's own, and while the block ends."""
    told = threading.Event()

    def release(loss: LeaseLostError) -> None:
        told.set()
        time.sleep(0.1)
        lease.release()

    lease = open_lease(lake, 0.1, release)
    with lease:
        file.unlink()
        assert told.wait(10)
    assert is_taken(lease)


def test_block_holds_the_lease_to_its_end(lake: str, file: Path) -> None:
    """Even where it ends with an error; the file stays, and is empty."""
    lease, other = open_lease(lake), open_lease(lake)
    assert not file.exists()

    def work() -> None:
        with lease as held:
            assert held is lease
            assert not is_taken(other)
            raise KeyError("of the work's own")

    with pytest.raises(KeyError):
        work()
    assert file.read_bytes() == b""
    assert other.holder() is None
    assert is_taken(other)


def test_lease_that_is_not_held_is_no_leave_to_write(lake: str) -> None:
    """Neither before nor after; giving it back twice does nothing, and nothing to the next holder."""
    lease, other = open_lease(lake), open_lease(lake)
    lease.release()
    assert is_lost(lease)
    lease.acquire()
    lease.release()
    other.acquire()
    lease.release()
    with pytest.raises(LeaseLostError, match=r"does not hold the lease on file://.*: acquire it before writing"):
        lease.check()
    other.check()


def test_abandoned_lease_is_removed_and_a_live_one_refused(lake: str, file: Path) -> None:
    """Once; and where there is none, nothing is made."""
    lease = open_lease(lake)
    assert not lease.break_abandoned()
    assert not file.parent.exists()
    with runs(lake) as (other,):
        assert other.ask("lease.acquire()") == "None"
        with pytest.raises(LeaseHeldError, match=rf"written to by .*process {other.process.pid}"):
            lease.break_abandoned()
        assert other.ask("lease.check()") == "None"
    assert lease.break_abandoned()
    assert not lease.break_abandoned()
    assert is_taken(lease)


MALFORMED = [
    b"",
    b"{",
    b"\xff\xfe",
    b"[]",
    b"7",
    b'"since"',
    b"[" * 60_000,
    b'{"id": "1"}',
    b'{"id": "1", "name": "a", "since": 5, "expires": null}',
    b'{"id": "1", "name": "a", "since": "yesterday", "expires": null}',
    b'{"id": "1", "name": "a", "since": "0001-01-01T00:00:00+12:00", "expires": null}',
    b" " * 1_000_000,
]


@pytest.mark.parametrize("content", MALFORMED, ids=lambda content: repr(content[:30]))
def test_malformed_file_says_so_in_the_holders_name(lake: str, file: Path, content: bytes) -> None:
    """While it is locked; where nobody holds it, it keeps nobody out."""
    lease, other = open_lease(lake), open_lease(lake)
    lease.acquire()
    file.write_bytes(content)
    holder = other.holder()
    assert holder is not None
    assert "malformed" in holder.name
    with pytest.raises(LeaseHeldError, match="malformed"):
        other.acquire()
    lease.release()
    file.write_bytes(content)
    assert other.holder() is None
    assert is_taken(other)


def test_lake_that_cannot_be_written_to_is_an_error_that_says_so(tmp_path: Path) -> None:
    """A file where a folder should be, and a folder where the file should be."""
    (tmp_path / "file").touch()
    (tmp_path / "lake/lease.json").mkdir(parents=True)
    for name, reason in (("file/lake", "Not a directory"), ("lake", "Is a directory")):
        with pytest.raises(StorageError, match=rf"{name}/lease\.json cannot be written: {reason}\. A run needs a lake"):
            open_lease(f"{tmp_path}/{name}").acquire()


def test_read_only_folder_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a reader of somebody else's lake; root, who may write anywhere, is another user for the moment."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o555)
    user = os.geteuid()
    try:
        os.seteuid(user or 65534)
        with pytest.raises(StorageError, match=r"lease\.json cannot be written: Permission denied\. .*permissions"):
            open_lease(".").acquire()
        assert open_lease(".").holder() is None
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o755)


@pytest.mark.parametrize("uri", ["gs://bucket/lake", "s3://", "s3:///"])
def test_place_for_no_lease_is_refused(uri: str) -> None:
    """It is named, with what can be."""
    with pytest.raises(SettingsError, match=rf"The lake {uri} is neither a folder nor s3://bucket/prefix"):
        open_lease(uri)


# On S3


@pytest.fixture
def s3_lake(bucket: str) -> str:
    """A lake in a bucket, with nothing in it."""
    return f"s3://{bucket}/a b%20#/lake"


KEY = "a b%20#/lake/lease.json"


def put(s3: Any, bucket: str, **said: Any) -> None:
    """Leave a lease in the bucket, as a holder does that is gone."""
    s3.put_object(Bucket=bucket, Key=KEY, Body=json.dumps(said).encode())


def put_expired(s3: Any, bucket: str, seconds: float = 10) -> None:
    """Leave a lease that is over for some time."""
    over = datetime.now(UTC) - timedelta(seconds=seconds)
    put(s3, bucket, id="1", name="the dead", since=over.isoformat(), expires=over.isoformat())


@pytest.mark.parametrize("exists", [True, False])
def test_server_does_one_of_many_conditional_puts(s3: Any, bucket: str, exists: bool) -> None:
    """What the lease stands on: If-None-Match and If-Match are atomic."""
    from botocore.exceptions import ClientError

    done: list[int] = []
    barrier = threading.Barrier(8)
    condition = {"IfNoneMatch": "*"}

    def contend(own: int) -> None:
        for number in range(CONTESTS):
            if own == 0:
                s3.delete_object(Bucket=bucket, Key=KEY)
                if exists:
                    condition.clear()
                    condition["IfMatch"] = s3.put_object(Bucket=bucket, Key=KEY, Body=f"{number}".encode())["ETag"]
            barrier.wait(60)
            try:
                s3.put_object(Bucket=bucket, Key=KEY, Body=f"{number} {own}".encode(), **condition)
                done.append(number)
            except ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 412  # noqa: PT017 - of all, not of one
            barrier.wait(60)

    in_threads(contend, range(8))
    assert done == [*range(CONTESTS)]


@pytest.mark.parametrize("races", [RACES, pytest.param(MANY_RACES, marks=pytest.mark.slow)])
def test_every_race_of_processes_on_s3_has_one_winner(s3: Any, bucket: str, s3_lake: str, races: int) -> None:
    """Four processes race for a lease that was given back, that never was, or that is over."""

    def prepare(number: int) -> None:
        if number % 3 == 1:
            s3.delete_object(Bucket=bucket, Key=KEY)
        elif number % 3 == 2:
            put_expired(s3, bucket)

    assert race_processes(s3_lake, 4, races, prepare) == [*range(races)]


def test_every_race_of_threads_on_s3_has_one_winner(s3: Any, bucket: str, s3_lake: str) -> None:
    """Eight of them, half of the time for a lease that is over."""

    def prepare(number: int) -> None:
        if number % 2:
            put_expired(s3, bucket)

    assert race(lambda: open_lease(s3_lake), 8, CONTESTS, prepare) == [*range(CONTESTS)]


def test_second_run_on_s3_is_refused_until_the_first_is_done(s3_lake: str) -> None:
    """With name, since and until when; and `s3a://` is the same lake."""
    second = open_lease(s3_lake.replace("s3://", "s3a://"))
    assert second.holder() is None
    with runs(s3_lake) as (first,):
        assert first.ask("lease.acquire()") == "None"
        holder = second.holder()
        assert holder is not None
        assert holder.name == f"{getpass.getuser()}@{socket.gethostname()} (process {first.process.pid})"
        assert holder.expires is not None
        assert 59 < (holder.expires - holder.since).total_seconds() < 65
        said = rf"by .*process {first.process.pid}.* since {holder.since:%Y-%m-%d %H:%M:%S} UTC.* ends at .* UTC unless"
        with pytest.raises(LeaseHeldError, match=said):
            second.acquire()
        assert first.ask("lease.check()") == "None"
        assert first.ask("lease.release()") == "None"
        assert second.holder() is None
        second.acquire()
        assert first.ask("lease.release()") == "None"
        second.check()
        assert first.ask("lease.acquire()").startswith("LeaseHeldError: ")


def test_bucket_itself_may_be_the_lake(s3: Any, bucket: str) -> None:
    """The lease is then at its top."""
    open_lease(f"s3://{bucket}/").acquire()
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["lease.json"]


def test_renewed_lease_outlives_its_time(s3_lake: str) -> None:
    """As long as the block lasts; then it is free at once."""
    other = open_lease(s3_lake)
    losses: list[LeaseLostError] = []
    with open_lease(s3_lake, 5, losses.append) as lease:
        begun = time.monotonic()
        while time.monotonic() - begun < 12:
            lease.check()
            assert not is_taken(other)
            time.sleep(0.05)
    assert losses == []
    assert is_taken(other)


def test_silent_holder_loses_the_lease_before_another_gets_it(s3_lake: str) -> None:
    """Its check says so first, without asking anybody; what it gives back later is not the new holder's."""
    first, second = open_lease(s3_lake, 1.5), open_lease(s3_lake, 60)
    first.acquire()
    first.check()
    refused_after_loss = 0
    while not is_taken(second):
        refused_after_loss += is_lost(first)
        time.sleep(0.01)
    assert is_lost(first)
    assert refused_after_loss > 0
    with pytest.raises(LeaseLostError, match="it could not be renewed in time"):
        first.check()
    first.release()
    second.check()
    holder = open_lease(s3_lake).holder()
    assert holder is not None
    assert str(os.getpid()) in holder.name
    assert not is_taken(first)


def test_lease_of_a_killed_process_expires(s3_lake: str) -> None:
    """By its time, and not before."""
    lease = open_lease(s3_lake)
    with runs(s3_lake, ttl=4) as (other,):
        assert other.ask("lease.__enter__() is lease") == "True"
        time.sleep(5)  # renewed by now
        other.kill()
        assert not is_taken(lease)
        until(lambda: is_taken(lease), 20)


def test_stopped_process_finds_the_lease_lost_when_it_goes_on(s3_lake: str) -> None:
    """As after a sleep of the whole machine: another has taken over meanwhile."""
    lease = open_lease(s3_lake)
    with runs(s3_lake, ttl=1) as (other,):
        assert other.ask("lease.__enter__() is lease") == "True"
        other.process.send_signal(signal.SIGSTOP)
        until(lambda: is_taken(lease))
        other.process.send_signal(signal.SIGCONT)
        assert other.ask("lease.check()").startswith("LeaseLostError: ")
        until(lambda: other.ask("len(losses)") == "1")
        assert other.ask("lease.release()") == "None"
        lease.check()


@pytest.mark.parametrize("robbery", ["removed", "held by the robber since 2026-01-02 03:04:05 UTC"])
def test_lease_that_is_taken_away_is_lost_with_the_next_renewal(
    s3: Any, bucket: str, s3_lake: str, robbery: str
) -> None:
    """By somebody who follows no rules; `on_lost` is called once, and what is there now stays."""
    losses: list[LeaseLostError] = []
    with open_lease(s3_lake, 6, losses.append) as lease:
        if robbery == "removed":
            s3.delete_object(Bucket=bucket, Key=KEY)
        else:
            since, expires = "2026-01-02T03:04:05+00:00", "2999-01-01T00:00:00+00:00"
            put(s3, bucket, id="2", name="the robber", since=since, expires=expires)
        until(lambda: bool(losses))
        with pytest.raises(LeaseLostError, match=robbery):
            lease.check()
        time.sleep(2.5)  # another renewal would be due
    assert len(losses) == 1
    holder = open_lease(s3_lake).holder()
    assert (holder.name if holder else "removed") in ("the robber", "removed")


def test_release_leaves_alone_what_another_has_taken(s3: Any, bucket: str, s3_lake: str) -> None:
    """Though the holder has not noticed yet."""
    lease = open_lease(s3_lake)
    lease.acquire()
    since, expires = "2026-01-02T03:04:05+00:00", "2999-01-01T00:00:00+00:00"
    put(s3, bucket, id="2", name="the robber", since=since, expires=expires)
    lease.check()
    lease.release()
    holder = lease.holder()
    assert holder is not None
    assert (holder.id, holder.name) == ("2", "the robber")


@pytest.fixture
def own_server(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: Any) -> Iterator[S3Server]:
    """A server of the test's own, which it may stop, with a bucket `fruits`."""
    server = S3Server(tmp_path)
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", environment(server.port)["AWS_ENDPOINT_URL"])
    from boto3.session import Session

    Session().client("s3").create_bucket(Bucket="fruits")
    yield server
    server.stop()


@pytest.mark.parametrize("hang", [True, False])
def test_lease_is_lost_when_the_server_is_away_for_too_long(own_server: S3Server, hang: bool) -> None:
    """Whether it refuses or does not answer at all; `check` never waits for it."""
    losses: list[LeaseLostError] = []
    with open_lease("s3://fruits/lake", 6, losses.append) as lease:
        time.sleep(3)  # renewed by now
        if hang:
            os.kill(own_server.pid, signal.SIGSTOP)
        else:
            own_server.stop()
        slowest = 0.0
        while True:
            asked = time.monotonic()
            lost = is_lost(lease)
            slowest = max(slowest, time.monotonic() - asked)
            if lost:
                break
            time.sleep(0.002)
        assert slowest < 1  # a request to a server that hangs takes longer
        until(lambda: bool(losses))
        with pytest.raises(
            LeaseLostError, match=r"lease on s3://fruits/lake is lost: it could not be renewed in time\."
        ):
            lease.check()
        if hang:
            os.kill(own_server.pid, signal.SIGCONT)
    assert len(losses) == 1


def test_lease_survives_a_short_absence_of_the_server(own_server: S3Server) -> None:
    """Renewals are tried again as long as there is time."""
    losses: list[LeaseLostError] = []
    with open_lease("s3://fruits/lake", 9, losses.append) as lease:
        own_server.stop()
        time.sleep(3.5)  # the first renewal is tried after three seconds
        own_server.start()
        time.sleep(4.5)  # without one the lease is lost after seven and a half
        lease.check()
    assert losses == []
    assert is_taken(open_lease("s3://fruits/lake"))


@pytest.mark.parametrize("faults", [["lose"], ["409"], ["503"], ["409", "503", "lose"], ["lose", "lose"]])
def test_trouble_on_the_way_neither_loses_nor_doubles_a_lease(
    proxy: Proxy, s3: Any, s3_lake: str, monkeypatch: pytest.MonkeyPatch, faults: list[str]
) -> None:
    """Answers that get lost after the work was done, conflicts and refusals: in acquiring, renewing and releasing."""
    other = open_lease(s3_lake)
    assert other.holder() is None  # its client goes straight to the server
    monkeypatch.setenv("AWS_ENDPOINT_URL", environment(proxy.port)["AWS_ENDPOINT_URL"])
    proxy.faults.extend(faults)
    losses: list[LeaseLostError] = []
    with open_lease(s3_lake, 6, losses.append) as lease:
        assert not proxy.faults
        lease.check()
        assert not is_taken(other)
        proxy.faults.extend(faults)
        until(lambda: not proxy.faults)
        time.sleep(1)
        lease.check()
        assert not is_taken(other)
        proxy.faults.extend(faults)
    assert not proxy.faults
    assert losses == []
    assert is_taken(other)


@pytest.mark.parametrize("hours", [-1, 1])
def test_wrong_clock_neither_steals_nor_overstays(
    proxy: Proxy, s3: Any, s3_lake: str, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """The server's clock is what counts: here it is an hour before or behind this machine's."""
    proxy.shift = shift = timedelta(hours=hours)
    monkeypatch.setenv("AWS_ENDPOINT_URL", environment(proxy.port)["AWS_ENDPOINT_URL"])
    first, second = open_lease(s3_lake, 3), open_lease(s3_lake)
    first.acquire()
    holder = second.holder()
    assert holder is not None
    assert abs(holder.since - datetime.now(UTC) - shift) < timedelta(seconds=5)
    assert not is_taken(second)
    until(lambda: is_lost(first))
    assert not is_taken(second)
    until(lambda: is_taken(second))


def test_server_that_keeps_the_time_to_itself_is_refused(
    proxy: Proxy, s3: Any, bucket: str, s3_lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could say when a lease is over; and nothing is written."""
    proxy.shift = None
    monkeypatch.setenv("AWS_ENDPOINT_URL", environment(proxy.port)["AWS_ENDPOINT_URL"])
    with pytest.raises(StorageError, match="sends no Date, and a lease needs its clock"):
        open_lease(s3_lake).acquire()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_expired_lease_is_removed_and_a_live_one_refused_on_s3(s3: Any, bucket: str, s3_lake: str) -> None:
    """Once; and where there is none, nothing is made."""
    lease, other = open_lease(s3_lake), open_lease(s3_lake)
    assert not lease.break_abandoned()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    put_expired(s3, bucket)
    assert lease.holder() is None
    assert lease.break_abandoned()
    assert not lease.break_abandoned()
    other.acquire()
    with pytest.raises(LeaseHeldError, match=rf"written to by .*process {os.getpid()}"):
        lease.break_abandoned()
    other.check()


@pytest.mark.parametrize("content", MALFORMED[1::3], ids=lambda content: repr(content[:30]))
def test_malformed_object_is_taken_for_a_live_lease_for_ten_minutes(
    proxy: Proxy, s3: Any, bucket: str, s3_lake: str, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """It may be a newer version's: one that is renewed is younger than that."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", environment(proxy.port)["AWS_ENDPOINT_URL"])
    s3.put_object(Bucket=bucket, Key=KEY, Body=content)
    lease = open_lease(s3_lake)
    holder = lease.holder()
    assert holder is not None
    assert "malformed" in holder.name
    for attempt in (lease.acquire, lease.break_abandoned):
        with pytest.raises(LeaseHeldError, match="malformed"):
            attempt()
    proxy.shift = timedelta(minutes=11)
    assert lease.holder() is None
    assert is_taken(lease)


def test_lease_that_came_with_a_lake_from_a_disk_is_not_held_for_ever(
    proxy: Proxy, s3: Any, bucket: str, s3_lake: str, lake: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no end of its own; where it was given back it is empty, and free."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", environment(proxy.port)["AWS_ENDPOINT_URL"])
    local, lease = open_lease(lake), open_lease(s3_lake)
    local.acquire()
    s3.put_object(Bucket=bucket, Key=KEY, Body=file.read_bytes())
    assert not is_taken(lease)
    proxy.shift = timedelta(minutes=11)
    assert is_taken(lease)
    local.release()
    s3.put_object(Bucket=bucket, Key=KEY, Body=file.read_bytes())
    assert is_taken(open_lease(s3_lake))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {},
            r"s3://nowhere/lake/lease\.json is out of reach: .*NoSuchBucket.* Create the bucket, or name another one",
        ),
        (
            {"AWS_SECRET_ACCESS_KEY": "wrong"},
            r"SignatureDoesNotMatch.* The credentials must be valid, and allow s3:Get",
        ),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, r"Unable to locate credentials\. Set AWS_PROFILE, or"),
        ({"AWS_PROFILE": "nobody"}, r"profile \(nobody\) could not be found"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, r"Could not connect .*\. Check the network and AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "nonsense"}, r"Invalid endpoint: nonsense\. Check the network and AWS_ENDPOINT_URL"),
    ],
)
def test_bucket_out_of_reach_is_an_error_that_says_what_to_do(
    s3: Any, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    """For whoever wants the lease, and for whoever looks at it."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for attempt in ("acquire", "holder", "break_abandoned"):
        with pytest.raises(StorageError, match=message):
            getattr(open_lease("s3://nowhere/lake"), attempt)()
