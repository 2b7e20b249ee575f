"""What the emulated Aurora knows: clusters, instances and snapshots, and how they look in an answer.

A field is named like the member of the RDS model that it shows, in snake case: that is how moto finds it when it
serialises a record. Records hold plain values only, so that they can be pickled.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import Any, TypeAlias

LOOPBACK = "127.0.0.1"

Tag: TypeAlias = dict[str, str]
Rendered: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """One region of one account."""

    account: str
    region: str

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN of an RDS resource here."""
        return f"arn:aws:rds:{self.region}:{self.account}:{kind}:{name}"

    def zones(self) -> list[str]:
        """Return the region's availability zones."""
        return [f"{self.region}{letter}" for letter in "abc"]


@dataclass(frozen=True, slots=True)
class Durations:
    """How long each operation takes, in seconds of the embedded account's clock."""

    cluster_create_s: float = 120
    snapshot_s: float = 180
    copy_s: float = 240
    copy_across_regions_s: float = 600
    restore_s: float = 600
    instance_create_s: float = 480
    modify_s: float = 60
    credentials_s: float = 45
    rename_s: float = 120
    reboot_s: float = 60
    failover_s: float = 30
    role_s: float = 30
    start_s: float = 300
    stop_s: float = 240
    instance_delete_s: float = 180
    cluster_delete_s: float = 120


class Work(Enum):
    """What is under way on a record, and so what happens to it when the time has come."""

    CREATE = auto()
    CHANGE = auto()
    REBOOT = auto()
    DELETE = auto()


@dataclass(slots=True)
class Pending:
    """Something under way on a record."""

    work: Work
    began_at: datetime
    due_at: datetime
    ends_as: str
    # A failure ends before all is done, so progress stands still below 100.
    percent_at_end: int = 100
    new_identifier: str = ""
    new_password: str = field(default="", repr=False)

    def percent(self, now: datetime) -> int:
        """Return how much of it is done."""
        whole_s = (self.due_at - self.began_at).total_seconds()
        passed_s = (now - self.began_at).total_seconds()
        share = min(passed_s / whole_s, 1.0) if whole_s > 0 else 1.0
        return int(share * self.percent_at_end)


@dataclass(slots=True)
class Role:
    """An IAM role that a cluster may use."""

    role_arn: str
    feature_name: str
    active_at: datetime

    def render(self, now: datetime) -> Rendered:
        """Return the role as the model's DBClusterRole."""
        status = "ACTIVE" if now >= self.active_at else "PENDING"
        return {"role_arn": self.role_arn, "feature_name": self.feature_name, "status": status}


class SecretStatus(StrEnum):
    """How far RDS is with a secret that it manages."""

    CREATING = auto()
    ACTIVE = auto()
    ROTATING = auto()


@dataclass(slots=True)
class MasterSecret:
    """The secret that RDS manages for a master user."""

    secret_arn: str
    kms_key_id: str
    secret_status: SecretStatus = SecretStatus.CREATING


@dataclass(slots=True, kw_only=True)
class Cluster:
    """One Aurora cluster."""

    place: Place
    db_cluster_identifier: str
    # The volume's name in the data plane too: the one name of a cluster that never changes.
    db_cluster_resource_id: str
    engine: str
    engine_version: str
    master_username: str
    database_name: str | None
    port: int
    db_subnet_group: str
    vpc_id: str
    security_group_ids: list[str]
    db_cluster_parameter_group: str
    cluster_create_time: datetime
    status: str = "creating"
    pending: Pending | None = None
    writer: str | None = None
    is_serving: bool = False
    storage_encrypted: bool = False
    kms_key_id: str | None = None
    storage_type: str = "aurora"
    backup_retention_period: int = 1
    preferred_backup_window: str = "03:00-03:30"
    preferred_maintenance_window: str = "sun:05:00-sun:05:30"
    deletion_protection: bool = False
    copy_tags_to_snapshot: bool = False
    iam_database_authentication_enabled: bool = False
    http_endpoint_enabled: bool = False
    auto_minor_version_upgrade: bool = True
    engine_mode: str = "provisioned"
    network_type: str = "IPV4"
    engine_lifecycle_support: str = "open-source-rds-extended-support"
    enabled_cloudwatch_logs_exports: list[str] = field(default_factory=list)
    serverless_v2_scaling_configuration: dict[str, float] | None = None
    master_user_secret: MasterSecret | None = None
    roles: list[Role] = field(default_factory=list)
    tag_list: list[Tag] = field(default_factory=list)
    pending_modified_values: dict[str, Any] | None = None
    allocated_storage: int = 1
    multi_az: bool = False
    cross_account_clone: bool = False

    @property
    def arn(self) -> str:
        """Return the cluster's ARN, which a rename changes."""
        return self.place.arn("cluster", self.db_cluster_identifier)


