"""Answers of AWS that moto does not give, of the shape that botocore's models demand; and what AWS was asked."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from botocore.stub import Stubber

Answer = Mapping[str, Any] | Exception | Callable[[Mapping[str, Any]], Mapping[str, Any]]
STATUS = {"AccessDenied": 403, "AccessDeniedException": 403, "NoSuchResourceException": 404}


class Answers:
    """What stands in for AWS's own answers, by service and operation, and a record of all that was asked.

    Args:
        patch: puts it in place for one test.
        given: the answers that moto does not have.
    """

    def __init__(self, patch: pytest.MonkeyPatch, given: Mapping[tuple[str, str], Answer]) -> None:
        self.given = dict(given)
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        really = BaseClient._make_api_call

        def ask(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
            service = client.meta.service_model.service_name
            self.asked.append((service, operation, request))
            answer = self.given.get((service, operation))
            if answer is None:
                return really(client, operation, request)
            if isinstance(answer, Exception):
                raise answer
            found = answer if isinstance(answer, Mapping) else answer(request)
            return self._checked(client, operation, request, found)

        patch.setattr(BaseClient, "_make_api_call", ask)

    def _checked(self, client: BaseClient, operation: str, request: dict[str, Any], answer: Mapping[str, Any]) -> Any:
        """The answer as botocore's Stubber gives it: it refuses shapes that are not the service's."""
        method = next(name for name, one in client.meta.method_to_api_mapping.items() if one == operation)
        Stubber(client).add_response(method, dict(answer), request)
        return {**answer, "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}}}

    def operations(self) -> set[tuple[str, str]]:
        """What was asked, without its arguments."""
        return {(service, operation) for service, operation, _ in self.asked}


def refused(operation: str, code: str = "AccessDeniedException") -> ClientError:
    """AWS's refusal."""
    answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": STATUS.get(code, 400)}}
    return ClientError(answer, operation)


def quota(value: float) -> dict[str, Any]:
    """An answer to GetServiceQuota."""
    return {"Quota": {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A", "Value": value, "Adjustable": True}}


def allowing(request: Mapping[str, Any]) -> dict[str, Any]:
    """IAM's simulation in which everything is allowed."""
    return simulated(request, lambda *_: "allowed")


def simulated(request: Mapping[str, Any], decide: Callable[[str, str, Mapping[str, Any]], str]) -> dict[str, Any]:
    """An answer to SimulatePrincipalPolicy, by a decision on each action and resource."""
    results = [
        {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": decide(action, resource, request)}
        for action in request["ActionNames"]
        for resource in request["ResourceArns"]
    ]
    return {"EvaluationResults": results, "IsTruncated": False}


def offering(request: Mapping[str, Any]) -> dict[str, Any]:
    """Every type that is asked for, in the zone that is."""
    filters = {one["Name"]: one["Values"] for one in request["Filters"]}
    zone = filters.get("location", ["eu-west-3"])[0]
    offers = [
        {"InstanceType": one, "LocationType": request["LocationType"], "Location": zone}
        for one in filters["instance-type"]
    ]
    return {"InstanceTypeOfferings": offers}


USUAL: Mapping[tuple[str, str], Answer] = {
    ("service-quotas", "GetServiceQuota"): quota(32),
    ("emr", "DescribeReleaseLabel"): {
        "ReleaseLabel": "emr-spark-8.1.0",
        "Applications": [{"Name": "Spark", "Version": "4.1.1-amzn-0"}],
    },
    ("kms", "DescribeKey"): {"KeyMetadata": {"KeyId": "1", "KeyState": "Enabled"}},  # moto fails at a template's key
    ("iam", "SimulatePrincipalPolicy"): allowing,
}
"""A usual account's."""
