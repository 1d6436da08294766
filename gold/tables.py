"""The tables of the gold layer."""

import pyarrow as pa

from lakehouse.tables.table import INSTANT, VECTOR, Table, column

PCA = "fruits-pca"
"""The PCA's name in the model registry."""

PROJECTIONS = Table(
    name="gold.projections",
    description="One row an image of silver.scaled, projected onto the principal components; all rows by one PCA, the "
    "champion. Written by `fruits gold`, and anew by `fruits rollback`.",
    schema=pa.schema(
        [
            column("path", pa.string(), "URI of the photograph; it makes the row one."),
            column("label", pa.string(), "As in silver.features."),
            column("split", pa.string(), "As in silver.features."),
            column("sha256", pa.string(), "As in silver.features."),
            column("pc1", pa.float32(), "First element of `components`, for plots; null where there is none."),
            column("pc2", pa.float32(), "Second element of `components`; null where there is none."),
            column("pc3", pa.float32(), "Third element of `components`; null where there is none."),
            column("components", VECTOR, "Coordinates on the principal components, shape (k,), float32."),
            column("scaler_version", pa.int64(), "Version of the scaler that the projected vectors are of."),
            column("pca_version", pa.int64(), "Version of the registered PCA, the same in all rows."),
        ]
    ),
    key=("path",),
    statistics=("path", "label", "split", "scaler_version", "pca_version"),
)

EXPLAINED_VARIANCE = Table(
    name="gold.explained_variance",
    description="One row a PCA version and possible component: how much of the variance it explains. Written by "
    "`fruits gold` with each fit.",
    schema=pa.schema(
        [
            column("pca_version", pa.int64(), "Version of the registered PCA."),
            column("component", pa.int32(), "Number of the component, from 1, by descending variance; kept or not."),
            column("variance", pa.float64(), "Variance along the component, in squared units of the scaled features."),
            column("ratio", pa.float64(), "Its share of the whole variance, 0 to 1."),
            column("cumulative", pa.float64(), "The share of this component and all before it, 0 to 1."),
        ]
    ),
    key=("pca_version", "component"),
    statistics=("pca_version", "component"),
)

MODELS = Table(
    name="gold.models",
    description="One row a PCA version, with what it was fitted on and why; its arrays are in registry.models. Written "
    "by `fruits gold` with each fit.",
    schema=pa.schema(
        [
            column("pca_version", pa.int64(), "Version of the registered PCA; it makes the row one."),
            column("scaler_version", pa.int64(), "Version of the scaler under which it was fitted."),
            column("feature_version", pa.string(), "The feature version it was fitted on."),
            column("images", pa.int64(), "Number of images it was fitted on."),
            column("components", pa.int32(), "Number of components it keeps, k."),
            column("explained_variance", pa.float64(), "Share of the variance that these explain, 0 to 1."),
            column("threshold", pa.float64(), "Share that was asked for: the setting `threshold` of then."),
            column("fitted_at", INSTANT, "When it was registered, right after the fit."),
            column("reason", pa.string(), "Why it was fitted, as `first fit` or `asked for`."),
        ]
    ),
    key=("pca_version",),
    statistics=("pca_version", "scaler_version"),
    layout=2,
)

CALIBRATIONS = Table(
    name="gold.calibrations",
    description="One row a PCA version: from where a photograph is of no known label, and how well photographs are "
    "identified. Written by `fruits gold` before the version is published.",
    schema=pa.schema(
        [
            column("pca_version", pa.int64(), "Version of the registered PCA; it makes the row one."),
            column("photographs", pa.int64(), "Number of photographs it was calibrated on."),
            column(
                "known_ratio_p98",
                pa.float64(),
                "The distance ratio (nearest label to second nearest) that 98 % of known photographs are below; null "
                "where fewer than two labels are known.",
            ),
            column(
                "unknown_threshold",
                pa.float64(),
                "The distance ratio from which a photograph is of no known label; null where fewer than two labels are "
                "known.",
            ),
            column(
                "metrics",
                pa.map_(pa.string(), pa.float64()),
                "Accuracy and share of unknowns, 0 to 1, by name and split, as `accuracy_test`.",
            ),
        ]
    ),
    key=("pca_version",),
    statistics=("pca_version",),
    layout=2,
)

TABLES = (PROJECTIONS, EXPLAINED_VARIANCE, MODELS, CALIBRATIONS)
