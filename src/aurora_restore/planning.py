"""The plan: what an operation would do, field by field, and all that would stop it. Pure: built from what was seen."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict

from aurora_restore.errors import DeletionNotWarrantedError
from aurora_restore.estimates import (
    Cost,
    QuotaUse,
    StepEstimate,
    Work,
    estimate_cost,
    estimate_time,
    quota_uses,
)
from aurora_restore.names import ARCHIVE_ROLES, FINAL_ROLES, ROLE_TAG, SnapshotRole
from aurora_restore.plan_database import (
    planned_checks,
    planned_leftovers,
    planned_logins,
    planned_scripts,
    planned_users,
)
from aurora_restore.plan_document import Pinned, PlanDocument, flatten
from aurora_restore.plan_parts import (
    Choice,
    Copy,
    Deletion,
    Fate,
    PlannedCheck,
    PlannedScript,
    PlannedUser,
    Pruned,
    Seen,
    Setting,
)
from aurora_restore.request import Protection, RestoreRequest
from aurora_restore.safety import ClusterIdentity, DeletionEvidence, issue_warrant
from aurora_restore.snapshots import NEWEST, TAKE_ONE_NOW, CopyPlan, Snapshot, SnapshotStatus, plan_copy, to_prune


class Plan(BaseModel):
    """What the operation would do."""

    model_config = ConfigDict(frozen=True)

    request: RestoreRequest
    planned_at: datetime
    pinned: Pinned
    snapshot: Choice | None
    copies: tuple[Copy, ...]
    deletion: Deletion | None
    settings: tuple[Setting, ...]
    shape_from: str | None
    lost: tuple[str, ...]
    users: tuple[PlannedUser, ...]
    logins: tuple[str, ...]
    leftovers: tuple[str, ...]
    scripts: tuple[PlannedScript, ...]
    checks: tuple[PlannedCheck, ...]
    pruned: tuple[Pruned, ...]
    quotas: tuple[QuotaUse, ...]
    times: tuple[StepEstimate, ...]
    cost: Cost
    problems: tuple[str, ...]

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Return everything that would stop it; what the warrant refuses is mostly a problem that is named already."""
        return self.problems or (self.deletion.refusals if self.deletion else ())

    def to_file(self) -> PlanDocument:
        """Return what is kept of it to be run later."""
        return PlanDocument(planned_at=self.planned_at, request=self.request, seen=self.pinned)

    @classmethod
    def make(cls, request: RestoreRequest, seen: Seen) -> Self:
        """Return the plan for ``request`` in the world as it was seen; it changes nothing and reads nothing."""
        snapshot = _to_be_restored(request, seen)
        copy = None if snapshot is None else _copy_plan(request, seen, snapshot)
        work = _work(request, seen, copy)
        times = estimate_time(request, work, seen.history)
        quotas = quota_uses(request, work, seen.quotas)
        return cls(
            request=request,
            planned_at=seen.at,
            pinned=_pinned(seen, copy),
            snapshot=_choice(request, seen),
            copies=tuple(_copies(request, seen, snapshot, copy)),
            deletion=_deletion(request, seen, snapshot, copy),
            settings=tuple(_settings(request, seen)),
            shape_from=seen.shape_from,
            lost=seen.not_restored,
            users=planned_users(request, seen.secrets),
            logins=planned_logins(request, seen.source.master_user if seen.source else None),
            leftovers=planned_leftovers(request, _engine(seen)),
            scripts=planned_scripts(request),
            checks=planned_checks(request),
            pruned=tuple(_pruned(request, seen, work)),
            quotas=quotas,
            times=times,
            cost=estimate_cost(work, times),
            problems=(*seen.problems, *_shortages(quotas)),
        )


def _engine(seen: Seen) -> str | None:
    if seen.snapshot is not None:
        return seen.snapshot.engine
    return seen.source.engine if seen.source else None


def _to_be_restored(request: RestoreRequest, seen: Seen) -> Snapshot | None:
    """Return the snapshot, or what the one that is still to be taken will be like."""
    source = seen.source
    if seen.snapshot is not None or request.source.snapshot != TAKE_ONE_NOW or source is None:
        return seen.snapshot
    return Snapshot(
        identifier=f"the new snapshot of {source.identifier}",
        arn="",
        region=request.source.region,
        cluster=source.identifier,
        cluster_resource_id=source.resource_id,
        kind="manual",
        status=SnapshotStatus.AVAILABLE,
        created_at=seen.at,
        progress_percent=100,
        engine=source.engine,
        engine_version=source.shape.engine_version,
        encrypted=source.encrypted,
        kms_key_arn=source.kms_key_arn,
        size_gib=0,
        port=source.port,
    )


def _copy_plan(request: RestoreRequest, seen: Seen, snapshot: Snapshot) -> CopyPlan:
    return plan_copy(snapshot, target_region=request.target.region, target_key_arn=seen.kms_key_arn)


