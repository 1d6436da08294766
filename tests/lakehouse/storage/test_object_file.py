"""Objects of any store of obstore's as files."""

import os

import pytest
from obstore.store import MemoryStore

from lakehouse.storage.object_file import ObjectReader, ObjectWriter


def test_object_is_written_from_start_to_end_and_read_in_any_order() -> None:
    """It is there when it is closed."""
    store = MemoryStore()
    with ObjectWriter(store, "p/a") as file:
        assert (file.write(b"0123"), file.write(b"456789"), file.tell()) == (4, 6, 10)
        with pytest.raises(OSError, match="p/a"):
            ObjectReader(store, "p/a")
    with ObjectReader(store, "p/a") as file:
        assert (file.seek(-3, os.SEEK_END), bytes(file.read(2)), file.tell()) == (7, b"78", 9)
        assert (file.seek(2), bytes(file.read()), bytes(file.read())) == (2, b"23456789", b"")
