"""Instances of emulated clusters: creating, modifying, rebooting and deleting them."""

from collections.abc import Callable
from typing import Any

from aurora_restore.embedded import aurora_neighbours as neighbours
from aurora_restore.embedded import aurora_rules as rules
from aurora_restore.embedded.aurora_records import Cluster, Instance, Place, Records, Rendered, Work
from aurora_restore.embedded.aurora_rules import Params, Refused
from aurora_restore.embedded.aurora_world import World, find_cluster, find_instance, new_resource_id, require_available

INSTANCES_A_CLUSTER = 16

# These are the cluster's, and RDS refuses them on an instance of one.
_OF_THE_CLUSTER = (
    "master_username", "master_user_password", "manage_master_user_password", "master_user_secret_kms_key_id",
    "db_name", "port",
    "allocated_storage", "storage_encrypted", "kms_key_id", "backup_retention_period", "preferred_backup_window",
    "vpc_security_group_ids", "db_security_groups", "deletion_protection", "enable_iam_database_authentication",
    "enable_cloudwatch_logs_exports", "cloudwatch_logs_export_configuration", "iops", "multi_az",
)  # fmt: skip
# What a parameter is called, and what the record calls it.
_PLAIN = {
    "promotion_tier": "promotion_tier",
    "auto_minor_version_upgrade": "auto_minor_version_upgrade",
    "publicly_accessible": "publicly_accessible",
    "ca_certificate_identifier": "ca_certificate_identifier",
    "copy_tags_to_snapshot": "copy_tags_to_snapshot",
    "preferred_maintenance_window": "preferred_maintenance_window",
    "monitoring_interval": "monitoring_interval",
    "monitoring_role_arn": "monitoring_role_arn",
    "enable_performance_insights": "performance_insights_enabled",
    "performance_insights_retention_period": "performance_insights_retention_period",
}


