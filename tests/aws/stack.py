"""The stack of `bootstrap/infrastructure.yaml`, made in the box."""

from pathlib import Path

import boto3
from cfnlint.decode.cfn_yaml import load

from tests.aws.inside import REGION

TEMPLATE = Path(__file__).parents[2] / "bootstrap" / "infrastructure.yaml"


def make_stack(name: str, **parameters: str) -> dict[str, str]:
    """Make the stack; returns its outputs and, by their logical names, its roles' names."""
    client = boto3.client("cloudformation", region_name=REGION)
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    template = TEMPLATE.read_text()
    client.create_stack(StackName=name, TemplateBody=template, Parameters=given, Capabilities=["CAPABILITY_IAM"])
    (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    resources = client.describe_stack_resources(StackName=name)["StackResources"]
    made = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources if "LogicalResourceId" in one}
    return _with_policies(made) | {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def _with_policies(made: dict[str, str]) -> dict[str, str]:
    """Attach to the stack's roles what the template does, and moto leaves out; returns the roles' names."""
    client = boto3.client("iam", region_name=REGION)
    resources = load(str(TEMPLATE))["Resources"]
    roles = {name: one for name, one in resources.items() if one["Type"] == "AWS::IAM::Role" and name in made}
    for name, role in roles.items():
        for policy in role["Properties"].get("ManagedPolicyArns", ()):
            if "Ref" in policy:
                client.attach_role_policy(RoleName=made[name], PolicyArn=made[policy["Ref"]])
    return {name: made[name] for name in roles}
