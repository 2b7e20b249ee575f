"""Reads what a plan is made of, through the user's own permissions; nothing here changes anything."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TypeVar

from aurora_restore import names
from aurora_restore.aws.metrics import Metrics
from aurora_restore.cli.pipeline import Pipeline
from aurora_restore.errors import AccessDeniedError, FailedByAwsError, TransientError
from aurora_restore.estimates import Quota
from aurora_restore.plan_parts import Seen
from aurora_restore.planning import Plan
from aurora_restore.request import RestoreRequest
from aurora_restore.steps.preflight import examine
from aurora_restore.steps.world import World

_EARLIER = 20
_BYTES_A_GIB = 1024**3
_T = TypeVar("_T")


def make_plan(pipeline: Pipeline, request: RestoreRequest) -> Plan:
    """Return the plan for a request in the world as it is now."""
    return Plan.make(request, observe(pipeline, request))


def observe(pipeline: Pipeline, request: RestoreRequest) -> Seen:
    """Look at everything that the plan speaks of. What is only told, and cannot be read, is left unknown."""
    world = pipeline.world()
    now = world.clock.now()
    findings = examine(request, world)
    source, target = request.source, request.target
    rds = world.rds(target.region)
    exists = findings.target is not None
    size = _metric(world, request, "VolumeBytesUsed", now) if exists else None
    connections = _metric(world, request, "DatabaseConnections", now) if exists else None
    own = {names.STACK_TAG: world.stack, names.TARGET_TAG: names.target_id(target.region, target.cluster)}
    return Seen(
        at=now,
        stack=world.stack,
        state_machine_arn=pipeline.deployment.state_machine_arn,
        source=findings.source,
        snapshot=findings.snapshot,
        candidates=world.rds(source.region).snapshots(source.cluster),
        target=findings.target,
        old_target=findings.old_target,
        kms_key_arn=findings.kms_key_arn,
        shape=findings.shape,
        shape_from=findings.shape_from,
        not_restored=findings.not_restored,
        problems=(*findings.problems, *_lock(world, request)),
        own_snapshots=rds.own_snapshots(own),
        secrets=_secrets(world, request),
        quotas=tuple(_quotas(world, request)),
        history=tuple(world.store.operations.of_target(names.target_id(target.region, target.cluster), limit=_EARLIER)),
        target_gib=None if size is None else size / _BYTES_A_GIB,
        connections=None if connections is None else round(connections),
    )


def _readable(read: Callable[..., _T], *arguments: str, **more: datetime) -> _T | None:
    """Return what ``read`` returns, or None where AWS does not let us or does not know: a plan does without it."""
    try:
        return read(*arguments, **more)
    except (AccessDeniedError, FailedByAwsError, TransientError):
        return None


def _metric(world: World, request: RestoreRequest, metric: str, now: datetime) -> float | None:
    target = request.target
    metrics = Metrics(world.client("cloudwatch", target.region))
    return _readable(metrics.latest, target.cluster, metric, now=now)


def _secrets(world: World, request: RestoreRequest) -> dict[str, bool]:
    secrets = world.secrets(request.target.region)
    found: dict[str, bool] = {}
    for user in request.users:
        exists = None if user.secret is None else _readable(secrets.exists, user.secret)
        if user.secret is not None and exists is not None:
            found[user.secret] = exists
    return found


def _quotas(world: World, request: RestoreRequest) -> Iterator[Quota]:
    for region in sorted({request.source.region, request.target.region}):
        known = _readable(world.rds(region).quotas) or {}
        for name, (used, limit) in known.items():
            yield Quota(region=region, name=name, used=used, limit=limit)


def _lock(world: World, request: RestoreRequest) -> Iterator[str]:
    held = world.store.locks.held(request.target.region, request.target.cluster)
    if held is not None and not world.executions.has_ended(held.execution_arn):
        yield f"the operation {held.operation_id} works on the target: aurora-restore watch {held.operation_id}"
