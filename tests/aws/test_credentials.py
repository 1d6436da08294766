"""Credentials of an instance's role that end while somebody works, and a machine where there are none."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lakehouse import storage
from lakehouse.storage.object_writer import PART_BYTES
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Table
from tests.aws.box import Box
from tests.aws.buckets import make_bucket
from tests.aws.test_life import make_buckets
from tests.conftest import add_photographs
from tests.lakehouse.engine.fruit import FRUIT, fruit

LIFETIME = 8.0
"""Seconds; a run takes longer."""
SIX_HOURS = 6 * 3600.0


@pytest.fixture
def short_lives(box: Box) -> Iterator[None]:
    """Credentials that end within seconds, of which the second half is never handed out."""
    box.tell("lifetime", LIFETIME)
    yield
    box.tell("lifetime", SIX_HOURS)


@pytest.fixture
def silence(box: Box) -> Iterator[None]:
    """No metadata service: packets to its address are lost."""
    box.tell("be_silent")
    yield
    box.tell("speak")


class _Checkpointed(Table):
    """A table whose every commit is followed by a checkpoint."""

    @property
    def properties(self) -> dict[str, str]:
        return {**super().properties, "delta.checkpointInterval": "1"}


SUMMED_UP = _Checkpointed(FRUIT.name, FRUIT.schema, FRUIT.key, FRUIT.statistics)
_LONG = PART_BYTES + 1


def use_tables(bucket: str) -> dict[str, Any]:
    """Create, append, mark and read in one process."""
    make_bucket(bucket)
    lake = Lake(f"s3://{bucket}/tables")
    delta.create(lake, [SUMMED_UP])
    for number in range(2):
        delta.write_small(fruit((f"{number}.png", "aa", number)), lake, SUMMED_UP, mode="append")
    delta.mark_transaction(lake, SUMMED_UP, "test", 7)
    return {
        "version": delta.existing(lake, SUMMED_UP).version(),
        "paths": sorted(delta.dataset(lake, SUMMED_UP).to_table(["path"]).column("path").to_pylist()),
        "transaction": delta.transaction_version(lake, SUMMED_UP, "test"),
    }


def use_long_file(bucket: str) -> int:
    """Write an object of two parts; returns its length."""
    make_bucket(bucket)
    with storage.create_file(f"s3://{bucket}/long") as file:
        file.write(bytes(_LONG))
    return len(storage.read_file(f"s3://{bucket}/long"))


_ENTRY = "_delta_log/0+"
AT_TABLES = (
    ("GET", "_last_checkpoint"),
    ("PUT", f"{_ENTRY}0.json"),
    ("PUT", "part-"),
    ("PUT", f"{_ENTRY}1.json"),
    ("PUT", f"{_ENTRY}2.checkpoint"),  # the commit is made, and must not be made again
    ("PUT", f"{_ENTRY}3.json"),
    ("GET", "part-"),
)
AT_UPLOAD = (("POST", "uploads"), ("PUT", "partNumber=2"), ("POST", "uploadId"))


@pytest.mark.parametrize(
    ("bucket", "requests", "use", "expected"),
    [
        ("ended-tables", AT_TABLES, use_tables, {"version": 3, "paths": ["0.png", "1.png"], "transaction": 7}),
        ("ended-upload", AT_UPLOAD, use_long_file, _LONG),
    ],
    ids=["tables", "upload"],
)
def test_credentials_may_end_at_any_request(
    box: Box, bucket: str, requests: Sequence[tuple[str, str]], use: Callable[[str], Any], expected: Any
) -> None:
    """It is made again with new ones; a commit is made once, whatever was refused of it."""
    box.tell("end_at", *requests)
    assert box.call(use, bucket) == expected
    assert box.tell("not_ended") == 0
    refused = [one["code"] for one in box.requests() if one["host"].startswith(bucket) and one["code"]]
    assert {*refused} == {"ExpiredToken"}
    assert len(refused) >= len(requests)  # each client notices for itself


@pytest.mark.slow
def test_run_goes_on_with_new_credentials_where_old_ones_end(box: Box, photographs: Path, short_lives: None) -> None:
    """Several times in one run, in this process and in the workers; nothing is lost or held back."""
    add_photographs(photographs, "Apple", range(6))
    add_photographs(photographs, "Kiwi", range(6, 12))
    box.call(make_buckets, "short-photographs", "short-lake", str(photographs))
    before = box.tell("issued")
    done = box.fruits(
        *("run", "--images", "s3://short-photographs", "--lake", "s3://short-lake/lake", "--format", "json")
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout)
    assert (said["bronze"]["ingested"], said["gold"]["projected"], said["bronze"]["quarantined"]) == (12, 12, 0)
    assert box.tell("issued") - before > 2
    refused = {one["code"] for one in box.requests() if one["host"].startswith("short-") and one["code"]}
    assert refused == {"ExpiredToken"}


def test_machine_without_credentials_says_so_in_one_sentence_and_soon(box: Box, silence: None) -> None:
    """An address that nobody has: no answer, and no refusal."""
    begun = time.monotonic()
    done = box.fruits("bronze", "--images", "s3://nobodys/photographs", "--lake", "s3://nobodys/lake")
    seconds = time.monotonic() - begun
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "Unable to locate credentials" in line
    assert "Set AWS_PROFILE" in line
    assert seconds < 20
    assert all(one["bucket"] != "nobodys" for one in box.requests())
