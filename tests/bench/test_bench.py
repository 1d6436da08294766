"""What `make bench` reckons with: ratios, budgets, the table, memory of a process tree, folders to measure on."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.budgets import BUDGETS, Budget, Round, Unit, judge, paired_ratio, peak_memory, spark_budget
from bench.cases import Bench, Case
from bench.folders import add_photographs, link_folder, link_many, list_photographs
from bench.memory import PROC, PeakMemory, process_tree, proportional_bytes, resident_bytes
from bench.process import Run, RunFailedError, run_module
from bench.reference import components_needed
from bench.run import main, pick_cases
from bench.stages import Stages
from bench.table import as_json, format_table, summarize
from tests.conftest import photograph

BLOCK = 60 << 20  # bytes
on_linux = pytest.mark.skipif(not PROC.is_dir(), reason="Memory is sampled from /proc.")


def run(seconds: float, memory: int | None = None, **stages: float) -> Run:
    """A run that took so long."""
    return Run(seconds, memory, stages)


# The machine is twice as slow in the third round, and three times in the second.
ROUNDS: list[Round] = [
    {"bare": run(10), "local-first": run(13, 900, bronze=4, total=12), "local-nothing-new": run(0.8)},
    {"bare": run(30), "local-first": run(36, 1000, bronze=12, total=33), "local-nothing-new": run(1.6)},
    {"bare": run(20), "local-first": run(30, 800, bronze=8, total=27), "local-nothing-new": run(1.2)},
]
BASES = {"bare": "bare", "local-first": "bare", "local-nothing-new": "bare", "test-bare": "test-bare"}


def test_ratio_is_the_median_of_each_rounds_own() -> None:
    """A round's ratio is to the bare loop of that round, so a slow round tells nothing about the program."""
    assert paired_ratio(ROUNDS, "local-first", "bare") == pytest.approx(1.3)  # of 1.3, 1.2 and 1.5


def test_ratio_to_what_was_not_measured_is_none() -> None:
    """A round without the other row gives no ratio."""
    assert paired_ratio(ROUNDS, "local-first", "test-plain") is None


def test_peak_memory_is_that_of_the_worst_round() -> None:
    """The peak is the greatest of all rounds, and none where none was sampled."""
    assert peak_memory(ROUNDS, "local-first") == 1000
    assert peak_memory(ROUNDS, "bare") is None


@pytest.mark.parametrize(
    ("budget", "value", "held"),
    [
        (Budget("local-first", 1.4, Unit.RATIO, "bare"), 1.3, True),
        (Budget("local-first", 1.2, Unit.RATIO, "bare"), 1.3, False),
        (Budget("local-nothing-new", 1.0, Unit.SECONDS), 1.2, False),
        (Budget("local-nothing-new", 1.2, Unit.SECONDS), 1.2, True),
        (Budget("local-first", 1.3, Unit.GIGABYTES), 1e-6, True),
        (Budget("bare", 1.3, Unit.GIGABYTES), None, None),
        (Budget("local-first", 1.0, Unit.RATIO, "test-plain"), None, None),
        (spark_budget(20), None, None),
    ],
)
def test_budget_is_held_missed_or_not_judged(budget: Budget, value: float | None, held: bool | None) -> None:
    """Each unit is judged by its own figure, and nothing is said where a row is missing."""
    (verdict,) = judge(ROUNDS, [budget])
    assert verdict.value == (None if value is None else pytest.approx(value))
    assert verdict.held is held


def test_spark_may_take_half_as_long_again() -> None:
    """The baseline is what release 0.1.0 took."""
    assert [verdict.held for verdict in judge([{"spark-first": run(66)}], [spark_budget(44), spark_budget(43)])] == [
        True,
        False,
    ]


def test_every_budget_is_about_rows_that_exist(tmp_path: Path) -> None:
    """No budget is left unjudged for ever because a row has another name."""
    cases = Bench(tmp_path, tmp_path).cases(["local", "spark"], large=True)
    names = {name for case in cases for name in case.names} | {"test-reference"}  # which is there with Java alone
    budgets = [*BUDGETS, spark_budget(44)]
    assert {budget.row for budget in budgets} | {budget.of for budget in budgets if budget.of} <= names


def test_table_is_aligned_and_says_what_is_missed() -> None:
    """One line a row, columns below each other, a verdict beside the row that it is about, stages below."""
    verdicts = judge(ROUNDS, BUDGETS)
    lines = format_table(summarize(ROUNDS, BASES), verdicts).splitlines()
    header, bare, first, nothing = lines[:4]
    assert bare.split() == ["bare", "20.00", "(10.00–30.00)", "–", "–"]
    assert first.startswith("local-first  ")
    assert first.endswith("≤ 1.4 × bare: 1.30, held")
    assert nothing.endswith("≤ 1 s: 1.20, MISSED")
    assert first.index("1.30") + 4 == header.index("× bare") + 6 == bare.index(" –") + 2
    assert lines[lines.index("seconds by stage (medians)") + 2].split() == [
        "local-first",
        "bronze",
        "8.00",
        "total",
        "27.00",
    ]


def test_json_holds_every_round_and_every_budget() -> None:
    """Programs get the rounds' own figures, and null for what could not be judged."""
    found = json.loads(json.dumps(as_json(summarize(ROUNDS, BASES), judge(ROUNDS))))
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["local-first"]["seconds"] == [13, 36, 30]
    assert rows["bare"]["ratio"] is None
    assert {budget["name"]: budget["held"] for budget in found["budgets"]} == {
        "local-first": True,
        "local-40-more": None,
        "local-nothing-new": False,
        "test-local": None,
        "large-local-10-more": None,
        "large-local-nothing-new": None,
    }


