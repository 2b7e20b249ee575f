"""The shape: everything about the target that a restore would lose (I9). Captured from AWS, rendered to calls."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count, zip_longest
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from aurora_restore.names import instance_identifier, without_reserved
from aurora_restore.request import ServerlessRange, Target

Description = Mapping[str, Any]
Parameters = dict[str, Any]

_GONE = frozenset({"removed", "removing"})


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class AssociatedRole(_Record):
    """An IAM role that the database may use, for S3 import and the like."""

    arn: str
    feature: str | None = None


class Serverless(_Record):
    """The Serverless v2 range in ACU, and after how many idle seconds the cluster pauses."""

    min_acu: float
    max_acu: float
    auto_pause_s: int | None = None

    def render(self) -> Parameters:
        """Return it as ServerlessV2ScalingConfiguration."""
        return _present(MinCapacity=self.min_acu, MaxCapacity=self.max_acu, SecondsUntilAutoPause=self.auto_pause_s)


class Monitoring(_Record):
    """Enhanced Monitoring and Performance Insights, of a cluster or of an instance."""

    interval_s: int = 0
    role_arn: str | None = None
    insights_mode: str | None = None
    insights_enabled: bool = False
    insights_kms_key: str | None = None
    insights_retention_days: int | None = None

    @classmethod
    def capture(cls, description: Description) -> Self:
        """Read it from a DBCluster or a DBInstance: both use the same names."""
        return cls(
            interval_s=description.get("MonitoringInterval") or 0,
            role_arn=description.get("MonitoringRoleArn"),
            insights_mode=description.get("DatabaseInsightsMode"),
            insights_enabled=bool(description.get("PerformanceInsightsEnabled")),
            insights_kms_key=description.get("PerformanceInsightsKMSKeyId"),
            insights_retention_days=description.get("PerformanceInsightsRetentionPeriod"),
        )

    def render(self) -> Parameters:
        """Return it as parameters of CreateDBInstance or ModifyDBCluster; nothing where all is off."""
        insights = _present(
            PerformanceInsightsKMSKeyId=self.insights_kms_key,
            PerformanceInsightsRetentionPeriod=self.insights_retention_days,
        )
        return {
            **_present(DatabaseInsightsMode=self.insights_mode),
            **({"MonitoringInterval": self.interval_s, "MonitoringRoleArn": self.role_arn} if self.interval_s else {}),
            **({"EnablePerformanceInsights": True, **insights} if self.insights_enabled else {}),
        }


class InstanceShape(_Record):
    """One instance, as it is to be made again."""

    identifier: str
    instance_class: str
    promotion_tier: int = 1
    parameter_group: str | None = None
    availability_zone: str | None = None
    maintenance_window: str | None = None
    publicly_accessible: bool = False
    auto_minor_version_upgrade: bool = True
    ca_certificate: str | None = None
    copy_tags_to_snapshot: bool = False
    capacity_reservation: str | None = None
    monitoring: Monitoring = Monitoring()
    tags: dict[str, str] = {}

    @classmethod
    def capture(cls, instance: Description) -> Self:
        """Read it from a DBInstance."""
        groups = instance.get("DBParameterGroups") or [{}]
        return cls(
            identifier=instance["DBInstanceIdentifier"],
            instance_class=instance["DBInstanceClass"],
            promotion_tier=_or(instance.get("PromotionTier"), 1),
            parameter_group=groups[0].get("DBParameterGroupName"),
            availability_zone=instance.get("AvailabilityZone"),
            maintenance_window=instance.get("PreferredMaintenanceWindow"),
            publicly_accessible=bool(instance.get("PubliclyAccessible")),
            auto_minor_version_upgrade=instance.get("AutoMinorVersionUpgrade") is not False,
            ca_certificate=instance.get("CACertificateIdentifier"),
            copy_tags_to_snapshot=bool(instance.get("CopyTagsToSnapshot")),
            capacity_reservation=instance.get("DBCapacityReservationIdentifier"),
            monitoring=Monitoring.capture(instance),
            tags=without_reserved(tags_of(instance)),
        )

    def render(self, *, cluster: str, engine: str, tags: Mapping[str, str]) -> Parameters:
        """Return the parameters of CreateDBInstance that make it in ``cluster``, with ``tags`` added to its own."""
        return {
            "DBInstanceIdentifier": self.identifier,
            "DBClusterIdentifier": cluster,
            "Engine": engine,
            "DBInstanceClass": self.instance_class,
            "PromotionTier": self.promotion_tier,
            "PubliclyAccessible": self.publicly_accessible,
            "AutoMinorVersionUpgrade": self.auto_minor_version_upgrade,
            "CopyTagsToSnapshot": self.copy_tags_to_snapshot,
            "Tags": tag_list({**self.tags, **tags}),
            **_present(
                DBParameterGroupName=self.parameter_group,
                AvailabilityZone=self.availability_zone,
                PreferredMaintenanceWindow=self.maintenance_window,
                CACertificateIdentifier=self.ca_certificate,
                DBCapacityReservationIdentifier=self.capacity_reservation,
            ),
            # Aurora's instances take their DatabaseInsightsMode from the cluster.
            **self.monitoring.model_copy(update={"insights_mode": None}).render(),
        }


class ClusterShape(_Record):
    """A cluster's settings and instances: what is lost in a restore unless it is set again."""

    engine: str
    engine_version: str
    engine_mode: str = "provisioned"
    port: int
    subnet_group: str
    security_groups: tuple[str, ...]
    parameter_group: str | None = None
    storage_type: str = "aurora"
    network_type: str | None = None
    lifecycle_support: str | None = None
    log_exports: tuple[str, ...] = ()
    iam_authentication: bool = False
    deletion_protection: bool = False
    copy_tags_to_snapshot: bool = False
    backup_retention_days: int = 1
    backup_window: str | None = None
    maintenance_window: str | None = None
    backtrack_window_s: int = 0
    http_endpoint: bool = False
    serverless: Serverless | None = None
    domain: str | None = None
    domain_role: str | None = None
    monitoring: Monitoring = Monitoring()
    roles: tuple[AssociatedRole, ...] = ()
    tags: dict[str, str] = {}
    instances: tuple[InstanceShape, ...] = ()

    @classmethod
    def capture(cls, cluster: Description, instances: Iterable[Description] = ()) -> Self:
        """Read it from a DBCluster and the DBInstances that are its members, the writer first."""
        writer = [
            member["DBInstanceIdentifier"]
            for member in cluster.get("DBClusterMembers", ())
            if member.get("IsClusterWriter")
        ]
        shapes = sorted(
            map(InstanceShape.capture, instances),
            key=lambda shape: (shape.identifier not in writer, shape.promotion_tier, shape.identifier),
        )
        domain = (cluster.get("DomainMemberships") or [{}])[0]
        return cls(
            engine=cluster["Engine"],
            engine_version=cluster["EngineVersion"],
            engine_mode=cluster.get("EngineMode") or "provisioned",
            port=cluster["Port"],
            subnet_group=cluster["DBSubnetGroup"],
            security_groups=tuple(
                sorted(group["VpcSecurityGroupId"] for group in cluster.get("VpcSecurityGroups", ()))
            ),
            parameter_group=cluster.get("DBClusterParameterGroup"),
            storage_type=cluster.get("StorageType") or "aurora",
            network_type=cluster.get("NetworkType"),
            lifecycle_support=cluster.get("EngineLifecycleSupport"),
            log_exports=tuple(sorted(cluster.get("EnabledCloudwatchLogsExports") or ())),
            iam_authentication=bool(cluster.get("IAMDatabaseAuthenticationEnabled")),
            deletion_protection=bool(cluster.get("DeletionProtection")),
            copy_tags_to_snapshot=bool(cluster.get("CopyTagsToSnapshot")),
            backup_retention_days=cluster.get("BackupRetentionPeriod") or 1,
            backup_window=cluster.get("PreferredBackupWindow"),
            maintenance_window=cluster.get("PreferredMaintenanceWindow"),
            backtrack_window_s=cluster.get("BacktrackWindow") or 0,
            http_endpoint=bool(cluster.get("HttpEndpointEnabled")),
            serverless=_serverless(cluster.get("ServerlessV2ScalingConfiguration")),
            domain=domain.get("Domain"),
            domain_role=domain.get("IAMRoleName"),
            monitoring=Monitoring.capture(cluster),
            roles=_roles(cluster.get("AssociatedRoles") or ()),
            tags=without_reserved(tags_of(cluster)),
            instances=tuple(shapes),
        )

    @classmethod
    def from_request(cls, target: Target, *, engine: str, engine_version: str, port: int, storage_type: str) -> Self:
        """Return the shape of a target that does not exist yet; ``missing_for_new`` has found nothing missing in it."""
        return cls(
            engine=engine,
            engine_version=engine_version,
            port=port,
            storage_type=storage_type,
            subnet_group=target.subnet_group or "",
            security_groups=(),
        ).overridden(target)

    def overridden(self, target: Target) -> Self:
        """Return the shape with what the request wants to be different; None in the request keeps what was captured."""
        changes = {
            "engine_version": target.engine_version,
            "parameter_group": target.parameter_group,
            "subnet_group": target.subnet_group,
            "security_groups": None if target.security_groups is None else tuple(sorted(target.security_groups)),
            "port": target.port,
            "log_exports": None if target.log_exports is None else tuple(sorted(target.log_exports)),
            "iam_authentication": target.iam_authentication,
            "backup_retention_days": target.backup_retention_days,
            "backup_window": target.backup_window,
            "maintenance_window": target.maintenance_window,
            "storage_type": target.storage_type,
            "deletion_protection": target.deletion_protection,
            "tags": target.tags,
            "serverless": None if target.serverless is None else _range(target.serverless),
            "instances": None if target.instances is None else self._requested_instances(target),
        }
        return self.model_copy(update={field: value for field, value in changes.items() if value is not None})

    def _requested_instances(self, target: Target) -> tuple[InstanceShape, ...]:
        """Return the request's instances; each keeps the name and the rest of the captured one in its place."""
        taken = {instance.identifier for instance in self.instances}
        # After a failover or a removal the captured names are any; a new instance must not get one of them.
        free = (name for number in count(1) if (name := instance_identifier(target.cluster, number)) not in taken)
        return tuple(
            (captured or InstanceShape(identifier=next(free), instance_class=wanted.instance_class)).model_copy(
                update={
                    "instance_class": wanted.instance_class,
                    "promotion_tier": wanted.promotion_tier,
                    "availability_zone": wanted.availability_zone,
                    **_present(parameter_group=wanted.parameter_group),
                }
            )
            for wanted, captured in zip_longest(target.instances or (), self.instances[: len(target.instances or ())])
        )

    def render_restore(
        self, *, cluster: str, snapshot: str, kms_key: str | None, tags: Mapping[str, str]
    ) -> Parameters:
        """Return every parameter of RestoreDBClusterFromSnapshot that the shape has: there, omitted means default."""
        return {
            "DBClusterIdentifier": cluster,
            "SnapshotIdentifier": snapshot,
            "Engine": self.engine,
            "EngineVersion": self.engine_version,
            "EngineMode": self.engine_mode,
            "Port": self.port,
            "DBSubnetGroupName": self.subnet_group,
            "VpcSecurityGroupIds": list(self.security_groups),
            "StorageType": self.storage_type,
            "EnableIAMDatabaseAuthentication": self.iam_authentication,
            "EnableCloudwatchLogsExports": list(self.log_exports),
            "CopyTagsToSnapshot": self.copy_tags_to_snapshot,
            # Off until every step is done: a half-made target must be removable. CheckRestoreStatus sets it at its end.
            "DeletionProtection": False,
            "Tags": tag_list({**self.tags, **tags}),
            **_present(
                KmsKeyId=kms_key,
                DBClusterParameterGroupName=self.parameter_group,
                NetworkType=self.network_type,
                EngineLifecycleSupport=self.lifecycle_support,
                Domain=self.domain,
                DomainIAMRoleName=self.domain_role,
                BacktrackWindow=self.backtrack_window_s or None,
                ServerlessV2ScalingConfiguration=self.serverless.render() if self.serverless else None,
            ),
        }

    def render_settings(self, now: Self) -> Parameters:
        """Return the parameters of ModifyDBCluster that turn what a restored cluster has ``now`` into this shape.

        Only differences, so that nothing is left to do when they are read back equal. Restore cannot set some of these,
        and whether it inherits others is open (aurora-facts): both are compared.
        """
        exports = _export_changes(set(now.log_exports), set(self.log_exports))
        wanted = {
            "BackupRetentionPeriod": (self.backup_retention_days, now.backup_retention_days),
            "PreferredBackupWindow": (self.backup_window, now.backup_window),
            "PreferredMaintenanceWindow": (self.maintenance_window, now.maintenance_window),
            "CopyTagsToSnapshot": (self.copy_tags_to_snapshot, now.copy_tags_to_snapshot),
            "EnableIAMDatabaseAuthentication": (self.iam_authentication, now.iam_authentication),
            "StorageType": (self.storage_type, now.storage_type),
            "DBClusterParameterGroupName": (self.parameter_group, now.parameter_group),
            "DeletionProtection": (self.deletion_protection, now.deletion_protection),
        }
        changes = {name: want for name, (want, have) in wanted.items() if want is not None and want != have}
        watched = now.monitoring.render()
        changes |= {name: want for name, want in self.monitoring.render().items() if watched.get(name) != want}
        return changes | ({"CloudwatchLogsExportConfiguration": exports} if exports else {})


