"""Step 4: removes the old target, instances first, never without a warrant (I2)."""

from aurora_restore.aws.rds import Rds
from aurora_restore.clusters import Cluster, Instance
from aurora_restore.errors import DeletionNotWarrantedError, SnapshotFailedError
from aurora_restore.names import SnapshotRole
from aurora_restore.operation import Operation, Verdict, require
from aurora_restore.safety import ClusterIdentity, DeletionEvidence, DeletionWarrant, issue_warrant
from aurora_restore.snapshots import Snapshot, SnapshotStatus
from aurora_restore.statuses import Meaning
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal


def run(journal: Journal, world: World) -> Verdict:
    """Take the next step of the deletion: lift protection, instances, cluster; or say that it is done.

    Raises DeletionNotWarrantedError with every clause of I2 that does not hold.
    """
    operation, target = journal.operation, journal.operation.wanted.target
    rds = world.rds(target.region)
    cluster = rds.cluster(target.cluster)
    if cluster is None:
        return _gone(journal, rds)
    if operation.owns(cluster.tags):
        return Verdict.done(f"{target.cluster} is this operation's own restored cluster already")
    if cluster.meaning is Meaning.LEAVING:
        _same_as_captured(operation, cluster)
        return Verdict.wait(f"{target.cluster} is being deleted")
    instances = rds.instances(target.cluster)
    busy = _busy(cluster, instances)
    if busy is not None:
        return Verdict.wait(busy)
    final = rds.snapshot(operation.snapshot_identifier(SnapshotRole.FINAL, cluster.identifier))
    if operation.deletion_began and final is not None and final.cluster_resource_id == cluster.resource_id:
        # Another call of this step was faster: the cluster was read before it, and the snapshot after it.
        return Verdict.wait(f"the final snapshot {final.identifier} has begun: the deletion was asked for already")
    warrant = issue_warrant(_evidence(operation, cluster, final, world))
    journal.note("IssueWarrant", cluster.arn, _terms(warrant, operation))
    return _next_change(journal, rds, warrant, cluster, instances)


def _busy(cluster: Cluster, instances: tuple[Instance, ...]) -> str | None:
    """Return what has to settle before the deletion can go on, as a sentence."""
    if cluster.meaning is Meaning.WAIT:
        return f"{cluster.identifier} is {cluster.status}: it can be deleted when that is over"
    waiting = next((instance for instance in instances if instance.meaning is Meaning.WAIT), None)
    return None if waiting is None else f"the instance {waiting.identifier} is {waiting.status}"


def _next_change(
    journal: Journal, rds: Rds, warrant: DeletionWarrant, cluster: Cluster, instances: tuple[Instance, ...]
) -> Verdict:
    name = cluster.identifier
    if cluster.meaning is Meaning.STOPPED:
        intent = journal.intend("StartDBCluster", cluster.arn, "a stopped cluster cannot be deleted")
        rds.start_cluster(intent, warrant, cluster)
        return Verdict.wait(f"{name} was stopped and is started, because a stopped cluster cannot be deleted")
    if warrant.lift_protection:
        # Before the first instance: protection covers the cluster, not its instances (aurora-facts).
        intent = journal.intend("ModifyDBCluster", cluster.arn, "replace.protection is lift")
        rds.lift_protection(intent, warrant, cluster)
        return Verdict.wait(f"the deletion protection of {name} is lifted")
    staying = [instance for instance in instances if instance.meaning is not Meaning.LEAVING]
    for instance in staying:
        intent = journal.intend("DeleteDBInstance", instance.arn, f"it is an instance of {name}", deletion_began=True)
        rds.delete_instance(intent, warrant, cluster, instance.identifier)
    if staying:
        return Verdict.wait(f"the {len(staying)} instances of {name} are being deleted")
    final = (
        f"with the final snapshot {warrant.final_snapshot}" if warrant.final_snapshot else "without a final snapshot"
    )
    intent = journal.intend("DeleteDBCluster", cluster.arn, f"its instances are going; {final}", deletion_began=True)
    rds.delete_cluster(intent, warrant, cluster)
    return Verdict.wait(f"{name} is being deleted, {final}")


def _gone(journal: Journal, rds: Rds) -> Verdict:
    operation, name = journal.operation, journal.operation.wanted.target.cluster
    if operation.old_target is None:
        return Verdict.skip(f"there is no cluster {name} to delete")
    if not operation.wanted.replace.final_snapshot:
        return Verdict.done(f"{name} is gone, without a final snapshot, as the request says")
    identifier = operation.snapshot_identifier(SnapshotRole.FINAL, name)
    final = rds.snapshot(identifier)
    if final is None:
        return Verdict.done(f"{name} is gone; somebody else deleted it, and there is no final snapshot")
    if final.status is SnapshotStatus.CREATING:
        return Verdict.wait(f"{name} is gone, its final snapshot is {final.progress_percent} % taken")
    if final.status is not SnapshotStatus.AVAILABLE:
        raise SnapshotFailedError(f"{name} is gone and its final snapshot {identifier} is {final.status}")
    if not operation.owns(final.tags):
        intent = journal.intend("AddTagsToResource", final.arn, "a final snapshot gets no tags when it is made")
        rds.tag(intent, final.arn, operation.pipeline_tags(SnapshotRole.FINAL))
    journal.keep(final_snapshot_arn=final.arn)
    return Verdict.done(f"{name} is gone; its final snapshot is {identifier}")


def _evidence(operation: Operation, cluster: Cluster, final: Snapshot | None, world: World) -> DeletionEvidence:
    request = operation.wanted
    rds = world.rds(request.target.region)
    stored = require(operation.restore_from, "snapshot to restore from")
    key = operation.kms_key_arn
    return DeletionEvidence(
        target=ClusterIdentity(
            arn=cluster.arn, resource_id=cluster.resource_id, name=cluster.identifier, region=request.target.region
        ),
        target_tags=cluster.tags,
        target_protected=cluster.shape.deletion_protection,
        stack=operation.stack,
        source=ClusterIdentity(
            arn=require(operation.source_arn, "source"),
            resource_id=require(operation.source_resource_id, "source"),
            name=request.source.cluster,
            region=request.source.region,
        ),
        replace=request.replace,
        restore_from=rds.snapshot(stored.arn),
        restore_key_usable=key is None or world.keys(request.target.region).is_usable(key),
        captured_resource_id=operation.old_target.resource_id if operation.old_target else None,
        final_snapshot=operation.snapshot_identifier(SnapshotRole.FINAL, cluster.identifier),
        final_snapshot_free=final is None,
    )


def _same_as_captured(operation: Operation, cluster: Cluster) -> None:
    if operation.old_target is None or operation.old_target.resource_id != cluster.resource_id:
        raise DeletionNotWarrantedError(
            cluster.identifier,
            [f"{cluster.resource_id} is leaving, and it is not the cluster whose shape was captured"],
        )


def _terms(warrant: DeletionWarrant, operation: Operation) -> str:
    stored = require(operation.restore_from, "snapshot to restore from")
    final = warrant.final_snapshot or "none, as the request says"
    return (
        f"resource {warrant.resource_id}; {stored.identifier} stands available to restore from; final snapshot: {final}"
    )
