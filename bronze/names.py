"""Find the photographs that people name: by URI, by path, or by the end of it."""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from lakehouse.engine.port import Batches, Given
from lakehouse.storage.uri import absolute_uri, check_utf8, is_relative

MATCHES = pa.schema([("path", pa.string()), ("name", pa.string()), ("exact", pa.bool_())])
"""Photographs by their paths, with each name that they are found by, and whether that is the whole path."""


@dataclass(frozen=True)
class Names:
    """Names to find photographs by; a function of batches with a column `path`, to MATCHES.

    A name is a URI, an absolute path, a path from `folder`, or the end of a path: `0.png` and `Apple/0.png` name
    `file:///pics/Apple/0.png`. Where a name is a whole path, paths that it is an end of are not meant.

    Attributes:
        whole: by URI, the name that it was given as.
        ends: by the end of a path, the same.
    """

    whole: dict[str, str]
    ends: dict[str, str]

    @property
    def given(self) -> list[str]:
        """The names."""
        return [*dict.fromkeys(self.whole.values())]

    @classmethod
    def of(cls, names: Iterable[str], folder: str) -> "Names":
        """Names as they were given, relative to a folder given by its URI.

        Raises:
            ValueError: a name is empty, not UTF-8, or of a scheme that is not supported.
        """
        whole, ends = {}, {}
        for name in names:
            if not is_relative(check_utf8(name)):
                whole[absolute_uri(name)] = name
                continue
            if not name.strip():
                raise ValueError("a photograph's name is needed.")
            end = posixpath.normpath(name)
            scheme, _, base = folder.partition("://")
            whole[f"{scheme}://{posixpath.normpath(posixpath.join(base, end))}"] = name
            if end.split("/")[0] != "..":
                ends[end] = name
        return cls(whole, ends)

    def found(self, path: str) -> Iterator[tuple[str, bool]]:
        """The names of a photograph's path, each with whether it is the whole of it."""
        if path in self.whole:
            yield self.whole[path], True
        start = path.find("/")
        while start >= 0:
            if (name := self.ends.get(path[start + 1 :])) is not None:
                yield name, False
            start = path.find("/", start + 1)

    def resolve(self, matches: pa.Table) -> dict[str, list[str]]:
        """The paths that each name is found to be: one, or several ends of which none is a whole path.

        Args:
            matches: of all photographs, as this function returns them.
        """
        paths: dict[str, list[str]] = {}
        whole: dict[str, list[str]] = {}
        for row in matches.to_pylist():
            (whole if row["exact"] else paths).setdefault(row["name"], []).append(row["path"])
        return paths | whole

    def __call__(self, rows: Given) -> Batches:
        """Find the rows that have a name."""
        for batch in rows:
            found = [*self._matches(batch.column("path").to_pylist())]
            if found:
                yield pa.RecordBatch.from_pylist(found, schema=MATCHES)

    def _matches(self, paths: Iterable[str]) -> Iterator[dict[str, object]]:
        return ({"path": path, "name": name, "exact": exact} for path in paths for name, exact in self.found(path))
