"""What AWS asks IAM for each operation of its API that the functions call: the actions, on what, in what context.

From AWS's Service Authorization Reference, and from its guides for what a service does with the caller's rights behind
a call: KMS for encrypted things, Secrets Manager for a managed password, roles that are passed. An operation that is
not listed is an error: a new call in the code must be looked up here first.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from tests.infra.evaluation import Authorisation

ACCOUNT = "123456789012"
HOME = "us-west-2"
# Of the pipeline's tables and topic. The embedded account encrypts neither.
OWN_KEY = f"arn:aws:kms:{HOME}:{ACCOUNT}:key/00000000-0000-0000-0000-00000000000a"
Parameters = Mapping[str, Any]
Asked = Iterator[Authorisation]


class UnknownCallError(Exception):
    """An operation of which nobody has said what IAM is asked for it."""


class Account(Protocol):
    """What must be known of the account to say what a call is about."""

    def key_arn(self, region: str, key: str) -> str:
        """Return the ARN of the key that an id, an ARN or an alias means."""

    def secret(self, region: str, name: str) -> tuple[str, Mapping[str, str], str | None]:
        """Return the ARN, the tags and the customer's key of a secret; of one that is not there, what AWS would ask."""

    def tags(self, arn: str) -> Mapping[str, str]:
        """Return the tags of a cluster, an instance or a snapshot."""

    def cluster(self, region: str, name: str) -> Mapping[str, Any]:
        """Return what RDS says of a cluster: CopyTagsToSnapshot, KmsKeyId, DBSubnetGroup."""