class Instances:
    """The operations on instances, as RDS has them."""

    def __init__(self, world: World) -> None:
        """Work on this world."""
        self._world = world

    def create(self, place: Place, params: Params) -> Rendered:
        """CreateDBInstance, for a member of a cluster."""
        records = self._world.records(place)
        name = self._free_name(records, params["db_instance_identifier"])
        if not params.get("db_cluster_identifier"):
            raise rules.bad_combination(
                "The embedded account has instances of Aurora clusters only: specify DBClusterIdentifier."
            )
        cluster = find_cluster(records, params["db_cluster_identifier"])
        rules.refuse_members(
            params,
            _OF_THE_CLUSTER,
            "The requested DB Instance will be a member of a DB Cluster: set this on the cluster",
        )
        self._require_room(records, cluster, params)
        instance = self._new(records, cluster, name, params)
        records.instances[name] = instance
        self._world.begin(instance, Work.CREATE, "creating", self._world.durations.instance_create_s)
        self._world.doom(instance, "instance", name)
        return records.render_instance(instance)

    def _free_name(self, records: Records, given: str) -> str:
        name = rules.identifier(given, "DBInstanceIdentifier")
        if name in records.instances:
            raise Refused("DBInstanceAlreadyExists", "DB instance already exists")
        return name

    def _require_room(self, records: Records, cluster: Cluster, params: Params) -> None:
        if params["engine"] != cluster.engine:
            raise rules.bad_combination(
                f"The engine name requested for your DB instance ({params['engine']}) doesn't match the cluster's."
            )
        if params.get("engine_version") not in {None, cluster.engine_version}:
            raise rules.bad_combination(
                "The engine version requested for your DB instance doesn't match the cluster's."
            )
        if params.get("db_subnet_group_name") and params["db_subnet_group_name"].lower() != cluster.db_subnet_group:
            raise rules.bad_combination("The DB subnet group of the DB instance must be the cluster's.")
        require_available(cluster)
        if params["db_instance_class"] == "db.serverless" and cluster.serverless_v2_scaling_configuration is None:
            raise Refused(
                "InvalidDBClusterStateFault",
                "Set the Serverless v2 scaling configuration on the parent DB cluster "
                "before creating a Serverless v2 DB instance.",
            )
        if len(records.members(cluster)) >= INSTANCES_A_CLUSTER:
            raise Refused("InstanceQuotaExceeded", f"A cluster can have at most {INSTANCES_A_CLUSTER} instances.")

    def _new(self, records: Records, cluster: Cluster, name: str, params: Params) -> Instance:
        place = records.place
        zones = place.zones()
        zone = params.get("availability_zone") or zones[len(records.members(cluster)) % len(zones)]
        if zone not in zones:
            raise rules.bad_value(f"Invalid availability zone: {zone}")
        family = rules.family(cluster.engine, cluster.engine_version)
        settings = self._settings(place, params)
        instance = Instance(
            place=place,
            db_instance_identifier=name,
            db_cluster_identifier=cluster.db_cluster_identifier,
            dbi_resource_id=new_resource_id("db"),
            db_instance_class=rules.instance_class(params["db_instance_class"]),
            engine=cluster.engine,
            engine_version=cluster.engine_version,
            license_model=rules.LICENSES[cluster.engine],
            availability_zone=zone,
            parameter_group=neighbours.instance_parameter_group(place, params.get("db_parameter_group_name"), family),
            tag_list=rules.tags(params.get("tags")),
        )
        for field, value in settings.items():
            setattr(instance, field, value)
        return instance

    def _settings(self, place: Place, params: Params) -> dict[str, Any]:
        given = {field: params[member] for member, field in _PLAIN.items() if params.get(member) is not None}
        if "promotion_tier" in given:
            rules.promotion_tier(given["promotion_tier"])
        if given.get("monitoring_interval") and not given.get("monitoring_role_arn"):
            raise rules.bad_combination(
                "A MonitoringRoleARN value is required if you specify a MonitoringInterval value other than 0."
            )
        if params.get("performance_insights_kms_key_id"):
            given["performance_insights_kms_key_id"] = neighbours.key_arn(
                place, params["performance_insights_kms_key_id"]
            )
        return given

    def modify(self, place: Place, params: Params) -> Rendered:
        """ModifyDBInstance. Without ApplyImmediately, a new name or class stays pending."""
        records = self._world.records(place)
        instance = find_instance(records, params["db_instance_identifier"])
        cluster = records.clusters[instance.db_cluster_identifier]
        rules.refuse_members(
            params, _OF_THE_CLUSTER, "The DB instance is a member of a DB cluster: modify the cluster instead"
        )
        _require_instance_available(instance)
        settings = self._settings(place, params)
        if params.get("db_parameter_group_name"):
            family = rules.family(cluster.engine, cluster.engine_version)
            settings["parameter_group"] = neighbours.instance_parameter_group(
                place, params["db_parameter_group_name"], family
            )
        name = (
            self._free_name(records, params["new_db_instance_identifier"])
            if params.get("new_db_instance_identifier")
            else ""
        )
        deferrable = (
            {"db_instance_class": rules.instance_class(params["db_instance_class"])}
            if params.get("db_instance_class")
            else {}
        )
        if not params.get("apply_immediately") and (deferrable or name):
            waiting = {**deferrable, **({"db_instance_identifier": name} if name else {})}
            instance.pending_modified_values = {**(instance.pending_modified_values or {}), **waiting}
            deferrable, name = {}, ""
        self._apply(instance, {**settings, **deferrable}, name)
        return records.render_instance(instance)

    def _apply(self, instance: Instance, settings: dict[str, Any], new_name: str) -> None:
        if settings.get("parameter_group", instance.parameter_group) != instance.parameter_group:
            instance.parameter_group_status = "pending-reboot"
        for field, value in settings.items():
            setattr(instance, field, value)
        if new_name:
            self._world.begin(
                instance, Work.CHANGE, "renaming", self._world.durations.rename_s
            ).new_identifier = new_name
        elif settings:
            self._world.begin(instance, Work.CHANGE, "modifying", self._world.durations.modify_s)

    def reboot(self, place: Place, params: Params) -> Rendered:
        """RebootDBInstance: parameter groups that waited for it are in sync afterwards."""
        records = self._world.records(place)
        instance = find_instance(records, params["db_instance_identifier"])
        _require_instance_available(instance)
        self._world.begin(instance, Work.REBOOT, "rebooting", self._world.durations.reboot_s)
        return records.render_instance(instance)

    def delete(self, place: Place, params: Params) -> Rendered:
        """DeleteDBInstance, on a protected cluster too: protection covers the cluster, not its instances."""
        records = self._world.records(place)
        instance = find_instance(records, params["db_instance_identifier"])
        cluster = records.clusters[instance.db_cluster_identifier]
        if params.get("final_db_snapshot_identifier"):
            raise rules.bad_combination(
                "FinalDBSnapshotIdentifier can not be specified when deleting a cluster instance"
            )
        if instance.status == "deleting":
            raise Refused(
                "InvalidDBInstanceState", f"Instance {instance.db_instance_identifier} is already being deleted."
            )
        if cluster.status in {"stopping", "stopped", "starting"}:
            raise Refused(
                "InvalidDBClusterStateFault",
                f"DB cluster {cluster.db_cluster_identifier} is {cluster.status}: start it first.",
            )
        if instance.status in {"creating", "rebooting", "renaming"}:
            raise Refused(
                "InvalidDBInstanceState",
                f"Instance {instance.db_instance_identifier} is {instance.status} and cannot be deleted.",
            )
        self._world.begin(instance, Work.DELETE, "deleting", self._world.durations.instance_delete_s)
        self._world.serve(records, cluster)
        return records.render_instance(instance)

    def describe(self, place: Place, params: Params) -> tuple[list[Rendered], str | None]:
        """DescribeDBInstances."""
        records = self._world.records(place)
        name = params.get("db_instance_identifier")
        found = [find_instance(records, name)] if name else list(records.instances.values())
        found = [each for each in found if rules.matches(each, params.get("filters") or (), _FILTERS)]
        shown, marker = rules.page(found, lambda each: each.db_instance_identifier, params)
        return [records.render_instance(each) for each in shown], marker


def _require_instance_available(instance: Instance) -> None:
    if instance.status != "available":
        raise Refused(
            "InvalidDBInstanceState", f"Instance {instance.db_instance_identifier} is not available: {instance.status}."
        )


_FILTERS: dict[str, Callable[[Instance], list[str | None]]] = {
    "db-cluster-id": lambda each: [each.db_cluster_identifier, each.place.arn("cluster", each.db_cluster_identifier)],
    "db-instance-id": lambda each: [each.db_instance_identifier, each.arn],
    "dbi-resource-id": lambda each: [each.dbi_resource_id],
    "engine": lambda each: [each.engine],
    "domain": lambda _: [],
}
