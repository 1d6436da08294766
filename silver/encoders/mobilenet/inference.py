"""Run the converted MobileNetV2 with LiteRT: photographs' bytes to features, in whatever process computes them."""

from collections.abc import Sequence

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from PIL import Image

from bronze.photograph import decode
from bronze.quiet import without_stderr
from silver.encoders.base import Predict
from silver.encoders.mobilenet.network import DIMENSION, SIZE


def load_predict(flatbuffer: bytes) -> Predict:
    """From a flatbuffer to the function that computes photographs' 1280 features, on one thread.

    One image after the other: LiteRT gains nothing from batches (XNNPACK fills its tiles from one image's pixels), and
    memory stays at 98 MB.
    """
    with without_stderr():  # which LiteRT tells that it made a delegate
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
