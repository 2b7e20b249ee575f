"""Steps 1 to 3, which look at the source and copy its snapshot: what each may do besides what every function may."""

from infra import resources as r
from infra.statements import allow

SNAPSHOT_CHECK = (
    allow(
        "ReadHistory",
        "dynamodb:Query",
        on=[r.OPERATIONS_BY_TARGET],
        why="Earlier operations on the target: one that failed may have taken the target's shape with it (I9).",
    ),
    allow("SeeExecutions", "states:DescribeExecution", on=[r.EXECUTIONS], why="Whether a lock's holder still runs."),
    allow(
        "ReadClusters",
        "rds:DescribeDBClusters",
        on=[r.SOURCE_CLUSTERS, r.TARGET_CLUSTERS],
        why="Source and target as they stand. A request that names any other cluster ends here.",
    ),
    allow(
        "ReadInstances",
        "rds:DescribeDBInstances",
        on=[r.ANY_INSTANCE],
        why="The shape of the target's instances, and whether the name of one to be made is free.",
    ),
    allow(
        "ReadSnapshots",
        "rds:DescribeDBClusterSnapshots",
        on=[r.SOURCE_CLUSTERS, r.ANY_SNAPSHOT],
        why="Finds the snapshot of the source. A manual one may have any name.",
    ),
    allow(
        "ReadGroups",
        "rds:DescribeDBSubnetGroups rds:DescribeDBClusterParameterGroups rds:DescribeDBParameterGroups",
        on=[r.SUBNET_GROUPS, r.CLUSTER_PARAMETER_GROUPS, r.PARAMETER_GROUPS],
        why="Whether the groups that the target is to have exist and fit.",
    ),
    allow(
        "ReadOffers",
        "rds:DescribeOrderableDBInstanceOptions ec2:DescribeSecurityGroups",
        why="Whether the region offers the instance classes; the security groups' VPC. AWS knows no resources here.",
    ),
    allow(
        "LookAtKeys",
        "kms:DescribeKey",
        on=[r.ANY_KEY],
        why="Whether the target's key exists and is enabled, and whether it serves for secrets too.",
    ),
    allow(
        "ReadUsersSecrets",
        "secretsmanager:DescribeSecret secretsmanager:GetSecretValue",
        on=r.USERS_SECRETS,
        why="Refuses early what step 7 would refuse: a secret of another user, without a password, or being deleted.",
    ),
    allow(
        "DecryptSecrets",
        "kms:Decrypt",
        on=[r.ANY_KEY],
        when=r.THROUGH_SECRETS_MANAGER,
        why="Secrets Manager decrypts with the rights of whoever reads.",
    ),
    allow(
        "TakeSnapshot",
        "rds:CreateDBClusterSnapshot",
        on=[r.SOURCE_CLUSTERS, r.NEW_SNAPSHOTS],
        when=r.MARKED_AS_OURS,
        why="source.snapshot: new. It is the only change that is ever asked of a source (I1).",
    ),
    allow(
        "TagSnapshot",
        "rds:AddTagsToResource",
        on=[r.NEW_SNAPSHOTS],
        when=r.MARKED_AS_OURS,
        why="The tags that the snapshot is made with: by them it is known again, and pruned.",
    ),
    allow(
        "TellOfAbandoned",
        "sns:Publish",
        on=[r.TOPIC],
        why="How the lock's former holder ended, which can no longer tell it itself (I8).",
    ),
    allow(
        "EncryptMessages",
        "kms:GenerateDataKey kms:Decrypt",
        on=[r.OWN_KEY],
        when=r.through("sns"),
        why="The topic is encrypted: SNS uses the key with the rights of whoever publishes.",
    ),
)

COPY_SNAPSHOT = (
    allow(
        "ReadCopy",
        "rds:DescribeDBClusterSnapshots",
        on=[r.COPIES],
        why="Whether this operation's copy is there already.",
    ),
    allow(
        "CopySnapshot",
        "rds:CopyDBClusterSnapshot",
        on=[r.ANY_SNAPSHOT],
        why="The source's snapshot may have any name. No tag is asked for: across regions RDS authorises the call in "
        "each of the two, and whether it shows the tags in both is open. TagCopy sees to the copy's name.",
    ),
    allow(
        "TagCopy",
        "rds:AddTagsToResource",
        on=[r.COPIES],
        when=r.MARKED_AS_OURS,
        why="The tags that the copy is made with: by them it is known again, and pruned.",
    ),
    allow(
        "LookAtKeys",
        "kms:DescribeKey",
        on=[r.ANY_KEY],
        when=r.THROUGH_RDS,
        why="RDS looks at the keys of snapshot and copy with the rights of whoever copies.",
    ),
    allow(
        "LetRdsUseKeys",
        "kms:CreateGrant",
        on=[r.ANY_KEY],
        when=r.GRANT_TO_RDS,
        why="RDS gives itself the use of the keys of snapshot and copy. A grant for anybody else is not possible.",
    ),
)

CHECK_COPY_STATUS = (allow("ReadCopy", "rds:DescribeDBClusterSnapshots", on=[r.COPIES], why="How far the copy is."),)
