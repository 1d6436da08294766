"""Records of the model registry: a fit to register, a version, and a model with its versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakehouse.errors import TamperedModelError


@dataclass(frozen=True)
class Version:
    """A registered model version; `tags` say what it was fitted on and the SHA-256 of its artifact."""

    name: str
    number: int
    run_id: str
    tags: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """The SHA-256 of the artifact as it was registered."""
        return self.tags["sha256"]


@dataclass(frozen=True)
class Fit:
    """A fitted model with all that MLflow shall keep of it.

    Attributes:
        model: a fitted scikit-learn transformer.
        shape: the numbers of input and of output columns.
        tags: what it was fitted on; two fits with equal tags are the same fit.
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


@dataclass(frozen=True)
class Model:
    """A registered model.

    Attributes:
        versions: the oldest first.
        aliases: alias → number of the version that carries it.
        locations: number of a version → URI of its artifact's folder, where that is a disk's or S3's.
    """

    versions: Sequence[Version] = ()
    aliases: Mapping[str, int] = field(default_factory=dict)
    locations: Mapping[int, str] = field(default_factory=dict)

    def version(self, number: int | None) -> Version | None:
        """One version, None where there is no such version."""
        return next((version for version in self.versions if version.number == number), None)


def check_sha256(version: Version, actual: str, recorded: str) -> None:
    """Raise a TamperedModelError where a version's SHA-256 is not what was recorded when it was fitted."""
    if actual != recorded:
        raise TamperedModelError(
            f"{version.name} version {version.number} has the SHA-256 {actual}, but {recorded} was recorded when it "
            "was fitted. It was not loaded. Go back to another version (`fruits rollback VERSION`), or fit anew "
            "(`fruits run --refit always`)."
        )
