"""What a person would write instead: one script in one process, Keras, scikit-learn and one Parquet file.

    python -m bench.plain IMAGES OUT

No Spark, no lake, nothing kept for the next run: each run computes everything. TensorFlow uses all cores as it likes;
decoding and resizing are one thread's, as in a loop that nobody tuned.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from bench.stages import Stages

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

BATCH = 32
SIZE = (224, 224)
SHARE = 0.8  # of the variance


def main(images: str, out: str) -> int:
    """Run it all; print how many photographs there were, the components, and the seconds of each stage, as JSON."""
    stages = Stages()
    with stages.measure("model"):
        model = load_model()
    with stages.measure("features"):
        photographs = sorted(Path(images).rglob("*.jpg"))
        features = featurize(model, photographs)
    with stages.measure("scale"):
        scaled = StandardScaler().fit_transform(features)
    with stages.measure("pca"):
        components = PCA(n_components=SHARE).fit_transform(scaled)
    with stages.measure("write"):
        write(photographs, components, out)
    found = {"photographs": len(photographs), "components": components.shape[1], "seconds": stages.seconds()}
    print(json.dumps(found))
    return 0


def load_model() -> Any:
    """Keras' MobileNetV2 without its top."""
    from tensorflow.keras.applications import MobileNetV2

    return MobileNetV2(weights="imagenet", include_top=False, pooling="avg", input_shape=(*SIZE, 3))


def featurize(model: Any, photographs: Sequence[Path]) -> np.ndarray[Any, Any]:
    """Features of the photographs, float32, shape (n, 1280), one batch after the other."""
    from tensorflow.keras.applications.mobilenet_v2 import preprocess_input

    found = []
    for first in range(0, len(photographs), BATCH):
        pixels = np.stack([load_pixels(path) for path in photographs[first : first + BATCH]])
        found.append(model.predict_on_batch(preprocess_input(pixels)))
    return np.concatenate(found)


def load_pixels(path: Path) -> np.ndarray[Any, Any]:
    """A photograph as RGB, float32, shape (224, 224, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize(SIZE), dtype=np.float32)


def write(photographs: Sequence[Path], components: np.ndarray[Any, Any], out: str) -> None:
    """One Parquet file of path, label and components."""
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "path": [str(path) for path in photographs],
        "label": [path.parent.name for path in photographs],
        "components": list(components),
    }
    pq.write_table(pa.table(columns), out)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
