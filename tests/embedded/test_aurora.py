"""The emulated Aurora answers as AWS does about clusters and instances: the same states, the same refusals."""

import pickle
from datetime import datetime, timedelta
from typing import Any

import pytest

from aurora_restore.embedded.aurora import install
from aurora_restore.embedded.clock import VirtualClock
from aurora_restore.embedded.dataplane import RecordsOnly
from tests.embedded.aurora_account import EAST, ENGINE, FAMILY, NOON, PASSWORD, VERSION, Account, client, refused


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
    ec2 = client("ec2", EAST)
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


def test_aurora_mysql_is_as_strict_in_its_own_way(account: Account) -> None:
    """Its version, port, parameter groups' family, licence and kinds of logs, in the copy of a snapshot too."""
    mysql = {"Engine": "aurora-mysql", "EngineVersion": "8.0.mysql_aurora.3.10.1"}
    account.cluster("shop", **mysql, EnableCloudwatchLogsExports=["audit", "slowquery"])
    assert account.snapshot("kept", "shop")["LicenseModel"] == "general-public-license"
    account.restore(**mysql)
    for name in ("shop", "copy"):
        shown = account.show(name)
        assert (shown["Engine"], shown["EngineVersion"], shown["Port"]) == (*mysql.values(), 3306)
        assert shown["DBClusterParameterGroup"] == "default.aurora-mysql8.0"
    with refused("InvalidParameterCombination"):
        account.cluster("other", **mysql, EnableCloudwatchLogsExports=["postgresql"])
    with refused("InvalidParameterCombination"):
        account.cluster("other", Engine="aurora-mysql", EngineVersion="17.7")


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


def test_installing_again_starts_empty(account: Account) -> None:
    """Each installation is an account of its own, and its records can be pickled."""
    account.cluster()
    account.instance()
    account.snapshot()
    assert pickle.loads(pickle.dumps(account.aurora.places())) == account.aurora.places()  # noqa: S301 - our own bytes
    install(RecordsOnly(), account.clock)
    assert account.east.describe_db_clusters()["DBClusters"] == []


def test_whatever_is_under_way_hurries_the_clock(account: Account) -> None:
    """The clock is told when each operation is due, so that an account that runs fast may slow down afterwards."""
    hurried: list[datetime] = []

    class Hurried(VirtualClock):
        def hurry(self, until: datetime) -> None:
            hurried.append(until)

    install(RecordsOnly(), Hurried(NOON))
    account.east.create_db_cluster(
        DBClusterIdentifier="orders", Engine=ENGINE, MasterUsername="dba", MasterUserPassword=PASSWORD
    )
    assert hurried == [NOON + timedelta(seconds=120)]


def test_every_cluster_has_two_endpoints_of_its_own(account: Account) -> None:
    """There is a writer and a reader endpoint, and no custom one."""
    account.cluster()
    found = account.east.describe_db_cluster_endpoints(DBClusterIdentifier="orders")["DBClusterEndpoints"]
    assert [(each["EndpointType"], each["Status"]) for each in found] == [
        ("WRITER", "available"),
        ("READER", "available"),
    ]
    with refused("InvalidDBInstanceState", "reader"):
        account.east.failover_db_cluster(DBClusterIdentifier="orders")
