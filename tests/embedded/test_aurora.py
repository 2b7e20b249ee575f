"""The emulated Aurora answers as AWS does: the same states, the same refusals, in the clock's time."""

import json
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from aurora_restore.embedded.aurora import Aurora, install
from aurora_restore.embedded.clock import VirtualClock
from aurora_restore.embedded.dataplane import MasterUser, RecordsOnly

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EAST, WEST = "us-east-1", "us-west-2"
ENGINE, VERSION, FAMILY = "aurora-postgresql", "16.4", "aurora-postgresql16"
PASSWORD = "testing-password"
ONE_DAY_S = 86_400.0


class Plane(RecordsOnly):
    """Records only, and remembers whose password was changed to what."""

    def __init__(self) -> None:
        super().__init__()
        self.passwords: dict[str, str] = {}

    def set_password(self, volume: str, master: MasterUser) -> None:
        self.passwords[volume] = master.password


class Account:
    """An embedded account with its clock, its databases and its clients."""

    def __init__(self) -> None:
        self.plane = Plane()
        self.clock = VirtualClock(NOON)
        self.aurora: Aurora = install(self.plane, self.clock)
        self.east: Any = boto3.client("rds", region_name=EAST)
        self.west: Any = boto3.client("rds", region_name=WEST)

    def wait(self, seconds: float = ONE_DAY_S) -> None:
        self.clock.advance(seconds)

    def cluster(self, name: str = "orders", **changes: Any) -> dict[str, Any]:
        settings = {
            "DBClusterIdentifier": name,
            "Engine": ENGINE,
            "EngineVersion": VERSION,
            "DatabaseName": "shop",
            "MasterUsername": "dba",
            "MasterUserPassword": PASSWORD,
        } | changes
        self.east.create_db_cluster(**settings)
        self.wait()
        return self.show(name)

    def show(self, name: str = "orders", rds: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = (rds or self.east).describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
        return found

    def instance(self, name: str = "orders-1", cluster: str = "orders", *, wait: bool = True, **changes: Any) -> None:
        settings = {
            "DBInstanceIdentifier": name,
            "DBClusterIdentifier": cluster,
            "Engine": ENGINE,
            "DBInstanceClass": "db.r6g.large",
        } | changes
        self.east.create_db_instance(**settings)
        if wait:
            self.wait()

    def show_instance(self, name: str = "orders-1") -> dict[str, Any]:
        found: dict[str, Any] = self.east.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
        return found

    def snapshot(self, name: str = "kept", cluster: str = "orders", **more: Any) -> dict[str, Any]:
        self.east.create_db_cluster_snapshot(DBClusterIdentifier=cluster, DBClusterSnapshotIdentifier=name, **more)
        self.wait()
        return self.show_snapshot(name)

    def show_snapshot(self, name: str = "kept", rds: Any = None) -> dict[str, Any]:
        answer = (rds or self.east).describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name)
        found: dict[str, Any] = answer["DBClusterSnapshots"][0]
        return found

    def copy_west(self, name: str, source: str, **more: Any) -> None:
        self.west.copy_db_cluster_snapshot(
            SourceDBClusterSnapshotIdentifier=source, TargetDBClusterSnapshotIdentifier=name, SourceRegion=EAST, **more
        )

    def restore(self, name: str = "copy", snapshot: str = "kept", **changes: Any) -> dict[str, Any]:
        settings = {
            "DBClusterIdentifier": name,
            "SnapshotIdentifier": snapshot,
            "Engine": ENGINE,
            "EngineVersion": VERSION,
        }
        restored: dict[str, Any] = self.east.restore_db_cluster_from_snapshot(**settings | changes)["DBCluster"]
        return restored

    def key(self, region: str) -> str:
        arn: str = boto3.client("kms", region_name=region).create_key()["KeyMetadata"]["Arn"]
        return arn

    def delete_cluster(self, name: str = "orders", **more: Any) -> None:
        self.east.delete_db_cluster(DBClusterIdentifier=name, **({"SkipFinalSnapshot": True} | more))

    def delete_instance(self, name: str = "orders-1") -> None:
        self.east.delete_db_instance(DBInstanceIdentifier=name)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield Account()


def refused(code: str, message: str = "") -> "pytest.RaisesExc[ClientError]":
    return pytest.raises(ClientError, match=rf"\({code}\).*{message}")


