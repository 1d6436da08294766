"""Objects of any store of obstore's as files."""

import os

import obstore
import pytest
from obstore.store import MemoryStore

from lakehouse.storage.object_file import ObjectReader


def test_object_is_read_in_any_order() -> None:
    """From where one seeks to."""
    store = MemoryStore()
    with pytest.raises(OSError, match="p/a"):
        ObjectReader(store, "p/a")
    obstore.put(store, "p/a", b"0123456789")
    with ObjectReader(store, "p/a") as file:
        assert (file.seek(-3, os.SEEK_END), bytes(file.read(2)), file.tell()) == (7, b"78", 9)
        assert (file.seek(2), bytes(file.read()), bytes(file.read())) == (2, b"23456789", b"")
