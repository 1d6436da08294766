"""Which Java Spark would start, whether it works there, and what is said where it does not."""

from pathlib import Path

import pytest

from lakehouse.engine.spark.java import Java, find_java, need_java
from lakehouse.errors import LakehouseError


def make_java(home: Path, version: str, status: int = 0) -> Path:
    """A `java` that tells a version, as the JDK's own does, in a folder like a JDK's; returns the folder."""
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'Picked up _JAVA_OPTIONS: -Xmx1g' >&2\necho '{version}' >&2\nexit {status}\n")
    java.chmod(0o755)
    return home


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A good Java on the path, and none in JAVA_HOME."""
    home = make_java(tmp_path / "good", 'openjdk version "17.0.15" 2025-04-15')
    monkeypatch.setenv("PATH", str(home / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return home


@pytest.mark.parametrize(
    ("said", "works"),
    [
        ('java version "1.8.0_392"', False),
        ('openjdk version "16" 2021-03-16', False),
        ('openjdk version "17.0.15" 2025-04-15', True),
        ('openjdk version "21.0.8" 2025-07-15 LTS', True),
        ('openjdk version "22" 2024-03-19', True),
        ('openjdk version "23.0.1" 2024-10-15', False),
        ('openjdk version "25.0.2" 2026-01-20 LTS', False),
        ('openjdk version "26-ea" 2026-03-17', False),
        ("Unrecognized option", False),
    ],
)
def test_java_works_from_17_to_22(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, works: bool
) -> None:
    """On 25 a Spark that was tried ended with `getSubject is not supported`, on 17 and 21 it worked."""
    monkeypatch.setenv("JAVA_HOME", str(make_java(tmp_path / "java", said)))
    assert find_java().works is works
    if not works:
        with pytest.raises(LakehouseError, match=r"needs Java 17 to 22; found: .*java/bin/java.*--engine local"):
            need_java()


def test_wrong_home_is_named_with_the_java_that_is_on_the_path(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark's launcher takes JAVA_HOME, whatever is on the path."""
    assert find_java() == Java("17.0.15", f"17.0.15 ({elsewhere}/bin/java)")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "no-java"))
    with pytest.raises(LakehouseError) as told:
        need_java()
    assert f"none in JAVA_HOME, which is {tmp_path}/no-java; unset it, for there is {elsewhere}/bin/java" in str(
        told.value
    )


def test_java_that_does_not_run_is_named(elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of another machine, or that asks to be installed."""
    home = make_java(tmp_path / "stub", "Unable to locate a Java Runtime.", status=1)
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert find_java().found == f"{home}/bin/java, which does not run"
    (home / "bin" / "java").write_bytes(b"\x7fELF of another processor")
    assert find_java().found.startswith(f"{home}/bin/java, which cannot be run: Exec format error")
