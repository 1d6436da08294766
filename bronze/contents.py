"""Which contents `bronze.contents` must keep, and which of them it has, found by narrow columns alone."""

from dataclasses import dataclass

import pyarrow as pa

from bronze.tables import CONTENTS, IMAGES
from lakehouse.arrow import pc
from lakehouse.engine.port import Engine, Rows
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace


def known_contents(engine: Engine, lake: Lake) -> Rows:
    """The keys, `sha256`, of all contents that are there; others are not.

    Of `bronze.images`, whose files are few, where each content has an image there. Where one has none (a run was killed
    before it wrote the image, or the image has other content by now) the files of `bronze.contents` are asked.
    """
    if has_orphans(engine, lake):
        return engine.rows(CONTENTS, ["sha256"])
    return engine.rows(IMAGES, ["sha256"])


def has_orphans(engine: Engine, lake: Lake) -> bool:
    """Whether there are more contents than images have; the log counts the first, and narrow columns the others."""
    contents = delta.count(lake, CONTENTS)
    if not contents:
        return False
    counted = "SELECT count(DISTINCT sha256) AS n FROM images"
    found = engine.arrow(engine.sql(counted, images=engine.rows(IMAGES, ["sha256"])))
    return contents > int(found["n"][0].as_py())


def remove_orphans(engine: Engine) -> int:
    """Remove the contents that no image has, in one commit; returns how many.

    Each file of theirs is written anew, without them.
    """
    orphans = engine.sql(
        """
        SELECT contents.sha256 FROM contents LEFT JOIN images ON contents.sha256 = images.sha256
        WHERE images.sha256 IS NULL
        """,
        contents=engine.rows(CONTENTS, ["sha256"]),
        images=engine.rows(IMAGES, ["sha256"]),
    )
    return engine.delete(orphans, CONTENTS)


@dataclass(frozen=True)
class ContentCounts:
    """Contents, each counted once: those that photographs have, the lost ones of these, and others that are there."""

    wanted: int
    lost: int
    unused: int


def count_contents(lake: Lake) -> ContentCounts:
    """Compare the keys of both tables, some 64 bytes a row, without an engine; `bronze.images` must be there.

    By numbers alone it could not be told: there may be as many contents without an image as are lost.
    """
    wanted, there = _keys(lake, IMAGES), _keys(lake, CONTENTS)
    kept = pc.sum(pc.is_in(wanted, there)).as_py() or 0
    return ContentCounts(len(wanted), len(wanted) - kept, len(there) - kept)


def _keys(lake: Lake, table: Table) -> pa.Array:
    """The different SHA-256 in a table; none where it does not exist."""
    empty = pa.schema([("sha256", pa.string())]).empty_table()
    return pa.concat_tables([empty, *delta.read_columns(lake, table, ["sha256"])]).column("sha256").unique()


def remove_images_without_content(workspace: Workspace) -> int:
    """Remove the images whose content is lost, in one commit, so that a run reads them again; returns how many."""
    engine = workspace.engine
    if delta.open_table(workspace.lake, IMAGES) is None:
        return 0
    workspace.create_tables([CONTENTS])  # whose folder may have been moved away
    lost = engine.sql(
        """
        SELECT images.path FROM images LEFT JOIN contents ON images.sha256 = contents.sha256
        WHERE contents.sha256 IS NULL
        """,
        images=engine.rows(IMAGES, ["path", "sha256"]),
        contents=engine.rows(CONTENTS, ["sha256"]),
    )
    return engine.delete(lost, IMAGES)
