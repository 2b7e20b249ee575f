"""Steps 4 to 9, which act on the target: what each may do besides what every function may."""

from aurora_restore.operation import Step
from infra import resources as r
from infra.statements import BY_LAMBDA, allow, deny

_PERHAPS = (
    "AWS lists them among what it takes to make an instance, and does not say which call needs them. They only read, "
    "and without them a restore might fail after the deletion."
)
_LOOK_AT_NETWORK = (
    "ec2:DescribeAccountAttributes ec2:DescribeAvailabilityZones ec2:DescribeInternetGateways "
    "ec2:DescribeSecurityGroups ec2:DescribeSubnets ec2:DescribeVpcAttribute ec2:DescribeVpcs"
)

DELETE_RDS = (
    allow(
        "ReadTarget",
        "rds:DescribeDBClusters",
        on=[r.TARGET_CLUSTERS],
        why="The target as it stands immediately before each move.",
    ),
    allow(
        "ReadInstances",
        "rds:DescribeDBInstances",
        on=[r.ANY_INSTANCE],
        why="The target's instances. Asked for by their cluster, they are authorised as any instance.",
    ),
    allow(
        "ReadSnapshots",
        "rds:DescribeDBClusterSnapshots",
        on=[r.ANY_SNAPSHOT],
        why="Whether the snapshot to restore from stands (I2): without a copy it is the source's, under any name.",
    ),
    allow("LookAtKeys", "kms:DescribeKey", on=[r.ANY_KEY], why="Whether the restored cluster's key can be used (I2)."),
    allow(
        "PrepareDeletion",
        "rds:ModifyDBCluster rds:StartDBCluster",
        on=[r.TARGET_CLUSTERS],
        why="Lifts the protection where the request says so, and starts a stopped cluster, which cannot be deleted.",
    ),
    allow(
        "DeleteTargetInstances",
        "rds:DeleteDBInstance",
        on=[r.TARGET_INSTANCES],
        why="Instances go before their cluster (I2). Those named after a target.",
    ),
    allow(
        "DeleteOwnInstances",
        "rds:DeleteDBInstance",
        on=[r.ANY_INSTANCE],
        when=r.IS_OURS,
        why="Instances under other names: those that this stack made, or that an operator has tagged as this stack's.",
    ),
    allow("DeleteTarget", "rds:DeleteDBCluster", on=[r.TARGET_CLUSTERS, r.FINAL_SNAPSHOTS], why="The deletion (I2)."),
    allow(
        "TakeFinalSnapshot",
        "rds:CreateDBClusterSnapshot",
        on=[r.TARGET_CLUSTERS, r.FINAL_SNAPSHOTS],
        why="RDS takes the final snapshot with the rights of whoever deletes.",
    ),
    allow(
        "TagFinalSnapshot",
        "rds:AddTagsToResource",
        on=[r.FINAL_SNAPSHOTS],
        why="RDS hands the cluster's own tags down, if the cluster says so; the pipeline adds its own, to prune it by.",
    ),
)

RESTORE_SNAPSHOT = (
    allow(
        "ReadTarget",
        "rds:DescribeDBClusters",
        on=[r.TARGET_CLUSTERS],
        why="Whether a cluster has the target's name, and whose it is.",
    ),
    allow(
        "RestoreTarget",
        "rds:RestoreDBClusterFromSnapshot",
        on=[r.TARGET_CLUSTERS, r.ANY_SNAPSHOT, r.SUBNET_GROUPS, r.CLUSTER_PARAMETER_GROUPS, r.OPTION_GROUPS],
        when=r.MARKED_AS_OURS,
        why="Under a target's name only, from a snapshot of any name, with whatever groups the target had.",
    ),
    allow(
        "TagTarget",
        "rds:AddTagsToResource",
        on=[r.TARGET_CLUSTERS],
        when=r.MARKED_AS_OURS,
        why="The tags that the cluster is made with.",
    ),
    allow(
        "LookAtKeys",
        "kms:DescribeKey",
        on=[r.ANY_KEY],
        when=r.THROUGH_RDS,
        why="RDS looks at the cluster's key with the rights of whoever restores.",
    ),
    allow(
        "LetRdsUseKeys",
        "kms:CreateGrant",
        on=[r.ANY_KEY],
        when=r.GRANT_TO_RDS,
        why="RDS gives itself the use of the cluster's key. A grant for anybody else is not possible.",
    ),
    allow(
        "HandRolesToRds",
        "iam:PassRole",
        on=[r.ANY_ROLE],
        when=r.TO_RDS_ONLY,
        why="A cluster in a domain has a role for it. Any role, to RDS alone, which takes only one that trusts it.",
        unseen="The embedded account knows no directories to join.",
    ),
    allow("LookAtNetwork", _LOOK_AT_NETWORK, why="The VPC, subnets and groups of the cluster.", unseen=_PERHAPS),
)

