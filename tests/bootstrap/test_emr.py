"""`bootstrap/emr.sh`: what it installs on which node, that it does so once, and how it fails."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.bootstrap.conftest import EMR, PATH, Node
from tests.bootstrap.wheels import write_wheel


def snapshot(folder: Path) -> dict[Path, int]:
    """When each file under a folder was last written."""
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def failure(node: Node, *arguments: str | Path) -> str:
    """What a run that fails says; it leaves nothing behind."""
    before = snapshot(node.prefix.parent)
    done = node.bootstrap(*arguments)
    assert done.returncode == 1, done.stdout
    assert snapshot(node.prefix.parent) == before
    return done.stderr


def test_primary_node_gets_everything(node: Node) -> None:
    """Requirements, TensorFlow, the wheel, job.py and the settings are in the prefix, and job.py runs."""
    node.says('{"isMaster": true}')
    done = node.bootstrap()
    assert done.returncode == 0, done.stderr
    assert node.python("import PIL, tensorflow, fruits.cli, sys; print(sys.prefix)") == str(node.prefix)
    assert (node.prefix / "settings.yaml").read_text() == "lake: s3://bucket/lake\n"
    assert node.python(f"import runpy; runpy.run_path('{node.prefix}/job.py', run_name='__main__')") == "fruits"
    assert "Z fruits bootstrap: installing TensorFlow (" in done.stdout


@pytest.mark.slow
def test_worker_does_without_tensorflow(installed: Node) -> None:
    """A node that is not the primary has no TensorFlow, which only converts the model."""
    source = "import importlib.util as u; print(u.find_spec('tensorflow'), bool(u.find_spec('PIL')))"
    assert installed.python(source) == "None True"


@pytest.mark.slow
def test_second_run_changes_nothing(installed: Node) -> None:
    """A second run with the same code touches no file and takes no time."""
    before = snapshot(installed.prefix.parent)
    begun = time.monotonic()
    done = installed.bootstrap()
    assert (done.returncode, snapshot(installed.prefix.parent)) == (0, before)
    assert "nothing to do" in done.stdout
    assert time.monotonic() - begun < 5


def release(node: Node, digest: str) -> Path:
    """A folder as an earlier run has left it, which is in use."""
    folder = node.prefix.with_name(f"fruits-{digest}")
    folder.mkdir(parents=True)
    (folder / ".fruits-code").write_text("s3://bucket/code/1\n")
    node.prefix.unlink(missing_ok=True)
    node.prefix.symlink_to(folder)
    return folder


@pytest.mark.slow
def test_other_code_takes_its_place(node: Node) -> None:
    """Other code is installed beside the old, which stays for its jobs until the code after that; then it goes."""
    oldest, old = release(node, "a" * 12), release(node, "b" * 12)
    foreign = node.prefix.with_name("fruits-photographs1")
    foreign.mkdir()
    assert node.bootstrap().returncode == 0
    assert (node.prefix / "settings.yaml").is_file()
    assert [folder.is_dir() for folder in (oldest, old, foreign)] == [False, True, True]


@pytest.mark.slow
def test_interrupted_run_is_done_over(node: Node) -> None:
    """What a run has left that was killed is made anew."""
    assert node.bootstrap().returncode == 0
    folder = node.prefix.resolve()
    (folder / ".fruits-code").unlink()
    (folder / "job.py").unlink()
    assert node.bootstrap().returncode == 0
    assert (node.prefix / "job.py").is_file()


@pytest.mark.slow
def test_wrong_hash_is_refused(node: Node) -> None:
    """A package other than the locked one is named and not installed; what was there before stays in use."""
    old = release(node, "a" * 12)
    write_wheel(node.folder / "index", "pillow", PIL="evil = True\n")
    message = failure(node)
    assert "pillow" in message
    assert "DO NOT MATCH THE HASHES" in message
    assert "the requirements could not be installed" in message
    assert node.prefix.resolve() == old


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("fruits_lakehouse-1.0-py3-none-any.whl", "must hold one wheel fruits_lakehouse-*.whl, and holds 0"),
        ("job.py", "job.py is missing"),
        ("requirements-emr.lock", "requirements-emr.lock is missing"),
    ],
)
def test_missing_file_is_named(node: Node, missing: str, message: str) -> None:
    """Code that lacks a file is refused before anything is made."""
    (node.code / missing).unlink()
    assert message in failure(node)


def test_two_wheels_are_named(node: Node) -> None:
    """Which of two wheels is meant is not guessed."""
    write_wheel(node.code, "fruits_lakehouse", "2.0")
    assert "and holds 2: fruits_lakehouse-1.0-py3-none-any.whl fruits_lakehouse-2.0" in failure(node)


@pytest.mark.slow
def test_code_that_does_not_run_is_refused(node: Node) -> None:
    """A wheel whose command cannot be imported is not switched to."""
    write_wheel(node.code, "fruits_lakehouse", fruits__cli="import typer_that_is_not_there\n")
    message = failure(node)
    assert "No module named 'typer_that_is_not_there'" in message
    assert "what was installed does not run" in message


def test_damaged_instance_info_is_named(node: Node) -> None:
    """What a node is, is not guessed on a cluster."""
    node.says("{}")
    assert "instance.json does not say whether this is the primary node" in failure(node)


def test_foreign_folder_is_left_alone(node: Node) -> None:
    """A folder at the prefix that was not made here is not replaced."""
    node.prefix.mkdir(parents=True)
    assert f"{node.prefix} is there, and not made by this script" in failure(node)


def commands(folder: Path, *names: str) -> str:
    """A PATH of these commands alone."""
    folder.mkdir(exist_ok=True)
    for name in names:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return str(folder)


def test_missing_python_is_named(node: Node) -> None:
    """The system's python3 is not taken for python3.11."""
    node.environment["PATH"] = commands(node.folder / "few", "bash", "dirname", "mkdir", "id", "rm", "python3")
    message = failure(node)
    assert "python3.11 was not found" in message
    assert "emr-spark-8.1.0" in message


