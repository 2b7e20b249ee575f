"""What is measured of an operation: every number out of its record, none with a name that is a person's."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aurora_restore.errors import (
    AuroraRestoreError,
    CapacityError,
    ConflictError,
    PreflightError,
    ThrottledError,
    UnexpectedError,
)
from aurora_restore.measurements import (
    Dimension,
    Measurement,
    Metric,
    Unit,
    of_ended_step,
    of_error,
    of_survey,
)
from aurora_restore.operation import Counted, Operation, OperationStatus, Step, StepRecord, Verdict
from aurora_restore.snapshots import Snapshot, SnapshotStatus

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TARGET = "us-west-2/orders-staging"


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def operation(target: str = TARGET, **changes: Any) -> Operation:
    plain = Operation(operation_id="nightly", execution_arn="arn", stack="stack", target=target, requested_at=NOON)
    return plain.with_(**changes)


def ended(step: Step, verdict: Verdict, **changes: Any) -> Operation:
    """Return an operation whose step began at noon, asked 10 minutes later and ended after 30, in 5 calls."""
    record = StepRecord(
        started_at=NOON, asked_at=NOON + minutes(10), ended_at=NOON + minutes(30), verdict=verdict, calls=5
    )
    return operation(steps={step: record}, **changes)


def values(measured: Iterable[Measurement]) -> dict[str, float]:
    """Return the values by their metric's name, with what they are of besides the stack."""
    return {
        measurement.metric + (f" {measurement.dimension[1]}" if measurement.dimension else ""): measurement.value
        for measurement in measured
    }


def test_a_step_that_ends_tells_how_long_it_took_and_waited() -> None:
    """In seconds; it waited since it last asked for something."""
    done = ended(Step.DELETE_RDS, Verdict.done("gone"))
    assert values(of_ended_step(done, Step.DELETE_RDS)) == {
        "StepsDone DeleteRDS": 1,
        "StepDuration DeleteRDS": 1800,
        "StepWait DeleteRDS": 1200,
        "StepCalls DeleteRDS": 5,
    }


def test_a_step_that_had_nothing_to_do_is_counted_apart() -> None:
    """Else a night without a copy would look like one with a quick copy."""
    skipped = ended(Step.COPY_SNAPSHOT, Verdict.skip("not needed"))
    assert values(of_ended_step(skipped, Step.COPY_SNAPSHOT))["StepsSkipped CopySnapshot"] == 1
    assert "StepsDone CopySnapshot" not in values(of_ended_step(skipped, Step.COPY_SNAPSHOT))


def test_a_step_that_waits_is_not_measured_yet() -> None:
    """Its numbers would be counted once for each call."""
    waiting = operation(steps={Step.DELETE_RDS: StepRecord(started_at=NOON, verdict=Verdict.wait("not yet"))})
    assert values(of_ended_step(waiting, Step.DELETE_RDS)) == {}


@pytest.mark.parametrize("counted", Counted)
def test_what_a_step_counts_is_a_metric(counted: Counted) -> None:
    """The verdict carries it from the step to the log."""
    done = ended(Step.ARCHIVE_SNAPSHOT, Verdict.done("kept", {counted: 7}))
    assert values(of_ended_step(done, Step.ARCHIVE_SNAPSHOT))[counted.value] == 7


def test_the_first_step_tells_how_old_and_how_large_the_snapshot_is() -> None:
    """In hours and in bytes, when it was chosen."""
    snapshot = Snapshot(
        identifier="rds:one", arn="arn", region="us-east-1", cluster="orders-prod", cluster_resource_id="c",
        kind="automated", status=SnapshotStatus.AVAILABLE, created_at=NOON - timedelta(hours=3), progress_percent=100,
        engine="aurora-postgresql", engine_version="16.4", encrypted=True, kms_key_arn=None, size_gib=2, port=5432,
    )  # fmt: skip
    chosen = ended(Step.SNAPSHOT_CHECK, Verdict.done("good"), snapshot=snapshot)
    measured = values(of_ended_step(chosen, Step.SNAPSHOT_CHECK))
    assert (measured["SnapshotAgeHours"], measured["SnapshotSize"]) == (3.5, 2 * 1024**3)


