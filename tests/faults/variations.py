"""The worlds that operations run in: production with a snapshot, and a target that stands in various ways."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from random import Random
from typing import Any

from aurora_restore.embedded.aurora_records import Durations
from aurora_restore.names import pipeline_tags
from tests.faults.evidence import EAST, WEST
from tests.faults.harness import Rig
from tests.steps.sessions import Contents

SOURCE, TARGET = "orders-prod", "orders-staging"
FAMILY = "aurora-postgresql16"
PRODUCTION_PASSWORDS = ("testing-production", "testing-legacy", "testing-reporting")
ROLE = "arn:aws:iam::123456789012:role/orders-import"
_QUICK = Durations(**{each.name: 12 for each in fields(Durations)})
# The shortest and the longest that people saw, in minutes, far enough from the steps' own limits.
_MINUTES: Mapping[str, tuple[float, float]] = {
    "cluster_create_s": (2, 10),
    "snapshot_s": (2, 40),
    "copy_s": (4, 150),
    "copy_across_regions_s": (15, 400),
    "restore_s": (8, 130),
    "instance_create_s": (6, 40),
    "modify_s": (0.5, 4),
    "credentials_s": (0.5, 5),
    "instance_delete_s": (2, 12),
    "cluster_delete_s": (2, 15),
}


def drawn(seed: int) -> Durations:
    """Return how long AWS takes in this scenario: hours for the long ones, as aurora-facts has them."""
    source = Random(seed)  # noqa: S311
    return Durations(**{name: round(source.uniform(*limits) * 60) for name, limits in _MINUTES.items()})


@dataclass(frozen=True)
class Variation:
    """A world, and the request made in it."""

    name: str
    make: Callable[[Rig], None]
    request: Mapping[str, Any]
    replaces: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)


def prepare(rig: Rig) -> None:
    """Give the account its networks, keys and parameter groups, and remember every variation's world."""
    for region, name in ((EAST, SOURCE), (WEST, TARGET)):
        equip(rig, region, name)
    for variation in VARIATIONS.values():
        rig.empty(_QUICK)
        variation.make(rig)
        rig.keep(variation.name)


def equip(rig: Rig, region: str, name: str) -> None:
    """Give a region its networks, key and parameter groups."""
    ec2, rds, kms = (rig.client(service, region) for service in ("ec2", "rds", "kms"))
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:3]
    rds.create_db_subnet_group(DBSubnetGroupName="private", DBSubnetGroupDescription="private", SubnetIds=subnets)
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=f"{name}-16", DBParameterGroupFamily=FAMILY, Description="orders"
    )
    rds.create_db_parameter_group(
        DBParameterGroupName=f"{name}-instance-16", DBParameterGroupFamily=FAMILY, Description="orders"
    )
    ec2.create_security_group(GroupName="orders", Description="orders", VpcId=vpc)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/orders", TargetKeyId=key)


def key_arn(rig: Rig, region: str) -> str:
    """Return the ARN of the region's key."""
    return str(rig.client("kms", region).describe_key(KeyId="alias/orders")["KeyMetadata"]["Arn"])


def make_cluster(rig: Rig, region: str, name: str, group: str, *, instances: int, **changes: Any) -> None:
    """Make an available cluster with instances."""
    rds, ec2 = rig.client("rds", region), rig.client("ec2", region)
    groups = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["orders"]}])["SecurityGroups"]
    settings = {
        "DBClusterIdentifier": name,
        "Engine": "aurora-postgresql",
        "EngineVersion": "16.4",
        "MasterUsername": "postgres",
        "MasterUserPassword": PRODUCTION_PASSWORDS[0],
        "DatabaseName": name.replace("-", "_"),
        "StorageEncrypted": True,
        "KmsKeyId": "alias/orders",
        "DBSubnetGroupName": "private",
        "DBClusterParameterGroupName": f"{group}-16",
        "VpcSecurityGroupIds": [groups[0]["GroupId"]],
    }
    rds.create_db_cluster(**settings, **changes)
    rig.clock.advance(60)
    for number in range(1, instances + 1):
        rds.create_db_instance(
            DBInstanceIdentifier=f"{name}-{number}",
            DBClusterIdentifier=name,
            Engine="aurora-postgresql",
            DBInstanceClass=f"db.r6g.{'x' * (number == 2)}large",
            PromotionTier=number,
            DBParameterGroupName=f"{group}-instance-16",
            Tags=[{"Key": "number", "Value": str(number)}],
        )
        rig.clock.advance(60)


