"""Schedules: a request by the clock, as the CDK app and the deploy command put it into the stack."""

import json
from typing import Any

import pytest
from infra.checkov_findings import ACCEPTED, differences

from aurora_restore.cloudformation.schedules import schedule_id, schedule_resource
from aurora_restore.errors import RequestError
from aurora_restore.names import is_operation_id
from aurora_restore.request import RestoreRequest
from tests.infra.template import ACCOUNT, REGION, STACK, Deployed, shipped

NIGHTLY = "cron(10 3 * * ? *)"


def request(name: str = "nightly", **changes: Any) -> RestoreRequest:
    source = {"cluster": "orders-prod", "region": "us-east-1", "snapshot": "latest"}
    target = {"cluster": "orders-staging", "region": "us-west-2"}
    return RestoreRequest.parse({"name": name, "source": source, "target": target, **changes})


def deployed(resource: dict[str, Any]) -> dict[str, Any]:
    """Return a schedule's properties as CloudFormation would make them, in the stack of the shipped template."""
    template = shipped()
    whole = {**template, "Resources": {**template["Resources"], "Nightly": resource}}
    return Deployed(template=whole).properties("Nightly")


class TestSchedule:
    def test_starts_the_state_machine_with_the_request(self) -> None:
        """What Scheduler sends to StartExecution: this stack's state machine, and the request as run would send it."""
        target = deployed(schedule_resource(request(), NIGHTLY))["Target"]
        start = json.loads(target["Input"])
        assert target["Arn"] == "arn:aws:scheduler:::aws-sdk:sfn:startExecution"
        assert start["StateMachineArn"] == f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}"
        assert RestoreRequest.parse(json.loads(start["Input"])) == request()

    def test_gives_each_operation_an_id_that_begins_with_the_requests_name(self) -> None:
        """Scheduler puts an id of its own into the execution's name: an operation's id, as long as names may be."""
        start = json.loads(deployed(schedule_resource(request("n" * 40), NIGHTLY))["Target"]["Input"])
        name = start["Name"].replace("<aws.scheduler.execution-id>", "d32c5kddcf5bb8c3")
        assert name == f"{'n' * 40}-d32c5kddcf5bb8c3"
        assert is_operation_id(name)

    def test_leaves_alone_what_looks_like_a_substitution(self) -> None:
        """A tag with ${…} in it arrives as it was written."""
        wanted = request(tags={"note": "${AWS::StackName} ${!x} $"})
        start = json.loads(deployed(schedule_resource(wanted, NIGHTLY))["Target"]["Input"])
        assert RestoreRequest.parse(json.loads(start["Input"])) == wanted

    def test_is_retried_for_an_hour_and_then_kept(self) -> None:
        """What could not be started goes to the dead letters; a start much too late is worse than none."""
        target = deployed(schedule_resource(request(), NIGHTLY))["Target"]
        assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 30}
        assert target["DeadLetterConfig"] == {"Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:DeadLetters"}
        assert target["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/ScheduleRole"

    def test_goes_by_the_clock_of_the_time_zone_that_is_asked_for(self) -> None:
        """UTC unless another is named; it starts at the minute, not within a window."""
        properties = deployed(schedule_resource(request(), NIGHTLY, timezone="Europe/Berlin"))
        assert (properties["ScheduleExpression"], properties["ScheduleExpressionTimezone"]) == (
            NIGHTLY,
            "Europe/Berlin",
        )
        assert properties["FlexibleTimeWindow"] == {"Mode": "OFF"}
        assert schedule_resource(request(), NIGHTLY)["Properties"]["ScheduleExpressionTimezone"] == "UTC"

    @pytest.mark.parametrize("expression", ["rate(1 day)", "rate(5 minutes)", NIGHTLY, "at(2027-01-31T03:10:00)"])
    def test_takes_what_scheduler_takes(self, expression: str) -> None:
        """Rates, cron and one time."""
        assert schedule_resource(request(), expression)["Properties"]["ScheduleExpression"] == expression

    @pytest.mark.parametrize(
        "expression",
        [
            "", "nightly", "10 3 * * *", "cron(10 3 * * *)", "rate(0 days)", "at(now)",
            "cron(10 3 * * * *)", "cron(10 3 ? * ? *)", "cron(10 3 1 * MON *)",
        ],
    )  # fmt: skip
    def test_refuses_what_scheduler_refuses(self, expression: str) -> None:
        """Before anything is deployed, with an example of what is right."""
        with pytest.raises(RequestError, match=r"cron\(10 3 \* \* \? \*\)"):
            schedule_resource(request(), expression)

    def test_has_a_logical_id_of_its_own(self) -> None:
        """Names that differ by a hyphen only make different resources."""
        ids = {schedule_id(request(name)) for name in ("a-1", "a1", "a-b", "ab")}
        assert len(ids) == 4
        assert all(each.isalnum() for each in ids)
        assert schedule_id(request("nightly-orders")).startswith("ScheduleNightlyOrders")


class TestGroupAndRole:
    def test_only_this_stacks_schedules_may_take_the_role(self) -> None:
        """Scheduler names the group that a schedule is in."""
        group = Deployed().properties("ScheduleGroup")["Name"]
        (trust,) = Deployed().properties("ScheduleRole")["AssumeRolePolicyDocument"]["Statement"]
        assert schedule_resource(request(), NIGHTLY)["Properties"]["GroupName"] == {"Ref": "ScheduleGroup"}
        assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
        assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
        source = trust["Condition"]["ArnEquals"]["aws:SourceArn"]
        assert source == f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/{group}"


class TestAcceptedFindings:
    def test_are_exactly_what_checkov_may_find(self) -> None:
        """A new finding fails the check, and so does an answer to one that is not found any more."""
        accepted = {(each.check, resource) for each in ACCEPTED for resource in each.resources}
        assert differences(accepted) == ()
        assert differences(accepted | {("CKV_AWS_26", "AWS::SNS::Topic.Open")}) == (
            "CKV_AWS_26 is found at AWS::SNS::Topic.Open",
        )
        gone = min(accepted)
        assert differences(accepted - {gone}) == (f"{gone[0]} is not found at {gone[1]} any more: accept it no longer",)
