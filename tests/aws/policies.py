"""What IAM's policies allow: the part of their language that our template speaks, and an error for any other.

IAM's guide, "Policy evaluation logic" and "IAM JSON policy elements": what no statement allows is refused, and what one
denies is refused whatever the others allow. Moto's own access control knows no resources.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

_ELEMENTS = {"Sid", "Effect", "Action", "Resource", "Condition"}


@dataclass(frozen=True)
class Question:
    """What somebody wants to do.

    Attributes:
        action: as `s3:GetObject`.
        resource: its ARN.
        context: the keys of conditions that are known of the request.
    """

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Statement:
    """One of a policy's.

    Attributes:
        name: its Sid.
        allows: or else denies.
        actions: patterns, in lower case.
        resources: patterns.
        conditions: operator, key, values; all must be met, each by one value.
    """

    name: str
    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]

    def action_for(self, question: Question) -> str | None:
        """By which of its actions the statement is about a question; None where it is not."""
        if not any(_like(question.resource, pattern) for pattern in self.resources):
            return None
        if not all(_is_met(*condition, question.context) for condition in self.conditions):
            return None
        return next((action for action in self.actions if _like(question.action.lower(), action.lower())), None)


@cache
def statements_of(document: str) -> tuple[Statement, ...]:
    """The statements of a policy, which is JSON.

    Raises:
        ValueError: it holds what is not understood here.
    """
    return tuple(_statement(found) for found in _listed(json.loads(document)["Statement"]))


def is_allowed(statements: Sequence[Statement], question: Question) -> bool:
    """Whether a role with these statements may."""
    met = [statement for statement in statements if statement.action_for(question)]
    return bool(met) and all(statement.allows for statement in met)


def used(statements: Iterable[Statement], questions: Iterable[Question]) -> set[tuple[str, str]]:
    """By which statement's name, and which of its actions, questions were allowed."""
    asked = [*questions]
    return {
        (statement.name, action)
        for statement in statements
        if statement.allows
        for question in asked
        if (action := statement.action_for(question))
    }


def _statement(found: Mapping[str, Any]) -> Statement:
    if unknown := found.keys() - _ELEMENTS:
        raise ValueError(f"not understood in a policy: {', '.join(sorted(unknown))}")
    conditions = tuple(
        (operator, key, tuple(_text(value) for value in _listed(values)))
        for operator, keys in found.get("Condition", {}).items()
        for key, values in keys.items()
    )
    if unknown := {operator for operator, *_ in conditions} - _OPERATORS.keys():
        raise ValueError(f"not understood in a condition: {', '.join(sorted(unknown))}")
    resources = tuple(_listed(found["Resource"]))
    if variables := [
        text for text in (*resources, *(one for *_, values in conditions for one in values)) if "$" in text
    ]:
        raise ValueError(f"a policy's variables are not understood: {variables}")
    actions = tuple(_listed(found["Action"]))
    return Statement(found.get("Sid", ""), found["Effect"] == "Allow", actions, resources, conditions)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _like(text: str, pattern: str) -> bool:
    """IAM's wildcards, which pass over slashes and colons, too."""
    return _regex(pattern).fullmatch(text) is not None


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _is_met(operator: str, key: str, values: tuple[str, ...], context: Mapping[str, str]) -> bool:
    if operator == "Null":
        return str(key not in context).lower() in values
    if key not in context:  # what is not known is not equal to anything
        return operator in _NEGATED
    met = any(_OPERATORS[operator](context[key], value) for value in values)
    return met != (operator in _NEGATED)


_NEGATED = ("StringNotEquals", "StringNotLike")
_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": str.__eq__,
    "Null": str.__eq__,
    "StringEquals": str.__eq__,
    "StringLike": _like,
    "StringNotEquals": str.__eq__,
    "StringNotLike": _like,
}
