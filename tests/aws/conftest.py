"""A box for the run, and what it is made new for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws.box import Box, UnavailableError, check_possible
from tests.conftest import add_photographs


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """AWS in a box; tests that need it skip where there can be none."""
    try:
        check_possible()
    except UnavailableError as error:
        pytest.skip(str(error))
    box = Box(tmp_path_factory.mktemp("box"))
    yield box
    box.close()


@pytest.fixture
def twelve(photographs: Path) -> str:
    """A folder with six photographs of each of two labels."""
    add_photographs(photographs, "Apple", range(6))
    add_photographs(photographs, "Kiwi", range(6, 12))
    return str(photographs)
