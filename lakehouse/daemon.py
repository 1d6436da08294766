"""The process that Spark forks its Python workers from: `pyspark.daemon`, without its cost of 230 ms a task.

Before each task a worker calls `importlib.invalidate_caches()`, and Python 3.11 then parses the directory of every zip
on its path anew: `pyspark.zip` has 1,328 entries. No archive changes under a worker that runs, so nothing is lost.
Named by the setting `spark.python.daemon.module`.
"""

import zipimport


def _keep(importer: zipimport.zipimporter) -> None:
    """Forget nothing."""


if __name__ == "__main__":
    zipimport.zipimporter.invalidate_caches = _keep  # type: ignore[method-assign,assignment]
    from pyspark.daemon import manager

    manager()  # type: ignore[no-untyped-call]
