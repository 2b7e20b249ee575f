"""Step 3: says whether the copy is there."""

from typing import assert_never

from aurora_restore.errors import NotReadyError, SnapshotFailedError
from aurora_restore.names import SnapshotRole
from aurora_restore.operation import Verdict, require
from aurora_restore.snapshots import Snapshot, SnapshotStatus
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal


def run(journal: Journal, world: World) -> Verdict:
    """Wait for the copy.

    Raises SnapshotFailedError when RDS gave it up, NotReadyError while it cannot be seen.
    """
    operation, target = journal.operation, journal.operation.wanted.target
    if not require(operation.copy_plan, "decision about a copy").needed:
        return Verdict.skip("there is no copy to wait for")
    name = operation.snapshot_identifier(SnapshotRole.COPY, target.cluster)
    copy = world.rds(target.region).snapshot(name)
    if copy is None:
        raise NotReadyError(f"the copy {name} cannot be seen in {target.region}: it is not visible yet, or was deleted")
    verdict = judge(copy)
    if copy.status is SnapshotStatus.AVAILABLE:
        journal.keep(restore_from=copy)
    return verdict


def judge(copy: Snapshot) -> Verdict:
    """Say what a copy's status means for the operation; raises SnapshotFailedError."""
    match copy.status:
        case SnapshotStatus.AVAILABLE:
            return Verdict.done(f"the copy {copy.identifier} is available in {copy.region}")
        case SnapshotStatus.CREATING | SnapshotStatus.COPYING:
            # RDS moves the percentage only once the copy has left its queue.
            return Verdict.wait(f"the copy is {copy.progress_percent} % done")
        case SnapshotStatus.FAILED | SnapshotStatus.DELETING:
            raise SnapshotFailedError(
                f"RDS reports the copy {copy.identifier} as {copy.status} at {copy.progress_percent} %",
                advice="Nothing was deleted. Look at the key's policy and the region's events, then start again",
            )
        case _:
            assert_never(copy.status)
