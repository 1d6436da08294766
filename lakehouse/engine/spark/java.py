"""The Java that Spark will start on this machine, and whether Spark works on it."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from lakehouse.errors import LakehouseError

OLDEST, NEWEST = 17, 22
"""Spark 4.1 is made for 17 and 21. Java 23 took away `Subject.getSubject`, which its Hadoop cannot do without."""


class Java(NamedTuple):
    """What was found.

    Attributes:
        version: as it tells it ("17.0.15"); None where there is none that runs.
        found: the same for people, with where it is or why there is none.
    """

    version: str | None
    found: str

    @property
    def works(self) -> bool:
        """Whether Spark runs on it."""
        major = re.match(r"\d+", self.version or "")
        return major is not None and OLDEST <= int(major[0]) <= NEWEST


ADVICE = (
    f"Install Java {OLDEST} or 21 (Debian, Ubuntu: openjdk-17-jre-headless; macOS: temurin@17), set JAVA_HOME to it, "
    "or use `--engine local`, which needs no Java."
)


def find_java() -> Java:
    """The `java` that Spark's launcher takes: that of JAVA_HOME, else the first on the path."""
    home, on_path = os.environ.get("JAVA_HOME"), shutil.which("java")
    if not home:
        return _asked(on_path) if on_path else Java(None, "none")
    there = Path(home) / "bin" / "java"
    if there.is_file():
        return _asked(str(there))
    unset = f"; unset it, for there is {on_path}" if on_path else ""
    return Java(None, f"none in JAVA_HOME, which is {home}{unset}")


def _asked(java: str) -> Java:
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        return Java(None, f"{java}, which cannot be run: {error.strerror}")
    version = re.search(r'version "([^"]+)"', said.stderr)
    if version is None or said.returncode != 0:
        return Java(None, f"{java}, which does not run")
    return Java(version[1], f"{version[1]} ({java})")


def need_java() -> None:
    """Raise a LakehouseError that says what to do, where Spark finds no Java that it runs on."""
    java = find_java()
    if not java.works:
        raise LakehouseError(f"The engine `spark` needs Java {OLDEST} to {NEWEST}; found: {java.found}. {ADVICE}")
