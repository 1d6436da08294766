"""The command in surroundings that fail: a full disk, a limit, another user, a disk that answers with errors.

Each command is a process of its own, forked from one that has imported everything: it costs what the command does.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

SHIM = Path(__file__).with_name("faulty.c")
_COMMANDS = (
    "fruits.cli",
    "fruits.identify.photographs",
    "fruits.operations.doctor",
    "fruits.operations.forget",
    "fruits.operations.relabel",
    "fruits.operations.rollback",
    "fruits.operations.run",
    "fruits.query.ask",
    "fruits.report",
)
_NEW_MOUNTS = 0x00020000  # CLONE_NEWNS


@dataclass(frozen=True)
class Surroundings:
    """What is around a command.

    Attributes:
        mounts: commands of a shell in a mount namespace of the command's own, before it.
        limits: by their names, as `RLIMIT_NOFILE`.
        ordinary: run it as a user who may do what the modes of files allow, though it is root who runs the tests.
        variables: of the environment; None: not set.
        calls: system calls that fail: names of `faulty.c`, blanks around each.
        error: with this number.
        below: on files whose paths have this in them.
        stdout: a file to write to.
    """

    mounts: Sequence[str] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    ordinary: bool = False
    variables: Mapping[str, str | None] = field(default_factory=dict)
    calls: str = ""
    error: int = 0
    below: str = ""
    stdout: str | None = None


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status, or minus the signal, and what it said."""

    status: int
    out: str
    err: str
    seconds: float


class Commands:
    """Runs commands; to be closed."""

    def __init__(self, folder: Path, before: str = "") -> None:
        """Start the process that they are forked from, which does `before`: code of Python."""
        self._folder = folder
        shim = folder / "faulty.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, SHIM, "-ldl"], check=True)
        code = f"{before}\nfrom tests.faulty import serve; serve()"
        environment = {**os.environ, "LD_PRELOAD": str(shim), "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def call(self, *arguments: object, around: Surroundings = Surroundings(), cwd: Path | None = None) -> Ended:
        """Run `fruits` with arguments."""
        out, err = self._folder / "stdout-of-a-command", self._folder / "stderr-of-a-command"
        for file in (out, err):
            file.write_bytes(b"")
            file.chmod(0o666)
        asked = {"arguments": [*map(str, arguments)], "around": asdict(around), "cwd": str(cwd or self._folder)}
        asked |= {"out": around.stdout or str(out), "err": str(err)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        begun = time.perf_counter()
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        seconds = time.perf_counter() - begun
        return Ended(status, out.read_text(errors="replace"), err.read_text(errors="replace"), seconds)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve() -> None:
    """Fork a command for each line of stdin, and write its exit status to stdout."""
    _import_everything()
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            _run(asked)
        _, ended = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)


def _import_everything() -> None:
    """What commands import is here already; nothing of it is begun, for threads do not survive a fork."""
    for name in ("duckdb", "deltalake", "pyarrow.compute", "pyarrow.parquet", "fruits.__main__", *_COMMANDS):
        import_module(name)


def _drop_rights() -> None:
    """Root keeps its files and loses what makes it root (see capset(2)), so that modes count for it, too."""
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, nothing):
        raise OSError(ctypes.get_errno(), "capset")


def _run(asked: dict[str, Any]) -> None:
    """Be the command; never returns."""
    around = asked["around"]
    try:
        for stream, name in ((1, asked["out"]), (2, asked["err"])):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(asked["cwd"])
        if around["mounts"]:
            if ctypes.CDLL(None, use_errno=True).unshare(_NEW_MOUNTS):
                raise OSError(ctypes.get_errno(), "unshare")
            for command in ("mount --make-rprivate /", *around["mounts"]):
                subprocess.run(command, shell=True, check=True)
        for name, value in around["variables"].items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if around["ordinary"]:
            _drop_rights()
        for name, limit in around["limits"].items():
            number = getattr(resource, name)
            resource.setrlimit(number, (limit, resource.getrlimit(number)[1]))
        if around["calls"]:
            os.environ.update(
                FAULTY_PATH=around["below"], FAULTY_CALLS=around["calls"], FAULTY_ERROR=str(around["error"])
            )
    except (OSError, subprocess.CalledProcessError) as error:
        os.write(2, f"the surroundings cannot be made: {error}\n".encode())
        os._exit(99)
    from fruits.__main__ import main

    sys.argv = ["fruits", *asked["arguments"]]
    sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115 - until the process ends
    status = 1
    try:
        main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:  # noqa: BLE001 - as Python ends a process
        sys.excepthook(*sys.exc_info())
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 120
    os._exit(status)
