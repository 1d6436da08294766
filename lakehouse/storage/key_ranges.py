"""List keys by ranges, side by side: one chain of answers of 1,000 keys each would take 1,000 of them for a million.

A range whose answer was full is cut in two behind that answer, at a string between its last key and the range's end.
So there are soon many ranges where there are many keys. A cut costs one request at most, where it leaves no keys on one
side, and there is one for three answers. Nothing is assumed of how keys are named: ranges lie side by side, without a
gap.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass

from lakehouse.errors import StorageError
from lakehouse.storage.boto import Page

ALONE = 4
"""Answers that are waited for one after the other: as many keys are listed before anything else takes time."""
_RANGES = 32  # listed side by side

Ask = Callable[[str | None, str | None], Page]
"""Asks for a page: behind a key, or (second) by the token that the page before gave."""


@dataclass
class _Range:
    """The keys behind one string, up to and with another; None: from the first, to the last."""

    after: str | None
    until: str | None
    token: str | None = None


def pages_side_by_side(ask: Ask, prefix: str, pool: Executor) -> Iterator[Page]:
    """All pages of a listing, in any order, each key once; the first ones are listed one after the other.

    Args:
        ask: asks for a page of the keys with the prefix.
        prefix: what all keys begin with: empty, or with a slash at its end.
        pool: what asks for several pages at once.

    Raises:
        StorageError: the server does not list keys in the order of their bytes, so that ranges mean nothing.
    """
    # No key of the prefix comes behind it with the next character in its last one's place: `0` comes behind `/`.
    whole = _Range(None, f"{prefix[:-1]}0" if prefix else None)
    for _ in range(ALONE):
        page = ask(None, whole.token)
        yield _taken(page, whole)
        if whole.token is None:
            return
    letters = {*"".join(_keys(page))}
    waiting: dict[Future[Page], _Range] = {}
    ranges, pages, cuts = [whole], ALONE, 0
    try:
        while ranges or waiting:
            for one in ranges:
                # A token goes on where the answer before ended; a range that was just cut off begins behind a string.
                waiting[pool.submit(ask, None if one.token else one.after, one.token)] = one
            ranges = []
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                one = waiting.pop(future)
                page = future.result()
                pages += 1
                letters.update(*_keys(page))
                yield _taken(page, one)
                if one.token is None:
                    continue
                ranges.append(one)
                if len(waiting) + len(ranges) < _RANGES and 3 * cuts < pages and (rest := _cut(one, letters)):
                    ranges.append(rest)
                    cuts += 1
    finally:
        for future in waiting:
            future.cancel()


def _taken(page: Page, one: _Range) -> Page:
    """A page without the keys behind its range, which is then at its end, or else goes on behind the page."""
    keys = _keys(page)
    _check_order(keys, one.after)
    beyond = one.until is not None and bool(keys) and keys[-1] >= one.until
    if keys:
        one.after = max(keys[-1], one.after or "")
    one.token = page["NextContinuationToken"] if page.get("IsTruncated") and not beyond else None
    if not beyond:
        return page
    assert one.until is not None
    return {**page, "Contents": [found for found in page.get("Contents", ()) if found["Key"] <= one.until]}


def _keys(page: Page) -> list[str]:
    """The keys of a page, and the prefixes that stand for keys, in their order."""
    keys = [found["Key"] for found in page.get("Contents", ())]
    if prefixes := [found["Prefix"] for found in page.get("CommonPrefixes", ())]:
        return sorted([*keys, *prefixes])
    return keys


def _check_order(keys: list[str], after: str | None) -> None:
    # Python compares strings by their characters' numbers, which is the order of their UTF-8 bytes.
    # A prefix that stands for keys may begin before the string that its first key was asked for behind.
    early = after is not None and bool(keys) and keys[0] < after and not after.startswith(keys[0])
    if early or keys != sorted(keys):
        raise StorageError(
            "The server does not list keys in the order of their UTF-8 bytes, as S3 does, so ranges of keys would miss "
            "some: say `readers: 1`, with which they are listed one after the other."
        )


def _cut(one: _Range, letters: Iterable[str]) -> _Range | None:
    """Cut what is left of a range in two, and return the second part; None where there is nothing between."""
    middle = between(one.after or "", one.until, letters)
    if middle is None:
        return None
    rest = _Range(middle, one.until)
    one.until = middle
    return rest


def between(after: str, until: str | None, letters: Iterable[str]) -> str | None:
    """A string between two others, neither of them: where one can be made of these letters, about in their middle.

    Args:
        after: the lower one.
        until: the upper one; None: there is no upper one.
        letters: the characters that keys are made of, as far as is known.
    """
    known = sorted(letters)
    same = 0
    if until is not None:
        while same < len(after) and after[same] == until[same]:
            same += 1
    for at in range(same, len(after) + 1):
        low = after[at] if at < len(after) else ""
        high = until[same] if until is not None and at == same else None
        inner = [one for one in known if one > low and (high is None or one < high)]
        if inner:
            return after[:at] + inner[len(inner) // 2]
        if high is not None and until is not None and len(until) > same + 1:
            return until[: same + 1]
    return None
