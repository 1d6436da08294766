"""Keras' MobileNetV2 as an encoder: TensorFlow gives the model, LiteRT runs it.

The model (ImageNet weights, alpha 1.0, no top, global average pooling; M. Sandler et al., "MobileNetV2: Inverted
Residuals and Linear Bottlenecks", CVPR 2018) is converted once, with `x / 127.5 − 1` folded in, to a flatbuffer that
stays in the lake. Workers need LiteRT, NumPy and Pillow, and never import TensorFlow: of it each would take 7 s and
600 MB, and computes a fourth as many images a second with it.
"""

import hashlib
import tempfile
from functools import partial

from lakehouse.storage import exists, read_file, write_file
from lakehouse.storage.uri import FILE, absolute_uri
from lakehouse.user_folders import cache_folder
from silver.encoders.base import UNTRAINED, Encoder, Predict, WeightsNotFoundError
from silver.encoders.mobilenet.convert import convert, in_other_process
from silver.encoders.mobilenet.network import DIMENSION, REVISION
from silver.encoders.mobilenet.weights import keras_weights, weights_file

__all__ = ["convert_ahead", "prepare", "reopen", "weights_file", "weights_uri"]


def converted_model(weights: str | None, folder: str) -> tuple[str, str]:
    """The model as a file, a flatbuffer, which is kept in `folder` from the first call on.

    Args:
        weights: path or URI of a weights file; None for Keras' cache or download; "untrained" for fixed random weights.
        folder: URI of the folder where the lake keeps converted models.

    Returns:
        The feature version, which names the weights by their SHA-256, and the file's URI.

    Raises:
        WeightsNotFoundError: the weights are nowhere to be had.
    """
    path = weights_file(weights)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path else UNTRAINED
    version = f"mobilenetv2-{digest}-{REVISION}"
    model = f"{folder}/{version}.tflite"
    if exists(model):
        return version, model
    # Converted once a machine, not once a lake: TensorFlow takes 8 s to import and convert.
    cached = f"{FILE}{cache_folder()}/{version}.tflite"
    if not exists(cached):
        write_file(cached, in_other_process(convert, str(path) if path else None))
    write_file(model, read_file(cached))
    return version, model


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
    """From the URI of a flatbuffer to the function that computes photographs' features."""
    # Here, for LiteRT and Pillow are needed only where there is something to compute.
    from silver.encoders.mobilenet.inference import load_predict

    return load_predict(read_file(uri))
