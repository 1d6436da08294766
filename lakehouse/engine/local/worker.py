"""The worker process: receive functions and shares over a connection, and send back the results.

It ends when the connection ends, in the middle of a share too, so that none outlives the process that started it.
"""

import os
import pickle
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread

import pyarrow as pa

from lakehouse.arrow import keep_pandas_out
from lakehouse.engine.port import BatchFunction, FunctionError
from lakehouse.errors import LakehouseError
from lakehouse.memory import peak_memory

FUNCTION, SHARE = "function", "share"
DONE, FAILED = "done", "failed"


def main(descriptor: int) -> None:
    """Work until the other end of the connection is closed."""
    keep_pandas_out()
    with suppress(OSError):  # it is closed while a result is sent: there is nobody to tell
        _work(Connection(descriptor))
    os._exit(0)


def _work(connection: Connection) -> None:
    received: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
    Thread(target=_receive, args=(connection, received), daemon=True).start()
    packed = b""
    function: BatchFunction | None = None
    while True:
        kind, content = received.get()
        if kind == FUNCTION:
            packed, function = content, None  # unpickled when the first share needs it: an error belongs to that
            continue
        try:
            if function is None:
                function = _function(packed)
            share = pickle.loads(content)
            made = _as_bytes(list(function(share.batches())))
        except Exception as error:  # noqa: BLE001 - told to the other side, which raises it
            connection.send((FAILED, _portable(error)))
        else:
            connection.send((DONE, peak_memory()))
            connection.send_bytes(made)


def _function(packed: bytes) -> BatchFunction:
    function: BatchFunction = pickle.loads(packed)
    return function


def _receive(connection: Connection, received: "SimpleQueue[tuple[str, bytes]]") -> None:
    # In a thread of its own, so that who sends never waits for a share to end.
    while True:
        try:
            received.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)


def _as_bytes(batches: list[pa.RecordBatch]) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    if batches:
        with pa.ipc.new_stream(sink, batches[0].schema) as stream:
            for batch in batches:
                stream.write_batch(batch)
    return sink.getvalue()


def _portable(error: Exception) -> bytes:
    """An error that can be raised in another process: one of ours as it is, any other by what it says."""
    if isinstance(error, LakehouseError):
        packed = pickle.dumps(error)
        try:
            pickle.loads(packed)
        except TypeError:  # its class takes other arguments than its message
            return pickle.dumps(LakehouseError(str(error)))
        return packed
    return pickle.dumps(FunctionError.of(error))


if __name__ == "__main__":
    main(int(sys.argv[1]))
