"""A pool of worker processes: started ahead, two shares queued each, replaced when one dies."""

import pickle
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait

import pyarrow as pa

from lakehouse.engine.local import worker
from lakehouse.engine.local.share import Share
from lakehouse.engine.port import BatchFunction, CancelledError, WorkerKilledError

_WAITING = 2  # shares at a worker: the one that it computes, and the next
_FEWEST = 8  # rows that a share is cut down to near the end, so that no worker waits long for another
_DEATHS_BEFORE_HALVING = 2  # the first may be anybody's fault
_DEATHS_OF_A_ROW = 4  # alone or among others; Spark tries a task as often
_DEATHS_IN_A_ROW = 24  # without a share done in between: then it is not the rows' fault
_LOOK = 0.2  # seconds between looks for a cancellation
_PATIENCE = 5.0  # seconds for a worker to end

Made = tuple[Share, list[pa.RecordBatch] | None]
"""A share and what was made of it; None where it is one row, which ends each process that computes it."""


class Pool:
    """Worker processes that compute shares side by side."""

    def __init__(self, processes: int) -> None:
        """Take the number of processes; none is started yet."""
        self.peak: int | None = None
        """Bytes in memory of the largest process so far; None where none has computed anything."""
        self._size = processes
        self._workers: list[_Worker] = []
        self._cancelled = threading.Event()

    @property
    def started(self) -> bool:
        """Whether there are processes."""
        return bool(self._workers)

    def start(self) -> None:
        """Start the processes that are missing, without waiting for them."""
        self._workers += [_Worker() for _ in range(self._size - len(self._workers))]

    def run(self, function: BatchFunction, shares: Iterator[Share], rows: int) -> Iterator[Made]:
        """Compute shares, which have so many rows, each yielded when it is done, in any order.

        Raises:
            CancelledError: `cancel` was called.
            WorkerKilledError: processes end whatever they compute.
            LakehouseError: from the function; other errors of its as a FunctionError.
        """
        packed = pickle.dumps(function)
        self.start()
        for one in self._workers:
            one.give_function(packed)
        waiting, deaths = _Waiting(shares, rows, self._size), 0
        try:
            while True:
                for one in self._workers:
                    while len(one.shares) < _WAITING and (share := waiting.next()) is not None:
                        one.give(share)
                busy = [one for one in self._workers if one.shares]
                if not busy:
                    return
                ready = wait([one.connection for one in busy], timeout=_LOOK)
                for one in (one for one in busy if one.connection in ready):
                    try:
                        made, peak = one.take()
                        self.peak = max(peak, self.peak or 0)
                        yield made
                        deaths = 0
                    except (EOFError, OSError):
                        deaths += 1
                        yield from self._bury(one, waiting, packed, deaths)
                if self._cancelled.is_set():
                    raise CancelledError("The work was cancelled.")
        except BaseException:
            self.close()  # what the workers compute is of no use any more
            raise

    def cancel(self) -> None:
        """Have `run` raise a CancelledError soon, and ever after."""
        self._cancelled.set()

    def close(self) -> None:
        """End the processes, whatever they do."""
        workers, self._workers = self._workers, []
        for one in workers:
            one.hang_up()
        for one in workers:
            one.end()

    def _bury(self, dead: "_Worker", waiting: "_Waiting", packed: bytes, deaths: int) -> Iterator[Made]:
        """Put a new worker in a dead one's place, and its shares back; the first is the one that it died of."""
        status = dead.end()
        if deaths >= _DEATHS_IN_A_ROW:
            raise WorkerKilledError(
                f"{deaths} worker processes in a row ended while they computed {dead.shares[0].rows} rows ({status}), "
                "whichever rows these were. Most likely there is not enough memory: let fewer run at once (the setting "
                "`processes`), or lower `max_pixels`."
            )
        self._workers[self._workers.index(dead)] = one = _Worker()
        one.give_function(packed)
        suspect, *others = dead.shares
        waiting.put_back(others)
        suspect = suspect.again()
        if suspect.rows > 1 and suspect.deaths >= _DEATHS_BEFORE_HALVING:
            waiting.put_back(suspect.halves())
        elif suspect.rows > 1 or suspect.deaths < _DEATHS_OF_A_ROW:
            waiting.put_back([suspect])
        else:
            yield suspect, None


class _Waiting:
    """Shares that nobody computes: those that came back, and then the others, as they are asked for.

    The last ones are cut, each to a part of what is left, so that all workers end at nearly the same time: guided
    self-scheduling (Polychronopoulos and Kuck, 1987).
    """

    def __init__(self, shares: Iterator[Share], rows: int, workers: int) -> None:
        self._back: deque[Share] = deque()
        self._cut: list[Share] = []
        self._shares, self._left, self._parts = shares, rows, 2 * _WAITING * workers

    def next(self) -> Share | None:
        if self._back:
            return self._back.popleft()
        share = self._cut.pop() if self._cut else next(self._shares, None)
        if share is None:
            return None
        while share.rows > max(_FEWEST, self._left // self._parts):
            share, rest = share.halves()
            self._cut.append(rest)
        self._left -= share.rows
        return share

    def put_back(self, shares: Iterable[Share]) -> None:
        self._back.extend(shares)


class _Worker:
    """One process, and the shares that it has."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        code = f"import sys; sys.path[:] = {sys.path!r}; from lakehouse.engine.local.worker import main; "
        # Not multiprocessing's spawn: it imports this process' main module again, which is the whole command. A group
        # of its own, so that Ctrl-C at a terminal reaches the process that drives, and that alone.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"{code}main({theirs.fileno()})"],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            process_group=0,
        )
        theirs.close()
        self.connection = Connection(ours.detach())
        self.shares: deque[Share] = deque()

    def give_function(self, packed: bytes) -> None:
        with suppress(OSError):  # it is dead, which `take` will find
            self.connection.send((worker.FUNCTION, packed))

    def give(self, share: Share) -> None:
        self.shares.append(share)
        with suppress(OSError):
            self.connection.send((worker.SHARE, pickle.dumps(share)))

    def take(self) -> tuple[Made, int]:
        """The first share's result and the process' greatest size; EOFError or OSError where the process has died."""
        kind, content = self.connection.recv()
        if kind == worker.FAILED:
            raise pickle.loads(content)
        made = self.connection.recv_bytes()
        batches = pa.ipc.open_stream(made).read_all().to_batches() if made else []
        return (self.shares.popleft(), batches), content

    def hang_up(self) -> None:
        with suppress(OSError):
            self.connection.close()

    def end(self) -> str:
        """Wait for the end, or bring it about; returns how it came."""
        self.hang_up()
        try:
            status = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return f"signal {-status}" if status < 0 else f"exit status {status}"
