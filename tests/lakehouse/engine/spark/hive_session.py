"""A Spark session of its own on a Hive metastore, as a step of a cluster's has with Glue: run as a program.

    python -m tests.lakehouse.engine.spark.hive_session register|look FOLDER

It prints JSON on its last line.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from fruits.emr.configurations import CATALOG
from fruits.settings import load_settings
from lakehouse.engine import open_engine
from lakehouse.engine.spark.engine import SparkEngine
from lakehouse.progress import NullProgress
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import column
from tests.conftest import SMALL_SESSION
from tests.lakehouse.engine.fruit import FRUIT, fruit

TOLD = replace(
    FRUIT,
    schema=pa.schema([column(one.name, one.type, f"Its {one.name}.") for one in FRUIT.schema]),
    description="Fruit.",
)
"""The table, with something said of every column."""


def engine_on(folder: Path, catalog: dict[str, str]) -> SparkEngine:
    """An engine whose catalog is kept by Derby in the folder, where the options say so."""
    derby = f"jdbc:derby:;databaseName={folder}/metastore;create=true"
    options = {
        **catalog,
        "spark.hadoop.javax.jdo.option.ConnectionURL": derby,
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder} -Dderby.stream.error.file={folder}/derby.log",
    }
    lake = Lake(f"file://{folder}/lake")
    delta.create(lake, [TOLD])
    settings = load_settings(lake=lake.uri, engine="spark", spark_local={**SMALL_SESSION, **options})
    engine = open_engine(settings, lake, NullProgress())
    assert isinstance(engine, SparkEngine)
    return engine


def register(engine: SparkEngine) -> object:
    """Enter the table, with two rows, as the last step of a layer does."""
    engine.append(engine.of(fruit(("a", "1", 1), ("b", "2", 1))), TOLD)
    engine.register([TOLD])
    return None


def look(engine: SparkEngine) -> object:
    """What a session that has never registered anything sees."""
    spark = engine.session
    if not spark.catalog.databaseExists("garden"):
        return None
    described = spark.sql("DESCRIBE garden.fruit").collect()
    kept: Any = spark._jsparkSession.sessionState().catalog().externalCatalog().getTable("garden", "fruit")
    return {
        "rows": spark.sql("SELECT path FROM garden.fruit").count(),
        "comments": {row["col_name"]: row["comment"] for row in described},
        "provider": kept.provider().get(),
        "kept_columns": kept.schema().json(),
    }


if __name__ == "__main__":
    catalog = {} if "--in-memory" in sys.argv else CATALOG
    opened = engine_on(Path(sys.argv[2]), catalog)
    print(json.dumps({"register": register, "look": look}[sys.argv[1]](opened)))
