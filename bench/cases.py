"""What is measured: cases that take turns, each of one or several runs.

Three groups:

- The whole folder: for each engine a first run into a new lake, a run with 40 more photographs, one with nothing new.
- The photographs of `Test` (`test-…`): the pipeline that people run today, a plain script, each engine's first run.
- 100,000 files (`large-…`): 10 more, and nothing new.

Ratios are to the bare loop over the whole folder; those of `test-…` to the bare loop over `Test`.

The whole folder is measured on hard links, so that photographs can be added. The 40 are real ones, rotated and encoded
again: with 40 real ones kept aside, the first run would not cover the folder that the budgets are about. The 100,000
are hard links to the real files: there are only as many different contents as photographs, so the first ingest computes
few features and copies the rest. It is not measured. What is measured there is what grows with the number of rows:
listing, and finding the difference.
"""

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.folders import add_photographs, link_folder, link_many, list_photographs
from bench.process import Run, RunFailedError, run_module
from lakehouse.storage.uri import FILE
from silver.encoders.mobilenet import converted_model

MORE, MORE_OF_LARGE, LARGE = 40, 10, 100_000
ENGINE_OPTIONS: Mapping[str, tuple[str, ...]] = {"local": ("--engine", "local"), "spark": ("--engine", "spark")}


@dataclass(frozen=True)
class Case:
    """Runs that belong together.

    Attributes:
        names: of its runs, in their order.
        basis: the name of the bare loop that their ratios refer to.
        measure: from the number of the round to the runs.
    """

    names: tuple[str, ...]
    basis: str
    measure: Callable[[int], Sequence[Run]]


@dataclass(frozen=True)
class Bench:
    """Where the photographs are, and where everything made is kept.

    Attributes:
        images: the real photographs; only read.
        work: an empty folder.
    """

    images: Path
    work: Path

    def prepare(self) -> None:
        """Link the whole folder, and convert the model: it is in the user's cache then, as for a second lake."""
        link_folder(self.images, self._whole)
        converted_model(None, f"{FILE}{self._models}")

    @property
    def _whole(self) -> Path:
        return self.work / "whole"

    @property
    def _models(self) -> Path:
        return self.work / "models"

    @property
    def test(self) -> Path:
        """The photographs for comparisons with what is slow: those of `Test` if there is such a folder."""
        return self.images / "Test" if (self.images / "Test").is_dir() else self.images

    def cases(self, engines: Sequence[str], large: bool) -> list[Case]:
        """All cases for some engines, those of 100,000 files last."""
        return [
            *self._whole_cases(engines),
            *self._test_cases(engines),
            *(self._large_cases(engines) if large else []),
        ]

    def _whole_cases(self, engines: Sequence[str]) -> list[Case]:
        """The cases of the whole folder."""
        return [
            Case(("bare",), "bare", partial(self._bare, self._whole)),
            *(
                Case(
                    (f"{engine}-first", f"{engine}-{MORE}-more", f"{engine}-nothing-new"),
                    "bare",
                    partial(self._first_more_nothing, engine),
                )
                for engine in engines
            ),
        ]

    def _test_cases(self, engines: Sequence[str]) -> list[Case]:
        """The cases of `Test`; without Java there is no pipeline of today's to compare with."""
        others = ("reference", "plain") if has_java() else ("plain",)
        return [
            Case(("test-bare",), "test-bare", partial(self._bare, self.test)),
            *(Case((f"test-{name}",), "test-bare", partial(self._other, name)) for name in others),
            *(Case((f"test-{engine}",), "test-bare", partial(self._first_of_test, engine)) for engine in engines),
        ]

    def _large_cases(self, engines: Sequence[str]) -> list[Case]:
        """The cases of 100,000 files, in one lake that the first engine makes and each goes on with."""
        return [
            Case(
                (f"large-{engine}-{MORE_OF_LARGE}-more", f"large-{engine}-nothing-new"),
                "bare",
                partial(self._large, engine, at, engines),
            )
            for at, engine in enumerate(engines)
        ]

    def _bare(self, folder: Path, _turn: int) -> list[Run]:
        (model,) = self._models.iterdir()
        run, _ = run_module("bench.bare", folder, model)
        # Its own seconds: without the start of the interpreter that only starts the others.
        return [Run(run.stages["total"], run.memory, run.stages)]

    def _first_more_nothing(self, engine: str, _turn: int) -> list[Run]:
        folder, lake = self._whole, self.work / "lake"
        photographs = list_photographs(folder)
        first = run_fruits(engine, folder, lake, ingested=len(photographs))
        added = add_photographs(folder, photographs, folder, MORE)
        more = run_fruits(engine, folder, lake, ingested=MORE)
        nothing = run_fruits(engine, folder, lake, ingested=0)
        for path in added:
            path.unlink()
        shutil.rmtree(lake)
        return [first, more, nothing]

    def _first_of_test(self, engine: str, _turn: int) -> list[Run]:
        lake = self.work / "test-lake"
        first = run_fruits(engine, self.test, lake, ingested=len(list_photographs(self.test)))
        shutil.rmtree(lake)
        return [first]

    def _other(self, name: str, _turn: int) -> list[Run]:
        out = self.work / name
        run, printed = run_module(f"bench.{name}", self.test, out)
        _expect(printed["photographs"], len(list_photographs(self.test)), f"bench.{name}")
        shutil.rmtree(out) if out.is_dir() else out.unlink()
        return [run]

    def _large(self, engine: str, at: int, engines: Sequence[str], turn: int) -> list[Run]:
        folder, lake = self.work / "large", self.work / "large-lake"
        if not lake.exists():
            print(f"{engines[0]}: making a lake of {LARGE:,} files, which is not measured …", file=sys.stderr)
            link_many(self.images, folder, LARGE)
            run_fruits(engines[0], folder, lake, ingested=LARGE)
        added = (turn * len(engines) + at) * MORE_OF_LARGE
        add_photographs(folder, list_photographs(self.images), self.images, MORE_OF_LARGE, first=added)
        more = run_fruits(engine, folder, lake, ingested=MORE_OF_LARGE)
        return [more, run_fruits(engine, folder, lake, ingested=0)]


def run_fruits(engine: str, images: Path, lake: Path, ingested: int) -> Run:
    """Measure one `fruits run`.

    Raises:
        RunFailedError: it failed, or ingested another number of photographs.
    """
    options = ("--images", images, "--lake", lake, *ENGINE_OPTIONS[engine], "--format", "json")
    run, printed = run_module("fruits", "run", *options)
    _expect(printed["bronze"]["ingested"], ingested, f"fruits run ({engine})")
    return run


def _expect(found: Any, expected: int, what: str) -> None:
    if found != expected:
        raise RunFailedError(f"{what} took {found} photographs instead of {expected}: this measures nothing.")


def has_java() -> bool:
    """Whether there is a Java to start Spark with."""
    return bool(os.environ.get("JAVA_HOME") or shutil.which("java"))
