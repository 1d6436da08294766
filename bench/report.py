"""How `fruits report` copes with 1,000,000 photographs that do not exist: seconds, megabytes, greatest memory."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from bench.identify import BATCH, COMPONENTS, LABELS, write_projections
from bronze.tables import CONTENTS, IMAGES
from fruits.catalog import TABLES
from gold.tables import EXPLAINED_VARIANCE, MODELS
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake

SIZE, MOST_MEMORY = 1_000_000, 4.0  # GB


def main() -> int:
    """Make the lake, write the report in a process of its own, and return 1 where it took more than MOST_MEMORY."""
    with tempfile.TemporaryDirectory() as folder:
        lake, output = Lake(str(Path(folder) / "lake")), Path(folder) / "report.html"
        delta.create(lake, TABLES)
        write_projections(lake, SIZE)
        _write_images(lake)
        _write_model(lake)
        begun = time.perf_counter()
        command = [sys.executable, "-m", "fruits", "report", "--lake", lake.uri, "--output", str(output)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took = time.perf_counter() - begun
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        megabytes = output.stat().st_size / 1e6
    print(json.dumps({"photographs": SIZE, "seconds": took, "megabytes": megabytes, "memory_gb": memory}))
    return 0 if memory <= MOST_MEMORY else 1


def _write_images(lake: Lake) -> None:
    """The same few bytes for each photograph: a report reads those that it shows."""
    made = BytesIO()
    Image.new("RGB", (8, 8), "green").save(made, "PNG")
    now = datetime.now(UTC)
    for first in range(0, SIZE, BATCH):
        labels = np.random.default_rng(0).integers(0, LABELS, BATCH)
        table = pa.table(
            {
                "path": [f"file:///photographs/{first + n}.jpg" for n in range(BATCH)],
                "label": [f"label {label}" for label in labels],
                "split": ["Training"] * BATCH,
                "format": ["PNG"] * BATCH,
                "width": np.full(BATCH, 8),
                "height": np.full(BATCH, 8),
                "length": np.full(BATCH, len(made.getvalue())),
                "modification_time": [now] * BATCH,
                "sha256": [f"{first + n:064x}" for n in range(BATCH)],
                "batch": np.full(BATCH, first // BATCH + 1),
                "ingested_at": [now] * BATCH,
                "given_label": [None] * BATCH,
                "given_split": [None] * BATCH,
                "corrected": [False] * BATCH,
            }
        )
        contents = {"sha256": table["sha256"], "length": table["length"], "first_batch": table["batch"]}
        contents["content"] = [made.getvalue()] * BATCH
        delta.write_small(pa.table(contents).cast(CONTENTS.schema), lake, CONTENTS, mode="append")
        delta.write_small(table.cast(IMAGES.schema), lake, IMAGES, mode="append")


def _write_model(lake: Lake) -> None:
    ratio = np.full(COMPONENTS, 0.8 / COMPONENTS)
    curve = {
        "pca_version": np.ones(COMPONENTS, np.int64),
        "component": np.arange(1, COMPONENTS + 1),
        "variance": ratio,
        "ratio": ratio,
        "cumulative": np.cumsum(ratio),
    }
    rows = pa.table(curve).cast(EXPLAINED_VARIANCE.schema)
    delta.write_small(rows, lake, EXPLAINED_VARIANCE, mode="append")
    model = {
        **{"pca_version": 1, "scaler_version": 1},
        **{"feature_version": "none", "images": SIZE, "components": COMPONENTS, "explained_variance": 0.8},
        **{"threshold": 0.8, "fitted_at": datetime.now(UTC), "reason": "first fit"},
    }
    delta.write_small(pa.Table.from_pylist([model], MODELS.schema), lake, MODELS, mode="append")


if __name__ == "__main__":
    sys.exit(main())
