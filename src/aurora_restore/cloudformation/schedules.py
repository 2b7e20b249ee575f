"""A schedule: a request that EventBridge Scheduler starts again and again, as a resource of the stack's template.

It refers to what every deployment's template has: StateMachine, ScheduleGroup, ScheduleRole and DeadLetters.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from aurora_restore.errors import Problem, RequestError
from aurora_restore.mistakes import shown
from aurora_restore.request import RestoreRequest

_EXPRESSION = re.compile(
    r"(rate\([1-9][0-9]* (minute|hour|day)s?\)|cron\(\S+( \S+){5}\)|at\(\d{4}(-\d\d){2}T\d\d(:\d\d){2}\))"
)
# A start that is later than this is worse than none: it would fall into somebody's working day.
_LATEST_START_S = 3600
_START_ATTEMPTS = 30
# EventBridge Scheduler puts an id of its own here, another one each time.
_EACH_TIME = "<aws.scheduler.execution-id>"


def schedule_id(request: RestoreRequest) -> str:
    """Return the logical id of a request's schedule: readable, and another one for another name."""
    # A logical id has no hyphens: "a-1" and "a1" would be one without the digest.
    digest = hashlib.sha256(request.name.encode()).hexdigest()[:6]
    return f"Schedule{''.join(word.capitalize() for word in request.name.split('-'))}{digest}"


def schedule_resource(request: RestoreRequest, expression: str, *, timezone: str = "UTC") -> dict[str, Any]:
    """Return the schedule that starts the request at ``rate(1 day)``, ``cron(10 3 * * ? *)`` or ``at(…)``.

    ``timezone`` is a name such as Europe/Berlin. Raises RequestError for an expression that Scheduler would refuse.
    """
    _check(expression)
    return {
        "Type": "AWS::Scheduler::Schedule",
        "Properties": {
            "Name": request.name,
            "GroupName": {"Ref": "ScheduleGroup"},
            "Description": f"Restores {request.target.cluster} from a snapshot of {request.source.cluster}",
            "State": "ENABLED",
            "ScheduleExpression": expression,
            "ScheduleExpressionTimezone": timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {
                # Not the state machine itself: only this way can the execution, and so the operation, be given a name.
                "Arn": {"Fn::Sub": "arn:${AWS::Partition}:scheduler:::aws-sdk:sfn:startExecution"},
                "RoleArn": {"Fn::GetAtt": ["ScheduleRole", "Arn"]},
                "Input": {"Fn::Sub": _start(request)},
                "RetryPolicy": {
                    "MaximumEventAgeInSeconds": _LATEST_START_S,
                    "MaximumRetryAttempts": _START_ATTEMPTS,
                },
                "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}},
            },
        },
    }


def _start(request: RestoreRequest) -> str:
    """Return what StartExecution is asked, with the state machine's ARN left to Fn::Sub."""
    # "${!x}" is how Fn::Sub is told to leave "${x}" alone: a request may hold one.
    document = json.dumps(request.document()).replace("${", "${!")
    return json.dumps({"StateMachineArn": "${StateMachine}", "Name": f"{request.name}-{_EACH_TIME}", "Input": document})


def request_of(schedule: Mapping[str, Any]) -> RestoreRequest | None:
    """Return the request that a schedule of a stack starts, or None where it is not one of this version's."""
    try:
        start = json.loads(schedule["Properties"]["Target"]["Input"]["Fn::Sub"].replace("${!", "${"))
        return RestoreRequest.parse(json.loads(start["Input"]))
    except (KeyError, TypeError, ValueError, RequestError):
        return None


def _names_days_once(expression: str) -> bool:
    """Say whether a cron has its days by month or by week: of the two fields AWS wants one, and "?" in the other."""
    fields = expression.removesuffix(")").split()
    return not expression.startswith("cron(") or (fields[2] == "?") is not (fields[4] == "?")


def _check(expression: str) -> None:
    if _EXPRESSION.fullmatch(expression) is None or not _names_days_once(expression):
        expected = "rate(1 day), cron(10 3 * * ? *) or at(2027-01-31T03:10:00)"
        raise RequestError([Problem("expression", shown(expression), expected)], origin="the schedule")
