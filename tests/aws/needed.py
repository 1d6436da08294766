"""What the stack's job role is allowed, held against what was asked by it."""

import json
from pathlib import Path
from typing import Any

import boto3

from tests.aws.inside import REGION
from tests.aws.policies import Question, Statement, statements_of, used

Needed = list[tuple[str, str]]
"""Statement, action."""

_KEY_USER = "EMR's guide has the instances' role use the key of their disks, which LUKS asks of KMS itself"
_EMR = "EMR's own writer of logs, which is not here"
_SERVERLESS = "EMR Serverless' own writer of logs, which is not here"
_CATALOG = "Spark's Hive catalog on EMR: AWS's client for Glue, which cannot be installed"
NOT_SEEN = {
    ("FindBucket", "s3:GetBucketLocation"): _EMR,
    ("FindBucket", "s3:ListBucketMultipartUploads"): _EMR,
    ("WriteLakeAndLogs", "s3:AbortMultipartUpload"): "an upload of several parts that fails",
    ("WriteLakeAndLogs", "s3:ListMultipartUploadParts"): _EMR,
    ("UseKey", "kms:DescribeKey"): _KEY_USER,
    ("UseKey", "kms:Encrypt"): _KEY_USER,
    ("UseKey", "kms:GenerateDataKeyWithoutPlaintext"): _KEY_USER,
    ("UseKey", "kms:ReEncryptFrom"): _KEY_USER,
    ("UseKey", "kms:ReEncryptTo"): _KEY_USER,
    ("FindLogGroup", "logs:DescribeLogGroups"): _SERVERLESS,
    ("WriteLogGroup", "logs:CreateLogStream"): _SERVERLESS,
    ("WriteLogGroup", "logs:DescribeLogStreams"): _SERVERLESS,
    ("WriteLogGroup", "logs:PutLogEvents"): _SERVERLESS,
    ("RegisterTables", "glue:CreateDatabase"): _CATALOG,
    ("RegisterTables", "glue:CreateTable"): _CATALOG,
    ("RegisterTables", "glue:DeleteTable"): _CATALOG,
    ("RegisterTables", "glue:GetDatabase"): _CATALOG,
    ("RegisterTables", "glue:GetDatabases"): _CATALOG,
    ("RegisterTables", "glue:GetPartitions"): _CATALOG,
    ("RegisterTables", "glue:GetTable"): _CATALOG,
    ("RegisterTables", "glue:GetTables"): _CATALOG,
    ("RegisterTables", "glue:GetUserDefinedFunctions"): _CATALOG,
    ("RegisterTables", "glue:UpdateTable"): _CATALOG,
    ("OpenCatalog", "glue:GetDatabase"): _CATALOG,
    ("MakeDefaultDatabase", "glue:CreateDatabase"): _CATALOG,
}
"""What no request here uses, and who does."""


def explained(request: dict[str, Any]) -> bool:
    """Whether a refusal is what we count on: the answer names the bucket's region, refused or not."""
    return request["method"] == "HEAD" and not request["key"]


def check_needed(allowed: Needed, asked: Needed) -> None:
    """Each action is used, or is known to be used by others; print both."""
    found = {(name, action) for name, action in asked}
    for name, action in sorted((name, action) for name, action in allowed):
        print(f"{name:22}{action:40}{'used' if (name, action) in found else NOT_SEEN.get((name, action), 'by nobody')}")
    unused = {(name, action) for name, action in allowed} - found
    assert unused <= NOT_SEEN.keys(), f"the template allows what nothing uses: {sorted(unused - NOT_SEEN.keys())}"
    assert NOT_SEEN.keys() <= unused, f"these are used, or allowed no more: {sorted(NOT_SEEN.keys() - unused)}"


def actions_by_statement(role: str) -> Needed:
    """What a role's attached policies allow."""
    return [(one.name, action) for one in _statements(role) for action in one.actions]


def used_by(role: str, log: str) -> Needed:
    """By what of it requests were allowed that the front has written down."""
    lines = Path(log).read_text().splitlines()
    requests = [request for line in lines if (request := json.loads(line))["role"] == role]
    questions = {
        (one["action"], one["resource"], tuple(one["context"].items())) for each in requests for one in each["asked"]
    }
    asked = [Question(action, resource, dict(context)) for action, resource, context in questions]
    return sorted(used(_statements(role), asked))


def _statements(role: str) -> list[Statement]:
    client = boto3.client("iam", region_name=REGION)
    found: list[Statement] = []
    for attached in client.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        arn = attached["PolicyArn"]
        version = client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        document = client.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        found += statements_of(json.dumps(document))
    return found
