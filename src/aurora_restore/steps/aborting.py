"""Giving an operation up: a copy under way is cancelled, the end is recorded and told, the lock is freed.

No cluster is ever deleted here: what is left is named, with the command that removes it.
"""

from collections.abc import Iterator

from aurora_restore.names import SnapshotRole
from aurora_restore.operation import Failure, Operation, Verdict
from aurora_restore.snapshots import Snapshot, SnapshotStatus
from aurora_restore.steps.ending import end
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal

_BY_HAND = "ExecutionAborted"


def abort(journal: Journal, world: World, *, why: str, error: str = _BY_HAND) -> Verdict:
    """End an operation whose execution runs no more.

    ``why`` says who stopped it; ``error`` is what Step Functions calls it.
    """
    operation = journal.operation
    if not operation.has_ended and operation.request is not None:
        _cancel_copy(journal, world)
    step = operation.current_step
    left = " ".join(leftovers(journal.operation, world))
    # Who asked for it wrote that down first; the rule that comes here for every stopped execution cannot know it.
    reason = operation.abort_asked or why
    message = f"{reason}. {left}" if left else reason
    return end(journal, world, Failure(step=step, error=error, message=message, by_hand=error == _BY_HAND))


def ask(journal: Journal, *, why: str) -> None:
    """Write down who wants an operation to end, before its execution is stopped."""
    journal.note("AskToAbort", journal.operation.operation_id, why, abort_asked=why)


def leftovers(operation: Operation, world: World) -> Iterator[str]:
    """Yield a sentence, with the command that cleans up, for each thing that a stopped operation leaves behind."""
    if operation.request is None:
        return
    target = operation.wanted.target
    cluster = world.rds(target.region).cluster(target.cluster)
    if cluster is not None and operation.owns(cluster.tags):
        yield (
            f"The cluster {target.cluster} is half made. To remove it, delete its instances "
            f"({', '.join(cluster.members) or 'none'}), then: aws rds delete-db-cluster --region {target.region} "
            f"--db-cluster-identifier {target.cluster} --skip-final-snapshot."
        )
    for snapshot in _own_snapshots(operation, world):
        yield (
            f"The snapshot {snapshot.identifier} ({snapshot.status}) stays. To remove it: aws rds "
            f"delete-db-cluster-snapshot --region {snapshot.region} "
            f"--db-cluster-snapshot-identifier {snapshot.identifier}."
        )


def _own_snapshots(operation: Operation, world: World) -> Iterator[Snapshot]:
    request = operation.wanted
    places = (
        (SnapshotRole.NEW, request.source.cluster, request.source.region),
        (SnapshotRole.COPY, request.target.cluster, request.target.region),
    )
    for role, cluster, region in places:
        snapshot = world.rds(region).snapshot(operation.snapshot_identifier(role, cluster))
        if snapshot is not None and operation.owns(snapshot.tags):
            yield snapshot


def _cancel_copy(journal: Journal, world: World) -> None:
    for snapshot in _own_snapshots(journal.operation, world):
        if snapshot.status is SnapshotStatus.COPYING:
            intent = journal.intend("DeleteDBClusterSnapshot", snapshot.arn, "deleting a copy under way cancels it")
            world.rds(snapshot.region).delete_snapshot(intent, snapshot)
