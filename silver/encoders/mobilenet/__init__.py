"""Keras' MobileNetV2 as an encoder: TensorFlow gives the model, LiteRT runs it.

The model (ImageNet weights, alpha 1.0, no top, global average pooling; M. Sandler et al., "MobileNetV2: Inverted
Residuals and Linear Bottlenecks", CVPR 2018) is converted once, with `x / 127.5 − 1` folded in, to a flatbuffer that
stays in the lake. Workers need LiteRT, NumPy and Pillow, and never import TensorFlow: of it each would take 7 s and
600 MB, and computes a fourth as many images a second with it.
"""

import hashlib
import re
import tempfile
from functools import partial

from lakehouse.errors import TamperedModelError
from lakehouse.storage import exists, list_files, read_file, write_file
from lakehouse.storage.uri import FILE, absolute_uri, on_disk
from lakehouse.user_folders import cache_folder
from silver.encoders.base import UNTRAINED, Encoder, Predict, WeightsNotFoundError
from silver.encoders.mobilenet.convert import convert, in_other_process
from silver.encoders.mobilenet.network import DIMENSION, NAME, REVISION
from silver.encoders.mobilenet.weights import keras_weights, weights_file

_SUFFIX = ".tflite"
_DIGITS = 16  # of a model's SHA-256, in its name
_MODEL = rf"[0-9a-f]{{{_DIGITS}}}"

__all__ = ["convert_ahead", "prepare", "reopen", "weights_file", "weights_uri"]


def converted_model(weights: str | None, folder: str) -> tuple[str, str]:
    """The model as a file, a flatbuffer, which is kept in `folder` from the first call on.

    A lake stays with the model that it has: another release of TensorFlow may convert the same weights differently.

    Args:
        weights: path or URI of a weights file; None for Keras' cache or download; "untrained" for fixed random weights.
        folder: URI of the folder where the lake keeps converted models.

    Returns:
        The feature version, which names weights and model by their SHA-256, and the file's URI.

    Raises:
        WeightsNotFoundError: the weights are nowhere to be had.
    """
    path = weights_file(weights)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path else UNTRAINED
    version = _kept(folder, digest, f"(?:{_MODEL}-)?")  # release 0.1.0 named the weights alone
    if version is None:
        # Converted once a machine, not once a lake: TensorFlow takes 8 s to import and convert.
        cache = f"{FILE}{cache_folder()}"
        version = _kept(cache, digest, f"{_MODEL}-")
        if version is None:
            flatbuffer = in_other_process(convert, str(path) if path else None)
            version = f"{NAME}-{digest}-{_digest(flatbuffer)}-{REVISION}"
            write_file(f"{cache}/{version}{_SUFFIX}", flatbuffer)
        write_file(f"{folder}/{version}{_SUFFIX}", read_file(f"{cache}/{version}{_SUFFIX}"))
    return version, f"{folder}/{version}{_SUFFIX}"


def _kept(folder: str, weights: str, model: str) -> str | None:
    """The version, with a pattern for the model's part, of these weights that is in a folder; of several the first."""
    if on_disk(folder) and not exists(folder):
        return None
    names = [file.path.rpartition("/")[2] for file in list_files(folder, recursive=False)]
    of_these = re.compile(rf"({NAME}-{weights}-{model}{REVISION}){re.escape(_SUFFIX)}")
    found = sorted(match[1] for name in names if (match := of_these.fullmatch(name)))
    return found[0] if found else None


def _digest(flatbuffer: bytes) -> str:
    return hashlib.sha256(flatbuffer).hexdigest()[:_DIGITS]


def convert_ahead(weights: str | None) -> bool:
    """Convert the model before a first run asks for it, if its weights are at hand; returns whether they are."""
    at_hand = weights is not None or keras_weights().is_file()
    if at_hand:
        with tempfile.TemporaryDirectory() as folder:
            converted_model(weights, FILE + folder)
    return at_hand


def prepare(weights: str | None, folder: str) -> Encoder:
    """See `EncoderModule.prepare`; the converted model is a file that each worker reads for itself."""
    feature_version, model = converted_model(weights, folder)
    return Encoder(feature_version, DIMENSION, partial(load_model, model))


def reopen(feature_version: str, folder: str) -> Predict:
    """See `EncoderModule.reopen`."""
    uri = f"{folder}/{feature_version}.tflite"
    try:
        return load_model(uri)
    except FileNotFoundError:
        raise WeightsNotFoundError(f"The converted model {uri} is not there: `fruits run` makes it anew.") from None


def weights_uri(weights: str | None) -> str | None:
    """See `EncoderModule.weights_uri`."""
    return None if weights == UNTRAINED else absolute_uri(weights or str(keras_weights()))


def load_model(uri: str) -> Predict:
    """From the URI of a flatbuffer, whose name ends with its version, to the function that computes features.

    Raises:
        TamperedModelError: the file is not the one that its version names; it was not loaded.
    """
    flatbuffer = read_file(uri)
    _, *named = uri.rpartition("/")[2].removesuffix(f"-{REVISION}{_SUFFIX}").removeprefix(f"{NAME}-").split("-")
    if named and named != [_digest(flatbuffer)]:
        raise TamperedModelError(
            f"The converted model {uri} has the SHA-256 {_digest(flatbuffer)}…, not the one in its name. It was not "
            "loaded. Put the file back from a copy of the lake, or delete it: the next run then converts the network "
            "anew, and if TensorFlow does that differently by now, computes all features anew."
        )
    # Here, for LiteRT and Pillow are needed only where there is something to compute.
    from silver.encoders.mobilenet.inference import load_predict

    return load_predict(flatbuffer)
