"""The operation: one restore's record, its steps in order, and the moves that are legal."""

import math
from datetime import datetime
from enum import StrEnum
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from aurora_restore import names
from aurora_restore.errors import PreconditionError
from aurora_restore.request import RestoreRequest
from aurora_restore.shape import ClusterShape
from aurora_restore.snapshots import CopyPlan, Snapshot

SHORTEST_WAIT_S = 5
LONGEST_WAIT_S = 300
# benchmarks/orchestration.py compares it with others.
_WAIT_FACTOR = 1.25

_T = TypeVar("_T")


class Step(StrEnum):
    """The nine steps, in order. Module, state, function, metric dimension and audit action are named after them."""

    SNAPSHOT_CHECK = "SnapshotCheck"
    COPY_SNAPSHOT = "CopySnapshot"
    CHECK_COPY_STATUS = "CheckCopyStatus"
    DELETE_RDS = "DeleteRDS"
    RESTORE_SNAPSHOT = "RestoreSnapshot"
    CHECK_RESTORE_STATUS = "CheckRestoreStatus"
    SETUP_DB_USERS = "SetupDBUsers"
    ARCHIVE_SNAPSHOT = "ArchiveSnapshot"
    SNS_NOTIFICATION = "SNSNotification"

    @property
    def function_name(self) -> str:
        """Return the name of the step's Lambda function."""
        return f"{self}Function"

    @property
    def module(self) -> str:
        """Return the name of the step's module in ``aurora_restore.steps``."""
        return self.name.lower()

    @property
    def before(self) -> tuple["Step", ...]:
        """Return the steps that come before this one."""
        order = tuple(Step)
        return order[: order.index(self)]


class StepStatus(StrEnum):
    """What a step says of itself: the state machine's Choice reads it."""

    DONE = "DONE"
    WAIT = "WAIT"
    SKIP = "SKIP"


class OperationStatus(StrEnum):
    """Where an operation stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Counted(StrEnum):
    """What a step counts while it works; each is the name of a metric."""

    USERS_CHANGED = "UsersChanged"
    ARCHIVES_KEPT = "ArchivesKept"


class Verdict(_Record):
    """A step's answer, with its reason as a sentence that an operator understands."""

    status: StepStatus
    reason: str
    # Kept with the verdict, so that a number costs no write of its own.
    counted: dict[Counted, int] = {}

    @classmethod
    def done(cls, reason: str, counted: dict[Counted, int] | None = None) -> Self:
        """Say that the step is finished, and what it counted."""
        return cls(status=StepStatus.DONE, reason=reason, counted=counted or {})

    @classmethod
    def wait(cls, reason: str) -> Self:
        """Say that the step is to be called again."""
        return cls(status=StepStatus.WAIT, reason=reason)

    @classmethod
    def skip(cls, reason: str) -> Self:
        """Say that there was nothing to do."""
        return cls(status=StepStatus.SKIP, reason=reason)


class StepRecord(_Record):
    """How far a step is."""

    started_at: datetime
    # When it last asked for a change of the world: what it waits for began then.
    asked_at: datetime | None = None
    ended_at: datetime | None = None
    verdict: Verdict | None = None
    calls: int = 1


class Failure(_Record):
    """Why an operation failed: the error's class name is the one that the state machine saw."""

    step: Step | None
    error: str
    message: str
    by_hand: bool = False


class OldTarget(_Record):
    """The target as it stood when the operation began, and by what it is known again."""

    arn: str
    resource_id: str
    protected: bool
    tagged: bool
    instances: tuple[str, ...]
    shape: ClusterShape


class Restored(_Record):
    """The restored cluster, as soon as it exists."""

    arn: str
    resource_id: str
    endpoint: str
    reader_endpoint: str | None
    port: int
    database: str | None


class ScriptRun(_Record):
    """A script that was run: what it was called, and the SHA-256 of its text. The text is in the request alone."""

    file: str
    sha256: str
    statements: int


