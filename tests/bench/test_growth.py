"""What `make bench-growth` reckons with: photographs, their features, exponents, and what a process tree takes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import synthetic
from bench.growth import Measured, exponents, format_growth
from bench.memory import PROC
from bench.observe import Observed, observe
from bench.process import RunFailedError
from bronze.photograph import decode

on_linux = pytest.mark.skipif(not PROC.is_dir(), reason="What a process takes is read from /proc.")


def measured(size: int, operation: str, processor: float) -> Measured:
    """An operation that took so much."""
    return Measured(size, operation, Observed(processor, processor, 10**8, 0, 5, 6), 7, 10**9, {"bronze": 0.5})


def test_synthetic_photographs_differ_and_are_read() -> None:
    """Each of them is a picture of its own, and its features follow from its bytes: nearer to those of its label."""
    one, same_label, other = (synthetic.photograph(number) for number in (7, 7 + synthetic.LABELS, 8))
    assert decode(one).size == (20, 20)
    assert len({one, same_label, other}) == 3
    assert synthetic.photograph(7) == one
    features = synthetic.load()([memoryview(content) for content in (one, same_label, other)])
    assert features.shape == (3, synthetic.DIMENSION)
    assert features.dtype == np.float32
    assert np.linalg.norm(features[0] - features[1]) < np.linalg.norm(features[0] - features[2])


def test_exponent_is_that_of_what_is_above_the_start() -> None:
    """0 where the lake's size does not matter, 1 in proportion to it; a process's start is no part of it."""
    found = [
        *(measured(size, "nothing new", 1.0) for size in (100, 10_000)),
        *(measured(size, "more", 1.0 + seconds) for size, seconds in ((100, 0.2), (10_000, 20.0))),
        measured(100, "once", 3.0),
    ]
    pairs = exponents(found)
    assert [pairs[name][0][:2] for name in ("nothing new", "more")] == [(100, 10_000)] * 2
    assert pairs["nothing new"][0][2] == pytest.approx(0.0)
    assert pairs["more"][0][2] == pytest.approx(1.0)
    assert pairs["once"] == []
    assert "100 to 10,000: +1.00" in format_growth(found)


@on_linux
def test_observed_are_memory_and_bytes_of_the_whole_tree(tmp_path: Path) -> None:
    """What a process below it held and wrote is there after both have ended."""
    below = "import time; held = b'x' * (60 << 20); open('written', 'wb').write(held); time.sleep(0.4)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {below!r}], check=True); print('done')"
    (tmp_path / "tree.py").write_text(program)
    made = subprocess.run(  # a process whose folder is the test's, as modules are found there
        [sys.executable, "-c", "from bench.observe import observe; print(observe('tree', []))"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{Path.cwd()}:{tmp_path}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    seen, printed = eval(made.stdout, {"Observed": Observed})
    assert printed == "done\n"
    assert seen.worker > 60 << 20 > seen.driver
    assert seen.written >= 60 << 20
    assert seen.processor > 0


def test_observed_program_that_fails_is_told() -> None:
    """With its last words."""
    with pytest.raises(RunFailedError, match=r"No module named bench\.nothing"):
        observe("bench.nothing", [])
