"""The synthesised policies, read by parliament: actions that exist, on resources and with conditions that they know."""

import json
from collections.abc import Iterator

import parliament

from tests.infra.template import Deployed

# Which statement, what parliament says of it, and why it is right nevertheless.
ACCEPTED = (
    (
        "SeeExecutions",
        "RESOURCE_MISMATCH",
        "Its data knows executions of express state machines only. Ours are standard: arn:…:execution:MACHINE:NAME.",
    ),
    (
        "UseParameterGroups",
        "RESOURCE_MISMATCH",
        "Its data wants a cluster: the statement adds the group that a change names to the clusters of another one.",
    ),
    (
        "LookAtNetwork",
        "RESOURCE_STAR",
        "It only reads, and the VPC is that of whatever subnet group a target has.",
    ),
    (
        "JoinVpc",
        "RESOURCE_STAR",
        "Lambda asks for these on everything. The function's own code is denied them.",
    ),
    (
        "LeaveVpcToLambda",
        "UNKNOWN_CONDITION_FOR_ACTION",
        "The key is Lambda's own, and in every call that is made with a function's credentials.",
    ),
)


def findings() -> Iterator[tuple[str, str, str]]:
    for role, policy in Deployed().policies():
        for statement in policy["Statement"]:
            alone = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            for issue in {found.issue for found in parliament.analyze_policy_string(alone).findings}:
                yield role, statement["Sid"], issue


def test_parliament_finds_only_what_has_a_reason() -> None:
    """Each finding stands in the table above, and nothing in it is outlived."""
    found = set(findings())
    accepted = {(sid, issue) for sid, issue, _ in ACCEPTED}
    assert {each for each in found if each[1:] not in accepted} == set()
    assert {(sid, issue) for _, sid, issue in found} == accepted


def test_parliament_sees_what_does_not_fit() -> None:
    """The check can fail: an action on a resource of another kind is found."""
    statement = {"Effect": "Allow", "Action": "rds:DeleteDBCluster", "Resource": "arn:aws:rds:*:123456789012:db:orders"}
    found = parliament.analyze_policy_string(json.dumps({"Version": "2012-10-17", "Statement": [statement]})).findings
    assert [each.issue for each in found] == ["RESOURCE_MISMATCH"]
