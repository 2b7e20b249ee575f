"""The sample world: production in one region, an older staging in another, and the request that replaces the latter."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends

from aurora_restore.aws.deployment import Deployment
from aurora_restore.database.engine import Endpoint, Login
from aurora_restore.embedded import shop
from aurora_restore.embedded.account import HOME_REGION, EmbeddedAccount
from aurora_restore.embedded.sample_kinds import DATABASE, MASTER, POSTGRESQL, Database, Kind, kind_of
from aurora_restore.errors import EnvironmentUnfitError

__all__ = ("DATABASE", "MASTER", "Database", "Sample", "build", "request", "shop_of", "source_in")

SOURCE: Final = "orders-prod"
SOURCE_REGION: Final = "us-east-1"
TARGET: Final = "orders-staging"
TARGET_REGION: Final = HOME_REGION
# The request's max_age_hours. A younger automated snapshot than this is always there: see keep_snapshot_young.
MAX_AGE_HOURS: Final = 24

_POLL_S: Final = 30
_GIVE_UP_S: Final = 7_200
_STAGING_SHARE: Final = 4
_NEW_SNAPSHOT_AFTER: Final = timedelta(hours=12)


# Puts its data into the empty database of the production cluster.
Fill = Callable[[Database], None]


@dataclass(frozen=True, slots=True)
class Sample:
    """What ``build`` has built."""

    deployment: Deployment
    source: Database
    target: Database
    snapshot: str


def shop_of(rows: int) -> Fill:
    """Return what fills a database with the shop."""

    def fill(place: Database) -> None:
        kind_of(place.engine).load_shop(place, rows)

    return fill


def build(
    account: EmbeddedAccount,
    fill: Fill,
    *,
    staging_rows: int = shop.DEFAULT_ROWS // _STAGING_SHARE,
    engine: str = POSTGRESQL,
) -> Sample:
    """Deploy the pipeline and bring up both clusters, side by side; return when all are available.

    ``fill`` makes production's data, and may raise. Staging holds a shop of ``staging_rows`` rows.
    """
    kind = kind_of(engine)
    pool = ThreadPoolExecutor(max_workers=3)
    try:
        deployment = pool.submit(account.deploy)
        target = pool.submit(_build_staging, account, kind, shop_of(max(staging_rows, shop.FEWEST_ROWS)))
        source = pool.submit(_build_production, account, kind, fill)
        return Sample(deployment.result(), *_both(source.result(), target.result()))
    finally:
        # After Ctrl-C nobody waits for them: they end when the account takes server and databases away.
        pool.shutdown(wait=False, cancel_futures=True)


def _both(source: tuple[Database, str], target: Database) -> tuple[Database, Database, str]:
    return source[0], target, source[1]


def source_in(account: EmbeddedAccount) -> Database | None:
    """Return the production database of an account that ``build`` was for, or None when somebody has deleted it."""
    for cluster in account.client("rds", SOURCE_REGION).describe_db_clusters()["DBClusters"]:
        if cluster["DBClusterIdentifier"] == SOURCE:
            return _database(cluster)
    return None


def engine_of_target(account: EmbeddedAccount) -> str:
    """Return the engine of the staging cluster of an account that ``build`` was for; PostgreSQL's when it is gone."""
    for cluster in account.client("rds", TARGET_REGION).describe_db_clusters()["DBClusters"]:
        if cluster["DBClusterIdentifier"] == TARGET:
            return str(cluster["Engine"])
    return POSTGRESQL


def request() -> dict[str, Any]:
    """Return the request of the demo; everything that it names is in the sample world."""
    return {
        "name": "refresh-staging",
        "source": {
            "cluster": SOURCE,
            "region": SOURCE_REGION,
            "snapshot": "latest",
            "max_age_hours": MAX_AGE_HOURS,
        },
        "target": {"cluster": TARGET, "region": TARGET_REGION, "kms_key": f"alias/{TARGET}"},
        "replace": {"allow": True, "confirm": TARGET, "final_snapshot": True},
        "users": [
            {"name": "staging_app", "secret": f"{TARGET}/app", "grants": ["readwrite"]},
            {"name": "staging_report", "secret": f"{TARGET}/report", "grants": ["readonly"]},
        ],
        "logins": "only-listed",
        "archive": {"keep": 7},
        "tags": {"purpose": "rehearsal"},
    }


def keep_snapshot_young(account: EmbeddedAccount, older_than: timedelta = _NEW_SNAPSHOT_AFTER) -> None:
    """Let production have another automated snapshot once its newest is older, as its backup window would."""
    rds = account.client("rds", SOURCE_REGION)
    # Somebody who looks around may have deleted it.
    if not any(cluster["DBClusterIdentifier"] == SOURCE for cluster in rds.describe_db_clusters()["DBClusters"]):
        return
    found = rds.describe_db_cluster_snapshots(DBClusterIdentifier=SOURCE, SnapshotType="automated")
    taken: list[datetime] = [snapshot["SnapshotCreateTime"] for snapshot in found["DBClusterSnapshots"]]
    if not taken or account.clock.now() - max(taken) > older_than:
        account.aurora.take_automated_snapshot(SOURCE_REGION, SOURCE)