def test_a_cluster_takes_its_time_to_be_created(account: Account) -> None:
    """A new cluster is ``creating``, then ``available``, with the settings it was given and an endpoint on loopback."""
    account.east.create_db_cluster(
        DBClusterIdentifier="Orders",
        Engine=ENGINE,
        EngineVersion=VERSION,
        MasterUsername="dba",
        MasterUserPassword=PASSWORD,
        Port=6000,
        Tags=[{"Key": "team", "Value": "shop"}],
    )
    assert account.show()["Status"] == "creating"
    account.wait()
    found = account.show()
    assert (found["Status"], found["DBClusterIdentifier"], found["Endpoint"]) == ("available", "orders", "127.0.0.1")
    assert (found["Port"], found["StorageType"], found["DBClusterMembers"]) == (6000, "aurora", [])
    assert found["TagList"] == [{"Key": "team", "Value": "shop"}]
    assert found["DBClusterParameterGroup"] == f"default.{FAMILY}"
    assert found["ClusterCreateTime"] == NOON
    assert list(account.plane.volumes) == [found["DbClusterResourceId"]]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"DBClusterIdentifier": "a--b"}, "InvalidParameterValue"),
        ({"DBClusterIdentifier": "1a"}, "InvalidParameterValue"),
        ({"DBClusterIdentifier": "a-"}, "InvalidParameterValue"),
        ({"Engine": "postgres"}, "InvalidParameterValue"),
        ({"EngineVersion": "99"}, "InvalidParameterCombination"),
        ({"MasterUserPassword": "short"}, "InvalidParameterValue"),
        ({"MasterUsername": ""}, "InvalidParameterValue"),
        ({"ManageMasterUserPassword": True}, "InvalidParameterCombination"),
        ({"DBSubnetGroupName": "nowhere"}, "DBSubnetGroupNotFoundFault"),
        ({"DBClusterParameterGroupName": "nothing"}, "DBClusterParameterGroupNotFound"),
        ({"VpcSecurityGroupIds": ["sg-unknown"]}, "InvalidParameterValue"),
        ({"KmsKeyId": "alias/unknown"}, "KMSKeyNotAccessibleFault"),
        ({"KmsKeyId": "no-such-key"}, "KMSKeyNotAccessibleFault"),
        ({"EnableCloudwatchLogsExports": ["audit"]}, "InvalidParameterCombination"),
        ({"PreferredBackupWindow": "noon"}, "InvalidParameterValue"),
        ({"PreferredMaintenanceWindow": "sunday"}, "InvalidParameterValue"),
        ({"BackupRetentionPeriod": 36}, "InvalidParameterValue"),
        ({"Port": 80}, "InvalidParameterValue"),
        ({"StorageType": "gp3"}, "InvalidParameterValue"),
        ({"Tags": [{"Key": "aws:mine", "Value": ""}]}, "InvalidParameterValue"),
        ({"ServerlessV2ScalingConfiguration": {"MinCapacity": 4, "MaxCapacity": 2}}, "InvalidParameterValue"),
        ({"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.3, "MaxCapacity": 2}}, "InvalidParameterValue"),
    ],
)
def test_a_cluster_that_aws_would_refuse_is_refused(account: Account, changes: dict[str, Any], code: str) -> None:
    """Each wrong parameter of CreateDBCluster gets AWS's code, and nothing is made."""
    with refused(code):
        account.cluster(**changes)
    assert account.plane.volumes == {}


def test_a_security_group_of_another_vpc_is_refused(account: Account) -> None:
    """A cluster's security groups are of the VPC of its subnet group."""
    ec2 = boto3.client("ec2", region_name=EAST)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="elsewhere", Description="-", VpcId=vpc)["GroupId"]
    with refused("InvalidVPCNetworkStateFault"):
        account.cluster(VpcSecurityGroupIds=[group])


def test_a_parameter_group_of_another_version_is_refused(account: Account) -> None:
    """A parameter group's family must be the version's, for clusters and instances."""
    account.east.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="old", DBParameterGroupFamily="aurora-postgresql13", Description="-"
    )
    account.east.create_db_parameter_group(
        DBParameterGroupName="old", DBParameterGroupFamily="aurora-postgresql13", Description="-"
    )
    with refused("InvalidParameterCombination"):
        account.cluster(DBClusterParameterGroupName="old")
    account.cluster()
    with refused("InvalidParameterCombination"):
        account.instance(DBParameterGroupName="old")
    with refused("DBParameterGroupNotFound"):
        account.instance(DBParameterGroupName="missing")


def test_an_identifier_is_free_again_only_when_the_cluster_is_gone(account: Account) -> None:
    """A second cluster of the same name is refused until the first has finished ``deleting``."""
    account.cluster()
    with refused("DBClusterAlreadyExistsFault"):
        account.cluster("ORDERS")
    account.delete_cluster()
    with refused("DBClusterAlreadyExistsFault"):
        account.cluster()
    account.wait()
    account.cluster()


def test_the_database_answers_only_while_an_instance_is_available(account: Account) -> None:
    """The server starts with the first available instance, and stops with the deletion of the last."""
    volume = account.cluster()["DbClusterResourceId"]
    assert account.plane.volumes[volume] is None
    account.instance("orders-1", wait=False)
    account.instance("orders-2", wait=False)
    assert account.plane.volumes[volume] is None
    assert "Endpoint" not in account.show_instance()
    account.wait()
    assert account.show_instance()["Endpoint"]["Port"] == account.show()["Port"] == account.plane.volumes[volume]
    account.delete_instance("orders-1")
    assert account.plane.volumes[volume]
    account.delete_instance("orders-2")
    assert account.plane.volumes[volume] is None


def test_the_first_available_instance_is_the_writer(account: Account) -> None:
    """Members have one writer, and when it goes the reader of the lowest tier follows it."""
    account.cluster()
    account.instance("first", PromotionTier=3)
    account.instance("second", PromotionTier=2, wait=False)
    account.instance("third", PromotionTier=1)
    members = {member["DBInstanceIdentifier"]: member for member in account.show()["DBClusterMembers"]}
    assert [name for name, member in members.items() if member["IsClusterWriter"]] == ["first"]
    assert members["third"]["PromotionTier"] == 1
    account.delete_instance("first")
    account.wait()
    writers = [each["DBInstanceIdentifier"] for each in account.show()["DBClusterMembers"] if each["IsClusterWriter"]]
    assert writers == ["third"]
    account.east.failover_db_cluster(DBClusterIdentifier="orders", TargetDBInstanceIdentifier="second")
    writers = [each["DBInstanceIdentifier"] for each in account.show()["DBClusterMembers"] if each["IsClusterWriter"]]
    assert writers == ["second"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"DBInstanceIdentifier": "-x"}, "InvalidParameterValue"),
        ({"DBClusterIdentifier": "missing"}, "DBClusterNotFoundFault"),
        ({"DBInstanceClass": "large"}, "InvalidParameterValue"),
        ({"DBInstanceClass": "db.serverless"}, "InvalidDBClusterStateFault"),
        ({"Engine": "aurora-mysql"}, "InvalidParameterCombination"),
        ({"MasterUsername": "dba"}, "InvalidParameterCombination"),
        ({"BackupRetentionPeriod": 3}, "InvalidParameterCombination"),
        ({"PromotionTier": 16}, "InvalidParameterValue"),
        ({"AvailabilityZone": "eu-west-1a"}, "InvalidParameterValue"),
        ({"MonitoringInterval": 60}, "InvalidParameterCombination"),
    ],
)
def test_an_instance_that_aws_would_refuse_is_refused(account: Account, changes: dict[str, Any], code: str) -> None:
    """Each wrong parameter of CreateDBInstance gets AWS's code."""
    account.cluster()
    with refused(code):
        account.instance(**changes)
    assert account.show()["DBClusterMembers"] == []


