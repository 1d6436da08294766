"""Tables in the catalog of Spark's platform."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from fruits.settings import load_settings
from lakehouse.engine import open_engine
from lakehouse.engine.port import Engine
from lakehouse.errors import ForeignTableError, SettingsError
from lakehouse.progress import NullProgress
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.layout import is_declared
from lakehouse.tables.table import column
from tests.conftest import SMALL_SESSION
from tests.lakehouse.engine.fruit import FRUIT, by_path, fruit, held

COLOUR = column("colour", pa.string(), "Its colour.")


def engine_on(lake: Lake, name: str = "spark") -> Engine:
    """An engine on a lake that has the table."""
    delta.create(lake, [FRUIT])
    settings = load_settings(lake=lake.uri, engine=name, spark_local=SMALL_SESSION)
    return open_engine(settings, lake, NullProgress())


def test_registered_tables_answer_by_their_name_in_sparks_sql(spark: SparkSession, tmp_path: Path) -> None:
    """As `<layer>.<table>`, however often they are registered; a name that is another lake's table is left alone."""
    lake, other = Lake(f"file://{tmp_path}/it's a lake"), Lake(f"file://{tmp_path}/other")
    engine, stranger = engine_on(lake), engine_on(other)
    rows = fruit(("a", "1", 1), ("b", "2", 1))
    try:
        engine.append(engine.of(rows), FRUIT)
        engine.register([FRUIT])
        engine.register([FRUIT])
        assert spark.sql("SELECT count(*) FROM garden.fruit WHERE batch = 1").collect() == [(2,)]
        with pytest.raises(ForeignTableError, match=r"has garden\.fruit at .*it's a lake.*, not at .*other"):
            stranger.register([FRUIT])
        assert spark.sql("SELECT path FROM garden.fruit").count() == 2
    finally:
        spark.sql("DROP DATABASE IF EXISTS garden CASCADE")
    assert held(lake) == by_path(rows)


def test_spark_shows_comments_and_writes_on_after_they_came(spark: SparkSession, tmp_path: Path) -> None:
    """To a table that an older release made: the entry of the log is one that Delta itself could have written."""
    lake, rows = Lake(f"file://{tmp_path}/lake"), fruit(("a", "1", 1))
    engine = engine_on(lake)
    engine.append(engine.of(rows), FRUIT)
    schema = pa.schema([*(column(one.name, one.type, f"Its {one.name}.") for one in FRUIT.schema), COLOUR])
    told = replace(FRUIT, schema=schema, description="One row a fruit.", added=("colour",))
    delta.create(lake, [told])
    described = spark.sql(f"DESCRIBE EXTENDED delta.`{lake.path(FRUIT)}`").collect()
    shown = {row["col_name"]: (row["data_type"], row["comment"]) for row in described}
    assert shown["picked"] == ("timestamp", "Its picked.")
    assert shown["colour"] == ("string", "Its colour.")
    assert shown["Comment"][0] == "One row a fruit."
    new = fruit(("b", "2", 1)).append_column("colour", pa.array(["red"]))
    engine.append(engine.of(new), told)
    found = engine.arrow(engine.rows(told, ["path", "colour"])).sort_by("path").to_pylist()
    assert found == [{"path": "a", "colour": None}, {"path": "b", "colour": "red"}]
    assert is_declared(told, delta.existing(lake, told))


def test_local_engine_has_no_catalog(tmp_path: Path) -> None:
    """It says which engine has one."""
    engine = engine_on(Lake(f"file://{tmp_path}/lake"), "local")
    with pytest.raises(SettingsError, match=r"garden\.fruit in Spark's catalog, .* use `engine: spark`"):
        engine.register([FRUIT])
