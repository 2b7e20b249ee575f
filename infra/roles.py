"""From the table of permissions to IAM roles: what stands there is rendered, and nothing is added."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam
from constructs import Construct

from infra.acknowledgements import acknowledge
from infra.statements import Statement

_SUBSTITUTION = re.compile(r"\$\{([^}]+)\}")


def add_role(
    scope: Construct,
    name: str,
    *,
    service: str,
    statements: Sequence[Statement],
    values: Mapping[str, str],
    trust_conditions: Mapping[str, Any] | None = None,
) -> aws_iam.CfnRole:
    """Make the role ``name`` for a service of AWS, with these statements as its one policy.

    ``values`` has the substitutions of the table that are neither a parameter nor a resource of the stack.
    """
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    if trust_conditions:
        trust["Condition"] = dict(trust_conditions)
    allowed = [_substituted(statement.document(), values) for statement in statements]
    role = aws_iam.CfnRole(
        scope,
        name,
        assume_role_policy_document={"Version": "2012-10-17", "Statement": [trust]},
        policies=[
            aws_iam.CfnRole.PolicyProperty(
                policy_name="permissions", policy_document={"Version": "2012-10-17", "Statement": allowed}
            )
        ],
    )
    for statement in statements:
        for finding in _wildcards(cdk.Stack.of(scope).resolve(_substituted(statement.document(), values))):
            acknowledge(role, f"AwsSolutions-IAM5[{finding}]", f"{statement.sid}: {statement.why}")
    return role


def _wildcards(statement: Mapping[str, Any]) -> Iterator[str]:
    """Yield what cdk-nag finds in a statement, in its own words: these are part of what it wants acknowledged."""
    if statement["Effect"] != "Allow":
        return
    for action in statement["Action"]:
        if "*" in action:
            yield f"Action::{action}"
    for resource in statement["Resource"]:
        text = resource.get("Fn::Sub", "") if isinstance(resource, Mapping) else resource
        if isinstance(text, list):
            yield f"Resource::{json.dumps(text, separators=(',', ':'))}"
        elif "*" in text:
            yield "Resource::" + _SUBSTITUTION.sub(r"<\1>", text)


def _substituted(part: Any, values: Mapping[str, str]) -> Any:
    """Return a part of a policy with its substitutions left to CloudFormation, but for those that have a value here."""
    if isinstance(part, dict):
        return {key: _substituted(value, values) for key, value in part.items()}
    if isinstance(part, list):
        return [_substituted(value, values) for value in part]
    if not isinstance(part, str) or "${" not in part:
        return part
    known = {name: values[name] for name in _SUBSTITUTION.findall(part) if name in values}
    if [part] == [f"${{{name}}}" for name in known]:
        return known[part[2:-1]]
    return cdk.Fn.sub(part, known or None)