def missing_for_new(target: Target) -> tuple[str, ...]:
    """Return the fields of the request without which a target that does not exist yet would take AWS's defaults."""
    needed = {
        "target.instances": target.instances,
        "target.subnet_group": target.subnet_group,
        "target.security_groups": target.security_groups,
    }
    return tuple(name for name, value in needed.items() if not value)


def tags_of(description: Description) -> dict[str, str]:
    """Return the tags of any RDS description that has a TagList."""
    return {tag["Key"]: tag.get("Value", "") for tag in description.get("TagList") or ()}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags in the form that RDS takes, sorted by key."""
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]


def _present(**values: Any) -> Parameters:
    return {name: value for name, value in values.items() if value is not None}


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _serverless(description: Description | None) -> Serverless | None:
    if not description or description.get("MaxCapacity") is None:
        return None
    return Serverless(
        min_acu=description["MinCapacity"],
        max_acu=description["MaxCapacity"],
        auto_pause_s=description.get("SecondsUntilAutoPause"),
    )


def _range(wanted: ServerlessRange) -> Serverless:
    return Serverless(min_acu=wanted.min_acu, max_acu=wanted.max_acu)


def _roles(descriptions: Sequence[Description]) -> tuple[AssociatedRole, ...]:
    roles = [
        AssociatedRole(arn=role["RoleArn"], feature=role.get("FeatureName") or None)
        for role in descriptions
        if str(role.get("Status", "active")).lower() not in _GONE
    ]
    return tuple(sorted(roles, key=lambda role: (role.arn, role.feature or "")))


def _export_changes(have: set[str], want: set[str]) -> Parameters:
    changes = {"EnableLogTypes": sorted(want - have), "DisableLogTypes": sorted(have - want)}
    return {name: kinds for name, kinds in changes.items() if kinds}
