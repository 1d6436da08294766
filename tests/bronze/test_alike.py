"""Labels that look alike are told: by the function, in a run's summary, and by the doctor."""

import json
from pathlib import Path

import pytest

from bronze.alike import TOLD, in_quotes, labels_alike
from tests.conftest import add_photographs
from tests.fruits.cli.test_cli import call


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ("Apple", "apple", '"Apple", "apple"'),
        ("Straße", "STRASSE", '"STRASSE", "Straße"'),
        ("Apple", "Apple ", '"Apple", "Apple "'),
        ("Red Apple", "Red  Apple", '"Red  Apple", "Red Apple"'),
        ("Red Apple", "Red\xa0Apple", r'"Red Apple", "Red\xa0Apple"'),
        ("café", "cafe\u0301", r'"cafe\u0301", "café"'),
        ("Apple", "Ａpple", '"Apple", "Ａpple"'),
        ("Apple", "Ap\u200bple", r'"Apple", "Ap\u200bple"'),
        ("Apple", "\ufeffApple\n", r'"Apple", "\ufeffApple\n"'),
    ],
)
def test_labels_that_an_eye_takes_for_one_are_told(one: str, other: str, shown: str) -> None:
    """Shown so that they differ."""
    (group,) = labels_alike([one, other, one])
    assert group == sorted([one, other])
    assert in_quotes(group) == shown


def test_other_labels_are_not_told() -> None:
    """A dot, a line or a number more is seen."""
    assert labels_alike(["Apple", "Apple.", "Apple_", "Apple 1", "Äpple", "apples", ""]) == []


def test_no_more_are_told_than_anybody_reads() -> None:
    """The first groups, whatever the number of labels."""
    labels = [f"{case}{number:04}" for number in range(1000) for case in "aA"]
    assert len(labels_alike(labels)) == TOLD


def test_run_and_doctor_tell_them(
    tmp_path: Path, stub_encoder: str, blank_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, also of a run without news; JSON has them as they are, and nothing where none look alike."""
    config = tmp_path / "settings.yaml"
    config.write_text(f"images: {tmp_path}/pics\nlake: {tmp_path}/lake\nencoder: {stub_encoder}\n")
    labels = ["Apple", "apple ", "cafe\u0301", "café", "Kiwi"]
    for number, label in enumerate(labels):
        add_photographs(tmp_path / "pics", label, range(3 * number, 3 * number + 3))
    line = r'labels that look alike: "Apple", "apple "; "cafe\u0301", "café"'
    for _ in range(2):
        assert call("bronze", "--config", config) == 0
        assert line in capsys.readouterr().out.splitlines()
    assert call("bronze", "--config", config, "--format", "json") == 0
    counts = json.loads(capsys.readouterr().out)["bronze"]["labels"]
    assert counts["alike"] == [["Apple", "apple "], ["cafe\u0301", "café"]]
    assert call("doctor", "--config", config, "--format", "json") == 0
    (found,) = [one for one in json.loads(capsys.readouterr().out) if one["name"] == "labels"]
    assert (found["ok"], found["found"]) == (True, f"5; {line}.")
    assert "fruits relabel" in found["advice"]
    config.write_text(config.read_text() + "removed_images: delete\n")
    for label, other in (("apple ", "Pear"), ("café", "Plum")):
        (tmp_path / "pics" / label).rename(tmp_path / "pics" / other)
    assert call("bronze", "--config", config, "--format", "json") == 0
    assert "alike" not in json.loads(capsys.readouterr().out)["bronze"]["labels"]