@dataclass(slots=True, kw_only=True)
class Instance:
    """One instance of a cluster."""

    place: Place
    db_instance_identifier: str
    db_cluster_identifier: str
    dbi_resource_id: str
    db_instance_class: str
    engine: str
    engine_version: str
    availability_zone: str
    parameter_group: str
    db_instance_status: str = "creating"
    pending: Pending | None = None
    instance_create_time: datetime | None = None
    parameter_group_status: str = "in-sync"
    cluster_parameter_group_status: str = "in-sync"
    promotion_tier: int = 1
    auto_minor_version_upgrade: bool = True
    publicly_accessible: bool = False
    ca_certificate_identifier: str = "rds-ca-rsa2048-g1"
    copy_tags_to_snapshot: bool = False
    preferred_maintenance_window: str = "sun:05:00-sun:05:30"
    monitoring_interval: int = 0
    monitoring_role_arn: str | None = None
    performance_insights_enabled: bool = False
    performance_insights_kms_key_id: str | None = None
    performance_insights_retention_period: int | None = None
    tag_list: list[Tag] = field(default_factory=list)
    pending_modified_values: dict[str, Any] | None = None
    allocated_storage: int = 1
    multi_az: bool = False
    db_instance_port: int = 0
    license_model: str = "postgresql-license"

    @property
    def arn(self) -> str:
        """Return the instance's ARN, which a rename changes."""
        return self.place.arn("db", self.db_instance_identifier)

    # One name for what the model calls Status on a cluster and DBInstanceStatus here.
    @property
    def status(self) -> str:
        """Return the status."""
        return self.db_instance_status

    @status.setter
    def status(self, status: str) -> None:
        self.db_instance_status = status


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """One snapshot of a cluster."""

    place: Place
    db_cluster_snapshot_identifier: str
    db_cluster_identifier: str
    db_cluster_resource_id: str
    snapshot_type: str
    snapshot_create_time: datetime
    cluster_create_time: datetime
    engine: str
    engine_version: str
    master_username: str
    port: int
    vpc_id: str
    storage_encrypted: bool
    kms_key_id: str | None
    storage_type: str
    iam_database_authentication_enabled: bool
    status: str = "creating"
    pending: Pending | None = None
    percent_done: int = 100
    source_db_cluster_snapshot_arn: str | None = None
    database_name: str | None = None
    tag_list: list[Tag] = field(default_factory=list)
    shared_with: list[str] = field(default_factory=list)
    allocated_storage: int = 1
    engine_mode: str = "provisioned"
    license_model: str = "postgresql-license"

    @property
    def arn(self) -> str:
        """Return the snapshot's ARN."""
        return self.place.arn("cluster-snapshot", self.db_cluster_snapshot_identifier)

    @property
    def volume(self) -> str:
        """Return the volume's name in the data plane."""
        name = self.db_cluster_snapshot_identifier.replace(":", "_")
        return f"snapshot-{self.place.account}-{self.place.region}-{name}"

    @property
    def crosses_regions(self) -> bool:
        """Say whether it is a copy from another region."""
        origin = self.source_db_cluster_snapshot_arn
        return origin is not None and origin.split(":")[3] != self.place.region


Record: TypeAlias = Cluster | Instance | Snapshot


