"""How an operation ends: its outcome written and its lock freed at once, then people and machines told (I8)."""

from aurora_restore.errors import AuroraRestoreError
from aurora_restore.operation import Failure, Operation, OperationStatus, Verdict
from aurora_restore.snapshots import SnapshotStatus
from aurora_restore.steps.announcement import announce
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal
from aurora_restore.store.lock import Lock


def end(journal: Journal, world: World, failure: Failure | None) -> Verdict:
    """Write the outcome, free the lock, notify; each only once, however often it is called."""
    if not journal.operation.has_ended:
        _write_outcome(journal, world, failure)
    operation = journal.operation
    if operation.notified_at is None:
        _notify(journal, world)
    return Verdict.done(f"the operation has {operation.status}; {world.topic.arn.rsplit(':', 1)[-1]} was told")


def _write_outcome(journal: Journal, world: World, failure: Failure | None) -> None:
    operation = journal.operation
    status = _status(failure)
    held = _own_lock(operation, world)
    journal.note(
        "EndOperation",
        operation.operation_id,
        f"{status}{f': {failure.error}' if failure else ''}; the lock is {'freed' if held else 'not held'}",
        writes=[] if held is None else [world.store.locks.free(held)],
        status=status,
        failure=failure,
        data_stands=None if failure is None else _data_stands(operation, world),
        ended_at=world.clock.now(),
    )


def _data_stands(operation: Operation, world: World) -> bool | None:
    """Say whether the snapshot to restore from is available, or None where that cannot be seen."""
    snapshot = operation.restore_from
    if snapshot is None:
        return None
    try:
        now = world.rds(snapshot.region).snapshot(snapshot.arn)
    except AuroraRestoreError:
        # Told as "last seen": an operation must end, and people be told, whatever state RDS is in.
        return None
    return now is not None and now.status is SnapshotStatus.AVAILABLE


def _status(failure: Failure | None) -> OperationStatus:
    if failure is None:
        return OperationStatus.SUCCEEDED
    return OperationStatus.ABORTED if failure.by_hand else OperationStatus.FAILED


def _own_lock(operation: Operation, world: World) -> Lock | None:
    if operation.request is None:
        return None
    held = world.store.locks.held(operation.request.target.region, operation.request.target.cluster)
    return held if held is not None and held.operation_id == operation.operation_id else None


def _notify(journal: Journal, world: World) -> None:
    # Killed between publish and keep, it is published again: silence would be worse than a repeat, which
    # receivers can tell by its deduplication_id.
    subject, text, event = announce(journal.operation)
    journal.intend("Publish", world.topic.arn, subject)
    world.topic.publish(subject=subject, text=text, event=event)
    journal.keep(notified_at=world.clock.now())