class DatabaseWork(_Record):
    """How far step 7 is: it may be called many times for one operation.

    ``users_set``: the users have all that they shall have; ``opened``: and can log in, which waits for the scripts.
    ``shut``: they could, and were closed again, because a check did not hold.
    ``closed``: production's logins are closed, though the users cannot be set up as the request wants them.
    ``scripts`` are those that were run, in the request's order; ``tidied``: their marks are gone from the database.
    ``checks``: a sentence for each check that held, ``faults`` for each that did not.
    """

    users_set: bool = False
    opened: bool = False
    shut: bool = False
    closed: bool = False
    changes: int = 0
    users_changed: int = 0
    scripts: tuple[ScriptRun, ...] = ()
    tidied: bool = False
    checks: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class Intent(_Record):
    """The permission to change the world once: it exists only when the audit holds it (I5)."""

    operation_id: str
    sequence: int
    action: str
    subject: str


class Operation(_Record):
    """One restore. Frozen: a move makes a new record, which the store writes on condition of the old one's version."""

    operation_id: str
    execution_arn: str
    executions: int = 1
    stack: str
    status: OperationStatus = OperationStatus.RUNNING
    version: int = 0
    audit_sequence: int = 0
    audit_hash: str = ""
    target: str
    requested_at: datetime
    ended_at: datetime | None = None
    notified_at: datetime | None = None
    request: RestoreRequest | None = None
    steps: dict[Step, StepRecord] = {}
    failure: Failure | None = None

    took_over_from: str | None = None
    abort_asked: str | None = None
    source_arn: str | None = None
    source_resource_id: str | None = None
    source_status: str | None = None
    snapshot: Snapshot | None = None
    kms_key_arn: str | None = None
    secrets_key_arn: str | None = None
    old_target: OldTarget | None = None
    shape: ClusterShape | None = None
    not_restored: tuple[str, ...] = ()
    copy_plan: CopyPlan | None = None
    restore_from: Snapshot | None = None
    # Looked at when the operation failed: None where it could not be.
    data_stands: bool | None = None
    deletion_began: bool = False
    final_snapshot_arn: str | None = None
    restored: Restored | None = None
    settings_asked: tuple[str, ...] = ()
    settings_asked_at: datetime | None = None
    master_secret_arn: str | None = None
    user_secrets: dict[str, str] = {}
    logins: tuple[str, ...] = ()
    database_work: DatabaseWork = DatabaseWork()
    archive_arn: str | None = None

    @property
    def wanted(self) -> RestoreRequest:
        """Return the request; raises PreconditionError when the operation never had a readable one."""
        return require(self.request, "a request that could be read")

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags of everything that this operation makes: the request's, and the pipeline's own."""
        return {**self.wanted.tags, **self.pipeline_tags()}

    def pipeline_tags(self, role: names.SnapshotRole | None = None) -> dict[str, str]:
        """Return the tags by which this operation knows its things again."""
        # Region and cluster: a target of the same name in another region is another target, with archives of its own.
        return names.pipeline_tags(self.stack, self.operation_id, self.target, role)

    def snapshot_identifier(self, role: names.SnapshotRole, cluster: str) -> str:
        """Return the name of the snapshot that this operation makes in ``role``."""
        return names.snapshot_identifier(role, self.operation_id, cluster)

    def owns(self, tags: dict[str, str]) -> bool:
        """Say whether a thing with these tags was made by this operation."""
        return tags.get(names.OPERATION_TAG) == self.operation_id

    @property
    def current_step(self) -> Step | None:
        """Return the step that began last, or None before the first; the notification is not one that is worked on."""
        return max(self.steps.keys() - {Step.SNS_NOTIFICATION}, key=tuple(Step).index, default=None)

    @property
    def has_ended(self) -> bool:
        """Say whether an outcome has been written."""
        return self.status is not OperationStatus.RUNNING

    def finished(self, step: Step) -> Verdict | None:
        """Return the verdict of a step that has ended, else None."""
        record = self.steps.get(step)
        return None if record is None or record.ended_at is None else record.verdict

    def begun(self, step: Step, now: datetime) -> Self:
        """Return the record with ``step`` begun, or called once more.

        Raises PreconditionError when the operation has ended or an earlier step has not.
        """
        if self.has_ended and step is not Step.SNS_NOTIFICATION:
            raise PreconditionError(f"the operation {self.operation_id} has {self.status}: {step} cannot run in it")
        open_steps = [str(earlier) for earlier in step.before if self.finished(earlier) is None]
        if open_steps and step is not Step.SNS_NOTIFICATION:
            raise PreconditionError(f"{step} cannot run before {', '.join(open_steps)} in {self.operation_id}")
        record = self.steps.get(step)
        again = StepRecord(started_at=now) if record is None else record.model_copy(update={"calls": record.calls + 1})
        return self.model_copy(update={"steps": {**self.steps, step: again}})

    def asking(self, step: Step, now: datetime) -> Self:
        """Return the record with ``step`` about to change the world; the same record if it has not begun."""
        record = self.steps.get(step)
        if record is None:
            return self
        return self.model_copy(update={"steps": {**self.steps, step: record.model_copy(update={"asked_at": now})}})

    def judged(self, step: Step, verdict: Verdict, now: datetime) -> Self:
        """Return the record with the step's verdict: ended unless it is to be called again."""
        ended_at = None if verdict.status is StepStatus.WAIT else now
        record = self.steps[step].model_copy(update={"verdict": verdict, "ended_at": ended_at})
        return self.model_copy(update={"steps": {**self.steps, step: record}})

    def reopened(self, execution_arn: str) -> Self:
        """Return the record as another execution goes on with it: what was done stays, what was not is begun anew.

        SnapshotCheck runs again, because it takes the lock.
        """
        kept = {step: record for step, record in self.steps.items() if record.ended_at is not None}
        kept.pop(Step.SNAPSHOT_CHECK, None)
        kept.pop(Step.SNS_NOTIFICATION, None)
        if self.restore_from is None:
            # An end by hand cancels a copy under way: whether it is still there, CopySnapshot looks again.
            kept.pop(Step.COPY_SNAPSHOT, None)
        return self.model_copy(
            update={
                "execution_arn": execution_arn,
                "executions": self.executions + 1,
                "status": OperationStatus.RUNNING,
                "steps": kept,
                "failure": None,
                "data_stands": None,
                "abort_asked": None,
                "ended_at": None,
                "notified_at": None,
            }
        )

    def with_(self, **changes: Any) -> Self:
        """Return the record with some fields changed."""
        return self.model_copy(update=changes)

    def waited_s(self, step: Step, now: datetime) -> float:
        """Return for how many seconds a step has been at work."""
        record = self.steps.get(step)
        return 0.0 if record is None else (now - record.started_at).total_seconds()

    def quiet_s(self, step: Step, now: datetime) -> float:
        """Return for how many seconds a step has asked for nothing: how old is what it waits for."""
        record = self.steps.get(step)
        return 0.0 if record is None else (now - (record.asked_at or record.started_at)).total_seconds()


def wait_seconds(quiet_s: float) -> int:
    """Return how long to wait before the next call, from 5 s to 300 s.

    ``quiet_s`` is how long ago the step last asked AWS for something. The wait grows with its root. Things that take
    minutes are about as frequent as things that take hours, so one that has lasted t seconds ends within the next with
    a chance of about 1/t. A wait w then costs a delay of w/2 at that chance, and 1/w calls a second: the sum is least
    where w is as the root of t. An operation of minutes loses seconds, one of a day stays far below 25,000 events.
    """
    return round(min(max(_WAIT_FACTOR * math.sqrt(quiet_s), SHORTEST_WAIT_S), LONGEST_WAIT_S))


def require(value: _T | None, what: str) -> _T:
    """Return ``value``; raises PreconditionError, naming what an earlier step should have stored, if it is None."""
    if value is None:
        raise PreconditionError(f"the operation has no {what} yet")
    return value
