"""Measurements as CloudWatch finds them: by exactly the dimensions that alarms and dashboard name."""

import io
import json

import pytest

from aurora_restore import metric_log
from aurora_restore.measurements import Dimension, Measurement, Metric


def written(*measurements: Measurement, operation_id: str | None = "nightly") -> list[dict[str, object]]:
    log = io.StringIO()
    metric_log.write(log, "staging", measurements, operation_id=operation_id)
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_service_of_the_function_s_environment_is_no_dimension(monkeypatch: pytest.MonkeyPatch) -> None:
    """Powertools would add it, and no alarm would find its metric."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "somebody's")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Elsewhere")
    (line,) = written(Measurement(Metric.STEP_CALLS, 3, (Dimension.STEP, "DeleteRDS")))
    assert isinstance(line["_aws"], dict)
    assert line["_aws"]["CloudWatchMetrics"] == [
        {
            "Namespace": "AuroraRestore",
            "Dimensions": [["Stack", "Step"]],
            "Metrics": [{"Name": "StepCalls", "Unit": "Count"}],
        }
    ]
    assert (line["Stack"], line["Step"], line["StepCalls"]) == ("staging", "DeleteRDS", [3.0])
    assert "service" not in line


def test_what_has_the_same_dimensions_is_one_line() -> None:
    """And what has others is another; together they would be measured by both."""
    step = (Dimension.STEP, "DeleteRDS")
    lines = written(
        Measurement(Metric.STEP_CALLS, 3, step),
        Measurement(Metric.STEP_WAIT, 4, step),
        Measurement(Metric.STEP_ERRORS, 1),
    )
    assert [sorted(line.keys() - {"_aws"}) for line in lines] == [
        ["Stack", "Step", "StepCalls", "StepWait", "operation_id"],
        ["Stack", "StepErrors", "operation_id"],
    ]


def test_accounts_in_one_process_do_not_mix() -> None:
    """Powertools' Metrics keeps what it holds for the whole process: two executions at once would mix."""
    first = written(Measurement(Metric.STEP_ERRORS, 1))
    second = written(Measurement(Metric.THROTTLED_CALLS, 2), operation_id=None)
    assert "ThrottledCalls" not in first[0]
    assert "StepErrors" not in second[0]
    assert "operation_id" not in second[0]
