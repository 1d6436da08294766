"""A lake whose models MLflow is to show, and what it is told of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from sklearn.preprocessing import StandardScaler

from lakehouse.models.fit import Fit
from lakehouse.models.mirror import Mirror, Model
from lakehouse.models.registry import Registry, Version
from lakehouse.storage.uri import absolute_uri
from lakehouse.tables.delta import Lake

MODEL = "fruits-scaler"


def describe(version: Version, folder: Path) -> Fit:
    """A scaler of two columns, with a figure."""
    images = int(version.tags["fitted_on"])
    figure = folder / "plot.txt"
    figure.write_text("a plot")
    model = StandardScaler().fit([[0.0, 1.0], [1.0, images / 3]])
    return Fit(model, (2, 2), version.tags, {"images": images}, {"images": images}, {"curve": [0.5, 1]}, [figure])


class World:
    """A lake, the registry of its models, and what MLflow is to show of them."""

    def __init__(self, folder: Path, tracking_uri: str | None = None) -> None:
        self.lake = Lake(absolute_uri(str(folder)))
        self.folder, self.tracking_uri = folder / "mlflow", tracking_uri
        self.uri = tracking_uri or f"sqlite:///{self.folder}/mlflow.db"

    def fit(self, images: int) -> Version:
        """Register a version and make it champion."""
        registry = Registry(self.lake)
        version = registry.register(MODEL, {"fitted_on": str(images)}, {"mean": np.zeros(2)})
        registry.choose(version, "a fit")
        return version

    def mirror(self, guard: Callable[[], None] = lambda: None) -> Mirror:
        """Opened anew, as the next process does."""
        return Mirror(self.tracking_uri, "fruits", str(self.folder), guard)

    def model(self) -> Model:
        """What MLflow is to show now."""
        model = self.mirror().model_of(Registry(self.lake), MODEL)
        assert model is not None
        return model

    def show(self, *, again: bool = False) -> int:
        """Show what there is to show."""
        return self.mirror().show(self.model(), describe, again=again)

    def moved(self) -> int | None:
        """The number of the version that a person has chosen."""
        moved = self.mirror().moved(self.model())
        return None if moved is None else moved.number

    @property
    def client(self) -> MlflowClient:
        """A person's own way to the store."""
        return MlflowClient(tracking_uri=self.uri)

    @property
    def shown(self) -> list[tuple[int, str]]:
        """MLflow's numbers, and on what the versions were fitted."""
        found = self.client.search_model_versions(f"name = '{self.model().name}'")
        return sorted((int(one.version), one.tags["fitted_on"]) for one in found)
