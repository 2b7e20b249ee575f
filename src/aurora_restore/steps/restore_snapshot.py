"""Step 5: restores the cluster in the captured shape, every parameter explicit."""

from aurora_restore.errors import ForeignResourceError, NotReadyError
from aurora_restore.operation import Operation, Verdict, require
from aurora_restore.shape import Parameters
from aurora_restore.snapshots import restore_key
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal


def run(journal: Journal, world: World) -> Verdict:
    """Start the restore, unless this operation's cluster is there already.

    Raises ForeignResourceError when somebody else's cluster has taken the name.
    """
    operation, target = journal.operation, journal.operation.wanted.target
    rds = world.rds(target.region)
    cluster = rds.cluster(target.cluster)
    if cluster is None:
        parameters = _parameters(operation)
        snapshot = require(operation.restore_from, "snapshot to restore from")
        intent = journal.intend("RestoreDBClusterFromSnapshot", operation.target, f"from {snapshot.identifier}")
        if not rds.restore(intent, parameters):
            raise NotReadyError(f"a cluster {target.cluster} appeared while the restore was asked for: look again")
        return Verdict.done(f"{target.cluster} is being restored from {snapshot.identifier}")
    if not operation.owns(cluster.tags):
        raise ForeignResourceError(
            f"a cluster {target.cluster} ({cluster.resource_id}) was made by somebody else meanwhile",
            advice="Find out who made it, rename or delete it, then start again",
        )
    return Verdict.done(f"{target.cluster} is being restored already")


def _parameters(operation: Operation) -> Parameters:
    snapshot = require(operation.restore_from, "snapshot to restore from")
    return require(operation.shape, "shape").render_restore(
        cluster=operation.wanted.target.cluster,
        snapshot=snapshot.arn,
        kms_key=restore_key(snapshot, operation.kms_key_arn),
        tags=operation.tags,
    )
