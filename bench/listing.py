"""The listing of a folder alone, as a run makes it on the local engine: prints its seconds."""

import sys
import tempfile
import time
from pathlib import Path

from bronze.discover import Rules
from bronze.links import listed
from fruits.settings import load_settings
from lakehouse.storage.uri import absolute_uri
from lakehouse.workspace import Workspace


def main(folder: str) -> None:
    """List a folder, and print how long it took."""
    with tempfile.TemporaryDirectory() as lake:
        settings = load_settings(images=folder, lake=str(Path(lake) / "lake"), engine="local")
        workspace = Workspace(settings)
        begun = time.perf_counter()
        with listed(workspace.engine, absolute_uri(folder), Rules.of(settings), settings.readers):
            print(time.perf_counter() - begun)


if __name__ == "__main__":
    main(sys.argv[1])