def test_an_instance_needs_an_available_cluster(account: Account) -> None:
    """An instance of a cluster that is still being created is refused, and so is a name that is taken."""
    account.east.create_db_cluster(
        DBClusterIdentifier="orders", Engine=ENGINE, MasterUsername="dba", MasterUserPassword=PASSWORD
    )
    with refused("InvalidDBClusterStateFault"):
        account.instance()
    account.wait()
    account.instance()
    with refused("DBInstanceAlreadyExists"):
        account.instance()


def test_a_serverless_instance_comes_after_the_range(account: Account) -> None:
    """With a range on the cluster, ``db.serverless`` is accepted."""
    account.cluster(ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 4})
    account.instance(DBInstanceClass="db.serverless")
    assert account.show_instance()["DBInstanceClass"] == "db.serverless"
    assert account.show()["ServerlessV2ScalingConfiguration"]["MinCapacity"] == 0.5


def test_a_snapshot_progresses_with_the_clock(account: Account) -> None:
    """A snapshot is ``creating`` with growing progress, its cluster ``backing-up``; then both are available."""
    account.cluster()
    account.east.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="kept")
    seen = []
    for _ in range(4):
        snapshot = account.show_snapshot()
        seen.append((snapshot["Status"], snapshot["PercentProgress"], account.show()["Status"]))
        account.wait(60)
    assert seen == [
        ("creating", 0, "backing-up"),
        ("creating", 33, "backing-up"),
        ("creating", 66, "backing-up"),
        ("available", 100, "available"),
    ]
    assert account.show_snapshot()["SnapshotCreateTime"] == NOON + timedelta(days=1)


def test_a_snapshot_holds_the_data_of_when_it_was_taken(account: Account) -> None:
    """The volume is cloned when the snapshot begins, and clones go when their snapshots go."""
    volume = account.cluster()["DbClusterResourceId"]
    account.east.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="kept")
    assert len(account.plane.volumes) == 2
    account.wait()
    account.east.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="kept")
    assert list(account.plane.volumes) == [volume]
    with refused("DBClusterSnapshotNotFoundFault"):
        account.show_snapshot()


def test_snapshot_names_are_unique_and_their_number_is_limited(account: Account) -> None:
    """The same name is refused, and so is the manual snapshot after the hundredth, but no automated one."""
    account.cluster()
    account.snapshot("s0")
    with refused("DBClusterSnapshotAlreadyExistsFault"):
        account.snapshot("s0")
    for number in range(1, 100):
        account.snapshot(f"s{number}")
    with refused("SnapshotQuotaExceeded", "100 manual"):
        account.snapshot("s100")
    assert account.aurora.take_automated_snapshot(EAST, "orders") == "rds:orders-2026-06-10-12-00"


def test_describing_pages(account: Account) -> None:
    """At most MaxRecords come at once, the marker leads to the rest, and the order is not that of time."""
    account.cluster()
    for number in range(45):
        account.aurora.take_automated_snapshot(EAST, "orders", NOON - timedelta(hours=number))
    first = account.east.describe_db_cluster_snapshots(MaxRecords=20)
    assert len(first["DBClusterSnapshots"]) == 20
    pages = account.east.get_paginator("describe_db_cluster_snapshots").paginate(PaginationConfig={"PageSize": 20})
    found = [each["SnapshotCreateTime"] for one in pages for each in one["DBClusterSnapshots"]]
    assert (len(set(found)), found[0]) == (45, min(found))
    for size in (19, 101):
        with refused("InvalidParameterValue"):
            account.east.describe_db_cluster_snapshots(MaxRecords=size)
    with refused("InvalidParameterValue"):
        account.east.describe_db_clusters(Marker="nonsense")


def test_describing_filters(account: Account) -> None:
    """Clusters, instances and snapshots are found by identifier, ARN, type and filter; unknown filters are refused."""
    account.cluster()
    account.cluster("other")
    account.instance()
    snapshot = account.snapshot(cluster="other")
    automated = account.aurora.take_automated_snapshot(EAST, "orders")
    arn = account.show()["DBClusterArn"]
    by_cluster = [{"Name": "db-cluster-id", "Values": [arn]}]
    describe = account.east.describe_db_cluster_snapshots

    def names(**how: Any) -> list[str]:
        return [each["DBClusterSnapshotIdentifier"] for each in describe(**how)["DBClusterSnapshots"]]

    assert (
        names(SnapshotType="automated")
        == names(Filters=by_cluster)
        == names(DBClusterIdentifier="orders")
        == [automated]
    )
    assert names(SnapshotType="manual", IncludeShared=True) == ["kept"]
    assert names(DBClusterSnapshotIdentifier=snapshot["DBClusterSnapshotArn"]) == ["kept"]
    assert names(DBClusterIdentifier="missing") == []
    assert account.show(arn)["DBClusterArn"] == arn
    assert len(account.east.describe_db_clusters(Filters=by_cluster)["DBClusters"]) == 1
    assert len(account.east.describe_db_instances(Filters=by_cluster)["DBInstances"]) == 1
    assert (
        account.east.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": ["other"]}])["DBInstances"]
        == []
    )
    with refused("InvalidParameterValue", "Unrecognized filter"):
        account.east.describe_db_clusters(Filters=[{"Name": "colour", "Values": ["red"]}])


