"""A box for the run, and what it is made new for each test."""

from collections.abc import Iterator

import pytest

from tests.aws.box import Box, UnavailableError, check_possible


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