@pytest.mark.parametrize(
    ("status", "metric"),
    [
        (OperationStatus.SUCCEEDED, "OperationsSucceeded"),
        (OperationStatus.FAILED, "OperationsFailed"),
        (OperationStatus.ABORTED, "OperationsAborted"),
    ],
)
def test_the_last_step_tells_how_the_operation_ended(status: OperationStatus, metric: str) -> None:
    """And whether people were told; only a success says how long a restore takes, and that the target is fresh."""
    at = NOON + minutes(30)
    told = ended(Step.SNS_NOTIFICATION, Verdict.done("told"), status=status, ended_at=at, notified_at=at)
    measured = values(of_ended_step(told, Step.SNS_NOTIFICATION))
    outcomes = {name for name in measured if name.startswith("Operations")}
    assert outcomes == {metric}
    assert measured["NotificationsSent"] == 1
    succeeded = status is OperationStatus.SUCCEEDED
    assert measured.get("OperationDuration") == (1800 if succeeded else None)
    assert measured.get(f"RestoreAgeHours {TARGET}") == (0 if succeeded else None)


def test_a_resumed_operation_is_as_long_as_its_last_execution() -> None:
    """The night between failure and resumption is not time that a restore takes."""
    at = NOON + timedelta(days=1)
    told = ended(Step.SNS_NOTIFICATION, Verdict.done("told"), status=OperationStatus.SUCCEEDED, ended_at=at)
    first = StepRecord(started_at=at - minutes(5))
    resumed = told.with_(steps={**told.steps, Step.SNAPSHOT_CHECK: first})
    assert values(of_ended_step(resumed, Step.SNS_NOTIFICATION))["OperationDuration"] == 300


@pytest.mark.parametrize("error", [ThrottledError("slowly"), CapacityError("none left"), ConflictError("moved")])
def test_an_error_that_is_retried_is_no_step_error(error: AuroraRestoreError) -> None:
    """An alarm would wake somebody for what passes by itself."""
    measured = values(of_error(Step.RESTORE_SNAPSHOT, error))
    assert measured.pop("ThrottledCalls", 0) == isinstance(error, ThrottledError)
    assert measured == {f"Errors {type(error).__name__}": 1, "StepRetries RestoreSnapshot": 1}


@pytest.mark.parametrize("error", [PreflightError(["a"]), UnexpectedError("KeyError")])
def test_an_error_that_is_not_retried_is_counted_for_the_stack_and_for_the_step(error: AuroraRestoreError) -> None:
    """The first is what an alarm watches."""
    assert values(of_error(Step.SNAPSHOT_CHECK, error)) == {
        f"Errors {type(error).__name__}": 1,
        "StepErrors": 1,
        "StepErrors SnapshotCheck": 1,
    }


def test_a_notification_that_failed_is_counted() -> None:
    """I8: a failure to tell is told in another way."""
    assert values(of_error(Step.SNS_NOTIFICATION, UnexpectedError("x")))["NotificationsFailed"] == 1


def test_whoever_looks_sees_what_stands_still() -> None:
    """The longest operation, the oldest lock, and for each target how old its newest restore is."""

    def succeeded(target: str, hours_ago: float) -> Operation:
        at = NOON - timedelta(hours=hours_ago)
        return operation(target, status=OperationStatus.SUCCEEDED, ended_at=at)

    operations = [
        operation(requested_at=NOON - minutes(90)),
        operation(requested_at=NOON - minutes(20)),
        operation(status=OperationStatus.FAILED, ended_at=NOON),
        succeeded(TARGET, 30),
        succeeded(TARGET, 6),
        succeeded("us-west-2/forgotten", 24 * 41),
    ]
    locks = [NOON - minutes(90), NOON - minutes(2000)]
    assert values(of_survey(operations, locks, NOON)) == {
        "OperationsRunning": 2,
        "OperationAgeMinutes": 90,
        "LockAgeMinutes": 2000,
        f"RestoreAgeHours {TARGET}": 6,
    }


def test_where_nothing_runs_it_is_said() -> None:
    """A zero is news too: without it nobody could tell it from nobody looking."""
    assert values(of_survey([], [], NOON)) == {"OperationsRunning": 0, "OperationAgeMinutes": 0, "LockAgeMinutes": 0}


def test_a_metric_says_its_unit() -> None:
    """CloudWatch has no minutes and hours: then the name has them."""
    assert Metric.STEP_DURATION.unit is Metric.OPERATION_DURATION.unit is Metric.STEP_WAIT.unit is Unit.SECONDS
    assert Metric.SNAPSHOT_SIZE.unit is Unit.BYTES
    assert Metric.LOCK_AGE_MINUTES.unit is Metric.SNAPSHOT_AGE_HOURS.unit is Unit.NONE
    assert Metric.STEP_CALLS.unit is Unit.COUNT


def test_dimensions_are_few() -> None:
    """Each combination costs: nothing is measured by more than one thing besides the stack."""
    for metric in Metric:
        for by in metric.by:
            assert by[0] is Dimension.STACK
            assert len(by) <= 2
    assert [metric for metric in Metric if any(Dimension.TARGET in by for by in metric.by)] == [
        Metric.RESTORE_AGE_HOURS
    ]
