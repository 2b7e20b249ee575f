"""A schedule, and the alarm that comes with it: the target was not restored in time, whatever the reason.

It refers to what every deployment's template has: Topic, AlarmTopicArn and HasAlarmTopic.
"""

import re
from collections.abc import Mapping
from typing import Any

from aurora_restore import names
from aurora_restore.cloudformation.schedules import schedule_id, schedule_resource
from aurora_restore.measurements import NAMESPACE, Metric
from aurora_restore.request import RestoreRequest

RUNBOOK = "docs/runbooks/no-success.md"

_HOURS = {"minute": 1 / 60, "hour": 1, "day": 24}
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_DAY_H, _MONTH_H = 24, 31 * 24
# One operation is quick and the next one slow, and a start may be an hour late.
_GRACE_H = 4
# Two looks of SNSNotification: a late one is no gap.
_PERIOD_S = 1800
_PERIODS = 2


_SCHEDULE_TYPE, _ALARM_TYPE = "AWS::Scheduler::Schedule", "AWS::CloudWatch::Alarm"
_SUFFIX = "NoSuccessAlarm"

Resource = Mapping[str, Any]


def scheduled(request: RestoreRequest, expression: str) -> dict[str, Resource]:
    """Return the schedule that starts a request, and its alarm if it has one, by their logical ids.

    Raises RequestError for an expression that Scheduler would refuse.
    """
    schedule, alarm = schedule_resource(request, expression), freshness_alarm(request, expression)
    return {schedule_id(request): schedule, **({} if alarm is None else {freshness_alarm_id(request): alarm})}


def kept_schedules(resources: Mapping[str, Resource], replaced: Mapping[str, Resource]) -> dict[str, Resource]:
    """Return the schedules with their alarms among a stack's resources, but for those that are ``replaced``."""
    return {
        id_: resource
        for id_, resource in resources.items()
        if _is_of_schedule(id_, resource) and id_.removesuffix(_SUFFIX) not in replaced
    }


def _is_of_schedule(id_: str, resource: Resource) -> bool:
    kind = resource.get("Type")
    return kind == _SCHEDULE_TYPE or (kind == _ALARM_TYPE and id_.endswith(_SUFFIX))


def freshness_alarm_id(request: RestoreRequest) -> str:
    """Return the logical id of the alarm on a request's schedule."""
    return f"{schedule_id(request)}{_SUFFIX}"


def freshness_alarm(request: RestoreRequest, expression: str) -> dict[str, Any] | None:
    """Return the alarm, or None where the expression says no time within which the next restore must be there."""
    hours = longest_gap_h(expression)
    if hours is None:
        return None
    target = names.target_id(request.target.region, request.target.cluster)
    told = [{"Ref": "Topic"}, {"Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopicArn"}, {"Ref": "AWS::NoValue"}]}]
    meaning = f"{target} was not restored in time, or never yet; or nobody looks any more."
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": {"Fn::Sub": f"${{AWS::StackName}}-NoSuccess-{request.name}"},
            "AlarmDescription": f"{meaning} What to do: {RUNBOOK}",
            "Namespace": NAMESPACE,
            "MetricName": Metric.RESTORE_AGE_HOURS.value,
            "Dimensions": [
                {"Name": "Stack", "Value": {"Ref": "AWS::StackName"}},
                {"Name": "Target", "Value": target},
            ],
            # A restore that has just succeeded makes it 0; what was measured before it no longer counts.
            "Statistic": "Minimum",
            "Period": _PERIOD_S,
            "EvaluationPeriods": _PERIODS,
            "Threshold": hours + _GRACE_H,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "breaching",
            "AlarmActions": told,
            "OKActions": told,
            "Tags": [{"Key": names.STACK_TAG, "Value": {"Ref": "AWS::StackName"}}],
        },
    }


def longest_gap_h(expression: str) -> float | None:
    """Return how many hours may lie between two starts at most, or None: once only, in some months, or never again."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if rate is not None:
        return int(rate[1]) * _HOURS[rate[2]]
    fields = expression.removeprefix("cron(").removesuffix(")").split()
    if not expression.startswith("cron(") or len(fields) != 6:
        return None
    _, _, day_of_month, month, day_of_week, year = fields
    if month != "*" or year != "*":
        return None
    if day_of_month not in {"*", "?"}:
        return _MONTH_H
    return _DAY_H if day_of_week in {"*", "?"} else _gap_of_days_h(day_of_week)


def _gap_of_days_h(day_of_week: str) -> float:
    """Return the longest gap in a week that repeats; FRIL and 6#3 are days of a month."""
    days = sorted({day for part in day_of_week.split(",") for day in _days(part)})
    if not days:
        return _MONTH_H
    nexts = [*days[1:], days[0] + len(_DAYS)]
    return max(after - day for day, after in zip(days, nexts, strict=True)) * _DAY_H


def _days(part: str) -> list[int]:
    first, _, last = part.partition("-")
    numbers = [_number(word) for word in (first, last or first)]
    if None in numbers:
        return []
    begin, end = (number for number in numbers if number is not None)
    return [day % len(_DAYS) for day in range(begin, end + 1 + (len(_DAYS) if end < begin else 0))]


def _number(word: str) -> int | None:
    if word in _DAYS:
        return _DAYS.index(word)
    return int(word) - 1 if word.isdecimal() and 1 <= int(word) <= len(_DAYS) else None
