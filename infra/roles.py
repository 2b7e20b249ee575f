"""From the table of permissions to IAM roles: what stands there is rendered, and nothing is added."""

from collections.abc import Mapping, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam
from constructs import Construct

from infra.statements import Statement

# How the table names the key that is used: the stack's own or the existing one.
_KEY = "${KeyArn}"


def add_role(
    scope: Construct,
    name: str,
    *,
    service: str,
    statements: Sequence[Statement],
    key_arn: str,
    trust_conditions: Mapping[str, Any] | None = None,
) -> aws_iam.CfnRole:
    """Make the role ``name`` for a service of AWS, with these statements as its one policy."""
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    if trust_conditions:
        trust["Condition"] = dict(trust_conditions)
    allowed = [_substituted(statement.document(), key_arn) for statement in statements]
    return aws_iam.CfnRole(
        scope,
        name,
        assume_role_policy_document={"Version": "2012-10-17", "Statement": [trust]},
        policies=[
            aws_iam.CfnRole.PolicyProperty(
                policy_name="permissions", policy_document={"Version": "2012-10-17", "Statement": allowed}
            )
        ],
    )


def _substituted(part: Any, key_arn: str) -> Any:
    """Return a part of a policy with its substitutions left to CloudFormation."""
    if isinstance(part, dict):
        return {key: _substituted(value, key_arn) for key, value in part.items()}
    if isinstance(part, list):
        return [_substituted(value, key_arn) for value in part]
    if not isinstance(part, str) or "${" not in part:
        return part
    if part == _KEY:
        return key_arn
    return cdk.Fn.sub(part, {"KeyArn": key_arn} if _KEY in part else None)
