"""The environment of the Java process and of its Python workers, where we start Spark ourselves.

Whoever works with another Spark has variables for it, and PySpark, its launch scripts and Hadoop follow them all: one
that names another installation, cluster or interpreter ends ours or leads it astray. (Documentation: "Environment
Variables" of Spark's configuration, `pyspark/java_gateway.py`, `bin/spark-class`, `bin/load-spark-env.sh`.)
"""

import os
import sys
from pathlib import Path

import pyspark

SPARK_HOME = Path(pyspark.__file__).parent
_OF_OTHERS = ("SPARK_", "PYSPARK_", "HADOOP_", "YARN_", "HIVE_")
_OF_OTHERS_BY_NAME = ("MASTER", "LOCAL_DIRS", "ARROW_PRE_0_15_IPC_FORMAT")
_OURS = {
    "SPARK_HOME": str(SPARK_HOME),
    # This machine, whatever it is called and whether that name leads anywhere.
    "SPARK_LOCAL_IP": "127.0.0.1",
    "SPARK_LOCAL_HOSTNAME": "localhost",
    # Java reads file names by the locale, and in Turkish it makes other capitals; Python's workers read them so, too.
    "LC_ALL": "C.UTF-8",
    # Workers import what this process would, and not what lies in the working folder: `random.py`, `silver.py`.
    "PYTHONSAFEPATH": "1",
}


def under_spark_submit() -> bool:
    """Whether `spark-submit` has started this process: the platform has set everything."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def be_on_our_own() -> None:
    """Set this process's environment, which the Java process inherits, for our own Spark and no other."""
    for name in [*os.environ]:
        if name.startswith(_OF_OTHERS) or name in _OF_OTHERS_BY_NAME:
            del os.environ[name]
    folders = [str(Path(folder).absolute()) for folder in sys.path if os.pathsep not in folder]
    # Workers run this interpreter, whatever `python3` is on the path.
    interpreters = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    os.environ |= {**_OURS, **interpreters, "PYTHONPATH": os.pathsep.join(folders)}
