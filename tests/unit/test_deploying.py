"""What a deployment would change, needs and asks for: the rules, without CloudFormation."""

from datetime import UTC, datetime
from typing import Any

import pytest

from aurora_restore.aws.stacks import Event, Stack
from aurora_restore.cloudformation.changes import Effect, read_changes
from aurora_restore.cloudformation.deploying import failed, with_schedules
from aurora_restore.cloudformation.next_steps import next_steps
from aurora_restore.cloudformation.parameters import LONGEST_STACK_NAME, check_stack_name, parameters
from aurora_restore.cloudformation.readiness import Way, check_deletable, way_to_deploy
from aurora_restore.errors import PreconditionError, RequestError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TABLE, FUNCTION = "AWS::DynamoDB::Table", "AWS::Lambda::Function"
TEMPLATE = {
    "Parameters": {
        "VpcId": {"Type": "AWS::EC2::VPC::Id", "Description": "The VPC"},
        "Email": {"Type": "String", "Default": "", "AllowedPattern": "|.+@.+", "ConstraintDescription": "an address"},
        "Days": {"Type": "Number", "Default": 5, "MinValue": 1, "MaxValue": 9},
        "Endpoints": {"Type": "String", "Default": "false", "AllowedValues": ["true", "false"]},
    }
}


def change(action: str, kind: str = TABLE, **more: Any) -> dict[str, Any]:
    return {"Action": action, "LogicalResourceId": "It", "ResourceType": kind, **more}


def event(logical_id: str, status: str, reason: str = "") -> Event:
    return Event("1", NOON, logical_id, FUNCTION, status, reason, "")


def stack(status: str, **more: Any) -> Stack:
    return Stack(arn="arn:x", name="aurora-restore", status=status, **more)


@pytest.mark.parametrize(
    ("described", "effect", "loses"),
    [
        (change("Add"), Effect.ADDED, False),
        (change("Modify", Replacement="False"), Effect.CHANGED, False),
        (change("Modify"), Effect.CHANGED, False),
        (change("Modify", Replacement="Conditional"), Effect.MAY_BE_REPLACED, True),
        (change("Modify", Replacement="True"), Effect.REPLACED, True),
        (change("Modify", FUNCTION, Replacement="True"), Effect.REPLACED, False),
        (change("Remove"), Effect.REMOVED, True),
        (change("Remove", PolicyAction="Delete"), Effect.REMOVED, True),
        (change("Remove", PolicyAction="Retain"), Effect.RELEASED, False),
        (change("Remove", FUNCTION), Effect.REMOVED, False),
        (change("Dynamic"), Effect.CHANGED, False),
    ],
)
def test_a_change_says_what_becomes_of_the_resource(described: dict[str, Any], effect: Effect, loses: bool) -> None:  # noqa: FBT001
    """What is in a table, topic, key or log cannot be made again from a template; a function can."""
    [found] = read_changes([described])
    assert (found.effect, found.loses) == (effect, loses)


def test_what_loses_something_comes_first_with_its_reason() -> None:
    """In a list of fifty it would be overlooked at the end."""
    details = [{"Target": {"Attribute": "Properties", "Name": "KeySchema"}}, {"Target": {"Attribute": "Tags"}}]
    found = read_changes(
        [
            change("Add", LogicalResourceId="A"),
            change("Modify", LogicalResourceId="Z", Replacement="True", Details=details),
        ]
    )
    assert [(each.name, each.properties) for each in found] == [("Z", ("KeySchema", "Tags")), ("A", ())]


def test_a_parameter_that_is_not_given_keeps_its_value_or_its_default() -> None:
    """An update never sets a parameter back; one that the stack does not have yet is left to the template."""
    sent = parameters(TEMPLATE, {"Days": "7"}, {"VpcId": "vpc-1", "Email": "a@b", "Gone": "x"})
    assert sent == [
        {"ParameterKey": "VpcId", "UsePreviousValue": True},
        {"ParameterKey": "Email", "UsePreviousValue": True},
        {"ParameterKey": "Days", "ParameterValue": "7"},
    ]


def test_every_mistake_in_the_parameters_is_said_at_once() -> None:
    """With what is expected in its place."""
    with pytest.raises(RequestError) as refused:
        parameters(TEMPLATE, {"Email": "nobody", "Days": "10", "Endpoints": "yes", "Vpc": "vpc-1"}, {})
    assert [(problem.path, problem.expected) for problem in refused.value.problems] == [
        ("Vpc", "one of the template's; did you mean VpcId?"),
        ("VpcId (--vpc)", "The VPC"),
        ("Email", "an address"),
        ("Days", "a number from 1 to 9"),
        ("Endpoints", "true or false"),
    ]


def test_a_stack_s_name_leaves_room_for_the_functions_names() -> None:
    """Lambda would refuse them in the middle of the deployment."""
    check_stack_name("a" * LONGEST_STACK_NAME)
    for name in ("a" * (LONGEST_STACK_NAME + 1), "1st", "a_b", ""):
        with pytest.raises(RequestError, match="stack"):
            check_stack_name(name)


