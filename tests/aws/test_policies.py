"""The evaluator of policies, held against what IAM's guide says."""

import json
from typing import Any

import pytest

from tests.aws.policies import Question, Statement, is_allowed, statements_of, used

LAKE = "arn:aws:s3:::bucket/lake/*"


def policy(*statements: dict[str, Any]) -> tuple[Statement, ...]:
    """A policy's statements."""
    return statements_of(json.dumps({"Version": "2012-10-17", "Statement": statements}))


def allow(action: object, resource: object, **more: object) -> dict[str, Any]:
    """A statement that allows."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def test_what_nobody_allows_is_refused() -> None:
    """Another action, another resource, no statement."""
    statements = policy(allow("s3:GetObject", LAKE))
    assert is_allowed(statements, Question("s3:GetObject", "arn:aws:s3:::bucket/lake/a"))
    assert not is_allowed(statements, Question("s3:PutObject", "arn:aws:s3:::bucket/lake/a"))
    assert not is_allowed(statements, Question("s3:GetObject", "arn:aws:s3:::bucket/lak"))
    assert not is_allowed((), Question("s3:GetObject", "arn:aws:s3:::bucket/lake/a"))


def test_what_one_denies_is_refused_whatever_others_allow() -> None:
    """In any order."""
    denied = {"Sid": "No", "Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/lake/secret/*"}
    for statements in (policy(denied, allow("*", "*")), policy(allow("*", "*"), denied)):
        assert is_allowed(statements, Question("s3:GetObject", "arn:aws:s3:::bucket/lake/a"))
        assert not is_allowed(statements, Question("s3:GetObject", "arn:aws:s3:::bucket/lake/secret/a"))


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("s3:GetObject", "arn:aws:s3:::bucket/lake/a/b/c", True),
        ("s3:getobject", "arn:aws:s3:::bucket/lake/", True),
        ("s3:GetObjectTagging", "arn:aws:s3:::bucket/lake/a", True),
        ("s3:PutObject", "arn:aws:s3:::bucket/lake/a", False),
        ("s3:GetObject", "arn:aws:s3:::bucket/LAKE/a", False),
        ("s3:GetObject", "arn:aws:s3:::bucket/x/lake/a", False),
        ("glue:GetTable1", "arn:aws:s3:::bucket/lake/a", True),
        ("glue:GetTable12", "arn:aws:s3:::bucket/lake/a", False),
    ],
)
def test_wildcards(action: str, resource: str, allowed: bool) -> None:
    """`*` is anything, slashes included, `?` one character; actions are the same in any case, resources are not."""
    statements = policy(allow(["s3:Get*", "glue:GetTable?"], LAKE))
    assert is_allowed(statements, Question(action, resource)) == allowed


@pytest.mark.parametrize(
    ("prefix", "allowed"),
    [("lake", True), ("lake/", True), ("lake/gold/x", True), ("lake2/", False), ("", False), (None, False)],
)
def test_listing_is_allowed_below_a_prefix(prefix: str | None, allowed: bool) -> None:
    """And not where the request names none."""
    statements = policy(
        allow("s3:ListBucket", "arn:aws:s3:::b", Condition={"StringLike": {"s3:prefix": ["lake", "lake/*"]}})
    )
    context = {} if prefix is None else {"s3:prefix": prefix}
    assert is_allowed(statements, Question("s3:ListBucket", "arn:aws:s3:::b", context)) == allowed


def test_conditions() -> None:
    """All must be met; what is not known of a request is equal to nothing."""

    def met(context: dict[str, str], **conditions: dict[str, object]) -> bool:
        return is_allowed(policy(allow("x:Y", "*", Condition=conditions)), Question("x:Y", "z", context))

    assert met({"a": "true", "b": "2"}, Bool={"a": True}, StringEquals={"b": ["1", "2"]})
    assert not met({"a": "true", "b": "3"}, Bool={"a": True}, StringEquals={"b": ["1", "2"]})
    assert not met({}, StringEquals={"a": "1"})
    assert met({}, StringNotEquals={"a": "1"})
    assert not met({"a": "1"}, StringNotEquals={"a": ["1", "2"]})
    assert met({}, Null={"a": "true"})
    assert not met({"a": ""}, Null={"a": "true"})


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
        allow("s3:*", "*", Condition={"DateLessThan": {"aws:CurrentTime": "2030-01-01"}}),
        allow("s3:*", "arn:aws:s3:::b/${aws:username}/*"),
    ],
)
def test_what_is_not_understood_is_no_permission(statement: dict[str, Any]) -> None:
    """It is an error of the test."""
    with pytest.raises(ValueError, match="understood"):
        policy(statement)


def test_used_actions_are_told_from_those_that_nothing_uses() -> None:
    """By the statement that allows them."""
    statements = policy(
        allow(["s3:GetObject", "s3:PutObject"], LAKE, Sid="Lake"),
        allow("s3:GetObject", "arn:aws:s3:::p/*", Sid="Photos"),
    )
    assert used(statements, [Question("s3:GetObject", "arn:aws:s3:::bucket/lake/a")]) == {("Lake", "s3:GetObject")}
