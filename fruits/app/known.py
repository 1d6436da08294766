"""The lake as the page sees it: identification, the map of projections, and thumbnails.

Nothing here is called by two threads at once: DuckDB and the process that reads photographs each serve one.
"""

import base64
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from bronze.judgement import Limits
from bronze.photograph import decode
from bronze.tables import CONTENTS, IMAGES
from fruits.app.reader import Reader
from fruits.app.upload import within_memory
from fruits.identify.identifier import Identifier
from fruits.query.contents import read_contents
from fruits.query.sql import connect
from fruits.settings import Settings
from fruits.thumbnail import shrink
from gold.tables import PROJECTIONS
from lakehouse.background import Background
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake

MOST_POINTS = 4000
"""Photographs on the map: more would only lie on top of each other."""

PIXELS = 192
"""The longer side of a small picture: twice what is shown, for sharp screens; 4 kB as WebP."""

_KEPT = 512  # small pictures in memory
_POLL_SECONDS = 2.0  # seconds between two looks at the tables' versions; on S3 a look takes 0.1 s


class _Seen(TypedDict):
    sha256: str | None
    at: list[float | None] | None


_UNSEEN: _Seen = {"sha256": None, "at": None}  # of a photograph that is being erased


class Neighbour(_Seen):
    """A photograph of the lake that is like the one asked about."""

    label: str | None
    distance: float
    name: str


class Told(TypedDict):
    """What a photograph is, and on which map it is `at`; `preview` is a small WebP of it, in base64.

    None where browsers draw the photograph themselves.
    """

    label: str | None
    known: bool
    confidence: float
    at: list[float]
    neighbours: list[Neighbour]
    map: int
    preview: str | None


class _Drawn(TypedDict):
    photographs: int
    labels: list[str]
    counts: list[int]
    label: list[int]
    pc1: list[float]
    pc2: list[float]


class Map(_Drawn):
    """Where the photographs lie; `label` counts among `labels`."""

    map: int
    pca_version: int


class LakeView:
    """A lake as it is now: what identifies is opened anew beside the old when the projections have changed."""

    def __init__(self, settings: Settings) -> None:
        """Open a lake.

        Raises:
            LakehouseError: there is no lake, or it has no champion.
        """
        settings = within_memory(settings)
        self._settings, self._lake = settings, Lake(settings.lake)
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self.limits: Limits = settings.limits
        """What an upload may be."""
        self._reader = Reader(self.limits, self._lake.uri_of("models"))  # it starts while the lake is opened
        try:
            self._identifier = Identifier.open(settings, reads=False)
            self._reader.make_ready(self._identifier.feature_version)
        except BaseException:
            self._reader.close()
            raise
        self._opening: Background[Identifier] | None = None
        self._map: _Drawn | None = None
        self._versions = self._newest()
        self._connection = connect(self._lake)
        self._looked = time.monotonic()

    def identify(self, content: bytes) -> Told:
        """What a photograph is and what is like it, as JSON.

        Raises:
            NotAPhotographError: the bytes are no photograph that can be used.
        """
        self._refresh()
        read = self._reader.read(self._identifier.feature_version, content)
        answer = self._identifier.answer(read.features)
        rows = self._rows([neighbour.path for neighbour in answer.neighbours])
        neighbours: list[Neighbour] = [
            {
                "label": neighbour.label,
                "distance": neighbour.distance,
                "name": neighbour.path.rpartition("/")[2],
                **rows.get(neighbour.path, _UNSEEN),
            }
            for neighbour in answer.neighbours
        ]
        return {
            "label": answer.label,
            "known": answer.known,
            "confidence": answer.confidence,
            "at": [float(value) for value in (*answer.components[:2], 0.0)[:2]],
            "neighbours": neighbours,
            "map": self._identifier.snapshot,
            "preview": base64.b64encode(read.preview).decode() if read.preview else None,
        }

    def close(self) -> None:
        """End the process that reads photographs."""
        self._reader.close()

    def map(self) -> Map:
        """Where the photographs lie among the first two components, as JSON: at most MOST_POINTS, spread evenly."""
        self._refresh()
        if self._map is None:
            self._map = self._draw()
        return {"map": self._identifier.snapshot, "pca_version": self._identifier.pca_version, **self._map}

    def _draw(self) -> _Drawn:
        pc1, pc2, labels = self._identifier.map_points
        names, of, counts = np.unique([label or "" for label in labels], return_inverse=True, return_counts=True)
        drawn = np.linspace(0, len(labels) - 1, min(len(labels), MOST_POINTS)).astype(int)
        return {
            "photographs": len(labels),
            "labels": names.tolist(),
            "counts": counts.tolist(),
            "label": of[drawn].tolist(),
            "pc1": _rounded(pc1[drawn]),
            "pc2": _rounded(pc2[drawn]),
        }

    def picture(self, sha256: str) -> bytes | None:
        """A small WebP of the photograph in `bronze.images` that has this SHA-256; None where there is none."""
        self._refresh()
        if sha256 not in self._pictures:
            found = [row for rows in read_contents(self._connection, [sha256]) for row in rows]
            if not found:
                return None
            self._pictures[sha256] = small(found[0][1])
            if len(self._pictures) > _KEPT:
                self._pictures.popitem(last=False)
        self._pictures.move_to_end(sha256)
        return self._pictures[sha256]

    def _rows(self, paths: Sequence[str]) -> dict[str, _Seen]:
        query = "SELECT path, sha256, pc1, coalesce(pc2, 0) FROM gold.projections WHERE path IN (SELECT unnest(?))"
        found = self._connection.execute(query, [list(paths)]).fetchall()
        return {path: {"sha256": sha256, "at": [pc1, pc2]} for path, sha256, pc1, pc2 in found}

    def _refresh(self) -> None:
        """Turn to other rows once they are open; until then the old ones answer, but what was erased is not shown."""
        if self._opening is not None and self._opening.done:
            opened, self._opening = self._opening, None
            self._identifier, self._map = opened.get(), None
        if time.monotonic() - self._looked < _POLL_SECONDS:
            return
        newest = self._newest()
        if newest[0] != self._identifier.snapshot and self._opening is None:
            self._opening = Background(lambda: Identifier.open(self._settings, reads=False))
        if newest != self._versions:
            self._connection = connect(self._lake)
            self._pictures.clear()
        self._versions, self._looked = newest, time.monotonic()

    def _newest(self) -> tuple[int, ...]:
        """The versions of `gold.projections`, `bronze.images` and `bronze.contents`."""
        return tuple(delta.existing(self._lake, table).version() for table in (PROJECTIONS, IMAGES, CONTENTS))


def small(content: bytes) -> bytes:
    """A photograph as a WebP of at most PIXELS a side."""
    return shrink(decode(content), PIXELS, quality=80)


def _rounded(values: NDArray[np.floating]) -> list[float]:
    """Three decimals, so that a map is 60 kB; nothing where there is no second component."""
    return [round(float(value), 3) for value in np.nan_to_num(values)]
