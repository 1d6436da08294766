"""How the versions of the PCA differ."""

from fruits.report.contents import Report
from fruits.report.markup import Html, join, table
from fruits.report.parts import words_of
from fruits.report.versions import ModelVersion


def versions(report: Report) -> Html:
    """The versions of the PCA, the newest first, each beside the one before."""
    if not report.versions:
        return words_of("There is no PCA yet.")
    current = report.variance.version if report.variance else None
    rows = [_version(version, current) for version in reversed(report.versions)]
    columns = ["version", "fitted (UTC)", "photographs", "k", "explained", "threshold", "why"]
    columns += ["angle to the one before", "its scaler"]
    words = "Angles are the principal angles between the subspaces that the components of two versions span: 0° where "
    words += "one holds the other, 90° where a direction of one has no part in the other. Under another scaler the "
    words += "components are taken into the space of the version before, so that what they measure is compared."
    return join(table("Versions of the PCA, the newest first", columns, rows), words_of(words))


def _version(version: ModelVersion, current: int | None) -> list[str]:
    angles = version.angles
    first = f"{version.number}" + (" (in use)" if version.number == current else "")
    apart = f"mean {angles.mean:.1f}°, largest {angles.largest:.1f}°" if angles else version.unknown or "–"
    return [
        first,
        f"{version.fitted_at:%Y-%m-%d %H:%M}",
        f"{version.images:,}",
        f"{version.components:,}",
        f"{version.explained:.2%}",
        f"{version.threshold:.0%}",
        version.reason,
        apart,
        f"{version.scaler}" + (f", {angles.scaler}" if angles else ""),
    ]
