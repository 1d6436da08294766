"""AWS in a box: namespaces in which AWS's own names lead to servers on this machine, and to nothing else.

No variable names an endpoint, and none holds a key: what runs in it finds AWS as it does on an EC2 instance.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.aws.inside import LOG, REGION

_REPOSITORY = Path(__file__).parents[2]
_PASSED_ON = ("PATH", "KERAS_HOME", "XDG_CACHE_HOME", "JAVA_HOME", "OPENBLAS_NUM_THREADS")
_PATIENCE = 600


class UnavailableError(Exception):
    """There can be no box on this machine; the message says why."""


class Box:
    """A box, which is there until it is closed.

    Attributes:
        folder: of its own, for whatever runs in it, too.
        variables: the whole environment of what runs in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        home = folder / "home"
        home.mkdir()
        command = ["unshare", "--net", "--mount", sys.executable, "-m", "tests.aws.inside", str(folder)]
        with (folder / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                command, cwd=_REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        trusted = self._answer()
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        cache = str(Path.home() / ".cache")  # of Spark's jars
        imported = os.pathsep.join([str(_REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
        fixed = {"HOME": str(home), "LANG": "C.UTF-8", "PYTHONPATH": imported}
        fixed |= {"AWS_REGION": REGION, "FRUITS_WEIGHTS": "untrained"}
        self.variables: dict[str, str] = {"XDG_CACHE_HOME": cache, **passed_on, **fixed, **trusted}

    def tell(self, name: str, *arguments: object) -> Any:
        """Tell the box to do something; see `inside._Inside` for what. Returns the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def start(self, *command: str, **variables: str | None) -> "subprocess.Popen[str]":
        """Start a command in the box; `variables` are set, or with None unset, besides."""
        told = {**self.variables, **variables}
        return subprocess.Popen(
            ["nsenter", "-t", str(self._process.pid), "--net", "--mount", f"--wd={self.folder}", *command],
            env={name: value for name, value in told.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def run(self, *command: str, **variables: str | None) -> "subprocess.CompletedProcess[str]":
        """Run a command in the box to its end."""
        with self.start(*command, **variables) as process:
            try:
                out, err = process.communicate(timeout=_PATIENCE)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def fruits(self, *words: str, **variables: str | None) -> "subprocess.CompletedProcess[str]":
        """Run the command `fruits` in the box."""
        return self.run(sys.executable, "-m", "fruits", *words, **variables)

    def call(self, function: Callable[..., object], *arguments: object, **variables: str | None) -> Any:
        """What a module's function returns, called in the box in a process of its own; all passes as JSON."""
        source = (
            f"import json, sys; from {function.__module__} import {function.__name__} as f; "
            "print(json.dumps(f(*json.loads(sys.argv[1]))))"
        )
        done = self.run(sys.executable, "-c", source, json.dumps(arguments), **variables)
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])

    @contextmanager
    def role(self, name: str) -> Iterator[None]:
        """Whatever runs meanwhile has the credentials of a role of IAM's, and may do what that may."""
        self.tell("take_role", name)
        try:
            yield
        finally:
            self.tell("take_role", "")

    def requests(self, bucket: str | None = None) -> list[dict[str, Any]]:
        """What was asked of AWS so far, or of a bucket; see `front.Request`."""
        found = [json.loads(line) for line in (self.folder / LOG).read_text().splitlines()]
        return [one for one in found if bucket in (None, one["bucket"])]

    def close(self) -> None:
        """End the servers, and with them the namespaces."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise RuntimeError(f"The box is gone: {(self.folder / 'stderr').read_text()[-3000:]}")
        return json.loads(line)


def check_possible() -> None:
    """Look whether there can be a box on this machine.

    Raises:
        UnavailableError: this user may not make namespaces and mount in them, or the programs are not there.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        raise UnavailableError("AWS in a box needs root on Linux, to make namespaces")
    try:
        probe = ["unshare", "--net", "--mount", "mount", "--bind", "/etc/hosts", "/etc/hosts"]
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
        subprocess.run(["nsenter", "--version"], capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise UnavailableError(f"AWS in a box needs unshare, mount and nsenter (util-linux): {error}") from error
    if done.returncode != 0:
        raise UnavailableError(f"AWS in a box cannot be made here: {done.stderr.strip()}")