def test_what_is_not_there_is_not_found(account: Account) -> None:
    """Each missing thing has its own code."""
    with refused("DBClusterNotFoundFault"):
        account.show("missing")
    with refused("DBInstanceNotFound"):
        account.show_instance("missing")
    with refused("DBClusterSnapshotNotFoundFault"):
        account.show_snapshot("missing")
    with refused("DBClusterNotFoundFault"):
        account.west.describe_db_clusters(DBClusterIdentifier="orders")


def test_a_copy_across_regions_is_made_where_it_is_asked_for(account: Account) -> None:
    """The copy appears in the destination, ``copying`` with progress, and names its source."""
    account.cluster()
    source = account.snapshot()["DBClusterSnapshotArn"]
    account.copy_west("landed", source)
    account.wait(300)
    copying = account.show_snapshot("landed", account.west)
    assert (copying["Status"], copying["PercentProgress"]) == ("copying", 50)
    account.wait(300)
    copied = account.show_snapshot("landed", account.west)
    assert (copied["Status"], copied["SourceDBClusterSnapshotArn"]) == ("available", source)
    with refused("DBClusterSnapshotAlreadyExistsFault"):
        account.copy_west("landed", source)


def test_an_encrypted_copy_across_regions_needs_a_usable_key(account: Account) -> None:
    """No key, a missing key, a disabled key and the source region's key are refused; id, ARN and alias are taken."""
    account.cluster(KmsKeyId=account.key(EAST))
    source = account.snapshot()["DBClusterSnapshotArn"]
    kms = boto3.client("kms", region_name=WEST)
    good, disabled = account.key(WEST), account.key(WEST)
    kms.disable_key(KeyId=disabled.rpartition("/")[2])
    kms.create_alias(AliasName="alias/staging", TargetKeyId=good)
    with refused("InvalidParameterCombination", "KmsKeyId"):
        account.copy_west("none", source)
    for bad in (disabled, account.key(EAST), "alias/missing", "00000000-missing"):
        with refused("KMSKeyNotAccessibleFault"):
            account.copy_west("bad", source, KmsKeyId=bad)
    for number, key in enumerate((good, good.rpartition("/")[2], "alias/staging")):
        account.copy_west(f"good-{number}", source, KmsKeyId=key)
        assert account.show_snapshot(f"good-{number}", account.west)["KmsKeyId"] == good


def test_a_copy_cannot_encrypt(account: Account) -> None:
    """A key with an unencrypted cluster snapshot is an error: encrypt on restore instead."""
    account.cluster()
    source = account.snapshot()["DBClusterSnapshotArn"]
    with refused("InvalidParameterCombination"):
        account.copy_west("encrypted", source, KmsKeyId=account.key(WEST))
    account.restore(KmsKeyId=account.key(EAST))
    assert account.show("copy")["StorageEncrypted"]


def test_a_copy_needs_an_available_source_and_a_good_name(account: Account) -> None:
    """A source that is still being made, that does not exist, or a bad target name: each has its code."""
    account.cluster()
    account.east.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="fresh")
    source = account.show_snapshot("fresh")["DBClusterSnapshotArn"]
    with refused("InvalidDBClusterSnapshotStateFault"):
        account.copy_west("copy", source)
    with refused("DBClusterSnapshotNotFoundFault"):
        account.copy_west("copy", "fresh")
    with refused("InvalidParameterValue"):
        account.wait()
        account.copy_west("rds:copy", source)


def test_tags_of_aws_make_a_copy_fail(account: Account) -> None:
    """Own tags are copied on request; a tag starting with ``aws:`` is refused."""
    account.cluster(Tags=[{"Key": "team", "Value": "shop"}], CopyTagsToSnapshot=True)
    source = account.snapshot(Tags=[{"Key": "why", "Value": "test"}])["DBClusterSnapshotArn"]
    account.copy_west("with-tags", source, CopyTags=True, Tags=[{"Key": "team", "Value": "other"}])
    found = {tag["Key"]: tag["Value"] for tag in account.show_snapshot("with-tags", account.west)["TagList"]}
    assert found == {"team": "other", "why": "test"}
    with refused("InvalidParameterValue", "aws:"):
        account.copy_west("own-tags", source, Tags=[{"Key": "aws:rds:x", "Value": ""}])


def test_five_copies_across_regions_fit_at_once(account: Account) -> None:
    """The sixth is refused, with a message of its own, until one has landed; copies within a region are free."""
    account.cluster()
    source = account.snapshot()["DBClusterSnapshotArn"]
    for number in range(5):
        account.copy_west(f"copy-{number}", source)
    with refused("SnapshotQuotaExceeded", "across regions"):
        account.copy_west("copy-5", source)
    account.east.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier="kept", TargetDBClusterSnapshotIdentifier="near"
    )
    account.wait()
    account.copy_west("copy-5", source)


def test_deleting_a_copy_cancels_it(account: Account) -> None:
    """A snapshot that is ``copying`` can be deleted, one that is ``creating`` or automated cannot."""
    account.cluster()
    account.east.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="kept")
    with refused("InvalidDBClusterSnapshotStateFault"):
        account.east.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="kept")
    account.wait()
    account.copy_west("landed", account.show_snapshot()["DBClusterSnapshotArn"])
    account.west.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="landed")
    account.wait()
    with refused("DBClusterSnapshotNotFoundFault"):
        account.show_snapshot("landed", account.west)
    automated = account.aurora.take_automated_snapshot(EAST, "orders")
    with refused("InvalidDBClusterSnapshotStateFault"):
        account.east.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=automated)


