"""Delta's jars, which pyspark lacks, downloaded once.

The jars are kept in a cache folder of the user's (`$XDG_CACHE_HOME/fruits`), named after all that they depend on. Where
the platform brings its own Delta (Amazon EMR), `packages` is empty and none are fetched.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyspark

from lakehouse.engine.spark.environment import SPARK_HOME, be_on_our_own
from lakehouse.errors import LakehouseError
from lakehouse.user_folders import cache_folder


def jars(packages: Sequence[str]) -> list[Path]:
    """The jars of Maven packages and of what they need, less what pyspark ships; fetched by the first call.

    Raises:
        LakehouseError: they cannot be fetched.
    """
    if not packages:
        return []
    folder = cache_folder() / f"jars-{_digest(pyspark.__version__, *packages)}"
    if not folder.is_dir():
        _fetch(packages, folder)
    fetched = sorted(folder.glob("*.jar"))
    # AWS's bundle carries an SLF4J that is older than Spark's and would silence it: Spark's goes first.
    bundled = any("awssdk_bundle" in jar.name for jar in fetched)
    return [*(sorted((SPARK_HOME / "jars").glob("slf4j-api-*.jar")) if bundled else ()), *fetched]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _fetch(packages: Sequence[str], folder: Path) -> None:
    print(f"Fetching {', '.join(packages)} (once)…", file=sys.stderr)
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as work:
        script = Path(work) / "nothing.py"
        script.write_text("", encoding="utf-8")
        ivy = Path(work) / "ivy"
        command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", "local[1]", "--packages", ",".join(packages)]
        command += ["--conf", f"spark.jars.ivy={ivy}", "--conf", "spark.ui.enabled=false", str(script)]
        be_on_our_own()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        fetched = list((ivy / "jars").glob("*.jar"))
        if done.returncode != 0 or not fetched:
            raise LakehouseError(
                f"The jars of {', '.join(packages)} could not be fetched from Maven. Is the network reachable, and "
                f"Java installed? Spark said:\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}"
            )
        _keep_missing(fetched, Path(work) / "jars", folder)


def _keep_missing(fetched: Sequence[Path], staged: Path, folder: Path) -> None:
    # Delta's packages name older Jackson, Hadoop and Log4j than the ones Spark runs on: two of each breaks Spark.
    shipped = {_artifact(path.stem) for path in (SPARK_HOME / "jars").glob("*.jar")}
    staged.mkdir()
    for jar in fetched:
        if _artifact(jar.stem.partition("_")[2]) not in shipped:
            shutil.move(jar, staged / jar.name)
    try:
        staged.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was quicker, with the same jars
            raise


def _artifact(stem: str) -> str:
    return re.sub(r"-\d[\w.\-]*$", "", stem)
