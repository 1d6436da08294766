"""Credentials of an instance's role that end while somebody works, and a machine where there are none."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws.box import Box
from tests.aws.test_life import make_buckets
from tests.conftest import add_photographs

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
