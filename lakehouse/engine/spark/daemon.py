"""The process that Spark's Python workers are forked from, where we start Spark: PySpark's own, on a shorter path.

Spark puts ZIP files of its own before the installed packages, which are the same, and one of its jars. Before each task
a worker has all importers forget what they know; that of a ZIP file then reads the file's whole directory anew, which
takes longer than a small task. And what is imported from there is compiled by each process.
"""

import os
import sys
from pathlib import Path

MODULE = "lakehouse.engine.spark.daemon"


def leave_out_archives(spark_home: str) -> None:
    """Import PySpark and Py4J from where they are installed."""
    for folder in [*sys.path]:
        if Path(folder).is_relative_to(spark_home):
            sys.path.remove(folder)
            sys.path_importer_cache.pop(folder, None)


if __name__ == "__main__":
    leave_out_archives(os.environ["SPARK_HOME"])
    from pyspark.daemon import manager

    manager()  # type: ignore[no-untyped-call]  # PySpark's