def test_a_case_brings_its_bare_loop() -> None:
    """What a ratio refers to is measured as well, and nothing else is."""
    cases = [Case((name,), basis, lambda _turn: []) for name, basis in [*BASES.items(), ("test-plain", "test-bare")]]
    assert [case.names for case in pick_cases(cases, ["*-plain"])] == [("test-bare",), ("test-plain",)]
    assert pick_cases(cases, []) == cases
    with pytest.raises(LookupError, match=r"Nothing is named plain\. Names: bare, local-first"):
        pick_cases(cases, ["plain"])


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--engines", "dask"], "unknown: dask"), (["--only", "nothing"], "Nothing is named nothing")],
)
def test_wrong_calls_are_refused(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is measured for a call that cannot be meant."""
    with pytest.raises(SystemExit):
        main(["--images", str(tmp_path), *options])
    assert message in capsys.readouterr().err


def test_stages_add_up() -> None:
    """A stage that is entered twice has one value, and the total comes last."""
    stages = Stages()
    for name in ("model", "features", "model"):
        with stages.measure(name):
            pass
    assert list(stages.seconds()) == ["model", "features", "total"]


def test_reference_takes_as_many_components_as_are_needed() -> None:
    """The smallest k whose share reaches 80 %, or all."""
    assert components_needed(np.array([0.5, 0.2, 0.2, 0.1])) == 3
    assert components_needed(np.array([0.5, 0.2])) == 2


def test_a_run_is_timed_and_its_stages_read(tmp_path: Path) -> None:
    """What no stage accounts for, the interpreter's start above all, stands beside them."""
    printed = tmp_path / "printed.json"
    printed.write_text('{"photographs": 3, "seconds": {"model": 0.0, "total": 0.0}}')
    found, said = run_module("json.tool", printed)
    assert said["photographs"] == 3
    assert found.stages == {"model": 0.0, "total": 0.0, "outside": round(found.seconds, 2)}


def test_a_run_that_fails_measures_nothing() -> None:
    """The error carries the status and what the program said."""
    with pytest.raises(
        RunFailedError, match=r"(?s)-m bench\.nobody ended with status 1.*No module named bench\.nobody"
    ):
        run_module("bench.nobody")


@contextmanager
def started(code: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has said `ready`, and lives until its stdin is closed."""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.stdin.close()


CHILD = f"block = bytearray(range(256)) * ({BLOCK} // 256); print('ready', flush=True); input()"


@on_linux
def test_memory_is_that_of_the_whole_tree() -> None:
    """A process and its child, each with a block of its own, take two blocks."""
    with started(
        f"import subprocess, sys; block = bytearray({BLOCK}); subprocess.run([sys.executable, '-c', {CHILD!r}])"
    ) as it:
        pids = process_tree(it.pid)
        assert pids[0] == it.pid
        assert len(pids) == 2
        assert proportional_bytes(pids) > 2 * BLOCK
        assert resident_bytes(pids) >= proportional_bytes(pids)


@on_linux
def test_shared_memory_counts_once() -> None:
    """A forked process has its parent's block, and no memory for it."""
    fork = "os.fork() and print('ready', flush=True); os.read(0, 1)"
    with started(f"import os; block = bytes(range(256)) * ({BLOCK} // 256); {fork}") as it:
        pids = process_tree(it.pid)
        assert resident_bytes(pids) > 2 * BLOCK > proportional_bytes(pids) > BLOCK


@on_linux
def test_peak_outlasts_what_took_it() -> None:
    """What a child took counts after it has ended."""
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"
    with started(parent) as it, PeakMemory(it.pid) as memory:
        while (memory.peak or 0) < BLOCK and it.poll() is None:
            time.sleep(0.01)
    assert process_tree(it.pid) == [it.pid]
    assert resident_bytes([it.pid]) == proportional_bytes([it.pid]) == 0
    assert BLOCK < (memory.peak or 0) < 3 * BLOCK


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Six photographs of two labels."""
    folder = tmp_path / "source"
    for label in ("Apple", "Lemon"):
        (folder / "Test" / label).mkdir(parents=True)
        for seed in range(3):
            content = photograph(seed + 3 * (label == "Lemon"), size=(8, 6), encoding="JPEG")
            (folder / "Test" / label / f"{seed}.jpg").write_bytes(content)
    return folder


def test_linked_folder_can_be_added_to(source: Path, tmp_path: Path) -> None:
    """New photographs lie beside the real ones, differ from all, and stay out of the folder they were made from."""
    target = tmp_path / "target"
    link_folder(source, target)
    known = list_photographs(target)
    added = add_photographs(target, known, target, 4) + add_photographs(target, known, target, 4, first=4)
    assert [path.relative_to(target) for path in known] == [
        path.relative_to(source) for path in list_photographs(source)
    ]
    assert len({path.read_bytes() for path in [*known, *added]}) == 6 + 8
    assert {path.parent for path in added} == {path.parent for path in known}
    assert len(list_photographs(source)) == 6
    with Image.open(added[0]) as image:
        assert image.size == (6, 8)


def test_many_files_have_few_contents(source: Path, tmp_path: Path) -> None:
    """Each label is there many times over, and all files are the real ones' contents."""
    target = tmp_path / "many"
    link_many(source, target, 14)
    made = list_photographs(target)
    assert len(made) == 14
    assert {path.parent.name for path in made} == {"Apple 1", "Apple 2", "Apple 3", "Lemon 1", "Lemon 2"}
    assert {path.parent.parent for path in made} == {target / "Test"}
    assert len({path.read_bytes() for path in made}) == 6
