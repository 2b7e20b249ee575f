"""What is measured of an operation: read out of its record, its verdicts and errors. Pure: nothing is called for it.

Every measurement is of a stack. Beyond that it is of a step, of an error's class or of a target, and of nothing else:
each combination that occurs is a metric that CloudWatch charges for, and no name of a person is among them (I6).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from aurora_restore.errors import AuroraRestoreError, ConflictError, ThrottledError, TransientError
from aurora_restore.operation import Operation, OperationStatus, Step, StepRecord, StepStatus

NAMESPACE = "AuroraRestore"

# A target that nobody has restored for so long is no longer measured; an alarm on it has fired long before.
FORGOTTEN_AFTER = timedelta(days=40)
_GIB = 1 << 30


class Unit(StrEnum):
    """CloudWatch's units, as far as they are used. It has none for minutes and hours: there the name says it."""

    COUNT = "Count"
    SECONDS = "Seconds"
    BYTES = "Bytes"
    NONE = "None"


class Dimension(StrEnum):
    """By what a metric is told apart."""

    STACK = "Stack"
    STEP = "Step"
    ERROR = "Error"
    TARGET = "Target"


class Metric(StrEnum):
    """Every metric's name; docs/reference/metrics.md says what each means."""

    STEP_DURATION = "StepDuration"
    STEP_WAIT = "StepWait"
    STEP_CALLS = "StepCalls"
    STEPS_DONE = "StepsDone"
    STEPS_SKIPPED = "StepsSkipped"
    STEP_ERRORS = "StepErrors"
    STEP_RETRIES = "StepRetries"
    ERRORS = "Errors"
    THROTTLED_CALLS = "ThrottledCalls"
    SNAPSHOT_AGE_HOURS = "SnapshotAgeHours"
    SNAPSHOT_SIZE = "SnapshotSize"
    USERS_CHANGED = "UsersChanged"
    ARCHIVES_KEPT = "ArchivesKept"
    OPERATIONS_SUCCEEDED = "OperationsSucceeded"
    OPERATIONS_FAILED = "OperationsFailed"
    OPERATIONS_ABORTED = "OperationsAborted"
    OPERATION_DURATION = "OperationDuration"
    NOTIFICATIONS_SENT = "NotificationsSent"
    NOTIFICATIONS_FAILED = "NotificationsFailed"
    OPERATIONS_RUNNING = "OperationsRunning"
    OPERATION_AGE_MINUTES = "OperationAgeMinutes"
    LOCK_AGE_MINUTES = "LockAgeMinutes"
    RESTORE_AGE_HOURS = "RestoreAgeHours"

    @property
    def unit(self) -> Unit:
        """Return the unit of its values."""
        if self in {Metric.STEP_DURATION, Metric.STEP_WAIT, Metric.OPERATION_DURATION}:
            return Unit.SECONDS
        if self is Metric.SNAPSHOT_SIZE:
            return Unit.BYTES
        return Unit.NONE if self.endswith(("Minutes", "Hours")) else Unit.COUNT

    @property
    def by(self) -> tuple[tuple[Dimension, ...], ...]:
        """Return the sets of dimensions that it is written by."""
        match self:
            case Metric.STEP_ERRORS:
                # The sum too: an alarm on nine metrics would cost nine times as much.
                return (Dimension.STACK,), (Dimension.STACK, Dimension.STEP)
            case Metric.ERRORS:
                return ((Dimension.STACK, Dimension.ERROR),)
            case Metric.RESTORE_AGE_HOURS:
                return ((Dimension.STACK, Dimension.TARGET),)
            case _:
                of_a_step = self.startswith("Step")
                return ((Dimension.STACK, Dimension.STEP) if of_a_step else (Dimension.STACK,),)


