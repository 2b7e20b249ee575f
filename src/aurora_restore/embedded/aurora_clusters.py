"""Clusters of the emulated Aurora: creating, restoring, modifying, stopping and deleting them."""

from collections.abc import Callable
from datetime import timedelta

from aurora_restore.embedded import aurora_credentials as credentials
from aurora_restore.embedded import aurora_neighbours as neighbours
from aurora_restore.embedded import aurora_rules as rules
from aurora_restore.embedded import aurora_settings as settings
from aurora_restore.embedded.aurora_records import (
    LOOPBACK,
    Cluster,
    Place,
    Record,
    Records,
    Rendered,
    Role,
    Snapshot,
    Work,
)
from aurora_restore.embedded.aurora_rules import Params, Refused
from aurora_restore.embedded.aurora_snapshots import Snapshots
from aurora_restore.embedded.aurora_world import World, find_cluster, find_snapshot, new_resource_id, require_available
from aurora_restore.errors import EnvironmentUnfitError

# Members of the model's restore that RDS refuses unless the source is Limitless (seen in public issue threads).
_NOT_ON_RESTORE = (
    "enable_performance_insights", "performance_insights_kms_key_id", "performance_insights_retention_period",
    "monitoring_interval", "monitoring_role_arn",
)  # fmt: skip
_DELETABLE = {
    "available",
    "failed",
    "restore-error",
    "storage-full",
    "cloning-failed",
    "inaccessible-encryption-credentials",
}


