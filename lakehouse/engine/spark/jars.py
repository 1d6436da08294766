"""Delta's jars, which pyspark lacks, downloaded once.

The jars are kept in a cache folder of the user's (`$XDG_CACHE_HOME/fruits`), named after all that they depend on. Where
the platform brings its own Delta (Amazon EMR), `packages` is empty and none are fetched.
"""

import hashlib
import os
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
from lakehouse.printable import printable
from lakehouse.user_folders import cache_folder

_PLAIN = re.compile(r"[\w /.,%-]+")
_NOT_IN_CLASS_PATH = re.compile(f"[{os.pathsep}\x00-\x1f\x7f\U00010000-\U0010ffff]")
"""Java parts names there, and does not decode again the characters of 21 bits (emoji) that it has encoded itself."""


def jars(packages: Sequence[str]) -> list[Path]:
    """The jars of Maven packages and of what they need, less what pyspark ships; fetched by the first call.

    Raises:
        LakehouseError: they cannot be fetched, or Java would not find them.
    """
    if not packages:
        return []
    if found := _NOT_IN_CLASS_PATH.search(str(cache_folder())):
        raise LakehouseError(
            f"Java's class path takes no folder with {printable(found[0])} in its name, as {cache_folder()}, where "
            "Spark's jars are kept: set XDG_CACHE_HOME to another folder, or use `--engine local`."
        )
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
    with (
        tempfile.TemporaryDirectory(dir=_plain_folder()) as work,
        tempfile.TemporaryDirectory(dir=cache_folder()) as near,
    ):
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
        _keep_missing(fetched, Path(near) / "jars", folder)


def _plain_folder() -> Path:
    """Where Ivy works, which takes other names for patterns, URLs or nothing: the cache, where that may be."""
    folders = (cache_folder(), Path(tempfile.gettempdir()), Path("/tmp"))
    return next(folder for folder in folders if _PLAIN.fullmatch(str(folder)))


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
