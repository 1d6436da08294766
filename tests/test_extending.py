"""What docs/extending.md says about another table; another encoder is in silver/encoders/test_encoders.py."""

import re
from pathlib import Path

import pyarrow as pa
import pytest

from fruits.operations.run import LAYERS, run_pipeline
from fruits.query.sql import answer
from gold.tables import PROJECTIONS
from lakehouse.engine.port import Rows
from lakehouse.sync import Synced, sync_table
from lakehouse.tables import delta
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace
from silver.encoders.base import Encoder
from tests.conftest import add_photographs

ROOT = Path(__file__).parents[1]
PLACES = "fruits|gold|silver|bronze|lakehouse|conf|tests|docs"

SIDES = Table(
    name="gold.sides",
    schema=pa.schema(
        [
            pa.field("path", pa.string()),
            pa.field("sha256", pa.string()),
            pa.field("right_side", pa.bool_()),
            pa.field("pca_version", pa.int64()),
        ]
    ),
    key=("path",),
    statistics=("path", "pca_version"),
)
"""On which side of the first component a photograph lies."""


def bring_sides(workspace: Workspace) -> Synced:
    """A job, as those of the layers: the difference to the projections, made and committed."""
    engine, lake = workspace.engine, workspace.lake
    delta.create(lake, [SIDES])

    def make(among: Rows | None) -> Rows:
        projections = engine.rows(PROJECTIONS, ["path", "sha256", "pc1", "pca_version"], among=among)
        text = "SELECT path, sha256, pc1 > 0 AS right_side, pca_version FROM projections"
        return engine.sql(text, projections=projections)

    version = delta.maximum(lake, PROJECTIONS, "pca_version")
    assert version is not None
    wanted = ("pca_version", version)
    return sync_table(engine, lake, SIDES, PROJECTIONS, make, same=["sha256"], version=wanted, follows="projections")


def test_another_gold_table_is_kept_in_sync_and_asked(
    workspace: Workspace, photographs: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made from all rows, then from what is new, then from nothing; and SQL knows it once it is listed."""
    add_photographs(photographs, "Apple", range(6))
    run_pipeline(workspace, LAYERS, lambda: encoder)
    assert bring_sides(workspace) == (6, 0, 0)
    add_photographs(photographs, "Kiwi", range(6, 8))
    run_pipeline(Workspace(workspace.settings.model_copy(update={"refit": "never"})), LAYERS, lambda: encoder)
    assert bring_sides(workspace) == (2, 0, 0)
    assert bring_sides(workspace) == (0, 0, 0)
    monkeypatch.setattr("fruits.query.sql.ALL_TABLES", (PROJECTIONS, SIDES))
    text = """
    SELECT count(*), bool_and(sides.right_side = (projections.pc1 > 0))
    FROM gold.sides AS sides JOIN gold.projections AS projections USING (path)
    """
    assert [tuple(row) for row in answer(workspace.lake, text)[1]] == [(8, True)]


def test_documents_name_what_there_is() -> None:
    """Every file and folder that the two documents name lies where they say."""
    for document in ("extending.md", "architecture.md"):
        named = re.findall(rf"`((?:{PLACES})/[\w/.<>]*)`", (ROOT / "docs" / document).read_text())
        paths = [path for path in named if "<" not in path]
        assert len(paths) > 8
        assert [path for path in paths if not (ROOT / path).exists()] == [], document
