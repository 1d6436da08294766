"""Times in AWS's answers are read quickly, and as botocore reads them."""

import pytest
from botocore.utils import parse_timestamp

from lakehouse.storage.aws import _parsed_time


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T01:00:00+01:00",
        "Fri, 27 Nov 2026 13:00:00 GMT",
        "1514944800",
        "2026-01-01",
    ],
)
def test_time_is_what_botocore_makes_of_it(text: str) -> None:
    """In listings, headers, and what other services answer."""
    parsed, expected = _parsed_time(text), parse_timestamp(text)
    assert parsed == expected
    assert (parsed.tzinfo is None) == (expected.tzinfo is None)


def test_number_of_seconds_is_a_time() -> None:
    """As services answer whose protocol is JSON."""
    assert _parsed_time(1514944800.5) == parse_timestamp(1514944800.5)
