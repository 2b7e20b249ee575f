"""A cluster's settings: what create, restore and modify have in common, and how they are modified."""

from dataclasses import dataclass, field
from typing import Any

from aurora_restore.embedded import aurora_credentials as credentials
from aurora_restore.embedded import aurora_neighbours as neighbours
from aurora_restore.embedded import aurora_rules as rules
from aurora_restore.embedded.aurora_records import Cluster, Place, Records, Rendered, Work
from aurora_restore.embedded.aurora_rules import Params, Refused
from aurora_restore.embedded.aurora_world import World, find_cluster, require_available

# What a parameter is called, and what the record calls it.
_PLAIN = {
    "storage_type": "storage_type",
    "deletion_protection": "deletion_protection",
    "copy_tags_to_snapshot": "copy_tags_to_snapshot",
    "enable_iam_database_authentication": "iam_database_authentication_enabled",
    "auto_minor_version_upgrade": "auto_minor_version_upgrade",
    "network_type": "network_type",
    "engine_lifecycle_support": "engine_lifecycle_support",
    "preferred_backup_window": "preferred_backup_window",
    "preferred_maintenance_window": "preferred_maintenance_window",
    "backup_retention_period": "backup_retention_period",
}
_STORAGE_TYPES = {"aurora", "aurora-iopt1"}


def checked(cluster: Cluster, params: Params) -> dict[str, Any]:
    """Return the settings that the parameters give, by the record's names, or refuse them."""
    if params.get("enable_http_endpoint") is not None:
        raise rules.bad_combination(
            "EnableHttpEndpoint is for Serverless v1 only; use the EnableHttpEndpoint operation."
        )
    given = {name: params[member] for member, name in _PLAIN.items() if params.get(member) is not None}
    if "preferred_maintenance_window" in given:
        given["preferred_maintenance_window"] = given["preferred_maintenance_window"].lower()
    rules.windows(
        given.get("preferred_backup_window", cluster.preferred_backup_window),
        given.get("preferred_maintenance_window", cluster.preferred_maintenance_window),
    )
    if given.get("storage_type", "aurora") not in _STORAGE_TYPES:
        raise rules.bad_value(f"Invalid storage type for {cluster.engine}: {given['storage_type']}")
    if "backup_retention_period" in given:
        rules.retention_days(given["backup_retention_period"])
    if params.get("serverless_v2_scaling_configuration"):
        given["serverless_v2_scaling_configuration"] = rules.serverless_range(
            params["serverless_v2_scaling_configuration"]
        )
    return given


def apply(cluster: Cluster, settings: dict[str, Any]) -> None:
    """Give the cluster these settings."""
    for name, value in settings.items():
        setattr(cluster, name, value)


@dataclass(slots=True)
class _Deferrable:
    """Changes that wait for the maintenance window unless they are to be applied immediately."""

    new_name: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def pending(self) -> dict[str, Any]:
        named = {"db_cluster_identifier": self.new_name} if self.new_name else {}
        return {**self.settings, **named}


class Modification:
    """ModifyDBCluster."""

    def __init__(self, world: World) -> None:
        """Work on this world."""
        self._world = world

    def modify(self, place: Place, params: Params) -> Rendered:
        """Change a cluster. Without ApplyImmediately, a new name, version or IAM authentication stays pending."""
        records = self._world.records(place)
        cluster = find_cluster(records, params["db_cluster_identifier"])
        require_available(cluster)
        # Everything that may refuse comes before anything that changes.
        settings = {**checked(cluster, params), **self._references(place, cluster, params)}
        deferrable = self._deferrable(records, cluster, settings, params)
        password = credentials.change(cluster, params)
        if not params.get("apply_immediately"):
            if waiting := deferrable.pending():
                cluster.pending_modified_values = {**(cluster.pending_modified_values or {}), **waiting}
            deferrable = _Deferrable()
        settings |= deferrable.settings
        apply(cluster, settings)
        self._propagate(records, cluster, settings)
        if settings or password or deferrable.new_name:
            self._begin(cluster, password, deferrable.new_name)
        return records.render_cluster(cluster, self._world.clock.now())

    def _references(self, place: Place, cluster: Cluster, params: Params) -> dict[str, Any]:
        """Return checked changes of what refers to other things."""
        found: dict[str, Any] = {}
        if group := params.get("db_cluster_parameter_group_name"):
            family = rules.family(cluster.engine, cluster.engine_version)
            found["db_cluster_parameter_group"] = neighbours.cluster_parameter_group(place, group, family)
        if groups := params.get("vpc_security_group_ids"):
            found["security_group_ids"] = neighbours.security_groups(place, groups, cluster.vpc_id)
        if logs := params.get("cloudwatch_logs_export_configuration"):
            kept = set(cluster.enabled_cloudwatch_logs_exports) - set(logs.get("disable_log_types") or ())
            wanted = sorted(kept | set(logs.get("enable_log_types") or ()))
            found["enabled_cloudwatch_logs_exports"] = rules.log_types(cluster.engine, cluster.engine_version, wanted)
        if params.get("port"):
            found["port"] = rules.port(params["port"])
        return found

    def _deferrable(self, records: Records, cluster: Cluster, settings: dict[str, Any], params: Params) -> _Deferrable:
        deferrable = _Deferrable()
        if given := params.get("new_db_cluster_identifier"):
            deferrable.new_name = rules.identifier(given, "NewDBClusterIdentifier")
            if deferrable.new_name in records.clusters:
                raise Refused("DBClusterAlreadyExistsFault", "DB Cluster already exists")
        if version := params.get("engine_version"):
            rules.engine_version(cluster.engine, version)
            if rules.is_older(version, cluster.engine_version):
                raise rules.bad_combination(
                    f"Cannot upgrade from {cluster.engine_version} to the older version {version}."
                )
            deferrable.settings["engine_version"] = version
        if "iam_database_authentication_enabled" in settings:
            deferrable.settings["iam_database_authentication_enabled"] = settings.pop(
                "iam_database_authentication_enabled"
            )
        return deferrable

    def _propagate(self, records: Records, cluster: Cluster, settings: dict[str, Any]) -> None:
        for member in records.members(cluster):
            if "db_cluster_parameter_group" in settings:
                member.cluster_parameter_group_status = "pending-reboot"
            member.engine_version = cluster.engine_version
        if "port" in settings:
            self._world.restart(records, cluster)

    def _begin(self, cluster: Cluster, password: str, new_name: str) -> None:
        durations = self._world.durations
        status, seconds = "modifying", durations.modify_s
        if new_name:
            status, seconds = "renaming", durations.rename_s
        elif password:
            status, seconds = "resetting-master-credentials", durations.credentials_s
        pending = self._world.begin(cluster, Work.CHANGE, status, seconds)
        pending.new_identifier, pending.new_password = new_name, password
