"""A fit as MLflow shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Fit:
    """A fitted model with all that MLflow shall show of it.

    Attributes:
        model: a fitted scikit-learn transformer.
        shape: the numbers of input and of output columns.
        tags: of the run and the version.
        params: single values to compare runs by.
        metrics: single numbers to compare runs by.
        curve: a metric with many steps, name → values for the steps 1, 2, …
        figures: files to keep with the run.
        inputs: the Delta tables it was fitted on: name → (folder, version).
    """

    model: Any
    shape: tuple[int, int]
    tags: Mapping[str, str]
    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curve: Mapping[str, Sequence[float]] = field(default_factory=dict)
    figures: Sequence[Path] = ()
    inputs: Mapping[str, tuple[str, int]] = field(default_factory=dict)
