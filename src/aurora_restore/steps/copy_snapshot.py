"""Step 2: starts the copy of the snapshot into the target's region and under its key, or says that none is needed."""

from aurora_restore.errors import ForeignResourceError
from aurora_restore.names import SnapshotRole, without_reserved
from aurora_restore.operation import Verdict, require
from aurora_restore.snapshots import plan_copy
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal


def run(journal: Journal, world: World) -> Verdict:
    """Start the copy unless this operation's is there already.

    Raises ForeignResourceError when its name belongs to somebody else.
    """
    operation, target = journal.operation, journal.operation.wanted.target
    snapshot = require(operation.snapshot, "snapshot")
    plan = plan_copy(snapshot, target_region=target.region, target_key_arn=operation.kms_key_arn)
    if not plan.needed:
        journal.keep(copy_plan=plan, restore_from=snapshot)
        return Verdict.skip(f"no copy of {snapshot.identifier} is needed: {plan.reason}")
    name = operation.snapshot_identifier(SnapshotRole.COPY, target.cluster)
    rds = world.rds(target.region)
    copy = rds.snapshot(name)
    if copy is not None and not operation.owns(copy.tags):
        raise ForeignResourceError(f"a snapshot {name} exists in {target.region} and is not of this operation")
    if copy is None:
        intent = journal.intend(
            "CopyDBClusterSnapshot", snapshot.arn, f"to {name}, because {plan.reason}", copy_plan=plan
        )
        tags = {
            **without_reserved(snapshot.tags),
            **operation.wanted.tags,
            **operation.pipeline_tags(SnapshotRole.COPY),
        }
        rds.copy_snapshot(intent, source=snapshot, name=name, kms_key=plan.kms_key_arn, tags=tags)
    return Verdict.done(f"{snapshot.identifier} is being copied to {target.region}, because {plan.reason}")
