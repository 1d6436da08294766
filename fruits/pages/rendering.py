"""The template environment: everything from data is escaped."""

from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lakehouse.printable import printable

_SHARED = "fruits.pages"


def environment(package: str) -> Environment:
    """The templates in a package's folder `templates`, over those that all pages share.

    What a template asks for and is not given is an error, and never an empty place.
    """
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(_SHARED)]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return made


def plot_script() -> str:
    """The script that draws for both pages; a page's own comes after it."""
    return files(_SHARED).joinpath("plot.js").read_text(encoding="utf-8")


def _shown(value: object) -> object:
    """Text in which what would steer a reader's eye or terminal is shown as its code; markup as it is."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return printable(value)
