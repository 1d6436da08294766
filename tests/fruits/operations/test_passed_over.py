"""`fruits doctor --images` names each file that a run passes over."""

import json
from pathlib import Path

import pytest

from fruits.operations.passed_over import SHOWN
from tests.conftest import add_photographs
from tests.fruits.cli.test_cli import call


@pytest.fixture
def images(photographs: Path) -> Path:
    """Photographs with files of tools, a link to nowhere, and a folder that a name makes dangerous to print."""
    add_photographs(photographs, "Apple", range(2))
    for number in range(SHOWN + 5):
        (photographs / f"{number:02}.crc").touch()
    (photographs / ".git").mkdir()
    (photographs / "to\x1b[31mnowhere").symlink_to("nowhere")
    return photographs


def test_files_are_named_by_their_rule(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first of many, on a line each, with what to do where something is wrong."""
    call("doctor", "--images", images, "--lake", tmp_path / "lake")
    lines = capsys.readouterr().out.splitlines()
    named = lines[
        lines.index("1 passed over: broken link. Mend or remove the link, or mount the disk that it leads to.") :
    ]
    assert named[1:] == [
        f"  file://{images}/to\\x1b[31mnowhere",
        f"{SHOWN + 5} passed over: skip: *.crc.",
        *(f"  file://{images}/{number:02}.crc" for number in range(SHOWN)),
        "  and 5 more; `--format json` names them all.",
        "1 passed over: skip: .git/.",
        f"  file://{images}/.git",
    ]
    assert not (tmp_path / "lake").exists()


def test_all_of_them_are_named_as_json(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By rule, in the finding about the images."""
    call("doctor", "--images", images, "--lake", tmp_path / "lake", "--format", "json")
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["images"]["found"] == f"file://{images}, 2 files, {SHOWN + 7} passed over"
    assert {rule: len(paths) for rule, paths in found["images"]["passed_over"].items()} == {
        "broken_link": 1,
        "skip: *.crc": SHOWN + 5,
        "skip: .git/": 1,
    }
    assert found["images"]["passed_over"]["skip: .git/"] == [f"file://{images}/.git"]


def test_summary_tells_the_rules_on_a_line(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of ours in words, patterns as they are; and no line where nothing is passed over."""
    assert call("bronze", "--images", images, "--lake", tmp_path / "lake") == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"skipped by 1 broken link, {SHOWN + 5} skip: *.crc, 1 skip: .git/" in lines
    assert call("bronze", "--images", images / "Apple", "--lake", tmp_path / "lake") == 0
    assert "skipped by" not in capsys.readouterr().out
