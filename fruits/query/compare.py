"""`fruits models --compare A B`: two versions of the PCA side by side, and the angles between them."""

from collections.abc import Sequence
from typing import TypedDict

from fruits.console import OUT, print_table
from fruits.query.models import models_of
from fruits.query.sql import answer
from fruits.settings import Settings
from gold.compare import principal_angles, under_scale
from gold.tables import PCA
from lakehouse.errors import LakehouseError, SettingsError
from lakehouse.models.registry import Arrays, Registry
from lakehouse.tables.table import Row
from lakehouse.workspace import Workspace
from silver.tables import SCALER

_SHOWN = {
    "components": "components",
    "explained_variance": "explained variance",
    "cumulative_at_common": "explained by as many as both have",
    "threshold": "threshold",
    "images": "images",
    "feature_version": "features",
    "scaler_version": "scaler",
    "fitted_at": "fitted at",
    "reason": "why it was fitted",
    "champion": "champion",
    "pinned": "pinned",
}


class Angles(TypedDict):
    """Principal angles in degrees, and the scaler in whose space they are."""

    scaler_version: int
    largest: float
    mean: float
    degrees: list[float]


class Comparison(TypedDict):
    """Two versions, how many components both have, and their angles."""

    versions: list[Row]
    common_components: int
    angles: Angles | None


def compare(settings: Settings, first: int, second: int) -> Comparison:
    """Two versions, what the first k components of each explain where both have as many, and their angles.

    Angles are between what the two measure, in the space that the second's scaler makes of the features (degrees, 0 is
    the same, 90 unrelated); None where the features are of different versions, which are different spaces.

    Raises:
        SettingsError: a version is not in `gold.models`, or both are one.
        LakehouseError: the lake has lost a model.
    """
    if first == second:
        raise SettingsError(f"--compare takes two versions, and {first} is one.")
    workspace = Workspace(settings)
    known = {row["pca_version"]: row for row in models_of(workspace)}
    if missing := [str(number) for number in (first, second) if number not in known]:
        listed = ", ".join(map(str, known)) or "none"
        raise SettingsError(f"There is no PCA version {' nor '.join(missing)}; `fruits models` lists {listed}.")
    versions = [known[first], known[second]]
    common = min(version["components"] for version in versions)
    query = "SELECT cumulative FROM gold.explained_variance WHERE pca_version = {} AND component = {}"
    for version in versions:
        _, rows = answer(workspace.lake, query.format(version["pca_version"], common))
        version["cumulative_at_common"] = rows[0][0] if rows else None
    same = versions[0]["feature_version"] == versions[1]["feature_version"]
    angles = _angles(workspace.registry, versions) if same else None
    return {"versions": versions, "common_components": common, "angles": angles}


def show_comparison(found: Comparison) -> None:
    """Print a comparison for the eye."""
    versions, angles = found["versions"], found["angles"]
    titles = ["", *(f"version {version['pca_version']}" for version in versions)]
    labels = {**_SHOWN, "cumulative_at_common": f"explained by the first {found['common_components']}"}
    print_table(titles, [[label, *(version[key] for version in versions)] for key, label in labels.items()])
    if angles is None:
        OUT.print(
            "Their features are of different versions, which are different spaces: there is no angle between them."
        )
    else:
        OUT.print(
            f"Principal angles between what they measure: {min(angles['degrees']):.1f}° to {angles['largest']:.1f}°, "
            f"{angles['mean']:.1f}° on average of {len(angles['degrees'])}, as scaler {angles['scaler_version']} sees "
            "the features (0° is the same, 90° unrelated).",
            soft_wrap=True,
        )


def _angles(registry: Registry, versions: Sequence[Row]) -> Angles:
    ours, theirs = (_arrays(registry, PCA, version["pca_version"])["components"] for version in versions)
    scale, other = (_arrays(registry, SCALER, version["scaler_version"])["scale"] for version in versions)
    degrees = principal_angles(under_scale(ours, scale, other), theirs).tolist()
    return {
        "scaler_version": versions[1]["scaler_version"],
        "largest": max(degrees),
        "mean": sum(degrees) / len(degrees),
        "degrees": degrees,
    }


def _arrays(registry: Registry, name: str, number: int) -> Arrays:
    version = registry.version(name, number)
    if version is None:
        raise LakehouseError(
            f"{name} version {number} is in `gold.models`, but its arrays are not in `registry.models`."
        )
    return registry.arrays(version)
