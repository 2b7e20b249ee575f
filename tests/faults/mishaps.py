"""What befalls operations as a whole: AWS fails, somebody else is at work in the account, a person stops them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Literal

from botocore.awsrequest import AWSResponse
from moto.kms.models import kms_backends

from aurora_restore.embedded.aurora_records import Cluster, Place, Records, SecretStatus
from aurora_restore.names import SnapshotRole, snapshot_identifier
from aurora_restore.operation import Step
from tests.faults.evidence import ACCOUNT, EAST, WEST, Call
from tests.faults.faults import at, from_, refuse
from tests.faults.harness import Act, Rig, Send, Trap
from tests.faults.scenarios import ABORTED, ANY, FAILED, NEXT, OPERATION, SUCCEEDED, Scenario, request_for
from tests.faults.variations import SOURCE, TARGET, make_cluster

_FOR_EVER = 10**6
_NEVER = timedelta(days=30)
_COPY = snapshot_identifier(SnapshotRole.COPY, OPERATION, TARGET)
_FINAL = snapshot_identifier(SnapshotRole.FINAL, OPERATION, TARGET)
_NEW = snapshot_identifier(SnapshotRole.NEW, OPERATION, SOURCE)

Arm = Callable[[Rig], None]


def operation_scenarios() -> Iterator[Scenario]:
    """Yield them all."""
    yield from _aws_fails()
    yield from _aws_is_full()
    yield from _snapshots_disappear()
    yield from _others_meddle()
    yield from _keys_and_protection()
    yield from _databases()
    yield from _nobody_listens()
    yield from _two_at_once()
    yield from _resumed()
    yield from stopped_scenarios()


# How a scenario is armed


def _let_time_pass(rig: Rig) -> None:
    """Let end what AWS is still at: a deletion, a copy."""
    rig.clock.advance(4 * 3600)


def _before(site: str, do: Callable[[Rig], object]) -> Arm:
    """Let something happen just before a call."""

    def act(rig: Rig, _: Call, send: Send) -> AWSResponse:
        do(rig)
        return send()

    return lambda rig: rig.traps.append(Trap(at(site), act))


def _after(site: str, do: Callable[[Rig], object]) -> Arm:
    """Let something happen just after a call."""

    def act(rig: Rig, _: Call, send: Send) -> AWSResponse:
        answer = send()
        do(rig)
        return answer

    return lambda rig: rig.traps.append(Trap(at(site), act))


def _refusing(site: str, act: Act, times: int) -> Arm:
    return lambda rig: rig.traps.append(Trap(from_(site), act, times))


def _records(rig: Rig, region: str = WEST) -> Records:
    return rig.aurora._world.places[Place(ACCOUNT, region)]


def _target(rig: Rig) -> Cluster:
    return _records(rig).clusters[TARGET]


# AWS fails


def _aws_fails() -> Iterator[Scenario]:
    for status in ("incompatible-restore", "failed", "incompatible-network"):
        yield _failing(f"restore-ends-{status}", _fail_next("restore", TARGET, status))
    for number in (1, 2):
        yield _failing(
            f"instance-{number}-fails",
            _fail_next("instance", f"{TARGET}-{number}", "incompatible-parameters"),
        )
        yield _failing(
            f"instance-{number}-never-becomes-available",
            _after(f"CheckRestoreStatus.CreateDBInstance.{number}", partial(_delay, f"{TARGET}-{number}")),
        )
    yield _failing("copy-fails", _fail_next("copy", _COPY))
    yield _failing("copy-never-ends", _after("CopySnapshot.CopyDBClusterSnapshot.1", _delay_copy))
    yield _failing("new-snapshot-fails", _fail_next("snapshot", _NEW), variation="protected")
    yield _failing("final-snapshot-fails", _fail_next("snapshot", _FINAL), mend=_let_time_pass)
    yield _failing("master-secret-stays-creating", _keep_secret_creating)
    yield _failing("unknown-status", _after("RestoreSnapshot.RestoreDBClusterFromSnapshot.1", _set_status("dreaming")))
    yield _failing(
        "restored-cluster-is-stopped", _before("CheckRestoreStatus.DescribeDBClusters.2", _set_status("stopped"))
    )


def _failing(name: str, arm: Arm, *, variation: str = "renewal", **more: Any) -> Scenario:
    return Scenario(f"operation/{name}", variation, arm, **({"ends": FAILED} | more))


def _fail_next(kind: Literal["snapshot", "copy", "restore", "instance"], name: str, status: str = "failed") -> Arm:
    return lambda rig: rig.aurora.fail_next(kind, name, status=status)


def _set_status(status: str) -> Callable[[Rig], None]:
    def set_status(rig: Rig) -> None:
        cluster = _target(rig)
        cluster.status, cluster.pending = status, None

    return set_status


def _delay(instance: str, rig: Rig) -> None:
    pending = _records(rig).instances[instance].pending
    if pending is not None:
        pending.due_at += _NEVER


def _delay_copy(rig: Rig) -> None:
    pending = _records(rig).snapshots[_COPY].pending
    if pending is not None:
        pending.due_at += _NEVER


def _keep_secret_creating(rig: Rig) -> None:
    def act(rig: Rig, _: Call, send: Send) -> AWSResponse:
        cluster = _records(rig).clusters.get(TARGET)
        rig.aurora.settle()
        if cluster is not None and cluster.master_user_secret is not None:
            cluster.master_user_secret.secret_status = SecretStatus.CREATING
        return send()

    rig.traps.append(Trap(from_("CheckRestoreStatus.DescribeDBClusters.1"), act, _FOR_EVER))


# AWS has no room


def _aws_is_full() -> Iterator[Scenario]:
    full = "Cannot create more than 100 manual snapshots"
    flying = "Cannot copy more than 5 snapshots across regions"
    yield _failing(
        "manual-snapshots-full",
        _refusing("CopySnapshot.CopyDBClusterSnapshot.1", refuse("SnapshotQuotaExceeded", full), 1),
    )
    for times, ends in ((5, SUCCEEDED), (_FOR_EVER, FAILED)):
        name = "for-a-while" if ends == SUCCEEDED else "for-ever"
        copies = _refusing("CopySnapshot.CopyDBClusterSnapshot.1", refuse("SnapshotQuotaExceeded", flying), times)
        yield _failing(f"copies-in-flight-{name}", copies, ends=ends)
        capacity = _refusing("CheckRestoreStatus.CreateDBInstance.1", refuse("InsufficientDBInstanceCapacity"), times)
        yield _failing(f"no-instances-to-give-{name}", capacity, ends=ends)
    for code in ("StorageQuotaExceeded", "DBClusterQuotaExceededFault", "InvalidRestoreFault"):
        restore = _refusing("RestoreSnapshot.RestoreDBClusterFromSnapshot.1", refuse(code), 1)
        yield _failing(f"restore-refused-{code}", restore, mend=_let_time_pass)
    final = _refusing("DeleteRDS.DeleteDBCluster.1", refuse("SnapshotQuotaExceeded", full), _FOR_EVER)
    yield _failing("no-room-for-the-final-snapshot", final)


# Snapshots disappear


def _snapshots_disappear() -> Iterator[Scenario]:
    for name, site in (
        ("before-the-copy", "CopySnapshot.CopyDBClusterSnapshot.1"),
        ("after-the-check", "CopySnapshot.GetItem.1"),
    ):
        yield _failing(f"source-snapshot-disappears-{name}", _before(site, lambda rig: _drop(rig, EAST, "rds:")))
    for name, site in (
        ("while-copying", "CheckCopyStatus.DescribeDBClusterSnapshots.2"),
        ("after-the-check", "DeleteRDS.GetItem.1"),
        ("before-the-warrant", "DeleteRDS.DescribeDBClusterSnapshots.1"),
        ("after-the-first-deletion", "DeleteRDS.GetItem.2"),
        ("before-the-restore", "RestoreSnapshot.DescribeDBClusters.1"),
        ("at-the-restore", "RestoreSnapshot.RestoreDBClusterFromSnapshot.1"),
        ("before-the-archive", "ArchiveSnapshot.AddTagsToResource.1"),
    ):
        yield _failing(f"copy-disappears-{name}", _before(site, lambda rig: _drop(rig, WEST, _COPY)))


def _drop(rig: Rig, region: str, prefix: str) -> None:
    records = _records(rig, region)
    for name in [name for name in records.snapshots if name.startswith(prefix)]:
        del records.snapshots[name]


# Somebody else is at work


def _others_meddle() -> Iterator[Scenario]:
    for site in (
        "CopySnapshot.GetItem.1", "CheckCopyStatus.GetItem.2", "DeleteRDS.GetItem.1", "DeleteRDS.DeleteDBInstance.1",
        "DeleteRDS.DeleteDBCluster.1",
    ):  # fmt: skip
        yield _failing(
            f"target-deleted-by-another-at-{site}", _before(site, _delete_target), ends=SUCCEEDED, meddled=True
        )
        yield _failing(f"target-vanished-at-{site}", _before(site, _vanish), ends=SUCCEEDED, meddled=True)
    for site in ("CopySnapshot.GetItem.1", "DeleteRDS.GetItem.1", "DeleteRDS.DescribeKey.1", "DeleteRDS.GetItem.2"):
        yield _failing(f"target-made-anew-by-another-at-{site}", _before(site, _make_anew), meddled=True)
    for variation, sites in (
        ("renewal", ("RestoreSnapshot.GetItem.1", "RestoreSnapshot.RestoreDBClusterFromSnapshot.1")),
        (
            "first",
            (
                "CopySnapshot.GetItem.1",
                "DeleteRDS.DescribeDBClusters.1",
                "RestoreSnapshot.RestoreDBClusterFromSnapshot.1",
            ),
        ),
    ):
        for site in sites:
            arm = _before(site, _make_anew)
            yield _failing(f"name-taken-in-{variation}-at-{site}", arm, variation=variation, meddled=True)
    for site in ("CheckRestoreStatus.DescribeDBClusters.3", "SetupDBUsers.GetItem.1"):
        yield _failing(f"restored-cluster-deleted-at-{site}", _before(site, _vanish), meddled=True)
    stopped = _before("DeleteRDS.GetItem.1", _stop_target)
    yield _failing("target-stopped-by-another", stopped, ends=SUCCEEDED, meddled=True)
    busy = _before("DeleteRDS.GetItem.1", lambda rig: rig.client("rds").modify_db_cluster(
        DBClusterIdentifier=TARGET, BackupRetentionPeriod=9, ApplyImmediately=True))  # fmt: skip
    yield _failing("target-modified-by-another", busy, ends=SUCCEEDED, meddled=True)


def _delete_target(rig: Rig) -> None:
    rds = rig.client("rds")
    for instance in list(_records(rig).members(_target(rig))):
        if instance.status != "deleting":
            rds.delete_db_instance(DBInstanceIdentifier=instance.db_instance_identifier)
    rds.delete_db_cluster(DBClusterIdentifier=TARGET, SkipFinalSnapshot=True)


def _vanish(rig: Rig) -> None:
    records = _records(rig)
    for member in records.members(records.clusters[TARGET]):
        del records.instances[member.db_instance_identifier]
    rig.databases.drop(records.clusters.pop(TARGET).db_cluster_resource_id)


def _make_anew(rig: Rig) -> None:
    if TARGET in _records(rig).clusters:
        _vanish(rig)
    now = rig.clock.now()
    make_cluster(rig, WEST, TARGET, TARGET, instances=0)
    _set_status("available")(rig)
    rig.clock.reset(now)


def _stop_target(rig: Rig) -> None:
    cluster = _target(rig)
    for instance in _records(rig).members(cluster):
        instance.status, instance.pending = "stopped", None
    _set_status("stopped")(rig)


# Keys and protection


def _keys_and_protection() -> Iterator[Scenario]:
    for site in (
        "SnapshotCheck.DescribeKey.1", "CopySnapshot.CopyDBClusterSnapshot.1", "DeleteRDS.GetItem.1",
        "DeleteRDS.GetItem.2", "RestoreSnapshot.RestoreDBClusterFromSnapshot.1", "CheckRestoreStatus.ModifyDBCluster.1",
    ):  # fmt: skip
        yield _failing(f"key-disabled-at-{site}", _before(site, _disable_key))
    for site in ("CopySnapshot.GetItem.1", "DeleteRDS.GetItem.1", "DeleteRDS.DeleteDBCluster.1"):
        yield _failing(f"protection-switched-on-at-{site}", _before(site, _protect), meddled=True)


def _disable_key(rig: Rig) -> None:
    for key in kms_backends[ACCOUNT][WEST].keys.values():
        key.key_state = "Disabled"


def _protect(rig: Rig) -> None:
    _target(rig).deletion_protection = True


# Databases


def _databases() -> Iterator[Scenario]:
    yield _failing("database-silent-for-a-while", lambda rig: setattr(rig.databases, "silent_for", 7), ends=SUCCEEDED)
    yield _failing("database-silent-for-ever", lambda rig: setattr(rig.databases, "silent_for", _FOR_EVER))
    yield _failing("database-refuses", lambda rig: setattr(rig.databases, "refuses", "permission denied"))
    for name, field, value in (
        ("database-refuses-to-stop-a-leftover", "unstoppable", "permission denied for subscription"),
        ("database-refuses-a-file", "refused_sql", "ANALYZE"),
        ("a-check-does-not-hold", "refused_sql", "public.orders"),
        ("users-cannot-be-made", "impossible", "there is no table nix for app to get privileges on"),
    ):
        yield _failing(name, partial(_set_database, field, value))


def _set_database(field: str, value: str, rig: Rig) -> None:
    setattr(rig.databases, field, value)


# SNS is down


def _nobody_listens() -> Iterator[Scenario]:
    down = refuse("InternalError", "the service is down", 500)
    for times in (1, 3, 7):
        arm = _refusing("SNSNotification.Publish.1", down, times)
        yield _failing(f"sns-down-for-{times}-calls", arm, ends=SUCCEEDED)
    yield _failing(
        "sns-down-for-ever", _refusing("SNSNotification.Publish.1", down, _FOR_EVER), ends=SUCCEEDED, unreachable=True
    )

    def both(rig: Rig) -> None:
        rig.aurora.fail_next("copy", _COPY)
        _refusing("SNSNotification.Publish.1", down, 5)(rig)

    yield _failing("sns-down-while-the-copy-fails", both)


# Two at once


def _two_at_once() -> Iterator[Scenario]:
    for site in ("SnapshotCheck.DescribeDBClusters.1", "CheckCopyStatus.GetItem.1", "DeleteRDS.DeleteDBCluster.1",
                 "CheckRestoreStatus.CreateDBInstance.2", "SNSNotification.GetItem.1"):  # fmt: skip
        arm = _before(site, lambda rig: rig.run(NEXT, request_for(rig, "renewal", {})))
        yield _failing(f"another-begins-at-{site}", arm, ends=SUCCEEDED)


# Mended and resumed

_PASSING = (
    "manual-snapshots-full", "copies-in-flight-for-ever", "no-room-for-the-final-snapshot",
    "restore-refused-StorageQuotaExceeded", "no-instances-to-give-for-ever", "database-silent-for-ever",
    "database-refuses", "database-refuses-to-stop-a-leftover", "database-refuses-a-file", "users-cannot-be-made",
    "key-disabled-at-CopySnapshot.CopyDBClusterSnapshot.1", "key-disabled-at-DeleteRDS.GetItem.1",
    "key-disabled-at-DeleteRDS.GetItem.2", "key-disabled-at-RestoreSnapshot.RestoreDBClusterFromSnapshot.1",
    "key-disabled-at-CheckRestoreStatus.ModifyDBCluster.1", "protection-switched-on-at-DeleteRDS.GetItem.1",
    "protection-switched-on-at-DeleteRDS.DeleteDBCluster.1",
)  # fmt: skip


def _resumed() -> Iterator[Scenario]:
    """Yield the failures whose cause can be mended, with the operation resumed afterwards."""
    failing = (_aws_fails, _aws_is_full, _keys_and_protection, _databases)
    for scenario in (each for yielding in failing for each in yielding()):
        if scenario.id.removeprefix("operation/") in _PASSING:
            yield replace(scenario, id=f"{scenario.id}-then-resumed", mend=_mend, resumed=True)


def _mend(rig: Rig) -> None:
    rig.databases.mend()
    for key in kms_backends[ACCOUNT][WEST].keys.values():
        key.key_state = "Enabled"
    if TARGET in _records(rig).clusters:
        _target(rig).deletion_protection = False


# Stopped by hand


def stopped_scenarios() -> Iterator[Scenario]:
    """Yield operations that are stopped by hand at each step, and then resumed, or followed by the next one."""
    for step in Step:
        for site in _sites_to_stop_at(step):
            # The last step goes on with what it has begun: its own outcome, or that it was stopped.
            ends = ANY if step is Step.SNS_NOTIFICATION else ABORTED
            yield _failing(f"stopped-at-{site}-then-the-next", _before(site, _stop), ends=ends, mend=_let_time_pass)
            unheard = ANY if step is Step.SNS_NOTIFICATION else FAILED
            arm = _before(site, _stop_unheard)
            yield _failing(f"stopped-unheard-at-{site}-then-the-next", arm, ends=unheard, mend=_let_time_pass)
            if step not in {Step.SNAPSHOT_CHECK, Step.SNS_NOTIFICATION}:
                yield _failing(f"stopped-at-{site}-then-resumed", _before(site, _stop), ends=ANY, resumed=True)


def _sites_to_stop_at(step: Step) -> tuple[str, ...]:
    busy = {
        Step.SNAPSHOT_CHECK: ("TransactWriteItems.2",),
        Step.COPY_SNAPSHOT: ("CopyDBClusterSnapshot.1",),
        Step.CHECK_COPY_STATUS: ("DescribeDBClusterSnapshots.2",),
        Step.DELETE_RDS: ("DeleteDBInstance.1", "DeleteDBInstance.2", "DeleteDBCluster.1", "GetItem.3"),
        Step.RESTORE_SNAPSHOT: ("RestoreDBClusterFromSnapshot.1",),
        Step.CHECK_RESTORE_STATUS: (
            "CreateDBInstance.1",
            "CreateDBInstance.2",
            "ModifyDBCluster.1",
            "ModifyDBCluster.2",
        ),
        Step.SETUP_DB_USERS: ("CreateSecret.1",),
        Step.ARCHIVE_SNAPSHOT: ("AddTagsToResource.1", "DeleteDBClusterSnapshot.1"),
        Step.SNS_NOTIFICATION: ("Publish.1",),
    }
    return tuple(f"{step}.{action}" for action in ("GetItem.1", *busy[step]))


def _stop(rig: Rig) -> None:
    rig.stop(OPERATION)


def _stop_unheard(rig: Rig) -> None:
    rig.stop(OPERATION)
    rig.deaf = True
