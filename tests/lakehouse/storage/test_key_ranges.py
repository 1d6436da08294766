"""Listing keys by ranges side by side: each key once, whatever keys there are, and hardly more requests."""

import hashlib
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import StorageError
from lakehouse.storage import find_folders, list_folders, walk
from lakehouse.storage.boto import Page
from lakehouse.storage.folder_rules import FolderRules
from lakehouse.storage.key_ranges import ALONE, between, pages_side_by_side
from tests.lakehouse.s3server import S3Server

MODIFIED = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
NARROW = st.text("01/é漢😀", min_size=1, max_size=12)
LONG = st.integers(0, 10**6).map(lambda number: f"the same long beginning/of all/IMG_{number:07}.jpg")


class Server:
    """Answers as S3 does, a few keys a page, in the order of the keys' bytes; counts the requests."""

    def __init__(
        self, keys: list[str], page: int, order: Callable[[str], Any] = str.encode, seconds: float = 0
    ) -> None:
        self._keys, self._page, self._order, self._seconds = sorted(keys, key=order), page, order, seconds
        self._sorted = [order(key) for key in self._keys]
        self.requests = self._now = self.most_at_once = 0
        self._lock = threading.Lock()

    def ask(self, after: str | None, token: str | None) -> Page:
        """A page, behind a key or a token."""
        with self._lock:
            self.requests += 1
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        time.sleep(self._seconds)
        with self._lock:
            self._now -= 1
        behind = token if token is not None else after
        start = 0 if behind is None else bisect_right(self._sorted, self._order(behind))
        keys = self._keys[start : start + self._page]
        page = Page(Contents=[{"Key": key, "Size": 1, "LastModified": MODIFIED} for key in keys], IsTruncated=False)
        if start + self._page < len(self._keys):
            return {**page, "IsTruncated": True, "NextContinuationToken": keys[-1]}
        return page


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Eight threads."""
    with ThreadPoolExecutor(8) as threads:
        yield threads


def listed(server: Server, pool: ThreadPoolExecutor, prefix: str = "") -> list[str]:
    """The keys, in order."""
    pages = pages_side_by_side(server.ask, prefix, pool)
    return sorted((found["Key"] for page in pages for found in page.get("Contents", ())), key=str.encode)


@settings(max_examples=150, deadline=None)
@given(st.sets(st.one_of(NAMES, NARROW, LONG), max_size=120), st.integers(1, 7))
def test_each_key_is_listed_once_whatever_the_keys(keys: set[str], page: int) -> None:
    """Nothing between two ranges is lost, and nothing is in two."""
    with ThreadPoolExecutor(4) as threads:
        assert listed(Server([*keys], page), threads) == sorted(keys, key=str.encode)


@settings(max_examples=500, deadline=None)
@given(NAMES | NARROW, st.none() | NAMES | NARROW, st.sets(st.characters(codec="utf-8"), max_size=6))
def test_what_is_between_two_strings_is_neither_of_them(after: str, until: str | None, letters: set[str]) -> None:
    """By the order of their UTF-8 bytes, which is that of Python's strings."""
    if until is not None and until.encode() <= after.encode():
        return
    middle = between(after, until, letters)
    if middle is not None:
        assert after.encode() < middle.encode()
        assert until is None or middle.encode() < until.encode()


@pytest.mark.parametrize(
    "name",
    [
        "IMG_{0:07}.jpg",
        "{0:x}",
        "2024-{0:07}/a photograph of that day.png",
        "{1:064x}.jpg",
        "漢字 {0:07}é.png",
    ],
)
def test_most_requests_bring_keys_and_go_side_by_side(pool: ThreadPoolExecutor, name: str) -> None:
    """Of numbers, dates and digests: at most three for two pages, and few wait for others."""
    digests = [int(hashlib.sha256(str(number).encode()).hexdigest(), 16) for number in range(20_000)]
    keys = [f"photographs/{name.format(number, digest)}" for number, digest in enumerate(digests)]
    server = Server(keys, 100, seconds=0.002)
    assert listed(server, pool, "photographs/") == sorted(keys, key=str.encode)
    assert server.requests <= 200 * 3 / 2 + ALONE
    assert server.most_at_once >= 6


def test_few_keys_are_listed_as_ever(pool: ThreadPoolExecutor) -> None:
    """One answer after the other, and no request more."""
    server = Server([f"{number:05}" for number in range(ALONE * 10)], 10)
    assert len(listed(server, pool)) == ALONE * 10
    assert server.requests == ALONE


def test_server_without_order_is_refused(pool: ThreadPoolExecutor) -> None:
    """As directory buckets list, or servers that order keys by other codes: nothing is lost in silence."""
    keys = [chr(0xE000 + number) for number in range(100)] + [chr(0x1F600 + number) for number in range(50)]
    with pytest.raises(StorageError, match="say `readers: 1`"):
        listed(Server(keys, 10, lambda key: key.encode("utf-16-be")), pool)


def test_flat_prefix_on_a_server_is_listed_by_ranges(s3_server: S3Server, bucket: str) -> None:
    """7,000 keys of one folder, each once, with and without those below; for folders the driver does not look there."""
    folder = s3_server.folder_of(bucket)
    names = [f"IMG_{number:06}.jpg" for number in range(6_000)] + [f"é{number:x} +%.png" for number in range(1_000)]
    (folder / "flat" / "below").mkdir(parents=True)
    (folder / "flat-").mkdir()
    for name in [*names, "below/1.png", "../flat-/2.png", "zz.png"]:
        (folder / "flat" / name).touch()
    root = f"s3://{bucket}/flat"
    with ThreadPoolExecutor(8) as threads:
        for recursive in (True, False):
            rules = FolderRules(entered=frozenset([root]))
            found = [*walk(root, rules, recursive=recursive, required=True, pool=threads)]
            expected = {*names, "zz.png", *(["below/1.png"] if recursive else [])}
            assert sorted(file.path for file in found) == sorted(f"{root}/{name}" for name in expected)
    assert find_folders(root, 4_000) is None
    assert find_folders(root, 8_000) == list_folders(root) == [f"{root}/below"]