def _pinned(seen: Seen, copy: CopyPlan | None) -> Pinned:
    source_id = seen.source.resource_id if seen.source else None
    return Pinned(
        state_machine_arn=seen.state_machine_arn,
        source_resource_id=source_id or (seen.snapshot.cluster_resource_id if seen.snapshot else None),
        snapshot_arn=seen.snapshot.arn if seen.snapshot else None,
        target_resource_id=seen.old_target.resource_id if seen.old_target else None,
        kms_key_arn=seen.kms_key_arn,
        copy_plan=copy,
        shape=seen.shape,
    )


def _work(request: RestoreRequest, seen: Seen, copy: CopyPlan | None) -> Work:
    return Work(
        takes_snapshot=request.source.snapshot == TAKE_ONE_NOW,
        copies=copy is not None and copy.needed,
        crosses_regions=copy is not None and copy.crosses_regions,
        replaces=seen.old_target is not None,
        takes_final=seen.old_target is not None and request.replace.final_snapshot,
        instances_before=len(seen.old_target.instances) if seen.old_target else 0,
        instances_after=len(seen.shape.instances) if seen.shape else 0,
        snapshot_gib=seen.snapshot.size_gib if seen.snapshot else None,
        target_gib=seen.target_gib,
    )


def _choice(request: RestoreRequest, seen: Seen) -> Choice | None:
    snapshot = seen.snapshot
    if snapshot is None:
        if request.source.snapshot != TAKE_ONE_NOW:
            return None
        return Choice(why="source.snapshot is new: it is taken when the operation begins")
    return Choice(
        why=_why(request.source.snapshot, snapshot, seen.candidates),
        identifier=snapshot.identifier,
        arn=snapshot.arn,
        kind=snapshot.kind,
        created_at=snapshot.created_at,
        # Its time is AWS's clock's, which may be ahead of this machine's.
        age_hours=round(max(0.0, snapshot.age_hours(seen.at)), 2),
        size_gib=snapshot.size_gib,
        kms_key_arn=snapshot.kms_key_arn,
    )


def _why(wanted: str, chosen: Snapshot, candidates: Sequence[Snapshot]) -> str:
    originals = [each for each in candidates if each.status is SnapshotStatus.AVAILABLE and each.copied_from is None]
    if wanted in NEWEST:
        kind = wanted.removeprefix("latest").removeprefix("-")
        count = sum(kind in {"", each.kind} for each in originals)
        others = len(candidates) - count
        passed = f"; not counted, as copies, of another kind or not available: {others}" if others else ""
        which = f"the newest of {count}" if count > 1 else "the only one"
        return f"source.snapshot is {wanted}, and it is {which} of {chosen.cluster}{passed}"
    newer = [
        each for each in originals if each.created_at and chosen.created_at and each.created_at > chosen.created_at
    ]
    there = f"; newer ones that are there: {len(newer)}" if newer else ""
    return f"source.snapshot names it{there}"


def _copies(request: RestoreRequest, seen: Seen, snapshot: Snapshot | None, copy: CopyPlan | None) -> Iterator[Copy]:
    region = request.target.region
    if snapshot is not None and request.source.snapshot == TAKE_ONE_NOW:
        yield Copy(
            role=SnapshotRole.NEW,
            of=request.source.cluster,
            region=snapshot.region,
            kms_key_arn=snapshot.kms_key_arn,
            why=f"source.snapshot is new{'; it is deleted again once it is copied' if copy and copy.needed else ''}",
        )
    if snapshot is not None and copy is not None and copy.needed:
        yield Copy(
            role=SnapshotRole.COPY,
            of=snapshot.identifier,
            region=region,
            kms_key_arn=copy.kms_key_arn,
            why=copy.reason,
        )
    if seen.target is not None and request.replace.final_snapshot:
        yield Copy(
            role=SnapshotRole.FINAL,
            of=seen.target.identifier,
            region=region,
            kms_key_arn=seen.target.kms_key_arn,
            why="it is deleted, and replace.final_snapshot is on",
        )


def _deletion(request: RestoreRequest, seen: Seen, snapshot: Snapshot | None, copy: CopyPlan | None) -> Deletion | None:
    target, old = seen.target, seen.old_target
    if target is None or old is None:
        return None
    lifted = request.replace.protection is Protection.LIFT
    return Deletion(
        cluster=target.identifier,
        arn=target.arn,
        resource_id=target.resource_id,
        status=target.status,
        size_gib=seen.target_gib,
        connections=seen.connections,
        instances=old.instances,
        protection="off" if not old.protected else "on; it will be lifted" if lifted else "on; it stops the operation",
        final_snapshot=request.replace.final_snapshot,
        refusals=_refusals(request, seen, _as_copied(snapshot, copy, request.target.region)),
    )


