"""What functions measure: lines of CloudWatch's embedded metric format in their log, and nothing that stops them."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from aurora_restore.errors import PreflightError, ThrottledError
from aurora_restore.measurements import NAMESPACE, Dimension, Metric
from aurora_restore.operation import Step
from aurora_restore.runtime import Function
from tests.steps.world import MASTER_PASSWORD, Country, Stage, check_promises

WATCH = {"watch": True}
# A log that is cut off in the middle of a line is CloudWatch's own limit for one event.
LONGEST_LINE = 256 * 1024


@pytest.fixture(scope="module")
def restored(country: Country) -> Iterator[Stage]:
    """A restore that went well, for tests that only read its log."""
    stage = Stage(country)
    stage.make_source()
    stage.make_target()
    stage.run(Step.SNS_NOTIFICATION)
    yield stage
    check_promises(stage)


def lines(log: str) -> list[dict[str, Any]]:
    """Return the lines that CloudWatch takes metrics from."""
    return [line for line in map(json.loads, log.splitlines()) if "_aws" in line]


def measured(log: str) -> dict[tuple[str, ...], float]:
    """Return each value by its metric's name and its dimensions' values, the stack left out."""
    found: dict[tuple[str, ...], float] = {}
    for line in lines(log):
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        (by,) = directive["Dimensions"]
        for metric in directive["Metrics"]:
            (value,) = line[metric["Name"]]
            found[metric["Name"], *(line[name] for name in by if name != "Stack")] = value
    return found


def test_every_line_is_as_cloudwatch_reads_it(restored: Stage) -> None:
    """The embedded metric format: what a directive names stands at the top of the line, as text or as numbers."""
    assert len(lines(restored.log)) > len(Step)
    for line in lines(restored.log):
        assert len(json.dumps(line)) < LONGEST_LINE
        assert isinstance(line["_aws"]["Timestamp"], int)
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == NAMESPACE
        for name in directive["Dimensions"][0]:
            assert isinstance(line[name], str)
            assert line[name]
        for metric in directive["Metrics"]:
            assert metric["Unit"] == Metric(metric["Name"]).unit
            assert all(isinstance(value, float) for value in line[metric["Name"]])


def test_metrics_have_the_dimensions_that_they_say(restored: Stage) -> None:
    """An alarm finds a metric only by exactly its dimensions: no service that Powertools adds, no operation."""
    restored.call_with(Step.SNS_NOTIFICATION, WATCH)
    for line in lines(restored.log):
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        by = tuple(Dimension(name) for name in directive["Dimensions"][0])
        assert line["Stack"] == restored.world.stack
        assert all(by in Metric(metric["Name"]).by for metric in directive["Metrics"])


def test_every_step_is_measured_once(restored: Stage) -> None:
    """How long, how long waited, how often called; asked again, a step that has ended counts no second time."""
    before = len(lines(restored.log))
    restored.call(Step.DELETE_RDS)
    restored.end()
    assert len(lines(restored.log)) == before
    values = measured(restored.log)
    for step in Step:
        assert ("StepsDone", step.value) in values or ("StepsSkipped", step.value) in values
        assert values["StepDuration", step.value] >= values["StepWait", step.value] >= 0
    assert values["StepCalls", "CheckRestoreStatus"] > 1
    assert values["StepCalls", "CopySnapshot"] == 1


def test_a_whole_operation_is_measured(restored: Stage) -> None:
    """The snapshot, the users, the archives, the outcome and the target that is fresh again."""
    values = measured(restored.log)
    operation = restored.operation()
    assert operation.snapshot is not None
    assert values["SnapshotAgeHours",] == pytest.approx(1, abs=0.1)
    assert values["SnapshotSize",] == operation.snapshot.size_gib * 1024**3
    assert values["UsersChanged",] >= 1
    assert values["ArchivesKept",] == 1
    assert (values["OperationsSucceeded",], values["NotificationsSent",]) == (1, 1)
    assert values["OperationDuration",] >= values["StepDuration", "CheckRestoreStatus"]
    assert values["RestoreAgeHours", operation.target] == 0


def test_no_metric_names_a_person_or_holds_a_secret(restored: Stage) -> None:
    """I6: users, passwords and secrets are in no line, and the operation's id only beside the metrics."""
    written = json.dumps(lines(restored.log))
    master = restored.secret_value(str(restored.operation().master_secret_arn))
    for hidden in (
        restored.secret,
        MASTER_PASSWORD,
        restored.secret_value(restored.secret)["password"],
        *master.values(),
    ):
        assert str(hidden) not in written
    for line in lines(restored.log):
        # A look is of no operation.
        assert line.get("operation_id", restored.operation_id) == restored.operation_id
        assert "operation_id" not in line["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]


def test_an_error_is_measured_by_its_class(stage: Stage) -> None:
    """For the stack, the step and the class; one that passes by itself is no error of the step."""
    stage.ask(replace={"allow": False, "confirm": stage.target})
    with pytest.raises(PreflightError):
        stage.call(Step.SNAPSHOT_CHECK)
    assert measured(stage.log) == {
        ("Errors", "PreflightError"): 1,
        ("StepErrors",): 1,
        ("StepErrors", "SnapshotCheck"): 1,
    }


def test_a_throttled_call_is_measured(stage: Stage) -> None:
    """From the error that the state machine retries."""
    log = io.StringIO()
    world = stage.world

    def refuse(*_: Any) -> None:
        raise ThrottledError("slowly")

    world.store.state.get = refuse  # type: ignore[method-assign,assignment]
    function = Function(Step.COPY_SNAPSHOT, lambda: world, Logger(service=f"slow-{stage.number}", stream=log))
    with pytest.raises(ThrottledError):
        function({"operation_id": "nightly", "execution_arn": "arn"}, None)
    assert measured(log.getvalue()).keys() >= {("ThrottledCalls",), ("StepRetries", "CopySnapshot")}


class FullLog(io.StringIO):
    """A log that takes no metrics."""

    def write(self, text: str, /) -> int:
        if "CloudWatchMetrics" in text:
            raise OSError("no space left")
        return super().write(text)


def test_what_cannot_be_measured_fails_no_step(stage: Stage) -> None:
    """I4: the step has had its effect; the log says that a number is missing."""
    log, world = FullLog(), stage.world
    function = Function(Step.SNAPSHOT_CHECK, lambda: world, Logger(service=f"full-{stage.number}", stream=log))
    event = {"operation_id": stage.operation_id, "execution_arn": stage.arn_of(stage.operation_id)}
    assert function({**event, "request": stage.request}, None)["status"] == "DONE"
    said = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["message"] for line in said] == ["not measured", "step answered"]
    assert "no space left" not in log.getvalue()