_OUTCOMES = {
    OperationStatus.SUCCEEDED: Metric.OPERATIONS_SUCCEEDED,
    OperationStatus.FAILED: Metric.OPERATIONS_FAILED,
    OperationStatus.ABORTED: Metric.OPERATIONS_ABORTED,
}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value of a metric, and of what it is besides the stack."""

    metric: Metric
    value: float
    dimension: tuple[Dimension, str] | None = None


def of_ended_step(operation: Operation, step: Step) -> Iterator[Measurement]:
    """Yield what there is to know when ``step`` has just ended in this record."""
    record = operation.steps[step]
    yield from _of_record(record, (Dimension.STEP, step.value))
    if record.verdict is not None:
        yield from (Measurement(Metric(counted), count) for counted, count in record.verdict.counted.items())
    if step is Step.SNAPSHOT_CHECK:
        yield from _of_snapshot(operation, record.ended_at)
    if step is Step.SNS_NOTIFICATION:
        yield from _of_outcome(operation)


def _of_record(record: StepRecord, step: tuple[Dimension, str]) -> Iterator[Measurement]:
    if record.ended_at is None or record.verdict is None:
        return
    skipped = record.verdict.status is StepStatus.SKIP
    since_asked = record.ended_at - (record.asked_at or record.started_at)
    yield Measurement(Metric.STEPS_SKIPPED if skipped else Metric.STEPS_DONE, 1, step)
    yield Measurement(Metric.STEP_DURATION, (record.ended_at - record.started_at).total_seconds(), step)
    yield Measurement(Metric.STEP_WAIT, since_asked.total_seconds(), step)
    yield Measurement(Metric.STEP_CALLS, record.calls, step)


def _of_snapshot(operation: Operation, now: datetime | None) -> Iterator[Measurement]:
    snapshot = operation.snapshot
    if snapshot is not None and now is not None:
        yield Measurement(Metric.SNAPSHOT_AGE_HOURS, snapshot.age_hours(now))
        yield Measurement(Metric.SNAPSHOT_SIZE, snapshot.size_gib * _GIB)


def _of_outcome(operation: Operation) -> Iterator[Measurement]:
    if operation.ended_at is None:
        return
    yield Measurement(_OUTCOMES[operation.status], 1)
    yield Measurement(Metric.NOTIFICATIONS_SENT, 0 if operation.notified_at is None else 1)
    if operation.status is OperationStatus.SUCCEEDED:
        # How long a failure took says nothing about how long a restore takes.
        yield Measurement(Metric.OPERATION_DURATION, (operation.ended_at - begun_at(operation)).total_seconds())
        yield Measurement(Metric.RESTORE_AGE_HOURS, 0, (Dimension.TARGET, operation.target))


def begun_at(operation: Operation) -> datetime:
    """Return when the execution that works on the operation began: after a resumption, the last one."""
    first = operation.steps.get(Step.SNAPSHOT_CHECK)
    return operation.requested_at if first is None else first.started_at


def of_error(step: Step, error: AuroraRestoreError) -> Iterator[Measurement]:
    """Yield what there is to know when ``step`` has raised: once for each call that did."""
    by_step = (Dimension.STEP, step.value)
    yield Measurement(Metric.ERRORS, 1, (Dimension.ERROR, type(error).__name__))
    if isinstance(error, ThrottledError):
        yield Measurement(Metric.THROTTLED_CALLS, 1)
    if isinstance(error, TransientError | ConflictError):
        yield Measurement(Metric.STEP_RETRIES, 1, by_step)
        return
    yield Measurement(Metric.STEP_ERRORS, 1)
    yield Measurement(Metric.STEP_ERRORS, 1, by_step)
    if step is Step.SNS_NOTIFICATION:
        yield Measurement(Metric.NOTIFICATIONS_FAILED, 1)


def of_survey(
    operations: Iterable[Operation], locked_since: Iterable[datetime], now: datetime
) -> Iterator[Measurement]:
    """Yield how things stand: what runs, since when targets are locked, how old each target's newest restore is."""
    known = tuple(operations)
    running = [now - begun_at(operation) for operation in known if not operation.has_ended]
    locked = [now - since for since in locked_since]
    yield Measurement(Metric.OPERATIONS_RUNNING, len(running))
    yield Measurement(Metric.OPERATION_AGE_MINUTES, _longest_minutes(running))
    yield Measurement(Metric.LOCK_AGE_MINUTES, _longest_minutes(locked))
    for target, ended_at in _newest_restores(known).items():
        if now - ended_at < FORGOTTEN_AFTER:
            hours = (now - ended_at) / timedelta(hours=1)
            yield Measurement(Metric.RESTORE_AGE_HOURS, hours, (Dimension.TARGET, target))


def _longest_minutes(lengths: Iterable[timedelta]) -> float:
    return max(lengths, default=timedelta()) / timedelta(minutes=1)


def _newest_restores(operations: Iterable[Operation]) -> dict[str, datetime]:
    newest: dict[str, datetime] = {}
    for operation in operations:
        if operation.status is OperationStatus.SUCCEEDED and operation.ended_at is not None:
            newest[operation.target] = max(operation.ended_at, newest.get(operation.target, operation.ended_at))
    return newest
