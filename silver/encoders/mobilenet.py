"""Keras' MobileNetV2 as an encoder: TensorFlow gives the model, LiteRT runs it.

The model (ImageNet weights, alpha 1.0, no top, global average pooling; M. Sandler et al., "MobileNetV2: Inverted
Residuals and Linear Bottlenecks", CVPR 2018) is converted once, with `x / 127.5 − 1` folded in, to a flatbuffer that
stays in the lake. Workers need LiteRT, NumPy and Pillow, and never import TensorFlow: of it each would take 7 s and
600 MB, and computes a fourth as many images a second with it.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bronze.photograph import decode
from lakehouse.storage import exists, list_files, read_file, write_file
from lakehouse.storage.uri import FILE, absolute_uri, local_path, on_disk
from lakehouse.user_folders import cache_folder
from silver.encoders.base import UNTRAINED, Encoder, Predict, WeightsNotFoundError

Given = ParamSpec("Given")
Made = TypeVar("Made")

DIMENSION = 1280
SIZE = 224  # pixels a side
_REVISION = "r1"  # of the preprocessing: raised when the same photograph would give other features
_WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"


def keras_weights() -> Path:
    """Where Keras keeps, or will keep, the ImageNet weights."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models" / _WEIGHTS


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
    version = f"mobilenetv2-{digest}-{_REVISION}"
    model = f"{folder}/{version}.tflite"
    if exists(model):
        return version, model
    # Converted once a machine, not once a lake: TensorFlow takes 8 s to import and convert.
    cached = f"{FILE}{cache_folder()}/{version}.tflite"
    if not exists(cached):
        write_file(cached, _in_other_process(_convert, str(path) if path else None))
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
    """As `load_predict`, from a file."""
    return load_predict(read_file(uri))


def load_predict(flatbuffer: bytes) -> Predict:
    """From a flatbuffer to the function that computes photographs' 1280 features, on one thread.

    One image after the other: LiteRT gains nothing from batches (XNNPACK fills its tiles from one image's pixels), and
    memory stays at 98 MB.
    """
    from ai_edge_litert.interpreter import Interpreter

    with _without_stderr():  # which LiteRT tells that it made a delegate
        interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
        interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]

    def predict(contents: Sequence[memoryview]) -> NDArray[np.float32]:
        features = np.empty((len(contents), DIMENSION), np.float32)
        for at, content in enumerate(contents):
            interpreter.set_tensor(source, pixels(content)[np.newaxis])
            interpreter.invoke()
            features[at] = interpreter.get_tensor(target)[0]
        return features

    return predict


def pixels(content: bytes | memoryview) -> NDArray[np.uint8]:
    """A photograph's bytes as RGB of 224 × 224 pixels (Pillow's bicubic), uint8, shape (224, 224, 3)."""
    return np.asarray(decode(content).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


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
        _in_other_process(_download, str(path))
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


def _in_other_process(function: Callable[Given, Made], *arguments: Given.args, **named: Given.kwargs) -> Made:
    # TensorFlow stays out of the process that drives Spark, and works beside it on another core.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_be_quiet) as pool:
        return pool.submit(function, *arguments, **named).result()


@contextmanager
def _without_stderr() -> Iterator[None]:
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _be_quiet() -> None:
    # TensorFlow's chatter about the processor, written by C++ before it can be told not to, and Keras' download bar on
    # stdout. Errors come as exceptions.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def _download(path: str) -> None:
    keras = _keras()
    try:
        keras.applications.MobileNetV2(weights="imagenet", include_top=False, pooling="avg")
    except Exception as error:  # noqa: BLE001 - what Keras raises when a download fails
        raise WeightsNotFoundError(
            f"MobileNetV2's ImageNet weights are not in Keras' cache ({path}) and could not be downloaded ({error}). "
            f"Set KERAS_HOME to a folder that holds models/{_WEIGHTS}, or the setting `weights` to the file."
        ) from None


def _convert(weights: str | None) -> bytes:
    """Build the Keras model, fold the preprocessing in, and convert it; 8 s on one core, most of it the import."""
    keras = _keras()
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    try:
        network = keras.applications.MobileNetV2(
            weights=weights, include_top=False, pooling="avg", input_shape=(SIZE, SIZE, 3)
        )
    except (ValueError, OSError) as error:
        raise WeightsNotFoundError(f"{weights} holds no weights of MobileNetV2 (alpha 1.0, no top): {error}") from None
    if weights is None:
        _draw_weights(network)

    @tf.function(input_signature=[tf.TensorSpec((1, SIZE, SIZE, 3), tf.uint8)])
    def features(image: Any) -> Any:
        return network(tf.cast(image, tf.float32) / 127.5 - 1.0, training=False)

    # Freezing here spares the converter its way through a SavedModel on disk: 2 s instead of 6 to 10.
    frozen = convert_variables_to_constants_v2(features.get_concrete_function())
    flatbuffer: bytes = tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()
    return flatbuffer


def _draw_weights(network: Any) -> None:
    """Draw He-normal kernels from a fixed seed (Keras' default start would shrink the features to 1e-12).

    K. He et al., "Delving Deep into Rectifiers", ICCV 2015: variance 2 / fan-in keeps the scale through rectifiers.
    """
    generator = np.random.default_rng(0)
    for layer in network.layers:
        for variable in layer.weights:
            if "kernel" in variable.name:
                shape = variable.shape  # (height, width, inputs, outputs); a depthwise kernel sees one input
                inputs = 1 if "depthwise" in layer.name or layer.name.endswith("_dw") else shape[2]
                deviation = np.sqrt(2.0 / (shape[0] * shape[1] * inputs))
                variable.assign(generator.normal(0.0, deviation, shape).astype(np.float32))


def _keras() -> ModuleType:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import keras

    library: ModuleType = keras
    return library