class Call(Protocol):
    """A call as it was recorded."""

    @property
    def service(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def parameters(self) -> Parameters: ...


def asked_by(call: Call, account: Account) -> Asked:
    """Yield everything that IAM is asked for a call; raises UnknownCallError for one that nobody has looked up."""
    rule = _RULES.get((call.service, call.action))
    if rule is None:
        raise UnknownCallError(f"{call.service} {call.action}")
    return rule(call, account)


# RDS


def _rds(call: Call, kind: str, name: str) -> str:
    return name if name.startswith("arn:") else f"arn:aws:rds:{call.region}:{ACCOUNT}:{kind}:{name}"


def _described(kind: str, member: str) -> Callable[[Call, Account], Asked]:
    def asked(call: Call, _: Account) -> Asked:
        yield Authorisation.of(f"rds:{call.action}", _rds(call, kind, call.parameters.get(member, "*")))

    return asked


def _snapshots_described(call: Call, _: Account) -> Asked:
    name, cluster = call.parameters.get("DBClusterSnapshotIdentifier"), call.parameters.get("DBClusterIdentifier")
    yield Authorisation.of("rds:DescribeDBClusterSnapshots", _rds(call, "cluster-snapshot", name or "*"))
    if cluster:
        yield Authorisation.of("rds:DescribeDBClusterSnapshots", _rds(call, "cluster", cluster))


def _on_cluster(call: Call, account: Account) -> Asked:
    arn = _rds(call, "cluster", call.parameters.get("ResourceArn") or call.parameters["DBClusterIdentifier"])
    yield Authorisation.of(f"rds:{call.action}", arn, _resource_tags(account, arn))


def _snapshot_created(call: Call, _: Account) -> Asked:
    cluster = _rds(call, "cluster", call.parameters["DBClusterIdentifier"])
    snapshot = _rds(call, "cluster-snapshot", call.parameters["DBClusterSnapshotIdentifier"])
    for arn in (cluster, snapshot):
        yield Authorisation.of("rds:CreateDBClusterSnapshot", arn, _request_tags(call))
    yield from _tagged(call, snapshot)


def _snapshot_copied(call: Call, account: Account) -> Asked:
    source, name = (call.parameters[f"{end}DBClusterSnapshotIdentifier"] for end in ("Source", "Target"))
    copy = _rds(call, "cluster-snapshot", name)
    for arn in (source, copy):
        yield Authorisation.of("rds:CopyDBClusterSnapshot", arn)
    yield from _tagged(call, copy)
    if "KmsKeyId" in call.parameters:
        yield from _encrypted(call, account.key_arn(call.region, call.parameters["KmsKeyId"]))


def _snapshot_deleted(call: Call, account: Account) -> Asked:
    arn = _rds(call, "cluster-snapshot", call.parameters["DBClusterSnapshotIdentifier"])
    yield Authorisation.of("rds:DeleteDBClusterSnapshot", arn, _resource_tags(account, arn))


def _instance_deleted(call: Call, account: Account) -> Asked:
    arn = _rds(call, "db", call.parameters["DBInstanceIdentifier"])
    yield Authorisation.of("rds:DeleteDBInstance", arn, _resource_tags(account, arn))


def _cluster_deleted(call: Call, account: Account) -> Asked:
    name, final = call.parameters["DBClusterIdentifier"], call.parameters.get("FinalDBSnapshotIdentifier")
    cluster = _rds(call, "cluster", name)
    yield Authorisation.of("rds:DeleteDBCluster", cluster, _resource_tags(account, cluster))
    if final:
        snapshot = _rds(call, "cluster-snapshot", final)
        yield Authorisation.of("rds:DeleteDBCluster", snapshot)
        yield Authorisation.of("rds:CreateDBClusterSnapshot", cluster)
        yield Authorisation.of("rds:CreateDBClusterSnapshot", snapshot)
        if account.cluster(call.region, name).get("CopyTagsToSnapshot"):
            yield Authorisation.of("rds:AddTagsToResource", snapshot)


def _cluster_modified(call: Call, account: Account) -> Asked:
    parameters = call.parameters
    yield from _on_cluster(call, account)
    if "DBClusterParameterGroupName" in parameters:
        group = _rds(call, "cluster-pg", parameters["DBClusterParameterGroupName"])
        yield Authorisation.of("rds:ModifyDBCluster", group)
    if parameters.get("ManageMasterUserPassword"):
        yield from _managed_secret(call, account, parameters.get("MasterUserSecretKmsKeyId"))
    yield from _watched(call, account)


def _managed_secret(call: Call, account: Account, key: str | None) -> Asked:
    arn = f"arn:aws:secretsmanager:{call.region}:{ACCOUNT}:secret:rds!cluster-00000000-0000-0000-0000-000000000000"
    for action in ("CreateSecret", "TagResource"):
        yield Authorisation.of(f"secretsmanager:{action}", arn)
    if key:
        used = account.key_arn(call.region, key)
        yield from _encrypted(call, used)
        yield from _through(call, "secretsmanager", used, "GenerateDataKey", "Decrypt")


def _role_added(call: Call, account: Account) -> Asked:
    yield from _on_cluster(call, account)
    yield _passed(call.parameters["RoleArn"], "rds.amazonaws.com")


def _restored(call: Call, account: Account) -> Asked:
    parameters = call.parameters
    cluster = _rds(call, "cluster", parameters["DBClusterIdentifier"])
    on = (
        cluster,
        _rds(call, "cluster-snapshot", parameters["SnapshotIdentifier"]),
        _rds(call, "subgrp", parameters["DBSubnetGroupName"]),
        _rds(call, "cluster-pg", parameters.get("DBClusterParameterGroupName", "default.aurora-postgresql16")),
        _rds(call, "og", "default:aurora-postgresql-16"),
    )
    for arn in on:
        yield Authorisation.of("rds:RestoreDBClusterFromSnapshot", arn, _request_tags(call))
    yield from _tagged(call, cluster)
    if "KmsKeyId" in parameters:
        yield from _encrypted(call, account.key_arn(call.region, parameters["KmsKeyId"]))


def _instance_created(call: Call, account: Account) -> Asked:
    parameters = call.parameters
    cluster, instance = parameters["DBClusterIdentifier"], _rds(call, "db", parameters["DBInstanceIdentifier"])
    known = account.cluster(call.region, cluster)
    on = (
        instance,
        _rds(call, "cluster", cluster),
        _rds(call, "pg", parameters.get("DBParameterGroupName", "default.aurora-postgresql16")),
        _rds(call, "subgrp", known["DBSubnetGroup"]),
        _rds(call, "og", "default:aurora-postgresql-16"),
    )
    for arn in on:
        yield Authorisation.of("rds:CreateDBInstance", arn, _request_tags(call))
    yield from _tagged(call, instance)
    if known.get("KmsKeyId"):
        yield from _encrypted(call, account.key_arn(call.region, known["KmsKeyId"]))
    yield from _watched(call, account)


def _watched(call: Call, account: Account) -> Asked:
    """Enhanced Monitoring passes a role, Performance Insights encrypts under a key."""
    if "MonitoringRoleArn" in call.parameters:
        yield _passed(call.parameters["MonitoringRoleArn"], "monitoring.rds.amazonaws.com")
    if "PerformanceInsightsKMSKeyId" in call.parameters:
        yield from _encrypted(call, account.key_arn(call.region, call.parameters["PerformanceInsightsKMSKeyId"]))


def _tags_added(call: Call, account: Account) -> Asked:
    arn = call.parameters["ResourceName"]
    yield Authorisation.of("rds:AddTagsToResource", arn, {**_request_tags(call), **_resource_tags(account, arn)})


def _tagged(call: Call, arn: str) -> Asked:
    if call.parameters.get("Tags"):
        yield Authorisation.of("rds:AddTagsToResource", arn, _request_tags(call))


def _encrypted(call: Call, key: str) -> Asked:
    """RDS looks at the key and gives itself a grant on it, with the caller's rights."""
    yield from _through(call, "rds", key, "DescribeKey")
    context = {"kms:ViaService": f"rds.{call.region}.amazonaws.com", "kms:GrantIsForAWSResource": "true"}
    yield Authorisation.of("kms:CreateGrant", key, context)


def _passed(role: str, service: str) -> Authorisation:
    return Authorisation.of("iam:PassRole", role, {"iam:PassedToService": service})


def _request_tags(call: Call) -> dict[str, str]:
    return {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in call.parameters.get("Tags", ())}


def _resource_tags(account: Account, arn: str) -> dict[str, str]:
    return {f"aws:ResourceTag/{key}": value for key, value in account.tags(arn).items()}


def _through(call: Call, service: str, key: str, *actions: str) -> Asked:
    """A service uses a key with the caller's rights."""
    for action in actions:
        yield Authorisation.of(f"kms:{action}", key, {"kms:ViaService": f"{service}.{call.region}.amazonaws.com"})


# Secrets Manager


def _secret_used(*kms_actions: str) -> Callable[[Call, Account], Asked]:
    def asked(call: Call, account: Account) -> Asked:
        arn, tags, key = account.secret(call.region, call.parameters["SecretId"])
        context = {f"{prefix}:ResourceTag/{name}": value for name, value in tags.items() for prefix in _TAG_KEYS}
        yield Authorisation.of(f"secretsmanager:{call.action}", arn, context)
        if key:
            yield from _through(call, "secretsmanager", key, *kms_actions)

    return asked


# Secrets Manager has a key of its own besides the one of all services.
_TAG_KEYS = ("aws", "secretsmanager")


def _secret_created(call: Call, account: Account) -> Asked:
    name, _, _ = account.secret(call.region, call.parameters["Name"])
    # Open whether AWS asks for the name, or for the ARN that the secret will have: both must be allowed.
    for arn in (name, f"{name}-AbCdEf"):
        for action in ("CreateSecret", "TagResource"):
            yield Authorisation.of(f"secretsmanager:{action}", arn, _request_tags(call))
    if "KmsKeyId" in call.parameters:
        key = account.key_arn(call.region, call.parameters["KmsKeyId"])
        yield from _through(call, "secretsmanager", key, "GenerateDataKey", "Decrypt")


# The pipeline's own: tables, topic, executions. All are in its home region, under its key.


def _table(call: Call, name: str) -> str:
    return f"arn:aws:dynamodb:{call.region}:{ACCOUNT}:table/{name}"


def _item(call: Call, action: str, body: Parameters, **context: str) -> Authorisation:
    key = body.get("Key") or body["Item"]
    # A lock has the operation's id too, as an attribute.
    leading = (key.get("id") or key["operation_id"])["S"]
    return Authorisation.of(action, _table(call, body["TableName"]), {"dynamodb:LeadingKeys": leading, **context})


def _item_read_or_written(call: Call, _: Account) -> Asked:
    yield _item(call, f"dynamodb:{call.action}", call.parameters)
    yield from _through(call, "dynamodb", OWN_KEY, "Decrypt")


def _transaction(call: Call, _: Account) -> Asked:
    in_transaction = {"dynamodb:EnclosingOperation": "TransactWriteItems"}
    for write in call.parameters["TransactItems"]:
        for kind, body in write.items():
            yield _item(call, f"dynamodb:{kind}Item", body, **in_transaction)
    yield from _through(call, "dynamodb", OWN_KEY, "Decrypt")


def _queried(call: Call, _: Account) -> Asked:
    table, index = _table(call, call.parameters["TableName"]), call.parameters.get("IndexName")
    yield Authorisation.of(f"dynamodb:{call.action}", f"{table}/index/{index}" if index else table)
    yield from _through(call, "dynamodb", OWN_KEY, "Decrypt")


def _published(call: Call, _: Account) -> Asked:
    yield Authorisation.of("sns:Publish", call.parameters["TopicArn"])
    yield from _through(call, "sns", OWN_KEY, "GenerateDataKey", "Decrypt")


def _execution_described(call: Call, _: Account) -> Asked:
    yield Authorisation.of("states:DescribeExecution", call.parameters["executionArn"])


def _key_described(call: Call, account: Account) -> Asked:
    yield Authorisation.of("kms:DescribeKey", account.key_arn(call.region, call.parameters["KeyId"]))


def _without_resource(call: Call, _: Account) -> Asked:
    yield Authorisation.of(f"{call.service}:{call.action}", "*")


_RULES: Mapping[tuple[str, str], Callable[[Call, Account], Asked]] = {
    ("rds", "DescribeDBClusters"): _described("cluster", "DBClusterIdentifier"),
    ("rds", "DescribeDBInstances"): _described("db", "DBInstanceIdentifier"),
    ("rds", "DescribeDBClusterSnapshots"): _snapshots_described,
    ("rds", "DescribeDBSubnetGroups"): _described("subgrp", "DBSubnetGroupName"),
    ("rds", "DescribeDBClusterParameterGroups"): _described("cluster-pg", "DBClusterParameterGroupName"),
    ("rds", "DescribeDBParameterGroups"): _described("pg", "DBParameterGroupName"),
    ("rds", "DescribeOrderableDBInstanceOptions"): _without_resource,
    ("rds", "CreateDBClusterSnapshot"): _snapshot_created,
    ("rds", "CopyDBClusterSnapshot"): _snapshot_copied,
    ("rds", "DeleteDBClusterSnapshot"): _snapshot_deleted,
    ("rds", "StartDBCluster"): _on_cluster,
    ("rds", "DeleteDBInstance"): _instance_deleted,
    ("rds", "DeleteDBCluster"): _cluster_deleted,
    ("rds", "RestoreDBClusterFromSnapshot"): _restored,
    ("rds", "CreateDBInstance"): _instance_created,
    ("rds", "ModifyDBCluster"): _cluster_modified,
    ("rds", "EnableHttpEndpoint"): _on_cluster,
    ("rds", "AddRoleToDBCluster"): _role_added,
    ("rds", "AddTagsToResource"): _tags_added,
    ("ec2", "DescribeSecurityGroups"): _without_resource,
    ("kms", "DescribeKey"): _key_described,
    ("secretsmanager", "DescribeSecret"): _secret_used(),
    ("secretsmanager", "GetSecretValue"): _secret_used("Decrypt"),
    ("secretsmanager", "PutSecretValue"): _secret_used("GenerateDataKey", "Decrypt"),
    ("secretsmanager", "UpdateSecretVersionStage"): _secret_used(),
    ("secretsmanager", "CreateSecret"): _secret_created,
    ("dynamodb", "GetItem"): _item_read_or_written,
    ("dynamodb", "PutItem"): _item_read_or_written,
    ("dynamodb", "TransactWriteItems"): _transaction,
    ("dynamodb", "Query"): _queried,
    ("dynamodb", "Scan"): _queried,
    ("sns", "Publish"): _published,
    ("stepfunctions", "DescribeExecution"): _execution_described,
}