class Clusters:
    """The operations on clusters, as RDS has them."""

    def __init__(self, world: World, snapshots: Snapshots) -> None:
        """Work on this world; final snapshots are taken by ``snapshots``."""
        self._world = world
        self._snapshots = snapshots

    def create(self, place: Place, params: Params) -> Rendered:
        """CreateDBCluster."""
        records = self._world.records(place)
        name = self._free_name(records, params["db_cluster_identifier"])
        engine = rules.engine(params["engine"])
        version = rules.engine_version(engine, params.get("engine_version"))
        master = credentials.of_new_cluster(params)
        encrypted = bool(params.get("storage_encrypted") or params.get("kms_key_id"))
        key = neighbours.key_arn(place, params.get("kms_key_id") or neighbours.DEFAULT_RDS_KEY) if encrypted else None
        cluster = self._new(place, name, engine, version, params, master.name, key)
        cluster.database_name = params.get("database_name")
        if params.get("manage_master_user_password"):
            credentials.manage(cluster, master.password, params.get("master_user_secret_kms_key_id"))
        try:
            self._world.plane.create(cluster.db_cluster_resource_id, master, cluster.database_name, engine)
        except EnvironmentUnfitError as error:
            raise rules.bad_combination(f"{error}") from error
        records.clusters[name] = cluster
        self._world.begin(cluster, Work.CREATE, "creating", self._world.durations.cluster_create_s)
        return self._render(records, cluster)

    def restore(self, place: Place, params: Params) -> Rendered:
        """RestoreDBClusterFromSnapshot: a cluster without instances, its settings the defaults and not the source's."""
        records = self._world.records(place)
        rules.refuse_members(params, _NOT_ON_RESTORE, "Not supported when restoring this DB cluster")
        name = self._free_name(records, params["db_cluster_identifier"])
        snapshot = find_snapshot(records, params["snapshot_identifier"])
        if snapshot.status != "available":
            raise Refused(
                "InvalidDBClusterSnapshotStateFault", f"The snapshot is not in the available state: {snapshot.status}."
            )
        engine, version = self._engine_of_restore(snapshot, params)
        cluster = self._new(
            place,
            name,
            engine,
            version,
            params,
            snapshot.master_username,
            self._key_of_restore(place, snapshot, params),
        )
        cluster.port = params.get("port") or snapshot.port
        cluster.database_name = snapshot.database_name
        self._world.plane.clone(snapshot.volume, cluster.db_cluster_resource_id)
        records.clusters[name] = cluster
        self._world.begin(cluster, Work.CREATE, "creating", self._world.durations.restore_s)
        self._world.doom(cluster, "restore", name)
        return self._render(records, cluster)

    def _free_name(self, records: Records, given: str) -> str:
        name = rules.identifier(given, "DBClusterIdentifier")
        if name in records.clusters:
            raise Refused("DBClusterAlreadyExistsFault", "DB Cluster already exists")
        return name

    def _engine_of_restore(self, snapshot: Snapshot, params: Params) -> tuple[str, str]:
        engine = rules.engine(params["engine"])
        if engine != snapshot.engine:
            raise Refused(
                "InvalidRestoreFault",
                f"The engine {engine} isn't compatible with the snapshot's engine {snapshot.engine}.",
            )
        version = rules.engine_version(engine, params.get("engine_version"))
        if rules.is_older(version, snapshot.engine_version):
            raise rules.bad_combination(
                f"Cannot restore a snapshot of version {snapshot.engine_version} as the older version {version}."
            )
        return engine, version

    def _key_of_restore(self, place: Place, snapshot: Snapshot, params: Params) -> str | None:
        key = params.get("kms_key_id") or snapshot.kms_key_id
        return neighbours.key_arn(place, key) if key else None

    def _new(
        self, place: Place, name: str, engine: str, version: str, params: Params, master: str, key: str | None
    ) -> Cluster:
        subnet_group, vpc_id = neighbours.subnet_group(place, params.get("db_subnet_group_name"))
        group = neighbours.cluster_parameter_group(
            place, params.get("db_cluster_parameter_group_name"), rules.family(engine, version)
        )
        cluster = Cluster(
            place=place,
            db_cluster_identifier=name,
            db_cluster_resource_id=new_resource_id("cluster"),
            engine=engine,
            engine_version=version,
            master_username=master,
            database_name=None,
            port=rules.port(params.get("port") or rules.DEFAULT_PORTS[engine]),
            db_subnet_group=subnet_group,
            vpc_id=vpc_id,
            security_group_ids=neighbours.security_groups(place, params.get("vpc_security_group_ids"), vpc_id),
            db_cluster_parameter_group=group,
            cluster_create_time=self._world.clock.now(),
            storage_encrypted=key is not None,
            kms_key_id=key,
            tag_list=rules.tags(params.get("tags")),
            enabled_cloudwatch_logs_exports=rules.log_types(
                engine, version, params.get("enable_cloudwatch_logs_exports") or ()
            ),
        )
        settings.apply(cluster, settings.checked(cluster, params))
        for role in params.get("associated_roles") or ():
            self._associate(cluster, role["role_arn"], role.get("feature_name") or "")
        return cluster

    def delete(self, place: Place, params: Params) -> Rendered:
        """DeleteDBCluster: its instances first. Automated snapshots go with it, manual ones stay."""
        records = self._world.records(place)
        cluster = find_cluster(records, params["db_cluster_identifier"])
        final = self._final_snapshot_name(params)
        self._require_deletable(records, cluster)
        members_gone_s = self._seconds_until_members_are_gone(records, cluster)
        duration_s = max(members_gone_s, self._world.durations.cluster_delete_s)
        if final:
            require_available(cluster)
            self._snapshots.take(records, cluster, final, [])
            duration_s = max(duration_s, self._world.durations.snapshot_s)
        if params.get("delete_automated_backups") is not False:
            self._remove_automated_snapshots(records, cluster)
        self._world.begin(cluster, Work.DELETE, "deleting", duration_s)
        self._world.serve(records, cluster)
        return self._render(records, cluster)

    def _final_snapshot_name(self, params: Params) -> str:
        name, skips = params.get("final_db_snapshot_identifier"), params.get("skip_final_snapshot")
        if name and skips:
            raise rules.bad_combination(
                "FinalDBSnapshotIdentifier can not be specified when SkipFinalSnapshot is specified."
            )
        if not name and not skips:
            raise rules.bad_combination("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
        return rules.identifier(name, "FinalDBSnapshotIdentifier") if name else ""

    def _require_deletable(self, records: Records, cluster: Cluster) -> None:
        if cluster.deletion_protection:
            raise rules.bad_combination(
                "Cannot delete protected Cluster, please disable deletion protection and try again."
            )
        if any(member.status != "deleting" for member in records.members(cluster)):
            raise Refused(
                "InvalidDBClusterStateFault",
                "Cluster cannot be deleted, it still contains DB instances in non-deleting state.",
            )
        if cluster.status not in _DELETABLE and not cluster.status.startswith("incompatible-"):
            raise Refused(
                "InvalidDBClusterStateFault",
                f"DB cluster {cluster.db_cluster_identifier} cannot be deleted in its state: {cluster.status}.",
            )

    def _seconds_until_members_are_gone(self, records: Records, cluster: Cluster) -> float:
        now = self._world.clock.now()
        due = [member.pending.due_at for member in records.members(cluster) if member.pending]
        return (max(due) - now).total_seconds() if due else 0.0

    def _remove_automated_snapshots(self, records: Records, cluster: Cluster) -> None:
        for snapshot in list(records.snapshots.values()):
            if (
                snapshot.snapshot_type == "automated"
                and snapshot.db_cluster_resource_id == cluster.db_cluster_resource_id
            ):
                self._snapshots.remove(records, snapshot)

    def stop(self, place: Place, params: Params) -> Rendered:
        """StopDBCluster: its instances stop with it."""
        return self._turn(place, params, needs="available", meanwhile="stopping", ends_as="stopped")

    def start(self, place: Place, params: Params) -> Rendered:
        """StartDBCluster: its instances start with it."""
        return self._turn(place, params, needs="stopped", meanwhile="starting", ends_as="available")

    def _turn(self, place: Place, params: Params, *, needs: str, meanwhile: str, ends_as: str) -> Rendered:
        records = self._world.records(place)
        cluster = find_cluster(records, params["db_cluster_identifier"])
        members = records.members(cluster)
        if cluster.status != needs or any(member.status != needs for member in members):
            raise Refused(
                "InvalidDBClusterStateFault",
                f"DbCluster {cluster.db_cluster_identifier} is in {cluster.status} state, but it and its instances "
                f"must be {needs}.",
            )
        seconds = self._world.durations.stop_s if ends_as == "stopped" else self._world.durations.start_s
        # The cluster first: an instance that becomes available must find its cluster so.
        affected: list[Record] = [cluster, *members]
        for record in affected:
            self._world.begin(record, Work.CHANGE, meanwhile, seconds, ends_as=ends_as)
        self._world.serve(records, cluster)
        return self._render(records, cluster)

    def enable_http_endpoint(self, place: Place, params: Params) -> dict[str, object]:
        """EnableHttpEndpoint."""
        cluster = find_cluster(self._world.records(place), params["resource_arn"])
        require_available(cluster)
        cluster.http_endpoint_enabled = True
        return {"ResourceArn": cluster.arn, "HttpEndpointEnabled": True}

    def add_role(self, place: Place, params: Params) -> None:
        """AddRoleToDBCluster."""
        cluster = find_cluster(self._world.records(place), params["db_cluster_identifier"])
        require_available(cluster)
        self._associate(cluster, params["role_arn"], params.get("feature_name") or "")

    def _associate(self, cluster: Cluster, role_arn: str, feature: str) -> None:
        if any(role.role_arn == role_arn and role.feature_name == feature for role in cluster.roles):
            raise Refused(
                "DBClusterRoleAlreadyExists",
                f"Role ARN {role_arn} already exists for DB cluster {cluster.db_cluster_identifier}",
            )
        active_at = self._world.clock.now() + timedelta(seconds=self._world.durations.role_s)
        cluster.roles.append(Role(role_arn, feature, active_at))
        self._world.clock.hurry(active_at)

    def remove_role(self, place: Place, params: Params) -> None:
        """RemoveRoleFromDBCluster."""
        cluster = find_cluster(self._world.records(place), params["db_cluster_identifier"])
        require_available(cluster)
        feature = params.get("feature_name") or ""
        kept = [role for role in cluster.roles if (role.role_arn, role.feature_name) != (params["role_arn"], feature)]
        if len(kept) == len(cluster.roles):
            raise Refused(
                "DBClusterRoleNotFound",
                f"Role ARN {params['role_arn']} cannot be found for DB cluster {cluster.db_cluster_identifier}",
            )
        cluster.roles = kept

    def failover(self, place: Place, params: Params) -> Rendered:
        """FailoverDBCluster: another instance becomes the writer."""
        records = self._world.records(place)
        cluster = find_cluster(records, params["db_cluster_identifier"])
        require_available(cluster)
        readers = [
            m
            for m in records.members(cluster)
            if m.status == "available" and m.db_instance_identifier != cluster.writer
        ]
        wanted = params.get("target_db_instance_identifier")
        readers = [reader for reader in readers if wanted in {None, reader.db_instance_identifier}]
        if not readers:
            raise Refused("InvalidDBInstanceState", "There is no available reader to fail over to.")
        cluster.writer = min(readers, key=lambda reader: reader.promotion_tier).db_instance_identifier
        self._world.begin(cluster, Work.CHANGE, "failing-over", self._world.durations.failover_s)
        return self._render(records, cluster)

    def describe(self, place: Place, params: Params) -> tuple[list[Rendered], str | None]:
        """DescribeDBClusters."""
        records = self._world.records(place)
        name = params.get("db_cluster_identifier")
        found = [find_cluster(records, name)] if name else list(records.clusters.values())
        found = [each for each in found if rules.matches(each, params.get("filters") or (), _FILTERS)]
        shown, marker = rules.page(found, lambda each: each.db_cluster_identifier, params)
        return [self._render(records, each) for each in shown], marker

    def endpoints(self, place: Place, params: Params) -> list[Rendered]:
        """DescribeDBClusterEndpoints: the two that every cluster has; there are no custom ones."""
        clusters, _ = self.describe(place, {"db_cluster_identifier": params.get("db_cluster_identifier")})
        return [
            {
                "db_cluster_identifier": each["db_cluster_identifier"],
                "endpoint": LOOPBACK,
                "status": each["status"],
                "endpoint_type": kind,
            }
            for each in clusters
            for kind in ("WRITER", "READER")
        ]

    def _render(self, records: Records, cluster: Cluster) -> Rendered:
        return records.render_cluster(cluster, self._world.clock.now())


_FILTERS: dict[str, Callable[[Cluster], list[str | None]]] = {
    "db-cluster-id": lambda each: [each.db_cluster_identifier, each.arn],
    "db-cluster-resource-id": lambda each: [each.db_cluster_resource_id],
    "engine": lambda each: [each.engine],
    "clone-group-id": lambda _: [],
    "domain": lambda _: [],
}
