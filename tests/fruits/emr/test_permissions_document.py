"""What whoever launches must be allowed: `docs/emr.md` names all that is asked of AWS, seen while it is asked."""

import re
from collections.abc import Callable

import pytest

from fruits.emr.check.permissions import _APPLICATION, _CLUSTER
from fruits.emr.run import bring_up, run_transient
from fruits.emr.running import end, running
from fruits.emr.settings import load_emr_settings
from fruits.settings import Settings
from tests.bootstrap.conftest import ROOT
from tests.fruits.emr.answers import Answers
from tests.fruits.emr.conftest import complete_a_step, emr_backend

PAGE = (ROOT / "docs" / "emr.md").read_text().partition("## What whoever launches must be allowed")[2]
TABLE = PAGE.partition("\n## ")[0]
PREFIX = {"emr": "elasticmapreduce", "service-quotas": "servicequotas"}
"""IAM's name of a service, where that is not boto3's."""
ACTION = {
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:HeadBucket": "s3:ListBucket",
    "ec2:DescribeInstanceTypes": "ec2:Describe*",
    "ec2:DescribeInstances": "ec2:Describe*",
    "ec2:DescribeInstanceTypeOfferings": "ec2:Describe*",
    "ec2:DescribeSubnets": "ec2:Describe*",
}
"""IAM's name of a request, where that is not its own, or the page names a kind."""


def named(purpose: str = "") -> set[str]:
    """The actions of the table: `service:Action`, and those after it that lack the service.

    Args:
        purpose: what the row is for, or the beginning of it; all rows where there is none.
    """
    rows = [row for row in TABLE.splitlines() if row.removeprefix("| ").replace("`", "").startswith(purpose)]
    assert rows, purpose
    found, service = set(), ""
    for word in re.findall(r"`([a-z0-9-]+:[A-Za-z0-9*]+|[A-Z][A-Za-z0-9]+)`", "\n".join(rows)):
        before, colon, action = word.rpartition(":")
        service = before if colon else service
        found.add(f"{service}:{action}")
    return found


def test_page_names_what_is_asked_of_aws(
    aws: dict[str, str],
    settings: Settings,
    answers: Answers,
    getting_on: Callable[[Callable[[], None]], None],
) -> None:
    """By a run, a standing cluster, `status` and `down`."""
    answers.asked.clear()
    getting_on(complete_a_step)
    run_transient(load_emr_settings(), settings, pause=0.05)
    bring_up(load_emr_settings(), settings)
    for one in running(load_emr_settings()):
        end(load_emr_settings(), one.cluster)
    actions = {f"{PREFIX.get(service, service)}:{operation}" for service, operation in answers.operations()}
    assert {"elasticmapreduce:RunJobFlow", "s3:PutObject", "ec2:DescribeInstances"} <= actions
    assert {ACTION.get(one, one) for one in actions} - named() == set()
    assert len(emr_backend().clusters) == 2


@pytest.mark.parametrize("simulated", [_CLUSTER, _APPLICATION])
def test_page_names_what_the_check_simulates(simulated: tuple[str, ...]) -> None:
    """Else somebody would be told of a permission that no page explains."""
    assert {*simulated} - named() == set()


def test_page_names_the_roles_that_services_make() -> None:
    """And what an account with its first cluster needs, Athena's included."""
    wanted = {"iam:CreateServiceLinkedRole", "iam:PassRole", "athena:StartQueryExecution", "athena:GetQueryResults"}
    assert wanted - named() == set()
    assert {"elasticmapreduce:PutAutoTerminationPolicy", "elasticmapreduce:PutManagedScalingPolicy"} <= named()