def test_an_automated_snapshot_is_as_old_as_wanted_and_goes_with_its_cluster(account: Account) -> None:
    """The helper's snapshot is available at once; deleting the cluster deletes it and leaves the manual one."""
    account.cluster()
    account.snapshot()
    name = account.aurora.take_automated_snapshot(EAST, "orders", NOON - timedelta(hours=30))
    found = account.show_snapshot(name)
    assert (name, found["Status"]) == ("rds:orders-2026-02-28-06-00", "available")
    assert found["SnapshotCreateTime"] == NOON - timedelta(hours=30)
    account.delete_cluster()
    account.wait()
    with refused("DBClusterSnapshotNotFoundFault"):
        account.show_snapshot(name)
    assert account.show_snapshot()["Status"] == "available"


def test_a_restore_inherits_data_and_little_else(account: Account) -> None:
    """What a restore does not say is the default, not the source's; port, master user and key are inherited."""
    subnet = boto3.client("ec2", region_name=EAST).describe_subnets()["Subnets"][0]
    account.east.create_db_subnet_group(
        DBSubnetGroupName="own", DBSubnetGroupDescription="-", SubnetIds=[subnet["SubnetId"]]
    )
    account.east.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="own", DBParameterGroupFamily=FAMILY, Description="-"
    )
    key = account.key(EAST)
    source = account.cluster(
        Port=6000,
        KmsKeyId=key,
        StorageType="aurora-iopt1",
        DeletionProtection=True,
        Tags=[{"Key": "team", "Value": "shop"}],
        DBSubnetGroupName="own",
        DBClusterParameterGroupName="own",
        BackupRetentionPeriod=7,
        EnableIAMDatabaseAuthentication=True,
        EnableCloudwatchLogsExports=["postgresql"],
    )
    account.snapshot()
    account.restore()
    account.wait()
    found = account.show("copy")
    assert (found["Port"], found["MasterUsername"], found["KmsKeyId"]) == (6000, "dba", key)
    assert (found["StorageType"], found["DeletionProtection"], found["TagList"]) == ("aurora", False, [])
    assert (found["DBSubnetGroup"], found["DBClusterParameterGroup"]) == ("default", f"default.{FAMILY}")
    assert (found["BackupRetentionPeriod"], found["IAMDatabaseAuthenticationEnabled"]) == (1, False)
    assert (found["DBClusterMembers"], found.get("EnabledCloudwatchLogsExports", [])) == ([], [])
    assert found["DbClusterResourceId"] != source["DbClusterResourceId"]
    account.restore("newest", EngineVersion="17.4")
    with refused("InvalidParameterCombination", "older"):
        account.restore("older", EngineVersion="15.4")


def test_a_restore_takes_the_whole_shape_as_parameters(account: Account) -> None:
    """What the restore says is what the cluster has."""
    account.cluster()
    account.snapshot()
    shape: dict[str, Any] = {
        "StorageType": "aurora-iopt1",
        "DeletionProtection": True,
        "BackupRetentionPeriod": 14,
        "CopyTagsToSnapshot": True,
        "PreferredBackupWindow": "10:00-10:30",
        "Port": 7000,
        "NetworkType": "IPV4",
    }
    role = "arn:aws:iam::123456789012:role/import"
    account.restore(
        **shape,
        EnableIAMDatabaseAuthentication=True,
        EnableCloudwatchLogsExports=["postgresql"],
        AssociatedRoles=[{"RoleArn": role, "FeatureName": "s3Import"}],
        Tags=[{"Key": "operation", "Value": "1"}],
    )
    account.wait()
    found = account.show("copy")
    assert {name: found[name] for name in shape} == shape
    assert (found["IAMDatabaseAuthenticationEnabled"], found["EnabledCloudwatchLogsExports"]) == (True, ["postgresql"])
    assert found["AssociatedRoles"] == [{"RoleArn": role, "Status": "ACTIVE", "FeatureName": "s3Import"}]
    assert found["TagList"] == [{"Key": "operation", "Value": "1"}]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"DBClusterIdentifier": "orders"}, "DBClusterAlreadyExistsFault"),
        ({"SnapshotIdentifier": "missing"}, "DBClusterSnapshotNotFoundFault"),
        (
            {"SnapshotIdentifier": "arn:aws:rds:us-west-2:123456789012:cluster-snapshot:s"},
            "DBClusterSnapshotNotFoundFault",
        ),
        ({"Engine": "aurora-mysql", "EngineVersion": "8.0.mysql_aurora.3.08.0"}, "InvalidRestoreFault"),
        ({"EnablePerformanceInsights": True}, "InvalidParameterCombination"),
        ({"MonitoringInterval": 60}, "InvalidParameterCombination"),
        ({"KmsKeyId": "missing"}, "KMSKeyNotAccessibleFault"),
        ({"DBSubnetGroupName": "missing"}, "DBSubnetGroupNotFoundFault"),
        ({"DBClusterParameterGroupName": "missing"}, "DBClusterParameterGroupNotFound"),
    ],
)
def test_a_restore_that_aws_would_refuse_is_refused(account: Account, changes: dict[str, Any], code: str) -> None:
    """Each wrong parameter of a restore gets AWS's code, and no volume is left behind."""
    account.cluster()
    account.snapshot()
    with refused(code):
        account.restore(**changes)
    assert len(account.plane.volumes) == 2


