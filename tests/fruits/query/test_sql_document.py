"""docs/sql.md: every query, run in DuckDB by the way of `fruits sql`, and in Spark, answers the same."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from bronze.tables import CONTENTS, IMAGES, QUARANTINE
from fruits.catalog import TABLES
from fruits.query.sql import Session, answer
from fruits.settings import load_settings
from gold.pca import Spectrum, components_needed, fit_pca, fit_spectrum
from gold.tables import EXPLAINED_VARIANCE, MODELS, PROJECTIONS
from lakehouse.engine import open_engine
from lakehouse.progress import NullProgress
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Table
from silver.moments import Moments
from silver.scale import fit_scaler, standard_scaler
from silver.tables import FEATURES, SCALED

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DOCUMENT = (Path(__file__).parents[3] / "docs" / "sql.md").read_text(encoding="utf-8")
SECTIONS = {
    title: dict(re.findall(r"```sql ?(duckdb|spark|)\n(.*?)```", text, re.DOTALL))
    for title, text in re.findall(r"^## (\d+\..*?)\n(.*?)(?=^## |\Z)", DOCUMENT, re.DOTALL | re.MULTILINE)
}
LABELS = ("Apple", "Kiwi", "Lemon", "Mango")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OUTLIER = 17
TURNED = 9  # its features are those of a kiwi, whatever its folder says


def write(lake: Lake, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows; columns that they leave out are null."""
    columns = [{name: row.get(name) for name in table.schema.names} for row in rows]
    delta.write_small(pa.Table.from_pylist(columns, schema=table.schema), lake, table, mode="append")


def photographs() -> list[dict[str, Any]]:
    """Forty, of four labels, two splits and two batches; two of them have the same bytes."""
    found = []
    for number in range(40):
        label, split = LABELS[number % 4], ("Training", "Test", None)[number % 3]
        found.append(
            {
                "path": f"file:///fruits/{split}/{label}/{number:02}.jpg",
                "label": label,
                "split": split,
                "format": "PNG" if number % 5 == 0 else "JPEG",
                "width": 100 + number,
                "height": 90,
                "length": 5000 + 37 * number,
                "modification_time": NOON,
                "sha256": f"{number if number != 39 else 4:064x}",
                "batch": 1 + (number >= 25),
                "ingested_at": NOON + timedelta(minutes=number),
            }
        )
    return found


def features() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Of twelve dimensions: a cloud for each label, but for one photograph far away, and one in another's cloud."""
    random = np.random.default_rng(7)
    clouds = np.array([number % 4 if number != TURNED else 1 for number in range(40)])
    clouds[TURNED] = 2
    rows = random.normal(0, 3, (4, 12))[clouds] + random.normal(0, 0.7, (40, 12))
    rows[OUTLIER] += random.normal(0, 6, 12)
    single: np.ndarray[Any, np.dtype[np.float32]] = rows.astype(np.float32)
    return single


def write_versions(lake: Lake, spectra: Sequence[Spectrum]) -> None:
    """Record what is known of each fit."""
    for version, spectrum in enumerate(spectra, start=1):
        k = components_needed(spectrum, 0.8)
        parts = zip(spectrum.variance, spectrum.ratio, spectrum.cumulative, strict=True)
        write(
            lake,
            EXPLAINED_VARIANCE,
            [
                {"pca_version": version, "component": i, "variance": v, "ratio": r, "cumulative": c}
                for i, (v, r, c) in enumerate(parts, start=1)
            ],
        )
        model = {"pca_version": version, "scaler_version": version, "feature_version": "stub-r1", "threshold": 0.8}
        explained = float(spectrum.cumulative[k - 1])
        model |= {"images": spectrum.count, "components": k, "explained_variance": explained, "reason": "first fit"}
        write(lake, MODELS, [{**model, "fitted_at": NOON + timedelta(days=version)}])


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Forty photographs through all tables, with all that the questions ask for."""
    lake = Lake(f"file://{tmp_path_factory.mktemp('questions')}/lake")
    delta.create(lake, TABLES)
    images, rows = photographs(), features()
    contents = {row["sha256"]: row | {"first_batch": row["batch"], "content": b"\xff\xd8"} for row in images}
    write(lake, CONTENTS, [*contents.values()])
    write(lake, IMAGES, images)
    held = [("empty", 1, "Apple"), ("corrupt", 2, "Kiwi"), ("corrupt", 2, None)]
    write(
        lake,
        QUARANTINE,
        [
            {"path": f"/{n}.jpg", "label": label, "reason": reason, "batch": batch, "quarantined_at": NOON}
            for n, (reason, batch, label) in enumerate(held)
        ],
    )
    moments = [Moments.of(rows[:count].astype(np.float64)) for count in (25, 40)]
    scalers = [fit_scaler(one) for one in moments]
    fits = zip(moments, scalers, strict=True)
    spectra = [fit_spectrum(one.under(*scaler)) for one, scaler in fits]
    write_versions(lake, spectra)
    pca = fit_pca(spectra[1], components_needed(spectra[1], 0.8))
    scaled = standard_scaler(*scalers[1], 40).transform(rows.astype(np.float64))
    for table, column, vectors in (
        (FEATURES, "features", rows),
        (SCALED, "scaled", scaled),
        (PROJECTIONS, "components", pca.transform(scaled)),
    ):
        versions = {"scaler_version": 2, "pca_version": 2, "feature_version": "stub-r1"}
        found = [{**image, **versions, column: vector} for image, vector in zip(images, vectors.tolist(), strict=True)]
        if table is FEATURES:
            found[3]["feature_version"] = "stub-r0"  # as a run leaves it that broke off
        if table is PROJECTIONS:
            found = [{**row, **dict(zip(("pc1", "pc2", "pc3"), row["components"], strict=False))} for row in found]
        write(lake, table, found)
    return lake


@pytest.fixture(scope="module")
def sparks(spark: "SparkSession", lake: Lake) -> "Iterator[SparkSession]":
    """Spark, with the lake's tables in its catalog, as `register_tables` enters them; Delta's own reader reads them."""
    drop(spark)
    open_engine(load_settings(lake=lake.uri, engine="spark"), lake, NullProgress()).register(TABLES)
    yield spark
    drop(spark)


def drop(spark: "SparkSession") -> None:
    """Take the tables out of the catalog; their files stay."""
    for layer in ("bronze", "silver", "gold"):
        spark.sql(f"DROP DATABASE IF EXISTS {layer} CASCADE")


def plain(rows: Sequence[Sequence[object]]) -> list[list[Any]]:
    """Rows without what the engines' types add: decimals are numbers, moments are UTC."""
    return [[_plain(value) for value in row] for row in rows]


