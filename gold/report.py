"""Pictures of a fit, kept with it in MLflow."""

from pathlib import Path

from gold.pca import Spectrum


def write_scree_plots(spectrum: Spectrum, components: int, threshold: float, folder: Path) -> list[Path]:
    """Draw the scree plot into `folder`, as a picture and as a page to move about in; returns both files."""
    return [
        _picture(spectrum, components, threshold, folder / "scree.png"),
        _page(spectrum, components, threshold, folder / "scree.html"),
    ]


def _shown(spectrum: Spectrum, components: int) -> int:
    """How many components are worth drawing: some way past k, so that the bend is seen."""
    return min(len(spectrum.variance), max(20, 3 * components))


def _title(components: int, threshold: float) -> str:
    return f"{components} components explain {threshold:.0%} of the variance"


def _picture(spectrum: Spectrum, components: int, threshold: float, path: Path) -> Path:
    from matplotlib.figure import Figure

    shown = range(1, _shown(spectrum, components) + 1)
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    axes.bar(shown, spectrum.ratio[: len(shown)], width=0.9, color="#9ecae1", label="explained variance ratio")
    axes.plot(shown, spectrum.cumulative[: len(shown)], color="#d94801", linewidth=2, label="cumulative")
    axes.axhline(threshold, color="#737373", linestyle="--", linewidth=1)
    axes.axvline(components, color="#737373", linestyle="--", linewidth=1)
    axes.set(xlabel="component", ylabel="share of the variance", ylim=(0, 1.02), title=_title(components, threshold))
    axes.annotate(f"k = {components}", (components, threshold), xytext=(8, -16), textcoords="offset points")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center right", frameon=False)
    figure.savefig(path, dpi=120)
    return path


def _page(spectrum: Spectrum, components: int, threshold: float, path: Path) -> Path:
    from plotly import graph_objects as go

    shown = list(range(1, _shown(spectrum, components) + 1))
    figure = go.Figure(
        [
            go.Bar(x=shown, y=spectrum.ratio[: len(shown)], name="explained variance ratio", marker_color="#9ecae1"),
            go.Scatter(x=shown, y=spectrum.cumulative[: len(shown)], name="cumulative", line_color="#d94801"),
        ]
    )
    figure.add_hline(threshold, line_dash="dash", line_color="#737373")
    figure.add_vline(components, line_dash="dash", line_color="#737373")
    figure.update_layout(
        title=_title(components, threshold),
        xaxis_title="component",
        yaxis={"title": "share of the variance", "range": [0, 1.02]},
        template="plotly_white",
        hovermode="x unified",
    )
    figure.write_html(path, include_plotlyjs=True, full_html=True)  # no network needed to look at it
    return path
