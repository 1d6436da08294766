"""The artifact of a model version: its digest, and its arrays as plain numbers.

Beside MLflow's own files an artifact holds `arrays.npz`: what a scaler or a PCA has learned, written by NumPy without
pickle. Who only computes with a model reads these and needs neither MLflow nor scikit-learn. The digest is over all
files, so the arrays are protected as the model is.
"""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lakehouse.errors import StorageError
from lakehouse.storage import list_files, read_file

Arrays = Mapping[str, NDArray[np.float64]]

ARRAYS = "arrays.npz"
"""The file of an artifact that holds the arrays; not there in versions of earlier releases."""

_LEARNED = {"mean": "mean_", "scale": "scale_", "components": "components_"}
_OF_THE_DOWNLOAD = "registered_model_meta"  # MLflow adds it to the copy when it downloads


def arrays_of(model: object) -> dict[str, NDArray[np.float64]]:
    """What a fitted scaler (mean, scale) or PCA (mean, components) has learned, float64, bit for bit."""
    found = {name: getattr(model, attribute, None) for name, attribute in _LEARNED.items()}
    return {name: np.ascontiguousarray(value, np.float64) for name, value in found.items() if value is not None}


def write_arrays(model: object, folder: Path) -> None:
    """Add the arrays of a fitted model to its artifact."""
    learned: Any = arrays_of(model)  # NumPy's types take a name for one of its own arguments
    with (folder / ARRAYS).open("wb") as file:
        np.savez(file, **learned)


def read_arrays(files: Mapping[str, bytes]) -> dict[str, NDArray[np.float64]] | None:
    """The arrays that an artifact holds, None where it holds none. Its digest is to be checked before."""
    if ARRAYS not in files:
        return None
    with np.load(io.BytesIO(files[ARRAYS]), allow_pickle=False) as found:
        return dict(found)


def read_artifact(uri: str) -> dict[str, bytes]:
    """All files of an artifact, by their names below its folder.

    Raises:
        StorageError: the folder, or a file in it, cannot be read.
    """
    try:
        return {file.path.removeprefix(f"{uri}/"): read_file(file.path) for file in list_files(uri, recursive=True)}
    except OSError as error:
        raise StorageError(f"The model in {uri} cannot be read: {error}.") from error


def digest(files: Mapping[str, bytes]) -> str:
    """The SHA-256 over all files of an artifact, names and contents, in the order of their names."""
    found = hashlib.sha256()
    for path in sorted(path for path in map(PurePosixPath, files) if path.name != _OF_THE_DOWNLOAD):
        name, content = str(path).encode(), files[str(path)]
        found.update(b"%d %s %d " % (len(name), name, len(content)) + content)
    return found.hexdigest()