@dataclass(slots=True)
class Records:
    """All records of one place, by identifier."""

    place: Place
    clusters: dict[str, Cluster] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)

    def members(self, cluster: Cluster) -> list[Instance]:
        """Return the cluster's instances, oldest first."""
        name = cluster.db_cluster_identifier
        return [instance for instance in self.instances.values() if instance.db_cluster_identifier == name]

    def all(self) -> Iterable[Record]:
        """Return every record: instances first, because a cluster ends after its instances."""
        return [*self.instances.values(), *self.clusters.values(), *self.snapshots.values()]

    def render_cluster(self, cluster: Cluster, now: datetime) -> Rendered:
        """Return the cluster as the model's DBCluster."""
        computed = {
            "db_cluster_arn": cluster.arn,
            "endpoint": LOOPBACK,
            "reader_endpoint": LOOPBACK,
            "hosted_zone_id": "ZLOOPBACK",
            "availability_zones": cluster.place.zones(),
            "percent_progress": str(cluster.pending.percent(now))
            if cluster.status == "creating" and cluster.pending
            else None,
            "earliest_restorable_time": cluster.cluster_create_time,
            "latest_restorable_time": now,
            "vpc_security_groups": _memberships(cluster.security_group_ids),
            "db_cluster_members": [_member(cluster, instance) for instance in self.members(cluster)],
            "associated_roles": [role.render(now) for role in cluster.roles],
        }
        return _plain(cluster) | computed

    def render_instance(self, instance: Instance) -> Rendered:
        """Return the instance as the model's DBInstance, with what it has from its cluster."""
        cluster = self.clusters[instance.db_cluster_identifier]
        inherited = {
            "master_username": cluster.master_username,
            "db_name": cluster.database_name,
            "backup_retention_period": cluster.backup_retention_period,
            "preferred_backup_window": cluster.preferred_backup_window,
            "vpc_security_groups": _memberships(cluster.security_group_ids),
            "db_subnet_group": {
                "db_subnet_group_name": cluster.db_subnet_group,
                "vpc_id": cluster.vpc_id,
                "subnet_group_status": "Complete",
            },
            "storage_type": cluster.storage_type,
            "storage_encrypted": cluster.storage_encrypted,
            "kms_key_id": cluster.kms_key_id,
            "iam_database_authentication_enabled": cluster.iam_database_authentication_enabled,
            "enabled_cloudwatch_logs_exports": list(cluster.enabled_cloudwatch_logs_exports),
            "deletion_protection": cluster.deletion_protection,
            "network_type": cluster.network_type,
        }
        group = {
            "db_parameter_group_name": instance.parameter_group,
            "parameter_apply_status": instance.parameter_group_status,
        }
        # As in AWS, an instance has an endpoint once it has been available.
        has_endpoint = instance.instance_create_time is not None
        endpoint = {"address": LOOPBACK, "port": cluster.port, "hosted_zone_id": "ZLOOPBACK"} if has_endpoint else None
        own = {"db_instance_arn": instance.arn, "endpoint": endpoint, "db_parameter_groups": [group]}
        return _plain(instance) | inherited | own


def render_snapshot(snapshot: Snapshot, now: datetime) -> Rendered:
    """Return the snapshot as the model's DBClusterSnapshot."""
    percent = snapshot.pending.percent(now) if snapshot.pending else snapshot.percent_done
    computed = {
        "db_cluster_snapshot_arn": snapshot.arn,
        "percent_progress": percent,
        "availability_zones": snapshot.place.zones(),
    }
    return _plain(snapshot) | computed


def _plain(record: Record) -> Rendered:
    # What is under way can hold a password, and is nobody's business.
    return {name: value for name, value in asdict(record).items() if name != "pending"}


def _memberships(security_group_ids: Iterable[str]) -> list[Rendered]:
    return [{"vpc_security_group_id": group, "status": "active"} for group in security_group_ids]


def _member(cluster: Cluster, instance: Instance) -> Rendered:
    return {
        "db_instance_identifier": instance.db_instance_identifier,
        "is_cluster_writer": instance.db_instance_identifier == cluster.writer,
        "db_cluster_parameter_group_status": instance.cluster_parameter_group_status,
        "promotion_tier": instance.promotion_tier,
    }
