"""Registered versions as scikit-learn's fitted objects, which others transform with."""

from typing import Any

from gold.pca import fit_pca
from gold.publish import spectrum_of
from gold.tables import PCA
from lakehouse.models.registry import Registry
from silver.scale import standard_scaler
from silver.tables import SCALER


def fitted_champions(registry: Registry) -> tuple[Any, Any]:
    """The champions as a StandardScaler and a PCA."""
    return fitted_scaler(registry), fitted_pca(registry)


def fitted_scaler(registry: Registry) -> Any:
    """The champion as a StandardScaler."""
    version = registry.champion(SCALER)
    assert version is not None
    arrays = registry.arrays(version)
    return standard_scaler(arrays["mean"], arrays["scale"], int(version.tags["images"]))


def fitted_pca(registry: Registry) -> Any:
    """The champion as a PCA."""
    version = registry.champion(PCA)
    assert version is not None
    return fit_pca(spectrum_of(registry, version), int(version.tags["components"]))
