"""How well `fruits identify` tells what it knows from what it does not.

Reads `silver.features` of the lake that FRUITS_LAKE names (a training split and another). For each label
everything is fitted and calibrated without it, and its photographs are asked about; so are drawings of other things.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fruits.demo.draw import KINDS, draw_photograph
from fruits.settings import load_settings
from gold.calibration import Projector
from gold.nearest import Calibration, Float32, Float64, Labelled, calibrate, directions, ratios
from gold.pca import components_needed, fit_pca, fit_spectrum
from lakehouse.arrow import as_matrix
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from silver.encoders.mobilenet import converted_model, load_model
from silver.moments import Moments
from silver.scale import fit_scaler
from silver.tables import FEATURES

KNOWN, UNKNOWN = 0.02, 0.90  # known ones refused, at the most; others answered as unknown, at the least
DRAWN = 40
_CURVE = (0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)


@dataclass(frozen=True)
class Photographs:
    """Features, shape (n, d), with label and split of each."""

    features: Float32
    labels: NDArray[np.object_]
    training: NDArray[np.bool_]


@dataclass(frozen=True)
class Outcome:
    """Ratios of the test photographs whose label is known, and of those of none; and the calibration without them."""

    calibration: Calibration
    known: Float64
    right: float
    unknown: Float64

    def refused(self, threshold: float) -> float:
        """The share of known photographs that are answered to be unknown."""
        return float(np.mean(self.known > threshold))

    def told(self, threshold: float) -> float:
        """The share of the others that are answered to be unknown."""
        return float(np.mean(self.unknown > threshold))


def read_photographs(lake: Lake) -> Photographs:
    """All labelled photographs of `silver.features`."""
    rows = delta.dataset(lake, FEATURES).to_table(["label", "split", "features"])
    splits = [split or "" for split in rows.column("split").to_pylist()]
    return Photographs(
        as_matrix(rows.column("features").combine_chunks()),
        np.array(rows.column("label").to_pylist(), dtype=object),
        np.array([split.lower().startswith("train") for split in splits]),
    )


def ask_about(photographs: Photographs, held_back: str | None, others: Float32 | None = None) -> Outcome:
    """Fit and calibrate as the jobs do, without a label; then ask about the test photographs and what is of no label.

    Args:
        photographs: with and without a training split.
        held_back: the label; None for none.
        others: features of what is of no label; the held-back label's photographs where they are None.
    """
    labels, training = photographs.labels, photographs.training
    kept = labels != held_back
    projector = _fit(photographs.features[kept])
    known = Labelled.of(directions(projector.project(photographs.features[kept & training])), labels[kept & training])
    calibration = calibrate(known)
    assert calibration is not None, "a calibration needs two labels"
    test = known.distances(directions(projector.project(photographs.features[kept & ~training])))
    strangers = photographs.features[~kept] if others is None else others
    right = np.asarray(known.labels, dtype=object)[test.argmin(axis=1)] == labels[kept & ~training]
    strange = ratios(known.distances(directions(projector.project(strangers))))
    return Outcome(calibration, ratios(test), float(np.mean(right)), strange)


def _fit(features: Float32) -> Projector:
    moments = Moments.of(features.astype(np.float64))
    scaler = fit_scaler(moments)
    spectrum = fit_spectrum(moments.under(*scaler))
    pca = fit_pca(spectrum, components_needed(spectrum, load_settings().threshold))
    return Projector(*scaler, pca.mean_, pca.components_)


def drawings() -> Iterator[tuple[str, list[Image.Image]]]:
    """Other things: drawn fruits of other kinds than Fruits-360's six, everyday shapes, and noise."""
    kinds = [kind for kind in KINDS if kind.split()[0] not in ("Apple", "Cherry", "Lemon", "Mango", "Raspberry")]
    yield "drawn fruits", [draw_photograph(kinds[n % len(kinds)], view=7 * n) for n in range(DRAWN)]
    rng = np.random.default_rng(0)
    yield "shapes", [_shape(rng) for _ in range(DRAWN)]
    yield "noise", [Image.fromarray(rng.integers(0, 256, (100, 100, 3), dtype=np.uint8)) for _ in range(DRAWN)]


def _shape(rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (100, 100), "white")
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 5))):
        x, y, w, h = (int(one) for one in rng.integers(5, 60, 4))
        colour = tuple(int(one) for one in rng.integers(0, 220, 3))
        draw = (pen.rectangle, pen.ellipse)[int(rng.integers(2))]
        draw((x, y, x + w, y + h), fill=colour)
    return image


def main() -> int:
    """Print the shares by held-back label and by drawing, and the curve; 1 where a bound is missed."""
    settings = load_settings()
    photographs = read_photographs(Lake(settings.lake))
    names = sorted(set(photographs.labels[photographs.training]))
    outcomes = {name: ask_about(photographs, name) for name in names}
    predict = load_model(converted_model(settings.weights, Lake(settings.lake).uri_of("models"))[1])
    for name, images in drawings():
        features = predict([memoryview(_png(image)) for image in images])
        outcomes[name] = ask_about(photographs, None, features)
    print("asked about         accuracy  threshold  known refused  others told to be unknown")
    for name, one in outcomes.items():
        threshold = one.calibration.threshold
        print(f"{name:<20}{one.right:8.3f}{threshold:11.3f}{one.refused(threshold):15.3f}{one.told(threshold):12.3f}")
    print("\nthreshold  known refused  others told to be unknown (means over all of the above)")
    for threshold in _CURVE:
        refused, told = (
            np.mean([ask(threshold) for ask in asks])
            for asks in ([one.refused for one in outcomes.values()], [one.told for one in outcomes.values()])
        )
        print(f"{threshold:9.2f}{refused:15.3f}{told:12.3f}")
    return 0 if all(_kept(one) for one in outcomes.values()) else 1


def _kept(one: Outcome) -> bool:
    threshold = one.calibration.threshold
    return one.refused(threshold) <= KNOWN and one.told(threshold) >= UNKNOWN


def _png(image: Image.Image) -> bytes:
    made = BytesIO()
    image.save(made, "PNG")
    return made.getvalue()


if __name__ == "__main__":
    if "FRUITS_LAKE" not in os.environ:
        print("Set FRUITS_LAKE to a lake of photographs in Training/ and Test/.", file=sys.stderr)
        sys.exit(2)
    sys.exit(main())
