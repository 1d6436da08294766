"""`bench.corpus`: what is counted, and what is told as a disagreement."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.corpus import Judge, Verdict, compare, images
from bench.decoders import Decoder
from bronze.reasons import Reason
from tests.bronze.corpus import encoded, noise

ROOT = Path(__file__).parents[2]
READS, REFUSES = (
    Decoder(name, f"/bin/{name}", frozenset({"JPEG", "PNG"}), lambda *_: []) for name in ("true", "false")
)
SHOWN = Verdict("JPEG", None, "", np.zeros((32, 32, 3)))


@pytest.mark.parametrize(
    ("verdict", "decoders", "kind"),
    [
        (SHOWN, [READS], None),
        (SHOWN, [READS, REFUSES], None),
        (SHOWN, [REFUSES], "taken, and read by nobody else"),
        (SHOWN, [], None),
        (Verdict("JPEG", Reason.CORRUPT, ""), [REFUSES, READS], None),
        (Verdict("JPEG", Reason.CORRUPT, ""), [READS], "held back, and read by all others"),
        (Verdict("JPEG", Reason.UNSUPPORTED_KIND, ""), [READS], None),
        (Verdict("GIF", Reason.CORRUPT, ""), [READS], None),
        (Verdict(None, Reason.KILLS_THE_READER, ""), [READS], "ends its reader"),
    ],
)
def test_disagreement_is_where_all_others_contradict(
    tmp_path: Path, verdict: Verdict, decoders: list[Decoder], kind: str | None
) -> None:
    """Damage that one other sees, too, is explained; and what is left on purpose is no damage."""
    finding = compare(str(tmp_path / "any"), verdict, decoders)
    assert (finding and finding.kind) == kind


def test_other_pictures_are_told(tmp_path: Path) -> None:
    """By how much they differ; two that are the same are not told."""
    (tmp_path / "white.ppm").write_bytes(b"P6 32 32 255\n" + b"\xff" * 3072)
    shows = Decoder("cat", "/bin/cat", frozenset({"JPEG"}), lambda _, path, __: [path])
    finding = compare(str(tmp_path / "white.ppm"), SHOWN, [shows])
    assert finding is not None
    assert finding.kind == "looks different (255 levels)"
    white = Verdict("JPEG", None, "", np.full((32, 32, 3), 255.0))
    assert compare(str(tmp_path / "white.ppm"), white, [shows]) is None


def test_judge_goes_on_after_a_file_that_ends_it(tmp_path: Path) -> None:
    """A file that is not there ends the process as a crash does."""
    (tmp_path / "a.png").write_bytes(encoded(noise(8, 8), "PNG"))
    judge = Judge()
    try:
        assert judge.judge(str(tmp_path / "none")).reason == Reason.KILLS_THE_READER
        assert judge.judge(str(tmp_path / "a.png")).reason is None
    finally:
        judge.close()


def test_folder_is_counted_where_no_other_decoder_is_installed(tmp_path: Path) -> None:
    """Images by content or by name, and nothing else."""
    (tmp_path / "a.png").write_bytes(encoded(noise(8, 8), "PNG"))
    (tmp_path / "b").write_bytes(encoded(noise(8, 8), "JPEG"))
    (tmp_path / "c.jpg").write_bytes(b"text")
    (tmp_path / "d.txt").write_bytes(b"text")
    assert [Path(path).name for path in images([str(tmp_path)])] == ["a.png", "b", "c.jpg"]
    environment = {**os.environ, "PATH": "", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "bench.corpus", str(tmp_path)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("Others: none is installed\n3 files: 2 taken, 1 not_an_image\n")