def test_before_there_is_a_world_nothing_is_measured() -> None:
    """Of which stack would it be?"""
    log = io.StringIO()

    def nowhere() -> Any:
        raise PreflightError(["no world"])

    function = Function(Step.COPY_SNAPSHOT, nowhere, Logger(service="nowhere", stream=log))
    with pytest.raises(PreflightError):
        function({"operation_id": "x", "execution_arn": "y"}, None)
    assert lines(log.getvalue()) == []


def test_a_look_sees_what_runs_and_what_is_locked(stage: Stage) -> None:
    """I3: a lock that nobody frees is seen although no execution runs and no function is called."""
    stage.run(Step.COPY_SNAPSHOT)
    stage.clock.advance(6 * 3600)
    changes = len(stage.changes())
    answer = stage.call_with(Step.SNS_NOTIFICATION, WATCH)
    assert answer["status"] == "DONE"
    values = measured(stage.log)
    assert values["OperationsRunning",] == 1
    assert values["OperationAgeMinutes",] >= 360
    assert values["LockAgeMinutes",] >= 360
    assert len(stage.changes()) == changes, "a look changes nothing"


def test_a_look_sees_how_old_the_newest_restore_of_a_target_is(restored: Stage) -> None:
    """Hours after it ended, and no lock."""
    restored.clock.advance(5 * 3600)
    restored.call_with(Step.SNS_NOTIFICATION, WATCH)
    values = measured(restored.log)
    assert values["RestoreAgeHours", restored.operation().target] == pytest.approx(5, abs=0.1)
    assert (values["OperationsRunning",], values["LockAgeMinutes",]) == (0, 0)


def test_only_the_last_function_looks_around(stage: Stage) -> None:
    """It alone may read all of the table."""
    for event in ({}, {"watch": "yes"}, {"watch": False}):
        with pytest.raises(Exception, match="KeyError in SNSNotification"):
            stage.call_with(Step.SNS_NOTIFICATION, event)
    with pytest.raises(Exception, match="KeyError in CopySnapshot"):
        stage.call_with(Step.COPY_SNAPSHOT, WATCH)
