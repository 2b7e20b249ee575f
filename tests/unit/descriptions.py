"""RDS's descriptions of a cluster and its instances, as the shape reads them."""

from typing import Any

ROLE = "arn:aws:iam::1:role/import"


def cluster(**changes: Any) -> dict[str, Any]:
    """Return a DBCluster with everything about it that a restore would lose."""
    plain: dict[str, Any] = {
        "DBClusterIdentifier": "orders-staging",
        "DBClusterArn": "arn:aws:rds:us-west-2:1:cluster:orders-staging",
        "DbClusterResourceId": "cluster-T",
        "Status": "available",
        "Engine": "aurora-postgresql",
        "EngineVersion": "16.4",
        "EngineMode": "provisioned",
        "Port": 5544,
        "MasterUsername": "postgres",
        "DBSubnetGroup": "private",
        "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-b"}, {"VpcSecurityGroupId": "sg-a"}],
        "DBClusterParameterGroup": "staging-16",
        "StorageType": "aurora-iopt1",
        "EnabledCloudwatchLogsExports": ["postgresql"],
        "IAMDatabaseAuthenticationEnabled": True,
        "DeletionProtection": True,
        "CopyTagsToSnapshot": True,
        "BackupRetentionPeriod": 5,
        "PreferredBackupWindow": "03:10-03:50",
        "PreferredMaintenanceWindow": "sun:05:00-sun:06:00",
        "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 8, "SecondsUntilAutoPause": 600},
        "AssociatedRoles": [
            {"RoleArn": ROLE, "FeatureName": "s3Import", "Status": "ACTIVE"},
            {"RoleArn": "arn:gone", "FeatureName": "", "Status": "REMOVED"},
        ],
        "TagList": [{"Key": "team", "Value": "shop"}, {"Key": "aws:x", "Value": "y"}],
        "DBClusterMembers": [
            {"DBInstanceIdentifier": "a-reader", "IsClusterWriter": False},
            {"DBInstanceIdentifier": "the-writer", "IsClusterWriter": True},
        ],
    }
    return plain | changes


def instance(identifier: str = "the-writer", **changes: Any) -> dict[str, Any]:
    """Return a DBInstance."""
    plain: dict[str, Any] = {
        "DBInstanceIdentifier": identifier,
        "DBInstanceArn": f"arn:aws:rds:us-west-2:1:db:{identifier}",
        "DBInstanceStatus": "available",
        "DBClusterIdentifier": "orders-staging",
        "DBInstanceClass": "db.r6g.large",
        "PromotionTier": 3,
        "DBParameterGroups": [{"DBParameterGroupName": "staging-instance-16"}],
        "AvailabilityZone": "us-west-2b",
        "PreferredMaintenanceWindow": "mon:05:00-mon:06:00",
        "AutoMinorVersionUpgrade": False,
        "CACertificateIdentifier": "rds-ca-rsa2048-g1",
        "MonitoringInterval": 60,
        "MonitoringRoleArn": "arn:aws:iam::1:role/monitoring",
        "PerformanceInsightsEnabled": True,
        "PerformanceInsightsKMSKeyId": "key",
        "PerformanceInsightsRetentionPeriod": 31,
        "TagList": [{"Key": "number", "Value": "1"}],
    }
    return plain | changes
