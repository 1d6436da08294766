"""Hold bronze's verdict on each image of a folder against those of other decoders, and say where they differ.

    python -m bench.corpus FOLDER...

For folders of odd and damaged images that others have collected; they are read where they lie. Each file is judged in a
process of its own kind, in bounded time and memory; a process that a file ends is named, and is the worst of findings.
"""

import argparse
import os
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.decoders import SIDE, Decoder, Opinion, installed
from bronze.formats import FORMATS
from bronze.judgement import Limits, Problem
from bronze.photograph import inspect_and_decode
from bronze.reasons import Reason
from bronze.structure import format_of

SECONDS = 30.0
MEMORY = 2 << 30
LIMITS = Limits([*FORMATS], 100 << 20, 100_000_000)
NOTICED = 12.0
"""By how many levels of 255 two pictures differ on average where they do not show the same."""

_HEADER = 1 << 12
POLICY = {Reason.UNSUPPORTED_FORMAT, Reason.UNSUPPORTED_KIND, Reason.TOO_LARGE, Reason.TOO_MANY_PIXELS}
"""Reasons that say nothing of damage: what another decoder reads, we leave on purpose."""


@dataclass(frozen=True)
class Verdict:
    """Ours: a reason and its detail, or what the picture shows."""

    format: str | None
    reason: str | None
    detail: str
    shown: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Finding:
    """A file on which we and others differ, and how."""

    path: str
    verdict: Verdict
    opinions: dict[str, Opinion]
    kind: str


class Judge:
    """A process that judges files, and another one where a file has ended it or took too long."""

    def __init__(self) -> None:
        self._start()

    def judge(self, path: str) -> Verdict:
        """Our verdict on a file."""
        self._connection.send(path)
        try:
            if self._connection.poll(SECONDS):
                verdict: Verdict = self._connection.recv()
                return verdict
            died = f"took more than {SECONDS:.0f} s"
        except EOFError:
            self._process.join()
            died = f"ended its process ({self._process.exitcode})"
        self.close()
        self._start()
        return Verdict(None, Reason.KILLS_THE_READER, died)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        self._connection, theirs = get_context("spawn").Pipe()
        self._process = get_context("spawn").Process(target=_judge_all, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()


def _judge_all(connection: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    while True:
        try:
            path = connection.recv()
        except EOFError:
            return
        connection.send(_verdict(Path(path).read_bytes()))


def _verdict(content: bytes) -> Verdict:
    found = inspect_and_decode(content, LIMITS)
    if isinstance(found, Problem):
        return Verdict(format_of(content), found.reason, found.detail)
    photograph, image = found
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return Verdict(photograph.format, None, "", np.asarray(small, dtype=np.float64))


def compare(path: str, verdict: Verdict, decoders: list[Decoder]) -> Finding | None:
    """What others say of a file where all of them contradict us, or one sees another picture; else None."""
    if verdict.reason == Reason.KILLS_THE_READER:
        return Finding(path, verdict, {}, "ends its reader")
    name = verdict.format
    if name is None or verdict.reason in POLICY:
        return None
    opinions = {one.name: one.ask(path, name, SECONDS, MEMORY) for one in decoders if name in one.formats}
    if not opinions:
        return None
    if verdict.reason is not None:
        ours_alone = all(opinion.content for opinion in opinions.values())
        return Finding(path, verdict, opinions, "held back, and read by all others") if ours_alone else None
    if not any(opinion.reads for opinion in opinions.values()):
        return Finding(path, verdict, opinions, "taken, and read by nobody else")
    differing = max((_difference(opinion, verdict) for opinion in opinions.values()), default=0.0)
    if differing <= NOTICED:
        return None
    if name == "PNG" and b"gAMA" in Path(path).read_bytes()[:_HEADER]:
        return Finding(path, verdict, {}, "looks different, and has a gamma, which is not followed")
    return Finding(path, verdict, opinions, f"looks different ({differing:.0f} levels)")


def _difference(opinion: Opinion, verdict: Verdict) -> float:
    if opinion.shown is None or verdict.shown is None:
        return 0.0
    return float(np.abs(opinion.shown - verdict.shown).mean())


def images(folders: list[str]) -> Iterator[str]:
    """The files whose content or name says that they are images."""
    suffixes = tuple(suffix for called in FORMATS.values() for suffix in called.suffixes)
    for folder in folders:
        for at, inside, names in os.walk(folder):
            inside[:] = sorted(name for name in inside if name != ".git")
            for name in sorted(names):
                path = Path(at, name)
                with path.open("rb") as file:
                    begun = file.read(64)
                if (begun and format_of(begun) is not None) or name.lower().endswith(suffixes):
                    yield str(path)


def main() -> int:
    """Print counts and disagreements; 1 where a file ended its reader."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    folders = parser.parse_args().folders
    decoders, counts, findings = installed(), Counter[str](), list[Finding]()
    print("Others:", ", ".join(decoder.name for decoder in decoders) or "none is installed")
    judge = Judge()

    def judged() -> Iterator[tuple[str, Verdict]]:
        for path in images(folders):
            verdict = judge.judge(path)
            counts[verdict.reason or "taken"] += 1
            yield path, verdict

    with ThreadPoolExecutor(2) as pool:
        for finding in pool.map(lambda one: compare(one[0], one[1], decoders), judged()):
            if finding is not None:
                findings.append(finding)
    judge.close()
    print(f"{counts.total()} files:", ", ".join(f"{number} {word}" for word, number in counts.most_common()))
    for finding in sorted(findings, key=lambda one: (one.kind, one.path)):
        if not finding.opinions and finding.verdict.reason is None:
            continue  # it is explained, and counted below
        print(
            f"\n{finding.kind}: {finding.path}\n    ours: {finding.verdict.reason or 'taken'} {finding.verdict.detail}"
        )
        for name, opinion in finding.opinions.items():
            print(f"    {name}: {'reads' if opinion.reads else 'refuses'} {opinion.words}")
    kinds = Counter(finding.kind.partition(" (")[0] for finding in findings)
    print(f"\n{len(findings)} disagreements:", ", ".join(f"{number} {kind}" for kind, number in kinds.most_common()))
    return 1 if counts[Reason.KILLS_THE_READER] else 0


if __name__ == "__main__":
    sys.exit(main())