CHECK_RESTORE_STATUS = (
    allow(
        "ReadTarget",
        "rds:DescribeDBClusters",
        on=[r.TARGET_CLUSTERS],
        why="How far the cluster is, and what is set already.",
    ),
    allow(
        "ReadInstances",
        "rds:DescribeDBInstances",
        on=[r.ANY_INSTANCE],
        why="How far the instances are. Asked for by their cluster, they are authorised as any instance.",
    ),
    allow(
        "MakeInstances",
        "rds:CreateDBInstance",
        on=[r.TARGET_CLUSTERS, r.ANY_INSTANCE, r.PARAMETER_GROUPS, r.SUBNET_GROUPS, r.OPTION_GROUPS],
        when=r.MARKED_AS_OURS,
        why="In a target only. An instance gets the name again that it had, whatever that was.",
    ),
    allow(
        "TagInstances",
        "rds:AddTagsToResource",
        on=[r.ANY_INSTANCE],
        when=r.MARKED_AS_OURS,
        why="The tags that an instance is made with: by them it may be deleted again next time.",
    ),
    allow(
        "SetUpTarget",
        "rds:ModifyDBCluster rds:AddRoleToDBCluster rds:EnableHttpEndpoint",
        on=[r.TARGET_CLUSTERS],
        why="What a restore cannot set: windows, exports, monitoring, roles, Data API, password, protection.",
    ),
    allow(
        "SetUpInstancesOfTarget",
        "rds:ModifyDBInstance",
        on=[r.ANY_INSTANCE],
        when=r.IS_OURS,
        why="What is set at the cluster and reaches into its instances, such as monitoring. Those this stack made.",
        unseen="AWS lists it as what ModifyDBCluster depends on, and does not say for which settings. Without it a "
        "restore might fail after the deletion.",
    ),
    allow(
        "UseParameterGroups",
        "rds:ModifyDBCluster",
        on=[r.CLUSTER_PARAMETER_GROUPS],
        why="A change of the cluster's parameter group is authorised on the group too.",
    ),
    allow(
        "HandRolesToRds",
        "iam:PassRole",
        on=[r.ANY_ROLE],
        when=r.TO_RDS_ONLY,
        why="Roles for S3 import and the like, and for Enhanced Monitoring: to RDS alone, if they trust it.",
    ),
    allow(
        "LetRdsManagePassword",
        "secretsmanager:CreateSecret secretsmanager:TagResource",
        on=[r.MANAGED_SECRETS],
        why="RDS makes the master user's secret with the rights of whoever asks for it (I7).",
    ),
    allow(
        "EncryptManagedSecret",
        "kms:GenerateDataKey kms:Decrypt",
        on=[r.ANY_KEY],
        when=r.THROUGH_SECRETS_MANAGER,
        why="Secrets Manager encrypts it with the rights of whoever asks for it.",
    ),
    allow(
        "LookAtKeys",
        "kms:DescribeKey",
        on=[r.ANY_KEY],
        when=r.THROUGH_RDS_OR_SECRETS_MANAGER,
        why="The keys of the managed secret, of the instances and of Performance Insights.",
    ),
    allow(
        "LetServicesUseKeys",
        "kms:CreateGrant",
        on=[r.ANY_KEY],
        when=r.GRANT_TO_RDS_OR_SECRETS_MANAGER,
        why="RDS and Secrets Manager give themselves the use of these keys. A grant for anybody else is not possible.",
    ),
    allow("LookAtNetwork", _LOOK_AT_NETWORK, why="The VPC, subnets and groups of the instances.", unseen=_PERHAPS),
)

