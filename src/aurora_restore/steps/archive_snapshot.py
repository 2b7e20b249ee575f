"""Step 8: keeps the operation's snapshot as an archive and prunes the pipeline's older ones; never another's."""

from collections.abc import Iterable

from aurora_restore.aws.rds import Rds
from aurora_restore.names import (
    ARCHIVE_ROLES,
    FINAL_ROLES,
    OPERATION_TAG,
    ROLE_TAG,
    STACK_TAG,
    TARGET_TAG,
    SnapshotRole,
)
from aurora_restore.operation import Counted, Operation, Verdict, require
from aurora_restore.snapshots import Snapshot, SnapshotStatus, to_prune
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal


def run(journal: Journal, world: World) -> Verdict:
    """Tag the snapshot that was restored from as an archive, if it is ours; delete what is beyond the limits."""
    operation = journal.operation
    rds = world.rds(operation.wanted.target.region)
    kept = _archive(journal, rds)
    _drop_intermediate(journal, world)
    own = [snapshot for snapshot in rds.own_snapshots(_mine(operation)) if snapshot.status is SnapshotStatus.AVAILABLE]
    archives = [snapshot for snapshot in own if snapshot.tags.get(ROLE_TAG) in ARCHIVE_ROLES]
    pruned_archives = _prune(journal, rds, own, ARCHIVE_ROLES, world)
    pruned = [*pruned_archives, *_prune(journal, rds, own, FINAL_ROLES, world)]
    older = f"; {len(pruned)} older ones are pruned: {', '.join(pruned)}" if pruned else "; nothing older is to prune"
    return Verdict.done(f"{kept}{older}", {Counted.ARCHIVES_KEPT: len(archives) - len(pruned_archives)})


def _mine(operation: Operation) -> dict[str, str]:
    return {STACK_TAG: operation.stack, TARGET_TAG: operation.target}


def _archive(journal: Journal, rds: Rds) -> str:
    snapshot = require(journal.operation.restore_from, "snapshot that was restored from")
    if not journal.operation.owns(snapshot.tags):
        return f"{snapshot.identifier} is not this pipeline's own and stays as it is"
    tags = journal.operation.pipeline_tags(SnapshotRole.ARCHIVE)
    intent = journal.intend("AddTagsToResource", snapshot.arn, "it is kept as an archive")
    rds.tag(intent, snapshot.arn, tags)
    journal.keep(archive_arn=snapshot.arn)
    return f"{snapshot.identifier} is kept as an archive"


def _drop_intermediate(journal: Journal, world: World) -> None:
    """Delete the snapshot that was taken only to be copied: its copy is the archive."""
    operation = journal.operation
    taken = require(operation.snapshot, "snapshot")
    if taken.tags.get(ROLE_TAG) != SnapshotRole.NEW or not operation.owns(taken.tags):
        return
    if not require(operation.copy_plan, "decision about a copy").needed:
        return
    rds = world.rds(taken.region)
    if rds.snapshot(taken.identifier) is not None:
        _delete(journal, rds, taken, "it was taken to be copied, and the copy is archived")


def _prune(
    journal: Journal, rds: Rds, own: Iterable[Snapshot], roles: frozenset[SnapshotRole], world: World
) -> list[str]:
    limits = journal.operation.wanted.archive
    of_kind = [snapshot for snapshot in own if snapshot.tags.get(ROLE_TAG) in roles]
    old = to_prune(of_kind, keep=limits.keep, keep_days=limits.keep_days, now=world.clock.now())
    pruned = [snapshot for snapshot in old if snapshot.arn not in _needed(journal.operation)]
    for snapshot in pruned:
        made_by = snapshot.tags.get(OPERATION_TAG)
        _delete(journal, rds, snapshot, f"beyond archive.keep or archive.keep_days; made by {made_by}")
    return [snapshot.identifier for snapshot in pruned]


def _needed(operation: Operation) -> set[str | None]:
    return {operation.archive_arn, operation.final_snapshot_arn}


def _delete(journal: Journal, rds: Rds, snapshot: Snapshot, why: str) -> None:
    intent = journal.intend("DeleteDBClusterSnapshot", snapshot.arn, why)
    rds.delete_snapshot(intent, snapshot)
