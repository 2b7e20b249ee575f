"""What RDS's statuses mean for an operation. An unknown one is an error that shows it, never a reason to wait."""

from enum import Enum, auto

from aurora_restore.errors import UnknownStatusError


class Meaning(Enum):
    """What to do about a status."""

    READY = auto()
    WAIT = auto()
    FAILED = auto()
    STOPPED = auto()
    LEAVING = auto()


_CLUSTER_WAIT = frozenset(
    "backing-up backtracking configuring-activity-stream configuring-enhanced-monitoring configuring-iam-database-auth "
    "creating failing-over maintenance migrating modifying preparing-data-migration promoting rebooting renaming "
    "resetting-master-credentials scaling-compute scaling-storage starting stopping storage-optimization "
    "update-iam-db-auth upgrading".split()
)
_CLUSTER_FAILED = frozenset(
    "cloning-failed failed inaccessible-encryption-credentials inaccessible-encryption-credentials-recoverable "
    "incompatible-network incompatible-parameters incompatible-restore migration-failed restore-error "
    "storage-full".split()
)
_INSTANCE_WAIT = frozenset(
    "backing-up configuring-enhanced-monitoring configuring-iam-database-auth configuring-log-exports "
    "converting-to-vpc creating delete-precheck maintenance modifying moving-to-vpc rebooting renaming "
    "resetting-master-credentials starting stopping storage-config-upgrade storage-initialization "
    "storage-optimization upgrading".split()
)
_INSTANCE_FAILED = frozenset(
    "failed inaccessible-encryption-credentials inaccessible-encryption-credentials-recoverable incompatible-create "
    "incompatible-network incompatible-option-group incompatible-parameters incompatible-restore insufficient-capacity "
    "restore-error storage-full".split()
)


def cluster_meaning(status: str) -> Meaning:
    """Return what a DB cluster's status means.

    Raises UnknownStatusError for one that AWS has and this table has not.
    """
    return _meaning("cluster", status, _CLUSTER_WAIT, _CLUSTER_FAILED)


def instance_meaning(status: str) -> Meaning:
    """Return what a DB instance's status means.

    Raises UnknownStatusError for one that AWS has and this table has not.
    """
    return _meaning("instance", status, _INSTANCE_WAIT, _INSTANCE_FAILED)


def _meaning(thing: str, status: str, wait: frozenset[str], failed: frozenset[str]) -> Meaning:
    if status == "available":
        return Meaning.READY
    if status == "stopped":
        return Meaning.STOPPED
    if status in {"deleting", "deleted"}:
        return Meaning.LEAVING
    if status in wait:
        return Meaning.WAIT
    if status in failed:
        return Meaning.FAILED
    raise UnknownStatusError(
        f'RDS reports the {thing} status "{status}", which this version does not know',
        advice="Look at it in the RDS console; if it is harmless, resume the operation with a newer version",
    )
