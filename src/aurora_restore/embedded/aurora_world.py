"""The emulated Aurora's world: its records, and what the passing of time does to them and to the databases behind them.

There are no threads. Whoever reads first settles what has become due since, in the order in which it became due, and so
each effect on a database happens exactly once.
"""

import secrets
import string
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from aurora_restore.embedded import aurora_neighbours as neighbours
from aurora_restore.embedded.aurora_records import (
    Cluster,
    Durations,
    Instance,
    Pending,
    Place,
    Record,
    Records,
    SecretStatus,
    Snapshot,
    Work,
)
from aurora_restore.embedded.aurora_rules import Refused
from aurora_restore.embedded.clock import EmbeddableClock
from aurora_restore.embedded.dataplane import DataPlane, MasterUser

# In these an instance answers; a cluster that is stopped or going away answers nobody.
_ANSWERING = {"available", "modifying", "rebooting", "renaming", "backing-up"}
_SILENT_CLUSTER = {"creating", "stopping", "stopped", "starting", "deleting", "failed", "incompatible-restore"}


@dataclass(frozen=True, slots=True)
class Failure:
    """How the next operation on a named thing ends, instead of well."""

    status: str
    at_percent: int


class World:
    """All places' records, the clock and the data plane. Hold ``lock`` while using it."""

    def __init__(self, plane: DataPlane, clock: EmbeddableClock, durations: Durations) -> None:
        """Start empty."""
        self.plane = plane
        self.clock = clock
        self.durations = durations
        self.lock = threading.RLock()
        self.places: dict[Place, Records] = {}
        # By operation ("snapshot", "copy", "restore", "instance") and identifier.
        self.failures: dict[tuple[str, str], Failure] = {}

    def records(self, place: Place) -> Records:
        """Return a place's records as they are now."""
        self.settle()
        return self.places.setdefault(place, Records(place))

    def begin(self, record: Record, work: Work, status: str, seconds: float, *, ends_as: str = "available") -> Pending:
        """Put something under way: its status meanwhile, how long it takes, and the status it ends in."""
        began_at = self.clock.now()
        due_at = began_at + timedelta(seconds=seconds)
        record.status = status
        record.pending = Pending(work, began_at, due_at, ends_as)
        self.clock.hurry(due_at)
        return record.pending

    def doom(self, record: Record, operation: str, identifier: str) -> None:
        """Let what was just begun end badly, if that was asked for."""
        failure = self.failures.pop((operation, identifier), None)
        if failure is None or record.pending is None:
            return
        whole = record.pending.due_at - record.pending.began_at
        record.pending.due_at = record.pending.began_at + whole * failure.at_percent / 100
        record.pending.ends_as = failure.status
        record.pending.percent_at_end = failure.at_percent

    def settle(self) -> None:
        """Let everything happen that has become due."""
        now = self.clock.now()
        while due := self._first_due(now):
            records, record = due
            match record:
                case Cluster():
                    self._complete_cluster(records, record, _pending(record))
                case Instance():
                    self._complete_instance(records, record, _pending(record))
                case Snapshot():
                    self._complete_snapshot(record, _pending(record))

    def _first_due(self, now: datetime) -> tuple[Records, Record] | None:
        due = [
            (record.pending.due_at, records, record)
            for records in self.places.values()
            for record in records.all()
            if record.pending and record.pending.due_at <= now
        ]
        # min() keeps the first of equals: an instance before its cluster.
        return min(due, key=lambda each: each[0])[1:] if due else None

    def _complete_snapshot(self, snapshot: Snapshot, done: Pending) -> None:
        snapshot.status = done.ends_as
        snapshot.percent_done = done.percent_at_end
        snapshot.pending = None

    def _complete_cluster(self, records: Records, cluster: Cluster, done: Pending) -> None:
        if done.work is Work.DELETE:
            self._remove_cluster(records, cluster)
            return
        if done.new_password:
            self.plane.set_password(
                cluster.db_cluster_resource_id, MasterUser(cluster.master_username, done.new_password)
            )
        if done.new_identifier:
            self._rename_cluster(records, cluster, done.new_identifier)
        if cluster.master_user_secret:
            cluster.master_user_secret.secret_status = SecretStatus.ACTIVE
        cluster.status, cluster.pending = done.ends_as, None
        self.serve(records, cluster)

    def _remove_cluster(self, records: Records, cluster: Cluster) -> None:
        self.plane.drop(cluster.db_cluster_resource_id)
        if cluster.master_user_secret:
            neighbours.delete_secret(records.place, cluster.master_user_secret.secret_arn)
        del records.clusters[cluster.db_cluster_identifier]

    def _rename_cluster(self, records: Records, cluster: Cluster, name: str) -> None:
        members = records.members(cluster)
        records.clusters[name] = records.clusters.pop(cluster.db_cluster_identifier)
        cluster.db_cluster_identifier = name
        for member in members:
            member.db_cluster_identifier = name

    def _complete_instance(self, records: Records, instance: Instance, done: Pending) -> None:
        cluster = records.clusters[instance.db_cluster_identifier]
        match done.work:
            case Work.DELETE:
                del records.instances[instance.db_instance_identifier]
            case Work.CREATE if done.ends_as == "available":
                instance.instance_create_time = done.due_at
            case Work.REBOOT:
                instance.parameter_group_status = instance.cluster_parameter_group_status = "in-sync"
            case _:
                pass
        if done.new_identifier:
            self._rename_instance(records, cluster, instance, done.new_identifier)
        instance.status, instance.pending = done.ends_as, None
        self.serve(records, cluster)

    def _rename_instance(self, records: Records, cluster: Cluster, instance: Instance, name: str) -> None:
        if cluster.writer == instance.db_instance_identifier:
            cluster.writer = name
        records.instances[name] = records.instances.pop(instance.db_instance_identifier)
        instance.db_instance_identifier = name

    def serve(self, records: Records, cluster: Cluster) -> None:
        """Let the cluster's database run exactly while an instance of it answers, one of them as the writer."""
        answering = [member for member in records.members(cluster) if member.status in _ANSWERING]
        if cluster.status in _SILENT_CLUSTER:
            answering = []
        if answering and cluster.writer not in {member.db_instance_identifier for member in answering}:
            cluster.writer = min(answering, key=lambda member: member.promotion_tier).db_instance_identifier
        volume = cluster.db_cluster_resource_id
        if answering and not cluster.is_serving:
            cluster.port = self.plane.start(volume, cluster.port)
        elif cluster.is_serving and not answering:
            self.plane.stop(volume)
        cluster.is_serving = bool(answering)

    def restart(self, records: Records, cluster: Cluster) -> None:
        """Let the cluster's database end and start again, if it runs."""
        if cluster.is_serving:
            self.plane.stop(cluster.db_cluster_resource_id)
            cluster.is_serving = False
            self.serve(records, cluster)

    def size_gib(self, volume: str) -> int:
        """Return a volume's size as AWS gives it, in whole GiB and at least one."""
        return max(1, -(-self.plane.size_bytes(volume) // 2**30))


def _pending(record: Record) -> Pending:
    if record.pending is None:
        raise RuntimeError(f"nothing is under way on {record.arn}")
    return record.pending


def find_cluster(records: Records, name: str) -> Cluster:
    """Return the cluster of an identifier or ARN."""
    cluster = records.clusters.get(name.lower().rpartition(":")[2])
    if cluster is None or (name.startswith("arn:") and cluster.arn != name):
        raise Refused("DBClusterNotFoundFault", f"DBCluster {name} not found.")
    return cluster


def find_instance(records: Records, name: str) -> Instance:
    """Return the instance of an identifier or ARN."""
    instance = records.instances.get(name.lower().rpartition(":")[2])
    if instance is None or (name.startswith("arn:") and instance.arn != name):
        raise Refused("DBInstanceNotFound", f"DBInstance {name} not found.")
    return instance


def find_snapshot(records: Records, name: str) -> Snapshot:
    """Return the snapshot of an identifier or ARN of this place."""
    prefix = records.place.arn("cluster-snapshot", "")
    key = name.removeprefix(prefix)
    snapshot = records.snapshots.get(key if key.startswith("rds:") else key.lower())
    if snapshot is None:
        raise Refused("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot {name} not found.")
    return snapshot


def require_available(cluster: Cluster) -> None:
    """Refuse work on a cluster that something else is under way on."""
    if cluster.status != "available":
        raise Refused(
            "InvalidDBClusterStateFault",
            f"DB cluster {cluster.db_cluster_identifier} is not currently in the available state. "
            f"Current state: {cluster.status}.",
        )


def new_resource_id(prefix: str) -> str:
    """Return a resource id as RDS makes them."""
    return f"{prefix}-{''.join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(26))}"


def new_master_password() -> str:
    """Return a master password as RDS makes them for the secrets that it manages."""
    letters = string.ascii_letters + string.digits + "!#$%&()*+-.:<=>?[]^_{|}~"
    return "".join(secrets.choice(letters) for _ in range(28))
