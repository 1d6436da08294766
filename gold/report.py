"""Pictures of a fit, kept with it in MLflow."""

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from gold.likeness import Centroids, find_centroids
from gold.pca import Spectrum
from lakehouse.arrow import as_numpy, pc

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b45a93", "#b98600", "#2f9bd6", "#7a6a00", "#5f6771")  # Okabe and Ito's
_BARS, _LINE = "#9ecae1", "#d94801"
_MARKERS = "os^DvP"
_TOP = 0.45  # inches above the axes, for the title
_LABELS = 30  # that a legend and a heat map have room for: those with the most photographs


@contextmanager
def _own_style() -> Iterator[None]:
    """Draw by Matplotlib's defaults: a `matplotlibrc` of the working folder or the user's is for their own figures.

    A label is no formula either, whatever dollars are in it. For a letter that the font lacks there is a box.
    """
    import matplotlib

    # It tells that it looks for fonts, where that takes a slow machine long, as it does once for each user.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams["text.parse_math"] = False
        warnings.filterwarnings("ignore", r"Glyph \d+")
        yield


@_own_style()
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
    shown = range(1, _shown(spectrum, components) + 1)
    figure, axes = _figure(8, 4.2, left=0.75, right=0.2)
    axes.bar(shown, spectrum.ratio[: len(shown)], width=0.9, color=_BARS, label="explained variance ratio")
    axes.plot(shown, spectrum.cumulative[: len(shown)], color=_LINE, linewidth=2, label="cumulative")
    axes.axhline(threshold, color="#737373", linestyle="--", linewidth=1)
    axes.axvline(components, color="#737373", linestyle="--", linewidth=1)
    axes.set(xlabel="component", ylabel="share of the variance", ylim=(0, 1.02), title=_title(components, threshold))
    axes.annotate(f"k = {components}", (components, threshold), xytext=(8, -16), textcoords="offset points")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center right", frameon=False)
    figure.savefig(path, dpi=120)
    return path


def _page(spectrum: Spectrum, components: int, threshold: float, path: Path) -> Path:
    from plotly.io import write_html

    shown = list(range(1, _shown(spectrum, components) + 1))
    explained, cumulative = (shares[: len(shown)].tolist() for shares in (spectrum.ratio, spectrum.cumulative))
    dashed = {"type": "line", "line": {"dash": "dash", "color": "#737373"}}
    axis = {"gridcolor": "#ebf0f8", "zerolinecolor": "#ebf0f8"}
    # Plotly's JSON as it stands: its Python classes would read their whole schema to check it.
    figure = {
        "data": [
            {"type": "bar", "x": shown, "y": explained, "name": "explained variance ratio", "marker": {"color": _BARS}},
            {"type": "scatter", "x": shown, "y": cumulative, "name": "cumulative", "line": {"color": _LINE}},
        ],
        "layout": {
            "title": {"text": _title(components, threshold)},
            "xaxis": {"title": {"text": "component"}, **axis},
            "yaxis": {"title": {"text": "share of the variance"}, "range": [0, 1.02], **axis},
            "shapes": [
                {**dashed, "xref": "paper", "x0": 0, "x1": 1, "y0": threshold, "y1": threshold},
                {**dashed, "yref": "paper", "y0": 0, "y1": 1, "x0": components, "x1": components},
            ],
            "plot_bgcolor": "white",
            "hovermode": "x unified",
        },
    }
    # No network needed to look at it.
    write_html(figure, path, include_plotlyjs=True, full_html=True, auto_open=False, validate=False)
    return path


@_own_style()
def write_label_plots(rows: pa.Table, images: int, folder: Path) -> list[Path]:
    """Draw how photographs and labels lie, as two pictures; returns the files, less where there is less to draw.

    Args:
        rows: `label`, `pc1`, `pc2` and `components` of some photographs.
        images: the number of photographs that they are some of.
        folder: where the pictures go.
    """
    plane = rows.num_rows and rows.column("pc2").null_count == 0  # with one component there is none
    files = [_scatter(rows, images, folder / "pc1-pc2.png")] if plane else []
    centroids = find_centroids(rows.filter(pc.is_valid(rows.column("label"))).to_batches()).largest(_LABELS)
    return [*files, _heat_map(centroids, folder / "labels.png")] if len(centroids.labels) > 1 else files


def _scatter(rows: pa.Table, images: int, path: Path) -> Path:
    x, y = (as_numpy(rows.column(name)) for name in ("pc1", "pc2"))
    labels = np.array([label if label is not None else "(no label)" for label in rows.column("label").to_pylist()])
    different = np.unique(labels)
    legend = len(different) <= _LABELS
    figure, axes = _figure(6, 5.1, left=0.75, right=_widest(different) + 0.8 if legend else 0.2)
    for number, label in enumerate(different):
        own = labels == label
        colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
        # A name that begins with an underscore would be left out of the legend.
        name = "\u200b" + str(label)
        axes.scatter(x[own], y[own], s=9, c=colour, marker=marker, alpha=0.7, linewidths=0, label=name)
    some = f"{rows.num_rows:,} of {images:,}" if rows.num_rows < images else f"{images:,}"
    axes.set(xlabel="PC1", ylabel="PC2", title=f"{some} photographs", aspect="equal")
    axes.set_adjustable("datalim")
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=2)
    figure.savefig(path, dpi=100)
    return path


def _heat_map(centroids: Centroids, path: Path) -> Path:
    count, names = len(centroids.labels), [*centroids.labels]
    side, beside = 1.2 + 0.4 * count, _widest(centroids.labels) + 0.3
    figure, axes = _figure(side, side, left=beside, right=1.1, bottom=beside)
    distances = np.where(np.eye(count, dtype=bool), np.nan, centroids.distances)
    image = axes.imshow(distances, cmap="Blues_r")
    axes.set_xticks(range(count), names, rotation=90)
    axes.set_yticks(range(count), names)
    axes.set_title("distance between labels' centroids", loc="left")
    width, height = figure.get_size_inches()
    bar = figure.add_axes((1 - 0.95 / width, beside / height, 0.2 / width, side / height))
    figure.colorbar(image, cax=bar)
    figure.savefig(path, dpi=100)
    return path


def _figure(width: float, height: float, *, left: float, right: float, bottom: float = 0.6) -> "tuple[Figure, Axes]":
    """Axes of a size, with margins, all in inches; Matplotlib's own layout would draw everything twice to find them."""
    from matplotlib.figure import Figure

    whole_width, whole_height = left + width + right, bottom + height + _TOP
    figure = Figure(figsize=(whole_width, whole_height))
    axes = figure.add_axes((left / whole_width, bottom / whole_height, width / whole_width, height / whole_height))
    return figure, axes


def _widest(texts: Iterable[str]) -> float:
    """The width of the widest text in the figures' font, in inches."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    renderer: Any = RendererAgg  # Matplotlib's class, which has no types
    points, font = renderer(1, 1, 72), FontProperties()
    return max((points.get_text_width_height_descent(text, font, False)[0] for text in texts), default=0) / 72