def make_source(rig: Rig) -> None:
    """Make production: its data, its logins, and a snapshot of an hour ago."""
    make_cluster(rig, EAST, SOURCE, SOURCE, instances=1, DeletionProtection=True)
    volume = rig.databases.volumes[rig.scene().records(EAST).clusters[SOURCE].db_cluster_resource_id]
    volume.data = "production's orders"
    volume.contents["orders_prod"] = Contents(rows={"public.orders": 5})
    volume.logins |= {"legacy": PRODUCTION_PASSWORDS[1], "report": PRODUCTION_PASSWORDS[2]}
    rig.aurora.take_automated_snapshot(EAST, SOURCE)
    rig.clock.advance(3600)


def make_target(rig: Rig, region: str = WEST, **changes: Any) -> None:
    """Make the target with everything that a restore would lose."""
    group = TARGET if region == WEST else SOURCE
    settings = {
        "BackupRetentionPeriod": 5,
        "PreferredBackupWindow": "03:10-03:50",
        "PreferredMaintenanceWindow": "sun:05:00-sun:06:00",
        "EnableCloudwatchLogsExports": ["postgresql"],
        "EnableIAMDatabaseAuthentication": True,
        "CopyTagsToSnapshot": True,
        "Tags": [{"Key": "team", "Value": "shop"}],
        "Port": 5544,
    } | changes
    make_cluster(rig, region, TARGET, group, instances=2, **settings)
    rig.client("rds", region).add_role_to_db_cluster(DBClusterIdentifier=TARGET, RoleArn=ROLE, FeatureName="s3Import")
    rig.clock.advance(60)


def _make_old_snapshots(rig: Rig, region: str = WEST) -> None:
    """Leave what earlier operations kept, to be pruned, and what others made, which is nobody's to touch."""
    other = pipeline_tags("aurora-restore", "other", f"{region}/invoices") | {"aurora-restore:role": "archive"}
    _snapshot(rig, region, "archive-of-another-target", other)
    for number, role in enumerate(("archive", "archive", "archive", "final", "final")):
        tags = pipeline_tags("aurora-restore", f"earlier-{number}", f"{region}/{TARGET}") | {
            "aurora-restore:role": role
        }
        _snapshot(rig, region, f"earlier-{role}-{number}", tags)
    _snapshot(rig, region, "before-the-migration", {"owner": "dba"})


def _snapshot(rig: Rig, region: str, name: str, tags: Mapping[str, str]) -> None:
    rds = rig.client("rds", region)
    shown = [{"Key": key, "Value": value} for key, value in tags.items()]
    rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier=name, DBClusterIdentifier=TARGET, Tags=shown)
    rig.clock.advance(3600)


def _make_report_secret(rig: Rig, region: str = WEST) -> None:
    stale = '{"username": "report", "password": "testing-report", "host": "old.example", "port": 1}'
    rig.client("secretsmanager", region).create_secret(Name=f"{TARGET}/report", SecretString=stale)


def _renewal(rig: Rig) -> None:
    make_source(rig)
    make_target(rig)
    _make_old_snapshots(rig)
    _make_report_secret(rig)
    rig.aurora.take_automated_snapshot(EAST, SOURCE)


def _protected(rig: Rig) -> None:
    make_source(rig)
    make_target(rig, DeletionProtection=True)


def _at_home(rig: Rig) -> None:
    make_source(rig)
    make_target(rig, EAST)


def _first(rig: Rig) -> None:
    make_source(rig)


def _request(region: str = WEST, **sections: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "name": "nightly",
        "source": {"cluster": SOURCE, "region": EAST},
        "target": {"cluster": TARGET, "region": region, "kms_key": "alias/orders"},
        "replace": {"allow": True, "confirm": TARGET},
        "users": [
            {"name": "app", "secret": f"{TARGET}/app", "grants": ["readwrite"]},
            {"name": "report", "secret": f"{TARGET}/report", "grants": ["readonly"]},
        ],
        "archive": {"keep": 2},
    }
    return plain | {
        name: {**plain[name], **value} if isinstance(plain.get(name), dict) else value
        for name, value in sections.items()
    }


_NEW_SHAPE = {
    "engine_version": "16.4",
    "parameter_group": f"{TARGET}-16",
    "subnet_group": "private",
    "instances": [{"class": "db.r6g.large"}, {"class": "db.r6g.large"}],
}

_SQL = [
    {"file": "mask.sql", "text": "UPDATE orders SET card = NULL;\nDELETE FROM carts"},
    {"file": "more.sql", "text": "ANALYZE"},
]
_CHECKS = [{"table": "public.orders", "rows_at_least": 3}]

VARIATIONS: Mapping[str, Variation] = {
    each.name: each
    for each in (
        Variation("renewal", _renewal, _request(sql=_SQL, verify=_CHECKS)),
        Variation("protected", _protected, _request(source={"snapshot": "new"}, replace={"protection": "lift"})),
        Variation("at-home", _at_home, _request(EAST, replace={"final_snapshot": False})),
        Variation("first", _first, _request(target=_NEW_SHAPE, replace={"allow": False}), replaces=False),
    )
}
