"""Find MobileNetV2's ImageNet weights: a file that the settings name, or Keras' cache, which a download fills."""

import hashlib
import os
from pathlib import Path

from lakehouse.storage import list_files, read_file, write_file
from lakehouse.storage.uri import FILE, absolute_uri, local_path, on_disk
from lakehouse.user_folders import cache_folder, home_folder
from silver.encoders.base import UNTRAINED, WeightsNotFoundError
from silver.encoders.mobilenet.convert import download, in_other_process
from silver.encoders.mobilenet.network import WEIGHTS


def keras_weights() -> Path:
    """Where Keras keeps, or will keep, the ImageNet weights."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else home_folder() / ".keras") / "models" / WEIGHTS


def weights_file(weights: str | None) -> Path | None:
    """The weights on this machine's disk, fetched by the first call; None for an untrained network.

    Raises:
        WeightsNotFoundError: the weights are nowhere to be had.
    """
    if weights == UNTRAINED:
        return None
    if weights is not None:
        uri = absolute_uri(weights)
        path = local_path(uri) if on_disk(uri) else _fetched(uri)
        if not path.is_file():
            raise WeightsNotFoundError(f"The setting `weights` names {weights}, where there is no file.")
        return path
    path = keras_weights()
    if not path.is_file():
        in_other_process(download, str(path))
    return path


def _fetched(uri: str) -> Path:
    """Weights on S3, in a file of this machine's that is named after what the object is now; no file without it."""
    folder, _, name = uri.rpartition("/")
    found = next((file for file in list_files(folder, recursive=False) if file.path == uri), None)
    key = hashlib.sha256(f"{uri} {found and (found.length, found.modified)}".encode()).hexdigest()[:12]
    path = cache_folder() / f"weights-{key}-{name}"
    if found is not None and not path.is_file():
        write_file(f"{FILE}{path}", read_file(uri))
    return path
