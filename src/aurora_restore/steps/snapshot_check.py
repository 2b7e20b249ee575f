"""Step 1: validates the request, takes the lock, finds and judges the snapshot, captures what the target looks like."""

from aurora_restore import names
from aurora_restore.errors import (
    ForeignResourceError,
    NotReadyError,
    PreconditionError,
    PreflightError,
    Problem,
    RequestError,
    SnapshotFailedError,
    TargetLockedError,
)
from aurora_restore.names import SnapshotRole
from aurora_restore.operation import Failure, Operation, Step, Verdict, require
from aurora_restore.request import RestoreRequest
from aurora_restore.snapshots import TAKE_ONE_NOW, Snapshot, SnapshotStatus
from aurora_restore.steps.advice import events_of
from aurora_restore.steps.ending import end
from aurora_restore.steps.preflight import Findings, copy_reason, examine
from aurora_restore.steps.resuming import resume
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal
from aurora_restore.store.lock import Lock


def accept(world: World, *, execution: str, execution_arn: str, document: object) -> Journal:
    """Return the journal of a new operation, of one that this execution began before, or of one that it resumes.

    ``execution`` is the execution's name: the operation's id, or for a resumption the id and a number. Raises
    RequestError when the request cannot be read, PreconditionError when the id belongs to another execution.
    """
    operation_id = names.operation_of(execution)
    known = world.store.operations.find(operation_id)
    if known is not None:
        if known.execution_arn != execution_arn and execution != operation_id:
            return resume(known, world, execution_arn=execution_arn)
        if known.execution_arn != execution_arn:
            raise PreconditionError(
                f"the operation {operation_id} exists already", advice="Start it under another name"
            )
        return Journal(world.store, known, Step.SNAPSHOT_CHECK)
    if not names.is_operation_id(execution):
        expected = "1 to 76 letters, digits, '-' and '_', because it becomes a tag"
        raise RequestError([Problem("(the execution's name)", repr(execution), expected)])
    request = RestoreRequest.parse(document)
    if missing := tuple(request.without_text()):
        raise RequestError(missing)
    operation = Operation(
        operation_id=operation_id,
        execution_arn=execution_arn,
        stack=world.stack,
        target=names.target_id(request.target.region, request.target.cluster),
        requested_at=world.clock.now(),
        request=request,
    )
    journal = Journal(world.store, operation, Step.SNAPSHOT_CHECK)
    planned = f", as planned in {request.plan}" if request.plan else ""
    detail = f"{request.name}: {request.source.cluster} to {operation.target}{planned}"
    journal.note("AcceptRequest", operation.target, detail)
    return journal


def run(journal: Journal, world: World) -> Verdict:
    """Choose the snapshot, or take one; store it with the target's shape.

    Raises TargetLockedError, or PreflightError with everything that would have failed later.
    """
    _take_lock(journal, world)
    operation = journal.operation
    if operation.shape is None:
        findings = examine(operation.wanted, world)
        if findings.problems:
            raise PreflightError(findings.problems)
        operation = _record(journal, findings)
    snapshot = operation.snapshot or _new_snapshot(journal, world)
    if snapshot.status is not SnapshotStatus.AVAILABLE:
        return _wait_for(snapshot)
    journal.keep(snapshot=snapshot)
    age = f"{snapshot.age_hours(world.clock.now()):.1f} hours old, {snapshot.size_gib} GiB"
    reason = copy_reason(snapshot, operation.wanted, operation.kms_key_arn)
    return Verdict.done(f"the snapshot {snapshot.identifier} is good ({age}); {reason}")


