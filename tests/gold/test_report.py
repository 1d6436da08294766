"""The pictures of a fit: nothing is cut off, whatever the labels are, and nothing is said while they are drawn."""

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from gold.pca import Spectrum
from gold.report import write_label_plots, write_scree_plots

LABELS = {
    "two": ["a", "b"],
    "long": ["Apple", "A label as long as a person may give to a folder of photographs"],
    "scripts": ["苹果", "تفاح", "🍎", "Æbletræ", "$5 fruit", "_x"],
    "many": [f"Label {number}" for number in range(30)],
}


def assert_whole(path: Path) -> None:
    """Around a picture runs an edge with nothing on it."""
    pixels = np.asarray(Image.open(path).convert("L"))
    edges = [pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]]
    assert all((edge == 255).all() for edge in edges), path.name
    assert (pixels < 255).any()


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_names_of_labels_are_shown_whole(labels: list[str], tmp_path: Path) -> None:
    """Beside the map and around the heat map, with boxes for letters that the font lacks."""
    random = np.random.default_rng(0)
    components = random.normal(size=(120, 5)).astype(np.float32)
    rows = pa.table(
        {
            "label": [labels[number % len(labels)] for number in range(120)],
            "pc1": components[:, 0],
            "pc2": components[:, 1],
            "components": pa.array(components.tolist(), pa.list_(pa.float32())),
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = write_label_plots(rows, 120, tmp_path)
    assert [path.name for path in files] == ["pc1-pc2.png", "labels.png"]
    for path in files:
        assert_whole(path)


def test_scree_plot_is_whole(tmp_path: Path) -> None:
    """Also where few components are drawn."""
    spectrum = Spectrum(np.exp(-np.arange(12) / 3), np.eye(4, 12), np.zeros(12), 50)
    picture, page = write_scree_plots(spectrum, 4, 0.8, tmp_path)
    assert_whole(picture)
    assert "explained variance ratio" in page.read_text()
