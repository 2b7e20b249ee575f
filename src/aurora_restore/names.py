"""Every derived name: the same operation always makes the same names, so that a step run twice finds its own work."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

OPERATION_TAG = "aurora-restore:operation"
STACK_TAG = "aurora-restore:stack"
TARGET_TAG = "aurora-restore:target"
ROLE_TAG = "aurora-restore:role"
PIPELINE_TAGS = 4
PARAMETER_PREFIX = "/aurora-restore"
LOCK_PREFIX = "lock#"

# RDS's limit for the names of clusters, instances and cluster snapshots (botocore's RDS model).
_LONGEST_NAME = 63
# Step Functions: an execution's name has 1 to 80 characters; these are the ones it and RDS tags both take. Four are
# left for what a resumption adds.
_OPERATION_ID = re.compile(r"[A-Za-z0-9_-]{1,76}")
# No operation's id has it: what stands before it in an execution's name is the operation.
_RESUMPTION = "."


class SnapshotRole(StrEnum):
    """Why the pipeline made a snapshot."""

    NEW = "new"
    COPY = "copy"
    FINAL = "final"
    ARCHIVE = "archive"


# A copy or a new snapshot whose operation failed before it was archived is kept and pruned like an archive.
ARCHIVE_ROLES = frozenset({SnapshotRole.ARCHIVE, SnapshotRole.COPY, SnapshotRole.NEW})
FINAL_ROLES = frozenset({SnapshotRole.FINAL})


def operation_id(name: str, at: datetime, token: str) -> str:
    """Return the id of a new operation: the request's name, the time in UTC and a random token of a few letters."""
    return f"{name}-{at:%Y%m%d-%H%M%S}-{token}"


def is_operation_id(text: str) -> bool:
    """Say whether ``text`` can be an operation's id and an execution's name."""
    return _OPERATION_ID.fullmatch(text) is not None


def resumption(operation: str, number: int) -> str:
    """Return the name of the execution ``number`` (from 2) of an operation that is resumed."""
    return f"{operation}{_RESUMPTION}{number}"


def operation_of(execution: str) -> str:
    """Return the operation that an execution of this name works on."""
    return execution.split(_RESUMPTION, 1)[0]


def snapshot_identifier(role: SnapshotRole, operation: str, cluster: str) -> str:
    """Return the name of the snapshot that an operation makes for ``cluster`` in this role; 63 characters at most.

    The end of a long cluster's name is cut off; the operation's digest keeps names of different operations apart.
    """
    prefix, suffix = f"aurora-restore-{role}-", f"-{_digest(operation)}"
    return f"{prefix}{cluster[: _LONGEST_NAME - len(prefix) - len(suffix)].rstrip('-')}{suffix}"


def instance_identifier(cluster: str, number: int) -> str:
    """Return the name of the instance ``number`` (from 1) of a cluster that had none before; 63 characters at most."""
    suffix = f"-{number}"
    return f"{cluster[: _LONGEST_NAME - len(suffix)].rstrip('-')}{suffix}"


def parameter_name(stack: str) -> str:
    """Return the SSM parameter in which a deployment describes itself."""
    return f"{PARAMETER_PREFIX}/{stack}"


def lock_id(region: str, cluster: str) -> str:
    """Return the key of the lock of a target (I3)."""
    return f"{LOCK_PREFIX}{region}/{cluster}"


def target_id(region: str, cluster: str) -> str:
    """Return the target's key in the index by target and time."""
    return f"{region}/{cluster}"


def pipeline_tags(stack: str, operation: str, target: str, role: SnapshotRole | None = None) -> dict[str, str]:
    """Return the tags by which the pipeline knows its own things again."""
    tags = {STACK_TAG: stack, OPERATION_TAG: operation, TARGET_TAG: target}
    return tags if role is None else {**tags, ROLE_TAG: role.value}


def secret_version(operation: str, secret: str) -> str:
    """Return the id of the version that an operation gives a secret: one operation, one new password.

    Secrets Manager takes the caller's 32 to 64 characters as the id, and makes no second version with it.
    """
    return hashlib.sha256(f"{operation}/{secret}".encode()).hexdigest()


def without_reserved(tags: Mapping[str, str]) -> dict[str, str]:
    """Return ``tags`` without AWS's own (a copy with ``aws:`` tags fails) and without those of an earlier operation."""
    return {key: value for key, value in tags.items() if not key.lower().startswith(("aws:", "aurora-restore:"))}


def _digest(operation: str) -> str:
    return hashlib.sha256(operation.encode()).hexdigest()[:12]
