"""Cluster snapshots of the emulated Aurora: taking, copying, sharing, describing and deleting them."""

from collections.abc import Callable
from datetime import datetime

from aurora_restore.embedded import aurora_neighbours as neighbours
from aurora_restore.embedded import aurora_rules as rules
from aurora_restore.embedded.aurora_records import (
    Cluster,
    Place,
    Records,
    Rendered,
    Snapshot,
    Tag,
    Work,
    render_snapshot,
)
from aurora_restore.embedded.aurora_rules import Params, Refused
from aurora_restore.embedded.aurora_world import World, find_cluster, find_snapshot, require_available

MANUAL_SNAPSHOTS_A_REGION = 100
CLUSTERS_A_REGION = 40
INSTANCES_A_REGION = 40
COPIES_ACROSS_REGIONS_IN_FLIGHT = 5


class Snapshots:
    """The operations on snapshots, as RDS has them."""

    def __init__(self, world: World) -> None:
        """Work on this world."""
        self._world = world

    def create(self, place: Place, params: Params) -> Rendered:
        """CreateDBClusterSnapshot."""
        records = self._world.records(place)
        cluster = find_cluster(records, params["db_cluster_identifier"])
        require_available(cluster)
        name = rules.identifier(params["db_cluster_snapshot_identifier"], "DBClusterSnapshotIdentifier")
        snapshot = self.take(records, cluster, name, rules.tags(params.get("tags")))
        self._world.begin(cluster, Work.CHANGE, "backing-up", self._world.durations.snapshot_s)
        return self._render(snapshot)

    def take(self, records: Records, cluster: Cluster, name: str, tags: list[Tag]) -> Snapshot:
        """Begin a manual snapshot of the cluster as it is at this moment."""
        self.require_free(records, name)
        inherited = cluster.tag_list if cluster.copy_tags_to_snapshot else []
        own = {tag["Key"] for tag in tags}
        snapshot = self._record(cluster, name, "manual", self._world.clock.now())
        snapshot.tag_list = [*tags, *(dict(tag) for tag in inherited if tag["Key"] not in own)]
        self._world.plane.clone(cluster.db_cluster_resource_id, snapshot.volume)
        records.snapshots[name] = snapshot
        self._world.begin(snapshot, Work.CREATE, "creating", self._world.durations.snapshot_s)
        self._world.doom(snapshot, "snapshot", name)
        return snapshot

    def take_automated(self, place: Place, cluster_name: str, created_at: datetime | None) -> str:
        """Let there be an automated snapshot, available at once and as old as wanted; return its identifier."""
        records = self._world.records(place)
        cluster = find_cluster(records, cluster_name)
        at = created_at or self._world.clock.now()
        name = f"rds:{cluster.db_cluster_identifier}-{at:%Y-%m-%d-%H-%M}"
        snapshot = self._record(cluster, name, "automated", at)
        snapshot.status = "available"
        snapshot.tag_list = [dict(tag) for tag in cluster.tag_list] if cluster.copy_tags_to_snapshot else []
        self._world.plane.drop(snapshot.volume)
        self._world.plane.clone(cluster.db_cluster_resource_id, snapshot.volume)
        records.snapshots[name] = snapshot
        return name

    def _record(self, cluster: Cluster, name: str, kind: str, at: datetime) -> Snapshot:
        return Snapshot(
            place=cluster.place,
            db_cluster_snapshot_identifier=name,
            db_cluster_identifier=cluster.db_cluster_identifier,
            db_cluster_resource_id=cluster.db_cluster_resource_id,
            snapshot_type=kind,
            snapshot_create_time=at,
            cluster_create_time=cluster.cluster_create_time,
            engine=cluster.engine,
            engine_version=cluster.engine_version,
            license_model=rules.LICENSES[cluster.engine],
            master_username=cluster.master_username,
            port=cluster.port,
            vpc_id=cluster.vpc_id,
            storage_encrypted=cluster.storage_encrypted,
            kms_key_id=cluster.kms_key_id,
            storage_type=cluster.storage_type,
            iam_database_authentication_enabled=cluster.iam_database_authentication_enabled,
            database_name=cluster.database_name,
            allocated_storage=self._world.size_gib(cluster.db_cluster_resource_id),
        )

    def require_free(self, records: Records, name: str) -> None:
        """Refuse a manual snapshot whose name is taken, or that would be one too many."""
        if name in records.snapshots:
            raise Refused(
                "DBClusterSnapshotAlreadyExistsFault",
                f"Cannot create the snapshot because one with the identifier {name} already exists.",
            )
        manual = [snapshot for snapshot in records.snapshots.values() if snapshot.snapshot_type == "manual"]
        if len(manual) >= MANUAL_SNAPSHOTS_A_REGION:
            raise Refused(
                "SnapshotQuotaExceeded", f"Cannot create more than {MANUAL_SNAPSHOTS_A_REGION} manual snapshots"
            )

    def quotas(self, place: Place, params: Params) -> list[Rendered]:  # noqa: ARG002
        """DescribeAccountAttributes, as far as this Aurora counts things; only snapshots are held to theirs."""
        records = self._world.records(place)
        manual = [snapshot for snapshot in records.snapshots.values() if snapshot.snapshot_type == "manual"]
        return [
            {"AccountQuotaName": "ManualClusterSnapshots", "Used": len(manual), "Max": MANUAL_SNAPSHOTS_A_REGION},
            {"AccountQuotaName": "DBClusters", "Used": len(records.clusters), "Max": CLUSTERS_A_REGION},
            {"AccountQuotaName": "DBInstances", "Used": len(records.instances), "Max": INSTANCES_A_REGION},
        ]

    def copy(self, place: Place, params: Params) -> Rendered:
        """CopyDBClusterSnapshot: called where the copy is to be; the source of another region is named by its ARN."""
        records = self._world.records(place)
        source = self._source(place, params["source_db_cluster_snapshot_identifier"])
        name = rules.identifier(params["target_db_cluster_snapshot_identifier"], "TargetDBClusterSnapshotIdentifier")
        if source.status != "available":
            raise Refused(
                "InvalidDBClusterSnapshotStateFault",
                f"The source snapshot is not in the available state: {source.status}.",
            )
        self.require_free(records, name)
        copy = self._copied(place, source, name)
        if copy.crosses_regions:
            self._require_room_for_a_copy(records)
        copy.kms_key_id = self._key_of_copy(place, source, params.get("kms_key_id"))
        copy.tag_list = self._tags_of_copy(source, params)
        self._world.plane.clone(source.volume, copy.volume)
        records.snapshots[name] = copy
        durations = self._world.durations
        seconds = durations.copy_across_regions_s if copy.crosses_regions else durations.copy_s
        self._world.begin(copy, Work.CREATE, "copying", seconds)
        self._world.doom(copy, "copy", name)
        return self._render(copy)

    def _source(self, place: Place, name: str) -> Snapshot:
        if not name.startswith("arn:"):
            return find_snapshot(self._world.records(place), name)
        _, _, service, region, account, resource = name.split(":", 5)
        if service != "rds" or not resource.startswith("cluster-snapshot:"):
            raise rules.bad_value(f"Invalid snapshot ARN: {name}")
        snapshot = find_snapshot(self._world.records(Place(account, region)), name)
        if place.account not in {account, *snapshot.shared_with}:
            raise Refused("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot {name} not found.")
        return snapshot

    def _copied(self, place: Place, source: Snapshot, name: str) -> Snapshot:
        return Snapshot(
            place=place,
            db_cluster_snapshot_identifier=name,
            db_cluster_identifier=source.db_cluster_identifier,
            db_cluster_resource_id=source.db_cluster_resource_id,
            snapshot_type="manual",
            snapshot_create_time=self._world.clock.now(),
            cluster_create_time=source.cluster_create_time,
            engine=source.engine,
            engine_version=source.engine_version,
            license_model=source.license_model,
            master_username=source.master_username,
            port=source.port,
            vpc_id=source.vpc_id,
            storage_encrypted=source.storage_encrypted,
            kms_key_id=source.kms_key_id,
            storage_type=source.storage_type,
            iam_database_authentication_enabled=source.iam_database_authentication_enabled,
            database_name=source.database_name,
            source_db_cluster_snapshot_arn=source.arn,
            allocated_storage=source.allocated_storage,
        )

    def _require_room_for_a_copy(self, records: Records) -> None:
        in_flight = [each for each in records.snapshots.values() if each.status == "copying" and each.crosses_regions]
        if len(in_flight) >= COPIES_ACROSS_REGIONS_IN_FLIGHT:
            raise Refused(
                "SnapshotQuotaExceeded",
                f"Cannot copy more than {COPIES_ACROSS_REGIONS_IN_FLIGHT} snapshots across regions",
            )

    def _key_of_copy(self, place: Place, source: Snapshot, key: str | None) -> str | None:
        if not source.storage_encrypted:
            if key:
                raise rules.bad_combination("Cannot specify a KMS key when copying an unencrypted DB cluster snapshot.")
            return None
        if key:
            return neighbours.key_arn(place, key)
        if source.place != place:
            raise rules.bad_combination(
                "The KmsKeyId parameter must be specified when copying an encrypted DB cluster snapshot "
                "from another region or account."
            )
        return neighbours.key_arn(place, source.kms_key_id or neighbours.DEFAULT_RDS_KEY)

    def _tags_of_copy(self, source: Snapshot, params: Params) -> list[Tag]:
        given = rules.tags(params.get("tags"))
        if not params.get("copy_tags"):
            return given
        # AWS refuses a copy that would have to copy its own tags.
        taken_over = rules.tags({"key": tag["Key"], "value": tag["Value"]} for tag in source.tag_list)
        own = {tag["Key"] for tag in given}
        return [*given, *(tag for tag in taken_over if tag["Key"] not in own)]

    def describe(self, place: Place, params: Params) -> tuple[list[Rendered], str | None]:
        """DescribeDBClusterSnapshots."""
        records = self._world.records(place)
        name, cluster_name = params.get("db_cluster_snapshot_identifier"), params.get("db_cluster_identifier")
        if name and cluster_name:
            raise rules.bad_combination(
                "DBClusterIdentifier can't be used in conjunction with DBClusterSnapshotIdentifier."
            )
        found = [find_snapshot(records, name)] if name else list(records.snapshots.values())
        if cluster_name:
            wanted = cluster_name.lower().rpartition(":")[2]
            found = [each for each in found if each.db_cluster_identifier == wanted]
        kind = params.get("snapshot_type")
        if kind:
            found = [each for each in found if each.snapshot_type == kind]
        found = [each for each in found if rules.matches(each, params.get("filters") or (), _FILTERS)]
        shown, marker = rules.page(found, lambda each: each.db_cluster_snapshot_identifier, params)
        return [self._render(each) for each in shown], marker

    def delete(self, place: Place, params: Params) -> Rendered:
        """DeleteDBClusterSnapshot. Deleting a copy under way cancels it."""
        records = self._world.records(place)
        snapshot = find_snapshot(records, params["db_cluster_snapshot_identifier"])
        if snapshot.snapshot_type != "manual":
            raise Refused("InvalidDBClusterSnapshotStateFault", "Only manual snapshots may be deleted.")
        if snapshot.status not in {"available", "copying", "failed"}:
            raise Refused(
                "InvalidDBClusterSnapshotStateFault", f"The snapshot is not in the available state: {snapshot.status}."
            )
        self.remove(records, snapshot)
        snapshot.status = "deleted"
        return self._render(snapshot)

    def remove(self, records: Records, snapshot: Snapshot) -> None:
        """Remove a snapshot and its data."""
        self._world.plane.drop(snapshot.volume)
        del records.snapshots[snapshot.db_cluster_snapshot_identifier]

    def share(self, place: Place, params: Params) -> Rendered:
        """ModifyDBClusterSnapshotAttribute."""
        snapshot = find_snapshot(self._world.records(place), params["db_cluster_snapshot_identifier"])
        if params["attribute_name"] != "restore":
            raise rules.bad_value(f"Invalid attribute name: {params['attribute_name']}")
        if snapshot.snapshot_type != "manual":
            raise Refused(
                "InvalidDBClusterSnapshotStateFault",
                "Automated snapshots cannot be shared: copy it to a manual one first.",
            )
        if snapshot.kms_key_id and neighbours.is_default_key(place, snapshot.kms_key_id):
            raise Refused(
                "InvalidDBClusterSnapshotStateFault",
                "Snapshots encrypted with the default service key cannot be shared.",
            )
        kept = set(snapshot.shared_with) - set(params.get("values_to_remove") or ())
        snapshot.shared_with = sorted(kept | set(params.get("values_to_add") or ()))
        return self.attributes(place, params)

    def attributes(self, place: Place, params: Params) -> Rendered:
        """DescribeDBClusterSnapshotAttributes."""
        snapshot = find_snapshot(self._world.records(place), params["db_cluster_snapshot_identifier"])
        restore = {"attribute_name": "restore", "attribute_values": list(snapshot.shared_with)}
        return {
            "db_cluster_snapshot_identifier": snapshot.db_cluster_snapshot_identifier,
            "db_cluster_snapshot_attributes": [restore],
        }

    def _render(self, snapshot: Snapshot) -> Rendered:
        return render_snapshot(snapshot, self._world.clock.now())


_FILTERS: dict[str, Callable[[Snapshot], list[str | None]]] = {
    "db-cluster-id": lambda each: [each.db_cluster_identifier, each.place.arn("cluster", each.db_cluster_identifier)],
    "db-cluster-snapshot-id": lambda each: [each.db_cluster_snapshot_identifier, each.arn],
    "snapshot-type": lambda each: [each.snapshot_type],
    "engine": lambda each: [each.engine],
}
