"""Changes in the emulated Aurora: settings, master passwords, parameter groups, roles and tags."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.embedded.aurora_account import EAST, FAMILY, PASSWORD, Account, client, refused


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
    value = client("secretsmanager", EAST).get_secret_value(SecretId=secret["SecretArn"])
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
        client("secretsmanager", EAST).get_secret_value(SecretId=arn)


def test_modifying_takes_time_and_shows_at_once(account: Account) -> None:
    """New settings are visible at once; the cluster is ``modifying`` for a while and refuses all else meanwhile."""
    account.cluster()
    account.instance()
    account.east.modify_db_cluster(
        DBClusterIdentifier="orders",
        BackupRetentionPeriod=9,
        PreferredMaintenanceWindow="Mon:06:00-Mon:06:30",
        CloudwatchLogsExportConfiguration={"EnableLogTypes": ["postgresql"]},
    )
    found = account.show()
    assert (found["Status"], found["BackupRetentionPeriod"]) == ("modifying", 9)
    assert found["PreferredMaintenanceWindow"] == "mon:06:00-mon:06:30"
    assert found["EnabledCloudwatchLogsExports"] == ["postgresql"]
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


def test_a_version_upgrade_and_a_new_port_reach_the_instances(account: Account) -> None:
    """With ApplyImmediately the version is the members' too, an older one is refused, and the server takes the port."""
    volume = account.cluster()["DbClusterResourceId"]
    account.instance()
    modify = account.east.modify_db_cluster
    with refused("InvalidParameterCombination", "older"):
        modify(DBClusterIdentifier="orders", EngineVersion="15.4", ApplyImmediately=True)
    modify(DBClusterIdentifier="orders", EngineVersion="16.6", Port=7001, ApplyImmediately=True)
    account.wait()
    assert account.show_instance()["EngineVersion"] == account.show()["EngineVersion"] == "16.6"
    assert account.show()["Port"] == account.plane.volumes[volume] == 7001


def test_security_groups_of_a_cluster_are_replaced(account: Account) -> None:
    """A modification gives a cluster other security groups of its VPC, and refuses a name that another cluster has."""
    default = account.cluster()["VpcSecurityGroups"][0]["VpcSecurityGroupId"]
    account.cluster("other")
    ec2 = client("ec2", EAST)
    vpc = ec2.describe_security_groups(GroupIds=[default])["SecurityGroups"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="staging", Description="-", VpcId=vpc)["GroupId"]
    with refused("DBClusterAlreadyExistsFault"):
        account.east.modify_db_cluster(DBClusterIdentifier="orders", NewDBClusterIdentifier="other")
    account.east.modify_db_cluster(DBClusterIdentifier="orders", VpcSecurityGroupIds=[group])
    assert account.show()["VpcSecurityGroups"] == [{"VpcSecurityGroupId": group, "Status": "active"}]


def test_default_groups_are_there_without_being_made(account: Account) -> None:
    """As in AWS, default parameter and subnet groups can be described at any time; others must have been made."""
    found = account.west.describe_db_cluster_parameter_groups(DBClusterParameterGroupName=f"default.{FAMILY}")
    assert found["DBClusterParameterGroups"][0]["DBParameterGroupFamily"] == FAMILY
    found = account.west.describe_db_parameter_groups(DBParameterGroupName=f"default.{FAMILY}")
    assert found["DBParameterGroups"][0]["DBParameterGroupFamily"] == FAMILY
    assert account.west.describe_db_subnet_groups(DBSubnetGroupName="default")["DBSubnetGroups"]
    with refused("DBParameterGroupNotFound"):
        account.west.describe_db_cluster_parameter_groups(DBClusterParameterGroupName="default.none")


def test_the_data_api_has_an_operation_of_its_own(account: Account) -> None:
    """ModifyDBCluster switches it on for Serverless v1 only."""
    account.cluster()
    account.instance()
    with refused("InvalidParameterCombination"):
        account.east.modify_db_cluster(DBClusterIdentifier="orders", EnableHttpEndpoint=True)
    assert account.show()["HttpEndpointEnabled"] is False
    account.east.enable_http_endpoint(ResourceArn=account.show()["DBClusterArn"])
    assert account.show()["HttpEndpointEnabled"] is True
