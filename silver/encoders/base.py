"""The encoder interface: from photographs to feature vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lakehouse.errors import LakehouseError

Predict = Callable[[Sequence[memoryview]], NDArray[np.float32]]
"""From the bytes of n photographs to their features, float32, shape (n, d)."""

UNTRAINED = "untrained"
"""The setting `weights` for fixed random weights, where an encoder has such."""


class WeightsNotFoundError(LakehouseError):
    """The weights of an encoder are nowhere to be had."""


@dataclass(frozen=True)
class Encoder:
    """What makes features of photographs.

    Attributes:
        feature_version: names all that the features depend on; rows of another version are computed anew. It begins
            with the encoder's name and a hyphen.
        dimension: features a photograph, d.
        load: returns the function that computes; called once in each worker process, pickled to get there. What is
            large it reads from a file.
    """

    feature_version: str
    dimension: int
    load: Callable[[], Predict]


class EncoderModule(Protocol):
    """What the module of an encoder has, beside what it needs itself."""

    def prepare(self, weights: str | None, folder: str) -> Encoder:
        """The encoder, its model kept in a lake's folder of models from the first call on; may take seconds.

        Raises:
            WeightsNotFoundError: the weights are nowhere to be had.
        """

    def reopen(self, feature_version: str, folder: str) -> Predict:
        """The function that computed the features of a version, from what the lake keeps.

        Raises:
            WeightsNotFoundError: the lake has lost it.
        """

    def convert_ahead(self, weights: str | None) -> bool:
        """Do once a machine what a first run would wait for, if the weights are at hand; returns whether they are."""

    def weights_uri(self, weights: str | None) -> str | None:
        """Where the weights are looked for first, by the setting `weights`; None where none are needed."""

    def weights_file(self, weights: str | None) -> Path | None:
        """The weights on this machine's disk, fetched by the first call; None where none are needed."""