def test_a_restore_needs_an_available_snapshot(account: Account) -> None:
    """A snapshot that is still being made cannot be restored."""
    account.cluster()
    account.east.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="kept")
    with refused("InvalidDBClusterSnapshotStateFault"):
        account.restore()


def test_instances_go_before_their_cluster(account: Account) -> None:
    """A cluster with instances cannot be deleted; once they are ``deleting`` it can, and it ends after them."""
    account.cluster()
    account.instance()
    with refused("InvalidDBClusterStateFault", "non-deleting"):
        account.delete_cluster()
    account.delete_instance()
    with refused("InvalidDBInstanceState"):
        account.delete_instance()
    account.delete_cluster()
    account.wait(179)
    assert account.show()["Status"] == account.show_instance()["DBInstanceStatus"] == "deleting"
    account.wait(2)
    with refused("DBClusterNotFoundFault"):
        account.show()
    assert account.plane.volumes == {}


def test_protection_covers_the_cluster_and_not_its_instances(account: Account) -> None:
    """A protected cluster stays, but its instances can be deleted."""
    account.cluster(DeletionProtection=True)
    account.instance()
    account.delete_instance()
    with refused("InvalidParameterCombination", "Cannot delete protected Cluster"):
        account.delete_cluster()
    account.east.modify_db_cluster(DBClusterIdentifier="orders", DeletionProtection=False)
    account.wait()
    account.delete_cluster()


def test_a_final_snapshot_needs_a_free_name(account: Account) -> None:
    """Either a final snapshot or none must be asked for; its name must be free, and it outlives the cluster."""
    account.cluster()
    account.snapshot()
    with refused("DBClusterSnapshotAlreadyExistsFault"):
        account.delete_cluster(SkipFinalSnapshot=False, FinalDBSnapshotIdentifier="kept")
    for both in ({"SkipFinalSnapshot": False}, {"FinalDBSnapshotIdentifier": "final"}):
        with refused("InvalidParameterCombination"):
            account.delete_cluster(**both)
    account.delete_cluster(SkipFinalSnapshot=False, FinalDBSnapshotIdentifier="final")
    account.wait()
    assert account.show_snapshot("final")["Status"] == "available"


def test_a_stopped_cluster_must_be_started_before_it_is_deleted(account: Account) -> None:
    """Stopping takes cluster, instances and server down; starting brings all of them back."""
    volume = account.cluster()["DbClusterResourceId"]
    account.instance()
    account.east.stop_db_cluster(DBClusterIdentifier="orders")
    assert (account.show()["Status"], account.plane.volumes[volume]) == ("stopping", None)
    account.wait()
    assert account.show()["Status"] == account.show_instance()["DBInstanceStatus"] == "stopped"
    with refused("InvalidDBClusterStateFault"):
        account.delete_instance()
    account.cluster("empty")
    account.east.stop_db_cluster(DBClusterIdentifier="empty")
    account.wait()
    with refused("InvalidDBClusterStateFault"):
        account.delete_cluster("empty")
    account.east.start_db_cluster(DBClusterIdentifier="orders")
    account.wait()
    assert account.show_instance()["DBInstanceStatus"] == "available"
    assert account.plane.volumes[volume]


def test_a_managed_master_password_becomes_a_real_one(account: Account) -> None:
    """The secret is ``creating`` and then ``active``, under the key given, and holds the password the database got."""
    volume = account.cluster()["DbClusterResourceId"]
    key = account.key(EAST)
    account.east.modify_db_cluster(
        DBClusterIdentifier="orders", ManageMasterUserPassword=True, MasterUserSecretKmsKeyId=key
    )
    found = account.show()
    assert (found["Status"], found["MasterUserSecret"]["SecretStatus"]) == ("resetting-master-credentials", "creating")
    assert volume not in account.plane.passwords
    account.wait(45)
    secret = account.show()["MasterUserSecret"]
    assert (account.show()["Status"], secret["SecretStatus"], secret["KmsKeyId"]) == ("available", "active", key)
    value = boto3.client("secretsmanager", region_name=EAST).get_secret_value(SecretId=secret["SecretArn"])
    assert value["Name"].startswith("rds!cluster-")
    assert json.loads(value["SecretString"]) == {"username": "dba", "password": account.plane.passwords[volume]}


def test_a_managed_master_password_excludes_another(account: Account) -> None:
    """A password is refused with management on, needed to turn it off, and the secret goes with it."""
    volume = account.cluster()["DbClusterResourceId"]
    modify = account.east.modify_db_cluster
    with refused("InvalidParameterCombination"):
        modify(DBClusterIdentifier="orders", ManageMasterUserPassword=True, MasterUserPassword=PASSWORD)
    modify(DBClusterIdentifier="orders", ManageMasterUserPassword=True)
    account.wait()
    arn = account.show()["MasterUserSecret"]["SecretArn"]
    with refused("InvalidParameterCombination"):
        modify(DBClusterIdentifier="orders", MasterUserPassword=PASSWORD)
    with refused("InvalidParameterCombination"):
        modify(DBClusterIdentifier="orders", ManageMasterUserPassword=False)
    before = account.plane.passwords[volume]
    modify(DBClusterIdentifier="orders", RotateMasterUserPassword=True, ApplyImmediately=True)
    account.wait()
    assert account.show()["MasterUserSecret"]["SecretArn"] == arn
    assert account.plane.passwords[volume] != before
    modify(DBClusterIdentifier="orders", ManageMasterUserPassword=False, MasterUserPassword=PASSWORD)
    account.wait()
    assert "MasterUserSecret" not in account.show()
    assert account.plane.passwords[volume] == PASSWORD
    with pytest.raises(ClientError, match="ResourceNotFound"):
        boto3.client("secretsmanager", region_name=EAST).get_secret_value(SecretId=arn)


