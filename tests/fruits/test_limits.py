"""A command that could not start its threads says so, and does not wait without end."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fruits.limits import left_in_cgroups

GROUPS = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))
OF_ANOTHER_USER = """
import os, resource
from fruits.limits import need_threads
resource.setrlimit(resource.RLIMIT_NPROC, ({limit}, {hard}))
os.setuid(54321)
need_threads()
print(resource.getrlimit(resource.RLIMIT_NPROC)[0])
"""


def group(folder: Path, allowed: str, current: int) -> Path:
    """The files of a control group."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pids.max").write_text(f"{allowed}\n")
    (folder / "pids.current").write_text(f"{current}\n")
    return folder


@pytest.mark.parametrize(("line", "root"), [("0::/a/b", ""), ("7:pids:/a/b", "pids")], ids=["second", "first"])
def test_narrowest_of_the_nested_control_groups_counts(tmp_path: Path, line: str, root: str) -> None:
    """In both versions of control groups; one that says `max` limits nothing."""
    (membership := tmp_path / "cgroup").write_text(f"3:cpu,cpuacct:/other\n{line}\n1:name=systemd:/a\n")
    group(tmp_path / root / "a/b", "max", 5)
    assert left_in_cgroups(membership, tmp_path) is None
    group(tmp_path / root / "a", "90", 20)
    group(tmp_path / root, "100", 60)
    assert left_in_cgroups(membership, tmp_path) == 40


def test_system_without_control_groups_limits_nothing(tmp_path: Path) -> None:
    """As macOS is."""
    assert left_in_cgroups(tmp_path / "cgroup", tmp_path) is None


@pytest.fixture
def container() -> Iterator[Path]:
    """A control group of 30 processes, as a container's is."""
    for root in GROUPS:
        folder = root / f"fruits-{os.getpid()}"
        try:
            folder.mkdir()
            (folder / "pids.max").write_text("30")
        except OSError:
            if folder.is_dir():
                folder.rmdir()
            continue
        yield folder
        folder.rmdir()
        return
    pytest.skip("needs root, and control groups that may be made")


def test_command_in_a_container_of_few_processes_is_refused_in_a_sentence(container: Path, tmp_path: Path) -> None:
    """delta-rs would wait for threads that never start."""
    fruits = Path(sys.executable).with_name("fruits")
    run = f'echo $$ > {container}/cgroup.procs; exec {fruits} run --images "$0" --lake lake'
    ended = subprocess.run(["sh", "-c", run, tmp_path], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "more threads can be started here" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "lake").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone may become another user")
@pytest.mark.parametrize(("limit", "hard", "said"), [(20, 20, "`ulimit -u`"), (20, 30_000, "30000"), (900, 900, "900")])
def test_limit_of_a_users_processes_is_raised_or_refused(limit: int, hard: int, said: str) -> None:
    """A soft limit is a default, which a process may raise for itself."""
    program = OF_ANOTHER_USER.format(limit=limit, hard=hard)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert said in ended.stdout + ended.stderr, ended.stderr