def _plain(value: object) -> object:
    match value:
        case Decimal():
            return float(value)
        case datetime() if value.tzinfo:
            return value.astimezone(UTC).replace(tzinfo=None)
        case _:
            return value


def but_for_rounding(value: object) -> object:
    """Equal to what differs in the last digits of a float."""
    return pytest.approx(value, rel=1e-5, abs=1e-6) if isinstance(value, float) else value


def test_document_has_its_questions() -> None:
    """Each with a query for both, or one for each."""
    assert len(SECTIONS) == 13
    assert {frozenset(blocks) for blocks in SECTIONS.values()} == {frozenset({""}), frozenset({"duckdb", "spark"})}


@pytest.mark.parametrize("title", SECTIONS)
def test_query_answers_the_same_in_duckdb_and_in_spark(lake: Lake, sparks: "SparkSession", title: str) -> None:
    """The same columns, and the same rows in the same order, of which there are some."""
    blocks = SECTIONS[title]
    columns, rows = answer(lake, blocks.get("duckdb") or blocks[""])
    found = sparks.sql(blocks.get("spark") or blocks[""]).toArrow()
    assert columns == found.column_names
    theirs = plain([[*row.values()] for row in found.to_pylist()])
    assert rows
    assert plain(rows) == [[but_for_rounding(value) for value in row] for row in theirs]


def test_version_is_the_same_in_duckdb_and_in_spark(lake: Lake, sparks: "SparkSession") -> None:
    """`--as-of 1` is Spark's `VERSION AS OF 1`: after the first of two fits."""
    found = Session(lake, 1).execute("SELECT pca_version, images FROM gold.models")
    assert found is not None
    theirs = sparks.sql("SELECT pca_version, images FROM gold.models VERSION AS OF 1").collect()
    assert list(found.rows()) == [tuple(row) for row in theirs] == [(1, 25)]


def asked(lake: Lake, number: int) -> list[tuple[Any, ...]]:
    """The rows that a question's query finds in DuckDB."""
    (blocks,) = [blocks for title, blocks in SECTIONS.items() if title.startswith(f"{number}.")]
    return answer(lake, blocks.get("duckdb") or blocks[""])[1]


def test_outlier_is_found_with_its_error(lake: Lake) -> None:
    """The error is that of the reconstruction, computed as it is defined."""
    rows = features().astype(np.float64)
    moments = Moments.of(rows)
    scaler = fit_scaler(moments)
    spectrum = fit_spectrum(moments.under(*scaler))
    pca = fit_pca(spectrum, components_needed(spectrum, 0.8))
    scaled = standard_scaler(*scaler, len(rows)).transform(rows)
    errors = np.linalg.norm(scaled - pca.inverse_transform(pca.transform(scaled)), axis=1)
    path, _, error, share = asked(lake, 12)[0]
    assert path == photographs()[int(errors.argmax())]["path"]
    assert error == pytest.approx(errors.max(), rel=1e-5)
    assert share == pytest.approx((errors.max() / np.linalg.norm(scaled[errors.argmax()])) ** 2, rel=1e-5)


def test_wrong_label_is_found(lake: Lake) -> None:
    """The photograph that lies among another label's."""
    wrong = photographs()[TURNED]
    assert (wrong["path"], "Kiwi", "Lemon") in [row[:3] for row in asked(lake, 13)]


def test_python_in_the_document_runs(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder that holds the lake."""
    monkeypatch.chdir(Path(lake.uri.removeprefix("file://")).parent)
    (block,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block.replace('Lake("lake")', f'Lake("{lake.uri}")'), "docs/sql.md", "exec"), names)
    assert (names["table"].num_rows, len(names["frame"]), names["columns"]) == (40, 0, ["label", "count_star()"])
    assert sorted(names["rows"]) == [(label, 10) for label in LABELS]