SETUP_DB_USERS = (
    allow(
        "ReadMasterSecret",
        "secretsmanager:DescribeSecret secretsmanager:GetSecretValue",
        on=[r.MANAGED_SECRETS],
        when=r.IS_OF_A_TARGET,
        why="The password that RDS manages for a target, for no other cluster (I7): RDS's own tag says whose it is.",
    ),
    allow(
        "KeepUsersSecrets",
        "secretsmanager:DescribeSecret secretsmanager:GetSecretValue secretsmanager:PutSecretValue "
        "secretsmanager:UpdateSecretVersionStage",
        on=r.USERS_SECRETS,
        why="Gives each user a new password, kept beside the old one until the database has it (I6, I7).",
    ),
    allow(
        "MakeUsersSecrets",
        "secretsmanager:CreateSecret secretsmanager:TagResource",
        on=r.USERS_SECRETS,
        when=r.MARKED_AS_OURS,
        why="For users who have none yet.",
    ),
    allow(
        "UseSecretsKeys",
        "kms:GenerateDataKey kms:Decrypt",
        on=[r.ANY_KEY],
        when=r.THROUGH_SECRETS_MANAGER,
        why="Secrets Manager encrypts and decrypts with the rights of whoever asks.",
    ),
    allow(
        "LogInAsIamUsers",
        "rds-db:connect",
        on=[r.IAM_USERS],
        why="Checks of the request that a user with iam: true asks. Nobody's, unless the operator names users.",
        unseen="The database asks IAM: a token is signed without a call.",
    ),
    allow(
        "JoinVpc",
        "ec2:CreateNetworkInterface ec2:DeleteNetworkInterface ec2:DescribeNetworkInterfaces ec2:DescribeSubnets "
        "ec2:AssignPrivateIpAddresses ec2:UnassignPrivateIpAddresses",
        why="The function's network interfaces. Lambda asks for these on all resources.",
        unseen=BY_LAMBDA,
    ),
    deny(
        "LeaveVpcToLambda",
        "ec2:*",
        on=["*"],
        when={"ArnEquals": {"lambda:SourceFunctionArn": r.function_arn(Step.SETUP_DB_USERS.function_name)}},
        why="What Lambda may do to join the VPC, the function's code may not.",
    ),
)

ARCHIVE_SNAPSHOT = (
    allow(
        "ReadSnapshots",
        "rds:DescribeDBClusterSnapshots",
        on=[r.ANY_SNAPSHOT],
        why="Lists the manual snapshots, to find this stack's own by their tags.",
    ),
    allow(
        "ReadSnapshotsOfClusters",
        "rds:DescribeDBClusterSnapshots",
        on=[r.ANY_CLUSTER],
        why="The same list, should AWS authorise it on clusters. The Deny on sources holds.",
        unseen="AWS names clusters and snapshots as the action's resources, and does not say on which of them a list "
        "of all is authorised. It only reads.",
    ),
    allow(
        "TagArchive",
        "rds:AddTagsToResource",
        on=[r.OWN_SNAPSHOTS],
        when=r.MARKED_AS_OURS,
        why="Marks the snapshot that was restored from as an archive, if it is this stack's.",
    ),
    allow(
        "Prune",
        "rds:DeleteDBClusterSnapshot",
        on=[r.OWN_SNAPSHOTS],
        when=r.IS_OURS,
        why="Archives beyond the request's limits: by name and by tag this stack's own, never another's.",
    ),
)

SNS_NOTIFICATION = (
    allow(
        "FreeLocks",
        "dynamodb:DeleteItem",
        on=[r.STATE_TABLE],
        when=r.LOCKS_ONLY,
        why="Frees the operation's lock (I3). Locks, no records.",
    ),
    allow(
        "LookAround",
        "dynamodb:Scan",
        on=[r.STATE_TABLE],
        why='What runs, what is locked, how old each restore is: asked by a rule, with the event {"watch": true}.',
    ),
    allow(
        "ReadTarget",
        "rds:DescribeDBClusters",
        on=[r.TARGET_CLUSTERS],
        why="Says after an abort what is half made, and how to remove it.",
    ),
    allow(
        "ReadSnapshots",
        "rds:DescribeDBClusterSnapshots",
        on=[r.ANY_SNAPSHOT],
        why="Says after a failure whether the data stands: in a copy, or in the source's snapshot of any name.",
    ),
    allow(
        "CancelCopy",
        "rds:DeleteDBClusterSnapshot",
        on=[r.COPIES],
        when=r.IS_OURS,
        why="Deleting a copy under way cancels it. An operation that is resumed after its abort copies again.",
    ),
    allow("Publish", "sns:Publish", on=[r.TOPIC], why="Tells people and machines how it ended (I8)."),
    allow(
        "EncryptMessages",
        "kms:GenerateDataKey kms:Decrypt",
        on=[r.OWN_KEY],
        when=r.through("sns"),
        why="The topic is encrypted: SNS uses the key with the rights of whoever publishes.",
    ),
    allow(
        "KeepLostEvents",
        "sqs:SendMessage",
        on=[r.DEAD_LETTERS],
        why="The event of a stopped execution that could not be worked on, however often it was tried.",
        unseen=BY_LAMBDA,
    ),
    allow(
        "EncryptLostEvents",
        "kms:GenerateDataKey kms:Decrypt",
        on=[r.OWN_KEY],
        when=r.through("sqs"),
        why="The queue is encrypted: SQS uses the key with the rights of whoever sends.",
        unseen=BY_LAMBDA,
    ),
)
