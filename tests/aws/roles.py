"""The roles of IAM's and the buckets' keys, as moto has them in this process."""

import json
from urllib.parse import unquote

from moto.backends import get_backend

from tests.aws.policies import Statement, statements_of

ACCOUNT = "123456789012"


def statements_of_role(name: str) -> list[Statement]:
    """What a role's policies say, its own and those attached to it."""
    if not name:
        return []
    role = get_backend("iam")[ACCOUNT]["aws"].get_role(name)
    policies = role.managed_policies.values()
    attached = [version.document for policy in policies for version in policy.versions if version.is_default]
    documents = [*attached, *(unquote(own) for own in role.policies.values())]
    return [one for document in documents for one in statements_of(_as_text(document))]


def key_of(bucket: str) -> str | None:
    """The ARN of the key that a bucket's objects are encrypted by; None where there is none."""
    encryption = get_backend("s3")[ACCOUNT]["aws"].buckets[bucket].encryption or {}
    rule = encryption.get("Rule", {}).get("ApplyServerSideEncryptionByDefault", {})
    key: str | None = rule.get("KMSMasterKeyID")
    return key


def _as_text(document: object) -> str:
    return document if isinstance(document, str) else json.dumps(document)
