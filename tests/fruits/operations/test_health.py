"""A lake that is not whole is told so, and mended where no photograph is needed for it."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from bronze.tables import CONTENTS, IMAGES
from fruits.operations.health import DEAD_BYTES, MANY_SMALL, CheckResult, examine_lake, repair, upkeep_advice
from fruits.operations.run import LAYERS, run_pipeline
from fruits.operations.upkeep import TableState
from fruits.settings import Settings
from gold.tables import PCA, PROJECTIONS
from lakehouse.errors import LeaseHeldError
from lakehouse.lease import open_lease
from lakehouse.tables import delta
from lakehouse.workspace import Workspace
from silver.encoders.base import Encoder
from silver.tables import SCALED
from tests.conftest import add_photographs, photograph

pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture
def whole(workspace: Workspace, photographs: Path, encoder: Encoder) -> Workspace:
    """A lake after a run."""
    add_photographs(photographs, "Apple", range(5))
    run_pipeline(workspace, LAYERS, lambda: encoder)
    return workspace


def wrong(workspace: Workspace) -> dict[str, CheckResult]:
    """What is not well, by its name."""
    return {finding.name: finding for finding in examine_lake(workspace.section(Settings)) if not finding.ok}


def test_whole_lake_is_well_and_repair_does_nothing(whole: Workspace) -> None:
    """Nothing is written, and nobody said to write."""
    findings = {finding.name: finding.found for finding in examine_lake(whole.section(Settings))}
    assert findings["rows"] == "5 images, 5 with features, 5 scaled, 5 projected"
    assert findings["writer"] == "no active writer"
    before = delta.existing(whole.lake, PROJECTIONS).version()
    assert repair(whole.section(Settings)) == []
    assert delta.existing(whole.lake, PROJECTIONS).version() == before


def test_missing_rows_are_found_and_brought_back(whole: Workspace) -> None:
    """Rows that somebody took out of scaled and gold are scaled and projected again, the others left as they are."""
    for table in (SCALED, PROJECTIONS):
        DeltaTable(whole.lake.path(table)).delete("path LIKE '%/0.png'")
    assert wrong(whole)["rows"].found == "5 images, 5 with features, 4 scaled, 4 projected"
    assert "--repair" in wrong(whole)["rows"].advice
    assert repair(whole.section(Settings)) == [
        "Scaled 1 images by fruits-scaler version 1, and projected 1 onto fruits-pca version 1."
    ]
    assert wrong(whole) == {}


def test_lost_content_is_found_among_contents_that_no_photograph_has(
    whole: Workspace, photographs: Path, encoder: Encoder
) -> None:
    """As many are lost as are there without a photograph: the numbers are those of a whole lake."""
    lake = whole.lake
    (photographs / "Apple" / "0.png").write_bytes(photograph(100, (9, 9)))
    run_pipeline(whole, LAYERS, lambda: encoder)
    (row,) = delta.rows_where(lake, IMAGES, "path", [f"file://{photographs}/Apple/1.png"], ["sha256"])
    DeltaTable(lake.path(CONTENTS)).delete(f"sha256 = '{row['sha256']}'")
    assert delta.count(lake, CONTENTS) == delta.count(lake, IMAGES) == 5
    found = wrong(whole)["contents"].found
    assert found == "4 of the 5 that photographs have, and 1 that no photograph has any more"
    assert "Took 1 photographs out of bronze.images whose content is lost." in repair(whole.section(Settings))
    assert run_pipeline(whole, LAYERS, lambda: encoder)["bronze"]["ingested"] == 1
    assert wrong(whole) == {}
    keys = [row["sha256"] for row in delta.read_rows(lake, CONTENTS, ["sha256"])]
    assert len(keys) == len({*keys}) == 6  # what was there without a photograph is, once


def test_champion_and_projections_that_disagree_are_brought_together(whole: Workspace, encoder: Encoder) -> None:
    """As after a run that died before it projected, and whose lake was then left to its readers."""
    add_photographs(Path(whole.section(Settings).source.removeprefix("file://")), "Kiwi", range(5, 9))
    again = Workspace(whole.section(Settings).model_copy(update={"refit": "always"}))
    assert run_pipeline(again, LAYERS, lambda: encoder)["gold"]["pca_version"] == 2
    first = whole.registry.version(PCA, 1)
    assert first is not None
    whole.registry.choose(first, "by hand")
    assert "gold.projections holds [2]" in wrong(whole)["models"].found
    repair(whole.section(Settings))
    assert wrong(whole) == {}


def test_writer_is_named_and_never_robbed(whole: Workspace) -> None:
    """A live lease is shown, and repair is refused with its holder's name."""
    with open_lease(whole.section(Settings).lake):
        (writer,) = [finding for finding in examine_lake(whole.section(Settings)) if finding.name == "writer"]
        assert "since" in writer.found
        with pytest.raises(LeaseHeldError, match="has one writer at a time"):
            repair(whole.section(Settings))


def test_lost_table_is_named(whole: Workspace) -> None:
    """A table of a foreign layout is an error with what to do, not a traceback."""
    folder = Path(whole.lake.path(SCALED))
    shutil.rmtree(folder)
    DeltaTable.create(str(folder), pa.schema([("surprise", pa.int64())]))
    assert "has another layout" in wrong(whole)["lake"].advice


def state(**figures: int) -> TableState:
    """The state of a table that is well, but for some figures."""
    known: dict[str, Any] = {"table": "silver.features", **dict.fromkeys(STATE, 0), "files": 3, "bytes": 1 << 20}
    return TableState(**{**known, "sums_up": False, **figures})


STATE = ("median_bytes", "dead_files", "dead_bytes", "commits", "merges", "merges_into", "removes", "removes_bytes")


def test_state_of_the_files_is_told_of_each_table(whole: Workspace) -> None:
    """Files, median size, dead bytes; where they are few there is nothing to do about them."""
    (found,) = [one for one in examine_lake(whole.section(Settings)) if one.name == "upkeep"]
    assert (found.ok, found.advice) == (True, "")
    by_table = {one.table: one for one in found.tables}
    assert by_table["bronze.images"].files == 1
    assert by_table["bronze.images"].median_bytes == by_table["bronze.images"].bytes > 0
    assert by_table["bronze.images"].advice == "nothing"


def test_crowd_of_small_files_and_heap_of_dead_ones_are_told(settings: Settings) -> None:
    """With what helps: `maintain`, the setting that is off, or less history."""
    assert upkeep_advice([state(merges=MANY_SMALL - 1, dead_bytes=DEAD_BYTES)], settings) == []
    crowded = state(merges=MANY_SMALL, merges_into=1)
    assert upkeep_advice([crowded], settings) == [
        "Many small files slow silver.features down: `fruits maintain` merges them."
    ]
    off = settings.model_copy(update={"upkeep": "never"})
    assert upkeep_advice([crowded], off)[-1] == "`upkeep: auto` keeps it so."
    (said,) = upkeep_advice([state(dead_bytes=7 * DEAD_BYTES, removes_bytes=2 * DEAD_BYTES)], settings)
    assert said.startswith("Of 7.0 GB of old files `fruits maintain` removes 2.0 GB; the others stay for `history_days")