def test_missing_python_is_installed_on_a_cluster(node: Node) -> None:
    """Where EMR's image lacks python3.11, the distribution's package manager is asked, and a refusal is told."""
    node.shadow("dnf", 'echo "dnf $*" >&2; exit 1')
    node.shadow("sudo", 'shift; exec "$@"')
    node.environment["PATH"] = commands(node.folder / "bin", "bash", "dirname", "mkdir", "id", "rm")
    message = failure(node)
    assert "dnf install -y -q python3.11" in message
    assert "dnf could not install it" in message


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_missing_permission_is_named() -> None:
    """A user who may neither write nor use sudo is told what to do."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(shutil.copy(EMR, folder))
        Path(folder).chmod(0o755)
        command = ["/bin/bash", str(script), folder, "--prefix", "/opt/fruits-test/none"]
        done = subprocess.run(
            command, user=65534, group=65534, env={"PATH": os.defpath}, capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert "no permission to write to /opt/fruits-test, and sudo does not give it. Run it as root" in done.stderr


@pytest.mark.slow
def test_sudo_is_used_for_the_folder_alone(node: Node) -> None:
    """Where only root may write, root makes the folder and switches the link; pip and the code run as the user."""
    log = node.folder / "sudo.log"
    node.shadow("sudo", f'shift; echo "$*" >>{log}; AS_ROOT=1 exec "$@"')
    node.shadow("mkdir", '[ "$1" != -p ] || [ -n "${AS_ROOT:-}" ] || exit 1; exec env -u AS_ROOT /bin/mkdir "$@"')
    assert node.bootstrap().returncode == 0
    assert [line.split()[0] for line in log.read_text().splitlines()] == (
        ["true", "mkdir", "rm", "mkdir", "chown", "ln", "mv"]
    )
    assert f"chown {os.getuid()}:{os.getgid()} {node.prefix.resolve()}" in log.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "CODE is missing"),
        (["one", "two"], "there is a second: two"),
        (["--fast", "one"], "There is no option --fast"),
        (["one", "--prefix"], "--prefix needs a folder"),
        (["one", "--prefix", "opt"], "--prefix needs an absolute path, not 'opt'"),
    ],
)
def test_wrong_call_is_explained(arguments: list[str], message: str) -> None:
    """A wrong call ends with 2 and says how to call."""
    done = subprocess.run([EMR, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Usage: emr.sh CODE [--prefix DIR]" in done.stderr


def test_neither_folder_nor_bucket_is_named(node: Node) -> None:
    """A CODE that is not there is named."""
    assert "/none is neither an s3:// prefix nor a folder" in failure(node, "/none")


def test_failing_download_is_tried_again(node: Node) -> None:
    """A download that fails twice is tried a third time, after longer and longer waits."""
    count = node.folder / "count"
    node.shadow("sleep", f"echo slept $1 >>{count}")
    node.shadow("aws", f'[ "$(cat {count} | wc -l)" = 2 ]')
    done = node.bootstrap("s3://bucket/code/1")
    assert "attempt 3 of 5" in done.stdout
    assert count.read_text() == "slept 2\nslept 4\n"
    assert "job.py is missing" in done.stderr  # the download is over; this one has brought nothing


def test_download_is_given_up(node: Node) -> None:
    """After five attempts it says what to look at."""
    node.shadow("sleep", "")
    node.shadow("aws", "echo Unable to locate credentials >&2; exit 1")
    message = failure(node, "s3://bucket/code/1")
    assert message.count("Unable to locate credentials") == 5
    assert "s3://bucket/code/1 could not be fetched in 5 attempts" in message


@pytest.mark.slow
def test_code_is_fetched_from_s3(node: Node, s3: Any, bucket: str) -> None:
    """The real aws fetches the code from a real S3 server, and nothing of a prefix that only begins alike.

    A machine that is no node of a cluster counts as a primary node.
    """
    (node.folder / "instance.json").unlink()
    if shutil.which("aws", path=PATH) is None:
        pytest.skip("there is no aws command")
    for path in node.code.iterdir():
        s3.upload_file(str(path), bucket, f"code/1/{path.name}")
    s3.put_object(Bucket=bucket, Key="code/12/fruits_lakehouse-2.0-py3-none-any.whl", Body=b"")
    done = node.bootstrap(f"s3://{bucket}/code/1")
    assert done.returncode == 0, done.stderr
    assert node.python("import PIL, tensorflow, fruits.cli; print('there')") == "there"
    assert "nothing to do" in node.bootstrap(f"s3://{bucket}/code/1/").stdout


def test_empty_prefix_on_s3_is_named(node: Node, s3: Any, bucket: str) -> None:
    """A prefix that holds nothing is no success."""
    if shutil.which("aws", path=PATH) is None:
        pytest.skip("there is no aws command")
    assert f"job.py is missing in s3://{bucket}/code/none. Upload the code anew." in failure(
        node, f"s3://{bucket}/code/none"
    )