def _build_production(account: EmbeddedAccount, kind: Kind, fill: Fill) -> tuple[Database, str]:
    groups = _make_parameter_groups(account, kind, SOURCE_REGION, SOURCE)
    place = _make_cluster(
        account,
        kind,
        SOURCE_REGION,
        {
            "DBClusterIdentifier": SOURCE,
            "KmsKeyId": _make_key(account, SOURCE_REGION, SOURCE),
            "VpcSecurityGroupIds": _make_network(account, SOURCE_REGION, SOURCE),
            "BackupRetentionPeriod": 14,
            "DeletionProtection": True,
            "EnableCloudwatchLogsExports": list(kind.log_exports),
            "Tags": _tags(team="shop", environment="production"),
            "PreferredBackupWindow": "01:00-01:30",
            "PreferredMaintenanceWindow": "sun:03:00-sun:04:00",
        },
        [
            {"DBInstanceClass": "db.r6g.xlarge", "PromotionTier": 0, "DBParameterGroupName": groups},
            {"DBInstanceClass": "db.r6g.large", "PromotionTier": 1, "DBParameterGroupName": groups},
        ],
    )
    fill(place)
    kind.create_logins(place)
    return place, account.aurora.take_automated_snapshot(SOURCE_REGION, SOURCE)


def _build_staging(account: EmbeddedAccount, kind: Kind, fill: Fill) -> Database:
    groups = _make_parameter_groups(account, kind, TARGET_REGION, TARGET)
    place = _make_cluster(
        account,
        kind,
        TARGET_REGION,
        {
            "DBClusterIdentifier": TARGET,
            "KmsKeyId": _make_key(account, TARGET_REGION, TARGET),
            "VpcSecurityGroupIds": _make_network(account, TARGET_REGION, TARGET),
            "BackupRetentionPeriod": 5,
            "DeletionProtection": False,
            "EnableCloudwatchLogsExports": list(kind.log_exports),
            "Tags": _tags(team="shop", environment="staging", **{"cost-center": "4711"}),
            "PreferredBackupWindow": "02:00-02:30",
            "PreferredMaintenanceWindow": "mon:04:00-mon:05:00",
        },
        [
            {"DBInstanceClass": "db.r6g.large", "PromotionTier": 0, "DBParameterGroupName": groups},
            {"DBInstanceClass": "db.t4g.medium", "PromotionTier": 5},
        ],
    )
    fill(place)
    return place


def _make_cluster(
    account: EmbeddedAccount, kind: Kind, region: str, cluster: Mapping[str, Any], instances: list[dict[str, Any]]
) -> Database:
    rds, name = account.client("rds", region), cluster["DBClusterIdentifier"]
    rds.create_db_cluster(
        **cluster,
        Engine=kind.engine,
        EngineVersion=kind.version,
        MasterUsername=kind.master.name,
        MasterUserPassword=kind.master.password,
        DatabaseName=DATABASE,
        StorageEncrypted=True,
        DBSubnetGroupName="private",
        DBClusterParameterGroupName=name,
    )
    _await_available(account, rds, name)
    for number, instance in enumerate(instances, start=1):
        rds.create_db_instance(
            **instance,
            DBInstanceIdentifier=f"{name}-{number}",
            DBClusterIdentifier=name,
            Engine=kind.engine,
        )
    found = _await_available(account, rds, name)
    return _database(found)


def _database(cluster: Mapping[str, Any]) -> Database:
    """Return the sample's database in a cluster, entered as its master was at first."""
    kind = kind_of(cluster["Engine"])
    master = Login(kind.master.name, kind.master.password)
    return Database(Endpoint(cluster["Endpoint"], cluster["Port"]), master, engine=kind.engine)


def _await_available(account: EmbeddedAccount, rds: Any, name: str) -> Mapping[str, Any]:
    """Return the cluster once it and all its instances are available."""
    for _ in range(_GIVE_UP_S // _POLL_S):
        # In this order: a cluster's port is final once an instance answers on it.
        found = rds.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [name]}])["DBInstances"]
        cluster: Mapping[str, Any] = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
        statuses = {cluster["Status"], *(instance["DBInstanceStatus"] for instance in found)}
        if statuses == {"available"}:
            return cluster
        account.clock.sleep(_POLL_S)
    raise EnvironmentUnfitError(f"the sample's cluster {name} did not become available: {', '.join(sorted(statuses))}")


def _make_key(account: EmbeddedAccount, region: str, name: str) -> str:
    kms = account.client("kms", region)
    key: str = kms.create_key(Description=f"Storage of {name}")["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=key)
    return key


def _make_parameter_groups(account: EmbeddedAccount, kind: Kind, region: str, name: str) -> str:
    """Make the cluster's own parameter groups; return the name of the one for instances."""
    rds = account.client("rds", region)
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=name, DBParameterGroupFamily=kind.family, Description=f"Cluster {name}"
    )
    instances = f"{name}-instances"
    rds.create_db_parameter_group(
        DBParameterGroupName=instances, DBParameterGroupFamily=kind.family, Description=f"Instances of {name}"
    )
    return instances


def _make_network(account: EmbeddedAccount, region: str, name: str) -> list[str]:
    """Make a subnet group, ``private``, and two security groups; return the ids of the latter."""
    # Not through boto3: to read EC2's model takes longer than all else that is done here.
    ec2 = ec2_backends[DEFAULT_ACCOUNT_ID][region]
    vpc = ec2.get_default_vpc()
    if vpc is None:
        raise EnvironmentUnfitError(f"the embedded account has no default VPC in {region}")
    subnets = [subnet.id for subnet in ec2.describe_subnets(filters={"vpc-id": [vpc.id]})]
    account.client("rds", region).create_db_subnet_group(
        DBSubnetGroupName="private", DBSubnetGroupDescription="The databases' subnets", SubnetIds=subnets
    )
    purposes = {f"{name}-clients": f"Who may reach {name}", f"{name}-operators": "Operators' way in"}
    return [ec2.create_security_group(group, why, vpc.id).id for group, why in purposes.items()]


def _tags(**tags: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
