"""Make the flatbuffer of MobileNetV2, in a process of its own: TensorFlow takes 7 s and 600 MB to import."""

import concurrent.futures
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

import numpy as np

from silver.encoders.base import WeightsNotFoundError
from silver.encoders.mobilenet.network import SIZE, WEIGHTS

Given = ParamSpec("Given")
Made = TypeVar("Made")


def in_other_process(function: Callable[Given, Made], *arguments: Given.args, **named: Given.kwargs) -> Made:
    """Call a function in a process that ends with the call: TensorFlow's memory goes with it."""
    from multiprocessing import get_context  # only here, for most runs have a model

    with concurrent.futures.ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_be_quiet) as pool:
        return pool.submit(function, *arguments, **named).result()


def _be_quiet() -> None:
    # TensorFlow's chatter about the processor, written by C++ before it can be told not to, and Keras' download bar on
    # stdout. Errors come as exceptions.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def download(path: str) -> None:
    """Have Keras fetch the ImageNet weights into its cache, as the file `path`.

    Raises:
        WeightsNotFoundError: they could not be downloaded.
    """
    keras = _keras()
    try:
        keras.applications.MobileNetV2(weights="imagenet", include_top=False, pooling="avg")
    except Exception as error:  # noqa: BLE001 - what Keras raises when a download fails
        raise WeightsNotFoundError(
            f"MobileNetV2's ImageNet weights are not in Keras' cache ({path}) and could not be downloaded ({error}). "
            f"Set KERAS_HOME to a folder that holds models/{WEIGHTS}, or the setting `weights` to the file."
        ) from None


def convert(weights: str | None) -> bytes:
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
    # The features are what this configuration makes, whatever `keras.json` and the environment prefer for other work.
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    library: ModuleType = keras
    return library
