"""Sum up a listing: how many files, how many each rule passes over, and a fingerprint."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from lakehouse.arrow import as_numpy
from lakehouse.engine.port import Batches, Engine, Given, Rows


@dataclass(frozen=True)
class ListingFingerprint:
    """A listing in short: its files, how many each rule passes over, and a number that another listing does not have.

    Of nothing where nothing is given.
    """

    files: int = 0
    rules: Mapping[str, int] = field(default_factory=dict)
    fingerprint: int = 0

    @property
    def skipped(self) -> int:
        """How many files rules pass over."""
        return sum(self.rules.values())

    def __add__(self, other: "ListingFingerprint") -> "ListingFingerprint":
        """Of both listings."""
        rules = Counter(self.rules)
        rules.update(other.rules)
        return ListingFingerprint(
            self.files + other.files, dict(sorted(rules.items())), self.fingerprint ^ other.fingerprint
        )


def fingerprint_listing(engine: Engine, listing: Rows) -> ListingFingerprint:
    """Sum up a listing, in whatever order it comes."""
    return sum(_surveys_in(engine.fold(listing, PartialSurvey(), CombinedSurvey())), ListingFingerprint())


class PartialSurvey:
    """From LISTING to its fingerprint_listing, in one row where there are files."""

    schema = pa.schema(
        [("files", pa.int64()), ("rules", pa.map_(pa.string(), pa.int64())), ("fingerprint", pa.int64())]
    )

    def __call__(self, listing: Given) -> Batches:
        """Sum up the files."""
        return self.summed(
            ListingFingerprint(
                batch.num_rows,
                _counted(batch.column("rule")),
                int(np.bitwise_xor.reduce(as_numpy(batch.column("fingerprint")))),
            )
            for batch in listing
        )

    def summed(self, parts: Iterable[ListingFingerprint]) -> Batches:
        """Some surveys, as one row where there are any."""
        if (found := list(parts)) and (total := sum(found, ListingFingerprint())).files:
            row = {"files": total.files, "rules": [*total.rules.items()], "fingerprint": total.fingerprint}
            yield pa.RecordBatch.from_pylist([row], schema=self.schema)


class CombinedSurvey(PartialSurvey):
    """From partial surveys, several rows, to one row."""

    def __call__(self, partials: Given) -> Batches:
        """Sum up the rows."""
        return self.summed(_surveys_in(partials))


def _surveys_in(rows: Iterable[pa.RecordBatch]) -> Iterator[ListingFingerprint]:
    return (
        ListingFingerprint(row["files"], dict(row["rules"]), row["fingerprint"])
        for batch in rows
        for row in batch.to_pylist()
    )


def _counted(rules: pa.Array) -> dict[str, int]:
    if rules.null_count == len(rules):
        return {}
    return {row["values"]: row["counts"] for row in rules.drop_null().value_counts().to_pylist()}