def test_a_restored_cluster_has_no_managed_secret(account: Account) -> None:
    """RDS does not manage a restored cluster's password, whatever the source had; a deleted cluster's secret goes."""
    account.east.create_db_cluster(
        DBClusterIdentifier="orders",
        Engine=ENGINE,
        EngineVersion=VERSION,
        MasterUsername="dba",
        ManageMasterUserPassword=True,
    )
    account.wait()
    secret = account.show()["MasterUserSecret"]
    assert secret["SecretStatus"] == "active"
    account.snapshot()
    account.restore()
    account.delete_cluster()
    account.wait()
    assert "MasterUserSecret" not in account.show("copy")
    with pytest.raises(ClientError, match="ResourceNotFound"):
        boto3.client("secretsmanager", region_name=EAST).get_secret_value(SecretId=secret["SecretArn"])


def test_modifying_takes_time_and_shows_at_once(account: Account) -> None:
    """New settings are visible at once; the cluster is ``modifying`` for a while and refuses all else meanwhile."""
    account.cluster()
    account.instance()
    account.east.modify_db_cluster(
        DBClusterIdentifier="orders",
        BackupRetentionPeriod=9,
        PreferredMaintenanceWindow="Mon:06:00-Mon:06:30",
        CloudwatchLogsExportConfiguration={"EnableLogTypes": ["postgresql"]},
        EnableHttpEndpoint=True,
    )
    found = account.show()
    assert (found["Status"], found["BackupRetentionPeriod"]) == ("modifying", 9)
    assert found["PreferredMaintenanceWindow"] == "mon:06:00-mon:06:30"
    assert (found["EnabledCloudwatchLogsExports"], found["HttpEndpointEnabled"]) == (["postgresql"], True)
    for call in (
        lambda: account.east.modify_db_cluster(DBClusterIdentifier="orders", BackupRetentionPeriod=2),
        account.snapshot,
        account.delete_cluster,
    ):
        with refused("InvalidDBClusterStateFault"):
            call()
    account.wait(60)
    assert account.show()["Status"] == "available"


def test_what_is_not_applied_immediately_stays_pending(account: Account) -> None:
    """A new name, version or IAM authentication waits for the window; with ApplyImmediately the old name is gone."""
    resource = account.cluster()["DbClusterResourceId"]
    account.instance()
    account.east.modify_db_cluster(
        DBClusterIdentifier="orders", NewDBClusterIdentifier="sold", EnableIAMDatabaseAuthentication=True
    )
    pending = account.show()["PendingModifiedValues"]
    assert pending == {"DBClusterIdentifier": "sold", "IAMDatabaseAuthenticationEnabled": True}
    account.east.modify_db_cluster(DBClusterIdentifier="orders", NewDBClusterIdentifier="sold", ApplyImmediately=True)
    assert account.show()["Status"] == "renaming"
    account.wait()
    assert account.show("sold")["DbClusterResourceId"] == resource
    assert account.show_instance()["DBClusterIdentifier"] == "sold"
    with refused("DBClusterNotFoundFault"):
        account.show("orders")


def test_a_new_parameter_group_waits_for_a_reboot(account: Account) -> None:
    """Instances show ``pending-reboot`` for their own and their cluster's new group until they are rebooted."""
    account.cluster()
    account.instance()
    account.east.create_db_parameter_group(DBParameterGroupName="own", DBParameterGroupFamily=FAMILY, Description="-")
    account.east.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="own", DBParameterGroupFamily=FAMILY, Description="-"
    )
    account.east.modify_db_instance(DBInstanceIdentifier="orders-1", DBParameterGroupName="own", PromotionTier=0)
    account.east.modify_db_cluster(DBClusterIdentifier="orders", DBClusterParameterGroupName="own")

    def shown() -> tuple[str, str]:
        group, member = account.show_instance()["DBParameterGroups"][0], account.show()["DBClusterMembers"][0]
        return group["ParameterApplyStatus"], member["DBClusterParameterGroupStatus"]

    account.wait()
    assert shown() == ("pending-reboot", "pending-reboot")
    account.east.reboot_db_instance(DBInstanceIdentifier="orders-1")
    assert account.show_instance()["DBInstanceStatus"] == "rebooting"
    account.wait()
    assert shown() == ("in-sync", "in-sync")
    assert account.show_instance()["PromotionTier"] == 0


def test_an_instance_of_another_class_waits_unless_applied_immediately(account: Account) -> None:
    """A class or a name stays pending without ApplyImmediately; what is the cluster's is refused on the instance."""
    account.cluster()
    account.instance()
    modify = account.east.modify_db_instance
    modify(DBInstanceIdentifier="orders-1", DBInstanceClass="db.r6g.xlarge")
    assert account.show_instance()["PendingModifiedValues"] == {"DBInstanceClass": "db.r6g.xlarge"}
    modify(
        DBInstanceIdentifier="orders-1",
        DBInstanceClass="db.r6g.xlarge",
        NewDBInstanceIdentifier="one",
        ApplyImmediately=True,
    )
    with refused("InvalidDBInstanceState"):
        modify(DBInstanceIdentifier="orders-1", PromotionTier=1)
    account.wait()
    assert account.show_instance("one")["DBInstanceClass"] == "db.r6g.xlarge"
    assert account.show()["DBClusterMembers"][0]["IsClusterWriter"]
    with refused("InvalidParameterCombination"):
        modify(DBInstanceIdentifier="one", BackupRetentionPeriod=4)


