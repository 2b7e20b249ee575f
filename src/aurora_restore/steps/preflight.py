"""What step 1 looks at before anything is changed, and every problem that would otherwise come up late."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aurora_restore.aws.networks import Networks
from aurora_restore.aws.rds import Rds
from aurora_restore.clusters import Cluster
from aurora_restore.database.unsupported import outdated
from aurora_restore.errors import (
    KeyUnusableError,
    ResourceNotFoundError,
)
from aurora_restore.names import PIPELINE_TAGS, STACK_TAG, target_id, without_reserved
from aurora_restore.operation import OldTarget
from aurora_restore.request import Protection, RestoreRequest
from aurora_restore.shape import ClusterShape, missing_for_new
from aurora_restore.snapshots import TAKE_ONE_NOW, Snapshot, find, plan_copy, refusals
from aurora_restore.statuses import Meaning
from aurora_restore.steps.heritage import heir_of
from aurora_restore.steps.preflight_database import about_database
from aurora_restore.steps.world import World

_MOST_TAGS = 50


@dataclass(frozen=True)
class Origin:
    """What is restored: a snapshot that exists, or the source cluster, of which one will be taken."""

    engine: str
    engine_version: str
    port: int
    storage_type: str
    region: str
    encrypted: bool
    kms_key_arn: str | None


@dataclass(frozen=True)
class Findings:
    """What was seen, and every problem with it. ``shape`` is None where it cannot be known for problems.

    ``shape_from`` names the earlier operation that had captured the shape and failed after it began to delete.
    """

    source: Cluster | None
    snapshot: Snapshot | None
    target: Cluster | None
    old_target: OldTarget | None
    kms_key_arn: str | None
    secrets_key_arn: str | None
    shape: ClusterShape | None
    shape_from: str | None
    not_restored: tuple[str, ...]
    problems: tuple[str, ...]


def examine(request: RestoreRequest, world: World) -> Findings:
    """Look at source, snapshot, target, key, groups and secrets; changes nothing."""
    problems: list[str] = []
    source = world.rds(request.source.region).cluster(request.source.cluster)
    snapshot = _snapshot(request, world, problems)
    origin = _origin(request, source, snapshot, problems)
    key = _key(request, world, origin, problems)
    rds = world.rds(request.target.region)
    target = rds.cluster(request.target.cluster)
    old = None if target is None else _old_target(rds, target, world.stack)
    source_id = source.resource_id if source else snapshot.cluster_resource_id if snapshot else None
    problems.extend(_about_old_target(request, source_id, target, old))
    heir = heir_of(world.store.operations.of_target(target_id(rds.region, request.target.cluster)), target)
    kept = heir.shape if heir is not None else old.shape if old is not None else None
    shape = _shape(request, kept, origin, problems)
    if shape is not None:
        problems.extend(_about_network(rds, world.networks(rds.region), shape))
        problems.extend(_about_groups(rds, shape))
        problems.extend(_about_instances(rds, shape, request.target.cluster))
        problems.extend(_about_settings(request, shape, snapshot))
    master = source.master_user if source else None
    problems.extend(about_database(request, world, origin.engine if origin else None, master))
    return Findings(
        source=source,
        snapshot=snapshot,
        target=target,
        old_target=old,
        kms_key_arn=key,
        secrets_key_arn=world.keys(request.target.region).for_secrets(key) if key else None,
        shape=shape,
        shape_from=heir.operation_id if heir is not None else None,
        not_restored=target.not_restorable if target else (),
        problems=tuple(problems),
    )


def _snapshot(request: RestoreRequest, world: World, problems: list[str]) -> Snapshot | None:
    source = request.source
    if source.snapshot == TAKE_ONE_NOW:
        return None
    try:
        found = find(world.rds(source.region).snapshots(source.cluster), source.snapshot, cluster=source.cluster)
    except ResourceNotFoundError as error:
        problems.append(str(error))
        return None
    problems.extend(refusals(found, now=world.clock.now(), max_age_hours=source.max_age_hours))
    return found


def _origin(
    request: RestoreRequest, source: Cluster | None, snapshot: Snapshot | None, problems: list[str]
) -> Origin | None:
    if snapshot is not None:
        return Origin(
            engine=snapshot.engine,
            engine_version=snapshot.engine_version,
            port=snapshot.port,
            storage_type=snapshot.storage_type,
            region=snapshot.region,
            encrypted=snapshot.encrypted,
            kms_key_arn=snapshot.kms_key_arn,
        )
    if request.source.snapshot != TAKE_ONE_NOW:
        return None
    if source is None:
        problems.append(
            f"there is no cluster {request.source.cluster} in {request.source.region} to take a snapshot of"
        )
        return None
    if source.meaning is not Meaning.READY:
        problems.append(f"the source {source.identifier} is {source.status}: no snapshot can be taken of it now")
    return Origin(
        engine=source.engine,
        engine_version=source.shape.engine_version,
        port=source.port,
        storage_type=source.shape.storage_type,
        region=request.source.region,
        encrypted=source.encrypted,
        kms_key_arn=source.kms_key_arn,
    )


def _key(request: RestoreRequest, world: World, origin: Origin | None, problems: list[str]) -> str | None:
    """Return the ARN of the key that the target is to have, checked where it will be used."""
    wanted, region = request.target.kms_key, request.target.region
    if wanted is None and origin is not None and origin.encrypted:
        if origin.region != region:
            problems.append(
                "the snapshot is encrypted and the target is in another region: give a key there in target.kms_key"
            )
            return None
        wanted = origin.kms_key_arn
    if wanted is None:
        return None
    try:
        return world.keys(region).resolve(wanted)
    except KeyUnusableError as error:
        problems.append(f"target.kms_key: {error}")
        return None


def _old_target(rds: Rds, target: Cluster, stack: str) -> OldTarget:
    return OldTarget(
        arn=target.arn,
        resource_id=target.resource_id,
        protected=target.shape.deletion_protection,
        tagged=target.tags.get(STACK_TAG) == stack,
        instances=target.members,
        shape=rds.shape(target.identifier),
    )


def _about_old_target(
    request: RestoreRequest, source_id: str | None, target: Cluster | None, old: OldTarget | None
) -> Iterator[str]:
    if target is None or old is None:
        return
    name = target.identifier
    if source_id == target.resource_id:
        yield f"the target {name} is the source cluster itself"
    if not request.replace.allow:
        yield f"the target {name} exists and the request does not allow its deletion: set replace.allow to true"
    if old.protected and request.replace.protection is not Protection.LIFT:
        yield (f"the target {name} has deletion protection: set replace.protection to lift, or switch it off yourself")
    if target.global_cluster:
        yield f"the target {name} is a member of the global cluster {target.global_cluster}: remove it from there first"
    if target.meaning is Meaning.LEAVING:
        yield f"the target {name} is being deleted by somebody else: wait until it is gone"


def _shape(
    request: RestoreRequest, kept: ClusterShape | None, origin: Origin | None, problems: list[str]
) -> ClusterShape | None:
    target = request.target
    if origin is None:
        return None
    wanted = target.engine_version
    if wanted is not None and _numbers(wanted) < _numbers(origin.engine_version):
        problems.append(
            f"target.engine_version {wanted} is older than the snapshot's {origin.engine_version}: leave it out"
        )
    if kept is None:
        missing = missing_for_new(target)
        problems.extend(
            f"there is no target {target.cluster} yet whose shape could be kept: give {name}" for name in missing
        )
        return ClusterShape.from_request(
            target,
            engine=origin.engine,
            engine_version=origin.engine_version,
            port=origin.port,
            storage_type=origin.storage_type,
        )
    # The data decides the version: a snapshot is never restored into an older one.
    captured = kept.model_copy(update={"engine": origin.engine, "engine_version": origin.engine_version})
    shape = captured.overridden(target)
    if not shape.instances:
        problems.append(
            f"the target {target.cluster} has no instances whose shape could be kept: give target.instances"
        )
    if kept.engine != origin.engine:
        problems.append(f"the target is {kept.engine} and the snapshot {origin.engine}: they do not fit")
    return shape


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _about_network(rds: Rds, networks: Networks, shape: ClusterShape) -> Iterator[str]:
    if not shape.subnet_group:
        return
    vpc = rds.subnet_group_vpc(shape.subnet_group)
    if vpc is None:
        yield f"there is no DB subnet group {shape.subnet_group} in {rds.region}"
        return
    there = networks.security_groups(shape.security_groups)
    for group in shape.security_groups:
        if group not in there:
            yield f"there is no security group {group} in {rds.region}"
        elif there[group] != vpc:
            yield f"the security group {group} is in {there[group]}, the subnet group {shape.subnet_group} in {vpc}"


def _about_groups(rds: Rds, shape: ClusterShape) -> Iterator[str]:
    if shape.parameter_group is not None:
        family = rds.cluster_family(shape.parameter_group)
        yield from _about_group("DB cluster parameter group", shape.parameter_group, family, rds, shape)
    for group in sorted({instance.parameter_group for instance in shape.instances if instance.parameter_group}):
        yield from _about_group("DB parameter group", group, rds.instance_family(group), rds, shape)


def _about_instances(rds: Rds, shape: ClusterShape, cluster: str) -> Iterator[str]:
    for name in sorted({instance.instance_class for instance in shape.instances}):
        if not rds.offers(engine=shape.engine, version=shape.engine_version, instance_class=name):
            yield f"{rds.region} offers no {name} for {shape.engine} {shape.engine_version}: give target.instances"
    if shape.serverless is None and any(instance.instance_class == "db.serverless" for instance in shape.instances):
        yield "an instance is db.serverless, but the target has no serverless range: give target.serverless"
    for instance in shape.instances:
        other = rds.instance(instance.identifier)
        if other is not None and other.cluster != cluster:
            yield f"an instance {instance.identifier} exists already and belongs to {other.cluster or 'no cluster'}"


def _about_settings(request: RestoreRequest, shape: ClusterShape, snapshot: Snapshot | None) -> Iterator[str]:
    yield from outdated(shape.engine, shape.engine_version)
    if not shape.iam_authentication:
        for user in request.users:
            if user.iam:
                yield f"the user {user.name} logs in with IAM, which is off: set target.iam_authentication to true"
    tagged = {
        f"the cluster {request.target.cluster}": shape.tags,
        **{f"the instance {instance.identifier}": instance.tags for instance in shape.instances},
        **({f"the copy of {snapshot.identifier}": without_reserved(snapshot.tags)} if snapshot else {}),
    }
    for thing, tags in tagged.items():
        count = len({**tags, **request.tags}) + PIPELINE_TAGS
        if count > _MOST_TAGS:
            yield f"{thing} would have {count} tags, {PIPELINE_TAGS} of them the pipeline's, and AWS takes {_MOST_TAGS}"


def _about_group(kind: str, name: str, family: str | None, rds: Rds, shape: ClusterShape) -> Iterator[str]:
    if family is None:
        yield f"there is no {kind} {name} in {rds.region}"
    elif family != _family_of(shape):
        yield f"the {kind} {name} is for {family}, and the restored cluster will be {_family_of(shape)}"


def _family_of(shape: ClusterShape) -> str:
    """Return the parameter group family of a version: aurora-postgresql16 for 16.4, aurora-mysql8.0 for 8.0.mysql_…."""
    major, minor, *_ = f"{shape.engine_version}.".split(".")
    return f"{shape.engine}{major}" if shape.engine == "aurora-postgresql" else f"{shape.engine}{major}.{minor}"


def copy_reason(snapshot: Snapshot, request: RestoreRequest, key_arn: str | None) -> str:
    """Return why the snapshot will be copied, or why not."""
    plan = plan_copy(snapshot, target_region=request.target.region, target_key_arn=key_arn)
    return f"it will be copied, because {plan.reason}" if plan.needed else f"no copy is needed: {plan.reason}"