def _as_copied(snapshot: Snapshot | None, copy: CopyPlan | None, region: str) -> Snapshot | None:
    """Return the snapshot as it will stand when the deletion is judged: its copy, where one is made."""
    if snapshot is None or copy is None or not copy.needed:
        return snapshot
    return snapshot.model_copy(update={"region": region})


def _refusals(request: RestoreRequest, seen: Seen, snapshot: Snapshot | None) -> tuple[str, ...]:
    """Return the clauses of I2 that would not hold; the final snapshot's name is the operation's, and so free."""
    target, old = seen.target, seen.old_target
    source = _source_identity(request, seen)
    if target is None or old is None or source is None:
        return ()
    evidence = DeletionEvidence(
        target=ClusterIdentity(
            arn=target.arn, resource_id=target.resource_id, name=target.identifier, region=request.target.region
        ),
        target_tags=target.tags,
        target_protected=old.protected,
        stack=seen.stack,
        source=source,
        replace=request.replace,
        restore_from=snapshot,
        restore_key_usable=seen.kms_key_arn is not None or snapshot is None or not snapshot.encrypted,
        captured_resource_id=old.resource_id,
        final_snapshot="",
        final_snapshot_free=True,
    )
    try:
        issue_warrant(evidence)
    except DeletionNotWarrantedError as error:
        return error.refusals
    return ()


def _source_identity(request: RestoreRequest, seen: Seen) -> ClusterIdentity | None:
    name, region = request.source.cluster, request.source.region
    if seen.source is not None:
        return ClusterIdentity(arn=seen.source.arn, resource_id=seen.source.resource_id, name=name, region=region)
    if seen.snapshot is None:
        return None
    # A snapshot outlives its cluster.
    arn = f"{seen.snapshot.arn.split(':cluster-snapshot:')[0]}:cluster:{name}"
    return ClusterIdentity(arn=arn, resource_id=seen.snapshot.cluster_resource_id, name=name, region=region)


def _settings(request: RestoreRequest, seen: Seen) -> Iterator[Setting]:
    if seen.shape is None:
        return
    old = seen.old_target.shape if seen.old_target else None
    before = {"kms_key": seen.target.kms_key_arn if seen.target else None, **flatten(old)}
    after = {"kms_key": seen.kms_key_arn, **flatten(seen.shape)}
    for name, new in after.items():
        if old is None or name not in before:
            yield Setting(name=name, fate=Fate.NEW, before=None, after=new)
        elif before[name] == new:
            yield Setting(name=name, fate=Fate.KEPT, before=new, after=new)
        else:
            yield Setting(
                name=name,
                fate=Fate.OVERRIDDEN,
                before=before[name],
                after=new,
                why=_cause(name, request, seen.shape_from),
            )
    staying = {instance.identifier for instance in seen.shape.instances}
    for instance in old.instances if old else ():
        if instance.identifier not in staying:
            lost, kind = instance.identifier, instance.instance_class
            yield Setting(name=lost, fate=Fate.REMOVED, before=kind, after=None, why="the request has fewer instances")


def _cause(name: str, request: RestoreRequest, shape_from: str | None) -> str:
    if name == "kms_key" and request.target.kms_key is None:
        return "the snapshot's key"
    if name in {"engine", "engine_version"} and request.target.engine_version is None:
        return "the snapshot's"
    return "the request" if shape_from is None else f"the request or what {shape_from} captured"


def _pruned(request: RestoreRequest, seen: Seen, work: Work) -> Iterator[Pruned]:
    for roles, added in (
        (ARCHIVE_ROLES, work.copies or work.takes_snapshot),
        (FINAL_ROLES, work.takes_final),
    ):
        own = [each for each in seen.own_snapshots if each.tags.get(ROLE_TAG) in roles]
        for snapshot in _too_many(request, seen, own, adds=added):
            yield Pruned(identifier=snapshot.identifier, created_at=snapshot.created_at, size_gib=snapshot.size_gib)


def _too_many(request: RestoreRequest, seen: Seen, own: Sequence[Snapshot], *, adds: bool) -> Iterable[Snapshot]:
    available = [each for each in own if each.status is SnapshotStatus.AVAILABLE]
    limits = request.archive
    if not adds:
        return to_prune(available, keep=limits.keep, keep_days=limits.keep_days, now=seen.at)
    if not available:
        return ()
    # The one that the operation itself adds will be the newest; only its age counts here.
    newest = available[0].model_copy(update={"identifier": "", "created_at": seen.at})
    gone = to_prune([*available, newest], keep=limits.keep, keep_days=limits.keep_days, now=seen.at)
    return tuple(each for each in gone if each.identifier)


def _shortages(quotas: Iterable[QuotaUse]) -> Iterator[str]:
    for quota in quotas:
        if quota.is_short:
            yield (
                f"the quota {quota.name} in {quota.region} is {quota.limit}, {quota.used} are used "
                f"and {quota.needed} more needed: delete some, or ask AWS for more"
            )
