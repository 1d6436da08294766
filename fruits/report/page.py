"""The report as a page: sections in the order of the questions that they answer."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from operator import attrgetter

from markupsafe import Markup

from fruits.pages.rendering import environment, plot_script
from fruits.report import section_components, section_labels, section_lake, section_runs
from fruits.report.contents import Report
from fruits.report.parts import file_name, label_name, short_path


@dataclass(frozen=True)
class _Section:
    """A section by its identity, which its template is named after; `find` is what the template is given as `found`."""

    identity: str
    name: str
    find: Callable[[Report], object]


_SECTIONS = [
    _Section("counts", "What is there", section_lake.counts),
    _Section("held", "What was held back", attrgetter("held")),
    _Section("runs", "How the runs went", section_runs.history),
    _Section("variance", "How much the components explain", section_components.variance),
    _Section("lie", "How the photographs lie", section_components.places),
    _Section("meaning", "What the leading components mean", section_components.meaning),
    _Section("alike", "Which labels look alike", section_labels.likeness),
    _Section("odd", "Odd ones out", section_labels.odd_ones),
    _Section("versions", "How PCA versions differ", attrgetter("versions")),
]


def make_page(report: Report) -> str:
    """The whole page."""
    templates = environment("fruits.report")
    templates.filters |= {"label_name": label_name, "file_name": file_name, "short_path": short_path}
    style, script = _file("page.css"), plot_script() + _file("page.js")
    return templates.get_template("page.html").render(
        report=report,
        sections=_SECTIONS,
        points=section_components.points(report),
        # Our own files, whole: what is escaped is no style sheet, and no script.
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'",
    )


def _file(name: str) -> str:
    return files("fruits.report").joinpath(name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
