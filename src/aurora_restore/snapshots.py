"""Which snapshot, is it good enough, which copies are needed. Pure: no AWS here."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from aurora_restore.errors import ResourceNotFoundError, UnknownStatusError

NEWEST = frozenset({"latest", "latest-automated", "latest-manual"})
TAKE_ONE_NOW = "new"


class SnapshotStatus(StrEnum):
    """The statuses of a cluster snapshot."""

    AVAILABLE = "available"
    CREATING = "creating"
    COPYING = "copying"
    FAILED = "failed"
    DELETING = "deleting"

    @classmethod
    def of(cls, status: str) -> "SnapshotStatus":
        """Return the status of that name; raises UnknownStatusError for one that this version does not know."""
        try:
            return cls(status)
        except ValueError:
            raise UnknownStatusError(
                f'RDS reports the snapshot status "{status}", which this version does not know',
                advice="Look at the snapshot in the RDS console; if it is harmless, use a newer version",
            ) from None


class Snapshot(BaseModel):
    """A cluster snapshot, as much of it as a decision needs. Sizes in GiB, times in UTC."""

    model_config = ConfigDict(frozen=True)

    identifier: str
    arn: str
    region: str
    cluster: str
    cluster_resource_id: str
    kind: str
    status: SnapshotStatus
    created_at: datetime | None
    progress_percent: int
    engine: str
    engine_version: str
    encrypted: bool
    kms_key_arn: str | None
    size_gib: int
    port: int
    storage_type: str = "aurora"
    copied_from: str | None = None
    tags: dict[str, str] = {}

    def age_hours(self, now: datetime) -> float:
        """Return how old the data in it is, in hours; nothing is younger than a snapshot still being made."""
        return 0.0 if self.created_at is None else (now - self.created_at) / timedelta(hours=1)


class CopyPlan(BaseModel):
    """Whether the snapshot must be copied before it can be restored, why, and under which key."""

    model_config = ConfigDict(frozen=True)

    needed: bool
    reason: str
    crosses_regions: bool = False
    kms_key_arn: str | None = None


def find(snapshots: Iterable[Snapshot], wanted: str, *, cluster: str) -> Snapshot:
    """Return the snapshot of ``cluster`` that ``wanted`` means: latest, latest-automated, latest-manual, or a name.

    Raises ResourceNotFoundError when there is none. Whether it is good enough, ``refusals`` says.
    """
    candidates = [snapshot for snapshot in snapshots if snapshot.cluster == cluster]
    return _newest(candidates, wanted, cluster) if wanted in NEWEST else _named(candidates, wanted, cluster)


def _newest(snapshots: Sequence[Snapshot], wanted: str, cluster: str) -> Snapshot:
    kind = wanted.removeprefix("latest").removeprefix("-")
    usable = [
        snapshot
        for snapshot in snapshots
        if snapshot.status is SnapshotStatus.AVAILABLE
        and snapshot.created_at is not None
        # A copy's time is when it was copied, not when its data was true: it may never pass for the newest.
        and snapshot.copied_from is None
        and kind in {"", snapshot.kind}
    ]
    if not usable:
        raise ResourceNotFoundError(
            f"the cluster {cluster} has no available {f'{kind} ' if kind else ''}snapshot "
            f"({len(snapshots)} in other states or kinds)",
            advice="Ask for source.snapshot: new, or wait until its next backup",
        )
    return max(usable, key=lambda snapshot: (snapshot.created_at, snapshot.identifier))


def _named(snapshots: Sequence[Snapshot], wanted: str, cluster: str) -> Snapshot:
    for snapshot in snapshots:
        if wanted in {snapshot.identifier, snapshot.arn}:
            return snapshot
    raise ResourceNotFoundError(
        f"the cluster {cluster} has no snapshot {wanted}",
        advice=f"Look at what it has: aws rds describe-db-cluster-snapshots --db-cluster-identifier {cluster}",
    )


def refusals(snapshot: Snapshot, *, now: datetime, max_age_hours: float | None) -> Iterable[str]:
    """Yield every reason why a snapshot cannot be restored from."""
    if snapshot.status is not SnapshotStatus.AVAILABLE:
        yield f"the snapshot {snapshot.identifier} is {snapshot.status}, not available"
    if max_age_hours is not None and snapshot.age_hours(now) > max_age_hours:
        yield (
            f"the snapshot {snapshot.identifier} is {snapshot.age_hours(now):.1f} hours old and source.max_age_hours "
            f"is {max_age_hours:g}: raise it, or ask for source.snapshot: new"
        )
    if not snapshot.engine.startswith("aurora-"):
        yield f"the snapshot {snapshot.identifier} is of engine {snapshot.engine}, which is not Aurora"


def plan_copy(snapshot: Snapshot, *, target_region: str, target_key_arn: str | None) -> CopyPlan:
    """Say whether a copy of ``snapshot`` is needed to restore it in ``target_region`` under ``target_key_arn``.

    An unencrypted snapshot is copied without a key, because CopyDBClusterSnapshot refuses one: the restore encrypts.
    """
    key = target_key_arn if snapshot.encrypted else None
    if snapshot.region != target_region:
        reason = f"it is in {snapshot.region} and the target in {target_region}"
        return CopyPlan(needed=True, reason=reason, crosses_regions=True, kms_key_arn=key)
    if key is not None and key != snapshot.kms_key_arn:
        return CopyPlan(needed=True, reason="it is encrypted under another key than the target's", kms_key_arn=key)
    return CopyPlan(needed=False, reason="it is in the target's region, under a key that the target can use")


def restore_key(snapshot: Snapshot, target_key_arn: str | None) -> str | None:
    """Return the key that the restored cluster will be under, or None where it stays unencrypted."""
    return target_key_arn or snapshot.kms_key_arn


def to_prune(archives: Sequence[Snapshot], *, keep: int, keep_days: int | None, now: datetime) -> tuple[Snapshot, ...]:
    """Return those of the pipeline's snapshots that go: beyond the newest ``keep``, or too old; never the newest."""
    newest_first = sorted(archives, key=lambda snapshot: (snapshot.age_hours(now), snapshot.identifier))
    limit_hours = float("inf") if keep_days is None else keep_days * 24.0
    return tuple(
        snapshot
        for index, snapshot in enumerate(newest_first)
        if index > 0 and (index >= keep or snapshot.age_hours(now) > limit_hours)
    )