@pytest.mark.parametrize(
    ("status", "way"),
    [
        (None, Way.CREATE),
        ("REVIEW_IN_PROGRESS", Way.CREATE),
        ("DELETE_COMPLETE", Way.CREATE),
        ("CREATE_COMPLETE", Way.UPDATE),
        ("UPDATE_ROLLBACK_COMPLETE", Way.UPDATE),
        ("ROLLBACK_COMPLETE", Way.RENEW),
        ("CREATE_FAILED", Way.RENEW),
    ],
)
def test_the_way_depends_on_the_stack_s_status(status: str | None, way: Way) -> None:
    """A creation that failed is cleared away first: CloudFormation updates no such stack."""
    assert way_to_deploy(None if status is None else stack(status)) is way


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("UPDATE_IN_PROGRESS", "describe-stack-events"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
        ("DELETE_FAILED", "aurora-restore destroy"),
    ],
)
def test_a_stack_that_cannot_be_updated_is_refused_with_what_to_do(status: str, advice: str) -> None:
    """Nothing is begun on top of what is not finished."""
    with pytest.raises(PreconditionError, match=advice):
        way_to_deploy(stack(status))


def test_a_stack_that_is_changing_is_not_deleted() -> None:
    """But one of which only a change set was made is, and so is one that failed."""
    with pytest.raises(PreconditionError, match="UPDATE_IN_PROGRESS"):
        check_deletable(stack("UPDATE_IN_PROGRESS"))
    for status in ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "DELETE_FAILED"):
        check_deletable(stack(status))


def test_a_failure_names_the_first_reasons_and_the_missing_permissions() -> None:
    """What was only cancelled because of it is not named."""
    denied = "User: arn:aws:iam::1:user/x is not authorized to perform: iam:CreateRole on resource: y"
    error = failed(
        stack("ROLLBACK_COMPLETE"),
        [
            event("Role", "CREATE_FAILED", denied),
            event("Topic", "CREATE_FAILED", "Resource creation cancelled"),
            event("aurora-restore", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Role]"),
        ],
    )
    assert error.what == f"the stack aurora-restore is ROLLBACK_COMPLETE:\n  - Role: {denied}"
    assert error.advice.startswith("You lack iam:CreateRole")


@pytest.mark.parametrize(("status", "is_told"), [("ROLLBACK_COMPLETE", True), ("UPDATE_ROLLBACK_COMPLETE", False)])
def test_what_a_failed_creation_leaves_is_named(status: str, *, is_told: bool) -> None:
    """Tables, topic and key are kept even then, and nobody would look for them; an update's are in use."""
    events = [event("Role", "CREATE_FAILED", "no"), event("StateTable", "DELETE_SKIPPED", "")]
    assert ("left in the account" in failed(stack(status), events).what) is is_told
    assert ("StateTable (" in failed(stack(status), events).what) is is_told


def test_a_quota_that_leaves_nothing_to_reserve_is_known() -> None:
    """A new account's: the parameter that makes do without is named."""
    refused = (
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
        "its minimum value of [10]."
    )
    error = failed(stack("ROLLBACK_COMPLETE"), [event("SNSNotificationFunction", "CREATE_FAILED", refused)])
    assert "--parameter NotificationConcurrency=0" in error.advice


def test_schedules_of_the_stack_stay_and_one_of_the_same_name_is_replaced() -> None:
    """Of what the stack had, nothing but schedules and their alarms is carried into the new template."""
    schedule = {"Type": "AWS::Scheduler::Schedule", "Properties": {"State": "ENABLED"}}
    kept = {"Resources": {"ScheduleA": schedule, "ScheduleB": schedule, "Old": {"Type": FUNCTION}}}
    new = {"Type": "AWS::Scheduler::Schedule", "Properties": {"State": "DISABLED"}}
    made = with_schedules({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}, {"ScheduleB": new}, kept)
    assert list(made["Resources"]) == ["Topic", "ScheduleA", "ScheduleB"]
    assert made["Resources"]["ScheduleB"] == new


def test_the_next_steps_begin_with_the_mail_that_has_to_be_answered() -> None:
    """Until then nobody is told anything; the commands name the stack and its region."""
    deployed = stack("CREATE_COMPLETE", parameters={"AlarmEmail": "a@b"}, outputs={"DatabaseClientGroupId": "sg-1"})
    steps = list(next_steps(deployed, "eu-west-1"))
    assert steps[0].startswith("Confirm the subscription: AWS has written to a@b")
    assert "sg-1" in steps[1]
    assert steps[-1] == "Restore: aurora-restore run restore.yaml --region eu-west-1"
    silent = list(next_steps(Stack("x", "other", "CREATE_COMPLETE"), "eu-west-1"))
    assert "--email" in silent[0]
    assert silent[-1].endswith("--stack other")
