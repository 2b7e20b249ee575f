"""On what, and if what: the resources and conditions that the table of permissions speaks of.

``${SourcePattern}`` and ``${TargetPattern}`` are the patterns of cluster names that the operator allowed,
``${SecretPattern}`` the one of secret names, ``${IamUserPattern}`` that of database users who log in with a
token. Regions are open, because source and target are wherever the request says.
"""

from aurora_restore.names import LOCK_PREFIX, STACK_TAG
from aurora_restore.store.operations import BY_TARGET
from infra.statements import Conditions

_RDS = "arn:${AWS::Partition}:rds:*:${AWS::AccountId}"
SOURCE_CLUSTERS = f"{_RDS}:cluster:${{SourcePattern}}"
TARGET_CLUSTERS = f"{_RDS}:cluster:${{TargetPattern}}"
# IAM cannot see to which cluster an instance belongs: its name says it, or its tag.
SOURCE_INSTANCES = (f"{_RDS}:db:${{SourcePattern}}", f"{_RDS}:db:${{SourcePattern}}-*")
TARGET_INSTANCES = f"{_RDS}:db:${{TargetPattern}}-*"
ANY_INSTANCE = f"{_RDS}:db:*"
ANY_CLUSTER = f"{_RDS}:cluster:*"
# A source's manual snapshots may have any name; the pipeline's own have those of names.snapshot_identifier.
ANY_SNAPSHOT = f"{_RDS}:cluster-snapshot:*"
OWN_SNAPSHOTS = f"{_RDS}:cluster-snapshot:aurora-restore-*"
NEW_SNAPSHOTS = f"{_RDS}:cluster-snapshot:aurora-restore-new-*"
COPIES = f"{_RDS}:cluster-snapshot:aurora-restore-copy-*"
FINAL_SNAPSHOTS = f"{_RDS}:cluster-snapshot:aurora-restore-final-*"
SUBNET_GROUPS = f"{_RDS}:subgrp:*"
CLUSTER_PARAMETER_GROUPS = f"{_RDS}:cluster-pg:*"
PARAMETER_GROUPS = f"{_RDS}:pg:*"
OPTION_GROUPS = f"{_RDS}:og:*"

STATE_TABLE, AUDIT_TABLE, TOPIC = "${StateTable.Arn}", "${AuditTable.Arn}", "${Topic}"
OPERATIONS_BY_TARGET = f"{STATE_TABLE}/index/{BY_TARGET}"
OWN_KEY, DEAD_LETTERS = "${KeyArn}", "${DeadLetters.Arn}"
EXECUTIONS = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${AWS::StackName}:*"

ANY_KEY = "arn:${AWS::Partition}:kms:*:${AWS::AccountId}:key/*"
ANY_ROLE = "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/*"
_IN_SECRETS_MANAGER = "arn:${AWS::Partition}:secretsmanager:*:${AWS::AccountId}:secret"
# Secrets Manager puts a hyphen and six characters of its own behind a name; a secret that is not there has none yet.
USERS_SECRETS = (f"{_IN_SECRETS_MANAGER}:${{SecretPattern}}", f"{_IN_SECRETS_MANAGER}:${{SecretPattern}}-??????")
# RDS names the secrets that it manages for clusters so.
MANAGED_SECRETS = f"{_IN_SECRETS_MANAGER}:rds!cluster-*"

# The part before the user is a cluster's resource id, which is new with every restore: only the user can be named.
IAM_USERS = "arn:${AWS::Partition}:rds-db:*:${AWS::AccountId}:dbuser:cluster-*/${IamUserPattern}"

MARKED_AS_OURS = {"StringEquals": {f"aws:RequestTag/{STACK_TAG}": "${AWS::StackName}"}}
IS_OURS = {"StringEquals": {f"aws:ResourceTag/{STACK_TAG}": "${AWS::StackName}"}}
IS_NOT_OURS = {"StringNotEquals": {f"aws:ResourceTag/{STACK_TAG}": "${AWS::StackName}"}}
IS_OF_A_TARGET = {"StringLike": {"aws:ResourceTag/aws:rds:primaryDBClusterArn": TARGET_CLUSTERS}}
IN_A_TRANSACTION = {"StringEquals": {"dynamodb:EnclosingOperation": "TransactWriteItems"}}
LOCKS_ONLY = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": f"{LOCK_PREFIX}*"}}
TO_RDS_ONLY = {"StringLike": {"iam:PassedToService": ("rds.amazonaws.com", "*.rds.amazonaws.com")}}
# Without the end of the name, which is another in China.
_RDS_ITSELF, _SECRETS_MANAGER = "rds.*", "secretsmanager.*"
THROUGH_RDS = {"StringLike": {"kms:ViaService": _RDS_ITSELF}}
THROUGH_SECRETS_MANAGER = {"StringLike": {"kms:ViaService": _SECRETS_MANAGER}}
# A managed secret is made by both, one calling the other: which of them asks KMS for what is open.
THROUGH_RDS_OR_SECRETS_MANAGER = {"StringLike": {"kms:ViaService": (_RDS_ITSELF, _SECRETS_MANAGER)}}
_FOR_AWS_RESOURCE = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
GRANT_TO_RDS: Conditions = {**THROUGH_RDS, **_FOR_AWS_RESOURCE}
GRANT_TO_RDS_OR_SECRETS_MANAGER: Conditions = {**THROUGH_RDS_OR_SECRETS_MANAGER, **_FOR_AWS_RESOURCE}


def through(service: str) -> dict[str, dict[str, str]]:
    """Return the condition that a service of this region uses the key, for whoever called the service."""
    return {"StringLike": {"kms:ViaService": f"{service}.${{AWS::Region}}.*"}}


def log_group(function: str) -> str:
    """Return the log group of a function, and the streams in it."""
    group = f"log-group:/aws/lambda/${{AWS::StackName}}-{function}:*"
    return f"arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:{group}"


def function_arn(function: str) -> str:
    """Return the ARN of a function of the stack; written out, because a role must not wait for what waits for it."""
    return (
        f"arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:${{AWS::StackName}}-{function}"
    )
