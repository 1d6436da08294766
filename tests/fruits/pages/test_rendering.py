"""Templates as both pages fill them: what is data stays text, and nothing is left out unseen."""

import json

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from fruits.pages.rendering import environment
from tests.fruits.conftest import MARKUP

PAGES = environment("fruits.report")


def filled(template: str, **values: object) -> str:
    """A template of these words, filled."""
    return PAGES.from_string(template).render(**values)


@pytest.mark.parametrize("name", MARKUP)
def test_data_is_text(name: str) -> None:
    """In an element and in an attribute, through macros too; what steers the eye is shown as its code."""
    made = filled("{% macro twice(a) %}<i title='{{ a }}'>{{ a }}</i>{% endmacro %}{{ twice(name) }}", name=name)
    shown = Markup.escape(name.replace("\u202e", "\\u202e"))
    assert made == f"<i title='{shown}'>{shown}</i>"


@pytest.mark.parametrize("name", MARKUP)
def test_data_of_a_script_cannot_end_it(name: str) -> None:
    """JSON that holds a name holds that very name, and no `<`."""
    made = filled("{{ names | tojson }}", names=[name])
    assert "<" not in made
    assert json.loads(made) == [name]


@pytest.mark.parametrize("template", ["{{ name }}", "{{ given.name }}", "{% if name %}{% endif %}"])
def test_what_is_not_given_is_an_error(template: str) -> None:
    """A name that is misspelt is no empty place."""
    with pytest.raises(UndefinedError, match="name"):
        filled(template, given=object())


def test_number_that_is_none_is_an_error() -> None:
    """JSON has no word for it, and a browser would refuse all of it."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        filled("{{ at | tojson }}", at=float("nan"))
