"""Write Java's class archive: `python -m lakehouse.warmup ARCHIVE FOLDER` runs what every run does, on three rows.

A process of its own, because Java writes the archive of the classes it has loaded when it ends.
"""

import sys
from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql.types import LongType, StructField, StructType

from lakehouse.delta import Lake, Table, append, create, delete, difference, merge, read, read_changes
from lakehouse.session import spark_session
from lakehouse.settings import load_settings

_TABLE = Table("warm.up", StructType([StructField("id", LongType()), StructField("n", LongType())]), ("id",), ("id",))


def _same(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


def warm_up(archive: str, folder: str) -> None:
    """Run one of each kind of job and leave the archive of the classes that took."""
    spark = spark_session(load_settings(), f"-XX:ArchiveClassesAtExit={archive}")
    lake = Lake(f"file://{folder}")
    create(lake, [_TABLE])
    rows = spark.range(3).selectExpr("id", "id AS n").mapInArrow(_same, _TABLE.schema)
    append(rows, lake, _TABLE)
    merge(rows.selectExpr("id + 1 AS id", "n"), lake, _TABLE)
    changes = difference(rows, read(spark, lake, _TABLE), "id", ["n"]).persist()
    changes.groupBy("change").count().collect()
    delete(changes.where("change = 'delete'"), lake, _TABLE)
    read_changes(spark, lake, _TABLE, 1, 2).count()
    changes.unpersist()
    spark.stop()


if __name__ == "__main__":
    warm_up(*sys.argv[1:])
