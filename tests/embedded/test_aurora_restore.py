"""Restores in the emulated Aurora: what they inherit, what they take, what they refuse."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.embedded.aurora_account import EAST, ENGINE, FAMILY, VERSION, Account, client, refused


def test_a_restore_inherits_data_and_little_else(account: Account) -> None:
    """What a restore does not say is the default, not the source's; port, master user and key are inherited."""
    subnet = client("ec2", EAST).describe_subnets()["Subnets"][0]
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
        client("secretsmanager", EAST).get_secret_value(SecretId=secret["SecretArn"])