def test_roles_come_and_go(account: Account) -> None:
    """A role is PENDING and then ACTIVE; twice the same and a missing one are refused."""
    account.cluster()
    role = {"DBClusterIdentifier": "orders", "RoleArn": "arn:aws:iam::123456789012:role/r", "FeatureName": "s3Import"}
    account.east.add_role_to_db_cluster(**role)
    assert account.show()["AssociatedRoles"][0]["Status"] == "PENDING"
    with refused("DBClusterRoleAlreadyExists"):
        account.east.add_role_to_db_cluster(**role)
    account.wait()
    assert account.show()["AssociatedRoles"][0]["Status"] == "ACTIVE"
    account.east.remove_role_from_db_cluster(**role)
    assert account.show()["AssociatedRoles"] == []
    with refused("DBClusterRoleNotFound"):
        account.east.remove_role_from_db_cluster(**role)


def test_clusters_instances_and_snapshots_have_tags(account: Account) -> None:
    """Tags are added, replaced, listed and removed by ARN; parameter groups keep theirs at moto."""
    account.cluster()
    account.instance()
    arns = [
        account.show()["DBClusterArn"],
        account.show_instance()["DBInstanceArn"],
        account.snapshot()["DBClusterSnapshotArn"],
        account.east.create_db_parameter_group(
            DBParameterGroupName="own", DBParameterGroupFamily=FAMILY, Description="-"
        )["DBParameterGroup"]["DBParameterGroupArn"],
    ]
    for arn in arns:
        for value in ("1", "2"):
            account.east.add_tags_to_resource(
                ResourceName=arn, Tags=[{"Key": "a", "Value": value}, {"Key": "b", "Value": ""}]
            )
        account.east.remove_tags_from_resource(ResourceName=arn, TagKeys=["b"])
        assert account.east.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "a", "Value": "2"}]
    with refused("DBClusterNotFoundFault"):
        account.east.list_tags_for_resource(ResourceName=arns[0] + "-missing")


def test_a_failure_asked_for_happens_once(account: Account) -> None:
    """The named copy, restore and instance end badly, their successors do not, and progress stands still."""
    account.cluster()
    source = account.snapshot()["DBClusterSnapshotArn"]
    account.aurora.fail_next("copy", "landed", at_percent=60)
    account.copy_west("landed", source)
    account.wait()
    failed = account.show_snapshot("landed", account.west)
    assert (failed["Status"], failed["PercentProgress"]) == ("failed", 60)
    account.west.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="landed")
    account.aurora.fail_next("restore", "copy", status="incompatible-restore")
    account.restore()
    account.wait()
    assert account.show("copy")["Status"] == "incompatible-restore"
    account.delete_cluster("copy")
    account.aurora.fail_next("instance", "orders-1", status="incompatible-network")
    account.instance()
    assert account.show_instance()["DBInstanceStatus"] == "incompatible-network"
    account.delete_instance()
    account.wait()
    account.instance()
    account.restore()
    account.copy_west("landed", source)
    account.wait()
    assert account.show_instance()["DBInstanceStatus"] == account.show("copy")["Status"] == "available"
    assert account.show_snapshot("landed", account.west)["Status"] == "available"


def test_a_refusal_asked_for_happens_so_many_times(account: Account) -> None:
    """An action is refused as often as was asked, or done with its answer lost."""
    account.cluster()
    account.aurora.refuse_next("CreateDBInstance", "InsufficientDBInstanceCapacity", times=2)
    for _ in range(2):
        with refused("InsufficientDBInstanceCapacity"):
            account.instance()
    account.aurora.refuse_next("CreateDBInstance", "InvalidDBClusterStateFault", after_effect=True)
    with refused("InvalidDBClusterStateFault"):
        account.instance()
    assert account.show_instance()["DBInstanceStatus"] == "creating"


def test_a_snapshot_can_be_shared_unless_its_key_cannot(account: Account) -> None:
    """A manual snapshot under a customer key is shared; an automated one and one under ``aws/rds`` are not."""
    share = account.east.modify_db_cluster_snapshot_attribute
    account.cluster()
    account.snapshot()
    share(DBClusterSnapshotIdentifier="kept", AttributeName="restore", ValuesToAdd=["111122223333"])
    shown = account.east.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier="kept")
    attribute = shown["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"][0]
    assert (attribute["AttributeName"], attribute["AttributeValues"]) == ("restore", ["111122223333"])
    account.cluster("secret", StorageEncrypted=True)
    account.snapshot("locked", "secret")
    for name in ("locked", account.aurora.take_automated_snapshot(EAST, "orders")):
        with refused("InvalidDBClusterSnapshotStateFault"):
            share(DBClusterSnapshotIdentifier=name, AttributeName="restore", ValuesToAdd=["111122223333"])


def test_installing_again_starts_empty(account: Account) -> None:
    """Each installation is an account of its own, and its records can be pickled."""
    account.cluster()
    account.instance()
    account.snapshot()
    assert pickle.loads(pickle.dumps(account.aurora.places())) == account.aurora.places()  # noqa: S301 - our own bytes
    install(RecordsOnly(), account.clock)
    assert account.east.describe_db_clusters()["DBClusters"] == []


def test_whatever_is_under_way_hurries_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is told when each operation is due, so that an account that runs fast may slow down afterwards."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    hurried: list[datetime] = []

    class Hurried(VirtualClock):
        def hurry(self, until: datetime) -> None:
            hurried.append(until)

    with mock_aws():
        install(RecordsOnly(), Hurried(NOON))
        rds: Any = boto3.client("rds", region_name=EAST)
        rds.create_db_cluster(
            DBClusterIdentifier="orders", Engine=ENGINE, MasterUsername="dba", MasterUserPassword=PASSWORD
        )
    assert hurried == [NOON + timedelta(seconds=120)]
