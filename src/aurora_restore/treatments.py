"""What becomes of every field of RDS's cluster and instance when a target is replaced (I9).

Restored by a parameter, applied afterwards, recreated by its own API, or reported because it cannot be; and besides,
what comes with the data and what is no setting at all. A test holds these tables against botocore's model, so that a
field that AWS adds cannot be overlooked.
"""

from collections.abc import Mapping
from enum import StrEnum


class Treatment(StrEnum):
    """What the pipeline does about a field."""

    RESTORED = "a parameter of the restore or of the instance's creation"
    APPLIED = "set after the restore"
    RECREATED = "made again by an API of its own"
    REPORTED = "cannot be made again: told in the notification"
    CARRIED = "comes with the snapshot's data"
    FOREIGN = "not of Aurora: of other engines, or of Multi-AZ DB clusters"
    OBSERVED = "a fact, not a setting"


def _table(**fields: str) -> Mapping[str, Treatment]:
    return {field: Treatment[kind.upper()] for kind, names in fields.items() for field in names.split()}


CLUSTER: Mapping[str, Treatment] = _table(
    restored="""
        BacktrackWindow CopyTagsToSnapshot DBClusterIdentifier DBClusterParameterGroup DBSubnetGroup DomainMemberships
        EnabledCloudwatchLogsExports Engine EngineLifecycleSupport EngineMode EngineVersion
        IAMDatabaseAuthenticationEnabled KmsKeyId NetworkType Port ServerlessV2ScalingConfiguration StorageEncrypted
        StorageType TagList VpcSecurityGroups
    """,
    applied="""
        BackupRetentionPeriod DatabaseInsightsMode DeletionProtection MasterUserSecret
        MonitoringInterval MonitoringRoleArn PerformanceInsightsEnabled PerformanceInsightsKMSKeyId
        PerformanceInsightsRetentionPeriod PreferredBackupWindow PreferredMaintenanceWindow
    """,
    recreated="AssociatedRoles DBClusterMembers HttpEndpointEnabled",
    reported="""
        ActivityStreamKinesisStreamName ActivityStreamKmsKeyId ActivityStreamMode ActivityStreamStatus
        AwsBackupRecoveryPointArn CustomEndpoints GlobalClusterIdentifier GlobalWriteForwardingRequested
        GlobalWriteForwardingStatus InternetAccessGatewayEnabled LimitlessDatabase LocalWriteForwardingStatus
        ReadReplicaIdentifiers ReplicationSourceIdentifier ScalingConfigurationInfo
    """,
    carried="CharacterSetName DatabaseName MasterUsername",
    foreign="""
        AllocatedStorage DBClusterInstanceClass DBClusterOptionGroupMemberships DBSystemId Iops PubliclyAccessible
        RdsCustomClusterConfiguration StorageThroughput
    """,
    observed="""
        AutoMinorVersionUpgrade AutomaticRestartTime AvailabilityZones BacktrackConsumedChangeRecords Capacity
        CertificateDetails CloneGroupId ClusterCreateTime ClusterScalabilityType CrossAccountClone DBClusterArn
        DbClusterResourceId EarliestBacktrackTime EarliestRestorableTime Endpoint HostedZoneId
        IOOptimizedNextAllowedModificationTime LatestRestorableTime MultiAZ PendingModifiedValues PercentProgress
        ReaderEndpoint ServerlessV2PlatformVersion Status StatusInfos StorageEncryptionType UpgradeRolloutOrder
        VPCNetworkingEnabled
    """,
)
"""Every field of DBCluster. AutoMinorVersionUpgrade, AZs and certificate follow from the instances."""

INSTANCE: Mapping[str, Treatment] = _table(
    restored="""
        AutoMinorVersionUpgrade AvailabilityZone CACertificateIdentifier CopyTagsToSnapshot
        DBCapacityReservationIdentifier DBClusterIdentifier DBInstanceClass DBInstanceIdentifier DBParameterGroups
        Engine MonitoringInterval MonitoringRoleArn PerformanceInsightsEnabled PerformanceInsightsKMSKeyId
        PerformanceInsightsRetentionPeriod PreferredMaintenanceWindow PromotionTier PubliclyAccessible TagList
    """,
    applied="""
        BackupRetentionPeriod DatabaseInsightsMode DeletionProtection EnabledCloudwatchLogsExports
        EngineLifecycleSupport EngineVersion IAMDatabaseAuthenticationEnabled KmsKeyId MasterUserSecret NetworkType
        PreferredBackupWindow StorageEncrypted StorageType VpcSecurityGroups DBSubnetGroup DomainMemberships
    """,
    carried="CharacterSetName DBName MasterUsername",
    foreign="""
        ActivityStreamEngineNativeAuditFieldsIncluded ActivityStreamKinesisStreamName ActivityStreamKmsKeyId
        ActivityStreamMode ActivityStreamPolicyStatus ActivityStreamStatus AdditionalStorageVolumes AllocatedStorage
        AssociatedRoles AutomationMode AwsBackupRecoveryPointArn BackupTarget CustomIamInstanceProfile
        CustomerOwnedIpEnabled DBInstanceAutomatedBackupsReplications DBSecurityGroups DBSystemId DedicatedLogVolume
        Iops LicenseModel ListenerEndpoint MaxAllocatedStorage MultiAZ MultiTenant NcharCharacterSetName
        OptionGroupMemberships ProcessorFeatures ReadReplicaDBClusterIdentifiers ReadReplicaDBInstanceIdentifiers
        ReadReplicaSourceDBClusterIdentifier ReadReplicaSourceDBInstanceIdentifier ReplicaMode
        ResumeFullAutomationModeTime SecondaryAvailabilityZone StorageThroughput TdeCredentialArn Timezone
    """,
    observed="""
        AutomaticRestartTime CertificateDetails DBInstanceArn DBInstanceStatus DbInstancePort DbiResourceId Endpoint
        EnhancedMonitoringResourceArn InstanceCreateTime IsStorageConfigUpgradeAvailable LatestRestorableTime
        PendingModifiedValues PercentProgress StatusInfos StorageEncryptionType StorageOperationPercentProgress
        StorageOperationStatus StorageVolumeStatus UpgradeRolloutOrder
    """,
)
"""Every field of DBInstance. What is "applied" here is the cluster's setting, which its instances only show."""
