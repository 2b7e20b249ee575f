"""The dashboard: what is wrong, what runs, what failed last, how long each step takes, how old each restore is.

| Row | Answers                                                       | Read out of                              |
|-----|---------------------------------------------------------------|------------------------------------------|
| 1   | Is anything wrong?                                            | the alarms                               |
| 2   | What runs? How old is the newest restore of each target?      | what SNSNotification sees by the clock   |
| 3   | What failed last, and why?                                    | the functions' logs                      |
| 4   | How long does each step take? How did operations end?         | what the functions measured              |
| 5   | How long do operations take? How fresh is the data? Errors?   | what the functions measured              |
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch
from constructs import Construct

from aurora_restore import errors
from aurora_restore.measurements import NAMESPACE, Metric
from aurora_restore.operation import Step
from infra.alarm_table import ALARMS, LOOKS_EVERY_MINUTES

_WIDTH = 24
_LOOK_S = LOOKS_EVERY_MINUTES * 60
_DAY_S = 24 * 3600
_LAST_FAILURES = 20
_STACK = ("Stack", "${AWS::StackName}")
# Fn::Sub leaves ${!…} to CloudWatch, which puts the dimension's value there.
_BY_TARGET = "${!PROP('Dim.Target')}"
_BY_ERROR = "${!PROP('Dim.Error')}"

Line = list[Any]


@dataclass(frozen=True, slots=True)
class _Widget:
    """What stands in a row: how wide, and what CloudWatch is told."""

    width: int
    kind: str
    properties: Mapping[str, Any]


def add_dashboard(scope: Construct) -> None:
    """Make the dashboard, which is named like the stack."""
    aws_cloudwatch.CfnDashboard(
        scope, "Dashboard", dashboard_name=cdk.Aws.STACK_NAME, dashboard_body=cdk.Fn.sub(json.dumps(_body()))
    )


def _body() -> dict[str, Any]:
    rows = (
        (3, [_alarms()]),
        (5, [_running(), _restores()]),
        (7, [_failures()]),
        (7, [_steps(), _outcomes()]),
        (6, [_durations(), _freshness(), _errors()]),
    )
    return {"start": "-P7D", "widgets": list(_placed(rows))}


def _placed(rows: Iterable[tuple[int, Sequence[_Widget]]]) -> Iterable[dict[str, Any]]:
    y = 0
    for height, widgets in rows:
        x = 0
        for widget in widgets:
            place = {"x": x, "y": y, "width": widget.width, "height": height}
            yield {"type": widget.kind, **place, "properties": dict(widget.properties)}
            x += widget.width
        y += height


def _metric(metric: Metric, label: str, statistic: str, **dimensions: str) -> Line:
    pairs = [word for pair in ((_STACK), *dimensions.items()) for word in pair]
    return [NAMESPACE, metric.value, *pairs, {"label": label, "stat": statistic}]


def _every(metric: Metric, dimension: str, label: str, statistic: str, period_s: int) -> Line:
    """Return a line for each value that the dimension has."""
    wanted = f'{{{NAMESPACE},Stack,{dimension}}} Stack="${{AWS::StackName}}" MetricName="{metric}"'
    expression = f"SEARCH('{wanted}', '{statistic}', {period_s})"
    return [{"expression": expression, "label": label, "id": f"by{dimension}"}]


def _shown(width: int, title: str, view: str, lines: Sequence[Line], period_s: int, **more: Any) -> _Widget:
    told = {"title": title, "view": view, "region": "${AWS::Region}", "metrics": list(lines), "period": period_s}
    return _Widget(width, "metric", {**told, **more})


def _alarms() -> _Widget:
    arns = [f"${{{alarm.name}Alarm.Arn}}" for alarm in ALARMS]
    return _Widget(_WIDTH, "alarm", {"title": "Is anything wrong?", "alarms": arns})


def _running() -> _Widget:
    lines = [
        _metric(Metric.OPERATIONS_RUNNING, "operations running", "Maximum"),
        _metric(Metric.OPERATION_AGE_MINUTES, "the longest, minutes", "Maximum"),
        _metric(Metric.LOCK_AGE_MINUTES, "the oldest lock, minutes", "Maximum"),
    ]
    return _shown(10, "What runs?", "singleValue", lines, _LOOK_S)


def _restores() -> _Widget:
    lines = [_every(Metric.RESTORE_AGE_HOURS, "Target", _BY_TARGET, "Minimum", _LOOK_S)]
    return _shown(14, "How old is the newest restore of each target, in hours?", "singleValue", lines, _LOOK_S)


def _failures() -> _Widget:
    groups = [f"SOURCE '/aws/lambda/${{AWS::StackName}}-{step.function_name}'" for step in Step]
    retried = ", ".join(f"'{name}'" for name in _retried())
    query = [
        *groups,
        "fields @timestamp, operation_id, step, error, reason",
        f"filter message in ['step raised', 'unexpected'] and error not in [{retried}]",
        "sort @timestamp desc",
        f"limit {_LAST_FAILURES}",
    ]
    title = "What failed last, and why?"
    told = {"title": title, "view": "table", "region": "${AWS::Region}", "query": " | ".join(query)}
    return _Widget(_WIDTH, "log", told)


def _retried() -> list[str]:
    kinds = errors.TransientError | errors.ConflictError
    return sorted(name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, kinds))


def _steps() -> _Widget:
    lines = [_metric(Metric.STEP_DURATION, step.value, "Average", Step=step.value) for step in Step]
    title = "How long does each step take, in seconds?"
    return _shown(14, title, "bar", lines, _DAY_S, setPeriodToTimeRange=True)


def _outcomes() -> _Widget:
    lines = [
        _metric(Metric.OPERATIONS_SUCCEEDED, "succeeded", "Sum"),
        _metric(Metric.OPERATIONS_FAILED, "failed", "Sum"),
        _metric(Metric.OPERATIONS_ABORTED, "aborted", "Sum"),
        ["AWS/States", "ExecutionsStarted", "StateMachineArn", "${StateMachine}", {"label": "started", "stat": "Sum"}],
    ]
    return _shown(10, "How did operations end, a day?", "timeSeries", lines, _DAY_S)


def _durations() -> _Widget:
    lines = [_metric(Metric.OPERATION_DURATION, "longest that succeeded", "Maximum")]
    return _shown(8, "How long do operations take, in seconds?", "timeSeries", lines, _DAY_S)


def _freshness() -> _Widget:
    lines = [_metric(Metric.SNAPSHOT_AGE_HOURS, "oldest snapshot, hours", "Maximum")]
    return _shown(8, "How old is the data when it is restored?", "timeSeries", lines, _DAY_S)


def _errors() -> _Widget:
    lines = [_every(Metric.ERRORS, "Error", _BY_ERROR, "Sum", _DAY_S)]
    return _shown(8, "Which errors are raised, retried or not?", "timeSeries", lines, _DAY_S, stacked=True)
