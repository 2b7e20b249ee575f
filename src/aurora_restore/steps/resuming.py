"""Going on with an operation that failed or was stopped, as a new execution of the same operation."""

from collections.abc import Iterator

from aurora_restore.errors import PreflightError
from aurora_restore.operation import Operation, OperationStatus, Step
from aurora_restore.snapshots import SnapshotStatus
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal


def resume(operation: Operation, world: World, *, execution_arn: str) -> Journal:
    """Open an operation again for another execution; what it has done stays done.

    Raises PreflightError with every reason why the world has moved on.
    """
    reasons = tuple(obstacles(operation, world))
    if reasons:
        raise PreflightError(reasons)
    journal = Journal(world.store, operation.reopened(execution_arn), Step.SNAPSHOT_CHECK)
    done = [str(step) for step in Step if operation.finished(step) is not None and step is not Step.SNS_NOTIFICATION]
    count = journal.operation.executions
    journal.note(
        "ResumeOperation", operation.operation_id, f"execution {count}; done before: {', '.join(done) or 'nothing'}"
    )
    return journal


def obstacles(operation: Operation, world: World) -> Iterator[str]:
    """Yield every reason why an operation cannot be gone on with."""
    if operation.status is OperationStatus.SUCCEEDED:
        yield f"{operation.operation_id} has succeeded: there is nothing left to do"
        return
    if not operation.has_ended and not world.executions.has_ended(operation.execution_arn):
        yield f"{operation.operation_id} is still running: watch it"
        return
    if operation.request is None or operation.shape is None:
        yield f"{operation.operation_id} ended before it had looked at the target: start the request again instead"
        return
    yield from _about_target(operation, world)
    yield from _about_snapshot(operation, world)


def _about_target(operation: Operation, world: World) -> Iterator[str]:
    target = operation.wanted.target
    cluster = world.rds(target.region).cluster(target.cluster)
    if cluster is None or operation.owns(cluster.tags):
        if cluster is None and operation.finished(Step.RESTORE_SNAPSHOT) is not None:
            yield f"the cluster {target.cluster} that this operation restored is gone: start the request again"
        return
    old = operation.old_target
    if old is None or cluster.resource_id != old.resource_id:
        yield (
            f"a cluster {target.cluster} ({cluster.resource_id}) was made by somebody else since: start the "
            "request again if it may be replaced"
        )


def _about_snapshot(operation: Operation, world: World) -> Iterator[str]:
    snapshot = operation.restore_from or operation.snapshot
    if snapshot is None or operation.finished(Step.RESTORE_SNAPSHOT) is not None:
        return
    now = world.rds(snapshot.region).snapshot(snapshot.arn)
    if now is None or now.status is not SnapshotStatus.AVAILABLE:
        state = "gone" if now is None else str(now.status)
        yield f"the snapshot {snapshot.identifier} is {state}: start the request again with another"