def _take_lock(journal: Journal, world: World) -> None:
    operation, locks = journal.operation, world.store.locks
    target = operation.wanted.target
    held = locks.held(target.region, target.cluster)
    if held is not None and held.execution_arn == operation.execution_arn:
        _end_abandoned(operation, world)
        return
    if held is not None and not world.executions.has_ended(held.execution_arn):
        raise TargetLockedError(
            f"the operation {held.operation_id} has worked on {operation.target} since {held.acquired_at:%H:%M} UTC",
            advice=f"Wait for it (aurora-restore watch {held.operation_id}), then start again",
        )
    lock = Lock(
        id=names.lock_id(target.region, target.cluster),
        operation_id=operation.operation_id,
        execution_arn=operation.execution_arn,
        acquired_at=world.clock.now(),
    )
    write = locks.take(lock, abandoned_by=held.execution_arn if held else None)
    journal.note(
        "TakeLock",
        lock.id,
        f"left by {held.operation_id}" if held else "it was free",
        writes=[write],
        # Written with the lock: killed after it, the next call still knows whose end is untold.
        took_over_from=held.operation_id if held and held.operation_id != operation.operation_id else None,
    )
    _end_abandoned(journal.operation, world)


def _end_abandoned(operation: Operation, world: World) -> None:
    """Tell how the lock's former holder ended, because it can no longer do so itself (I8)."""
    former = world.store.operations.find(operation.took_over_from) if operation.took_over_from else None
    if former is None or former.notified_at is not None:
        return
    failure = Failure(
        step=former.current_step,
        error="ExecutionEnded",
        message="its execution was stopped or timed out; the next operation on the target found its lock",
    )
    end(Journal(world.store, former, Step.SNS_NOTIFICATION), world, failure)


def _record(journal: Journal, findings: Findings) -> Operation:
    source, request = findings.source, journal.operation.wanted.source
    arn = source.arn if source else _cluster_arn(require(findings.snapshot, "snapshot"), request.cluster)
    resource_id = source.resource_id if source else require(findings.snapshot, "snapshot").cluster_resource_id
    return journal.note(
        "CaptureShape",
        journal.operation.target,
        f"{len(findings.shape.instances) if findings.shape else 0} instances; "
        f"{'the target exists' if findings.old_target else 'there is no target yet'}"
        f"{f'; as {findings.shape_from} captured it, which did not bring it back' if findings.shape_from else ''}",
        source_arn=arn,
        source_resource_id=resource_id,
        snapshot=findings.snapshot,
        old_target=findings.old_target,
        kms_key_arn=findings.kms_key_arn,
        secrets_key_arn=findings.secrets_key_arn,
        shape=findings.shape,
        not_restored=findings.not_restored,
    )


def _cluster_arn(snapshot: Snapshot, cluster: str) -> str:
    """Return the ARN that the source had, for a snapshot that outlived it."""
    return f"{snapshot.arn.split(':cluster-snapshot:')[0]}:cluster:{cluster}"


def _new_snapshot(journal: Journal, world: World) -> Snapshot:
    """Return this operation's own snapshot of the source, asked for if it is not there yet."""
    operation, source = journal.operation, journal.operation.wanted.source
    rds = world.rds(source.region)
    name = operation.snapshot_identifier(SnapshotRole.NEW, source.cluster)
    taken = rds.snapshot(name)
    if taken is None:
        why = f"source.snapshot is {TAKE_ONE_NOW}: {name}"
        intent = journal.intend("CreateDBClusterSnapshot", require(operation.source_arn, "source"), why)
        tags = {**operation.wanted.tags, **operation.pipeline_tags(SnapshotRole.NEW)}
        rds.create_snapshot(intent, name=name, cluster=source.cluster, tags=tags)
        taken = rds.snapshot(name)
    if taken is None:
        raise NotReadyError(f"the snapshot {name} was asked for and cannot be seen yet")
    if not operation.owns(taken.tags):
        raise ForeignResourceError(f"a snapshot {name} exists and is not of {operation.operation_id}")
    return taken


def _wait_for(snapshot: Snapshot) -> Verdict:
    if snapshot.status is SnapshotStatus.CREATING:
        return Verdict.wait(f"the snapshot {snapshot.identifier} is {snapshot.progress_percent} % taken")
    raise SnapshotFailedError(
        f"RDS reports the snapshot {snapshot.identifier} as {snapshot.status}",
        advice=events_of(snapshot.arn),
    )
