"""Step 6: drives cluster and instances to usable: writer, readers, what a restore cannot set, the managed password."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from aurora_restore.aws.rds import Rds
from aurora_restore.clusters import Cluster, Instance
from aurora_restore.errors import ForeignResourceError, NotReadyError, RestoreFailedError
from aurora_restore.operation import Operation, Restored, Verdict, require
from aurora_restore.shape import AssociatedRole, ClusterShape, InstanceShape, Parameters
from aurora_restore.statuses import Meaning
from aurora_restore.steps.advice import events_of
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal

_PATIENCE = timedelta(minutes=5)
DATA_API = "EnableHttpEndpoint"


@dataclass(frozen=True)
class Create:
    """Make these instances."""

    instances: tuple[InstanceShape, ...]
    reason: str


@dataclass(frozen=True)
class Modify:
    """Set what the restore could not set."""

    parameters: Parameters
    reason: str


@dataclass(frozen=True)
class AddRoles:
    """Give the cluster its IAM roles back."""

    roles: tuple[AssociatedRole, ...]
    reason: str


@dataclass(frozen=True)
class EnableDataApi:
    """Switch the Data API on: ModifyDBCluster does that for Serverless v1 only (botocore's RDS model)."""

    reason: str


@dataclass(frozen=True)
class Wait:
    """Do nothing yet."""

    reason: str


@dataclass(frozen=True)
class Settled:
    """All is as it should be, or was asked for once and is as AWS will have it."""

    left: tuple[str, ...]


Move = Create | Modify | EnableDataApi | AddRoles | Wait | Settled


def run(journal: Journal, world: World) -> Verdict:
    """Make the next move towards a usable cluster.

    Raises RestoreFailedError with AWS's word for it when cluster or instance ended in a terminal status.
    """
    operation, target = journal.operation, journal.operation.wanted.target
    rds = world.rds(target.region)
    cluster = rds.cluster(target.cluster)
    if cluster is None:
        raise NotReadyError(f"the cluster {target.cluster} cannot be seen: it is not visible yet, or was deleted")
    if not operation.owns(cluster.tags):
        raise ForeignResourceError(f"the cluster {target.cluster} is not the one that this operation restored")
    match decide(operation, cluster, rds.instances(target.cluster), world.clock.now()):
        case Create() as move:
            _create(journal, rds, cluster, move)
        case Modify() as move:
            intent = journal.intend("ModifyDBCluster", cluster.arn, ", ".join(sorted(move.parameters)))
            rds.modify(intent, cluster, move.parameters)
            # After the call: killed in between, the step asks again, and asking twice changes nothing.
            asked = (*operation.settings_asked, *sorted(move.parameters))
            journal.keep(settings_asked=asked, settings_asked_at=world.clock.now())
        case EnableDataApi() as move:
            intent = journal.intend("EnableHttpEndpoint", cluster.arn, "the target had it on")
            rds.enable_data_api(intent, cluster)
            journal.keep(settings_asked=(*operation.settings_asked, DATA_API), settings_asked_at=world.clock.now())
        case AddRoles() as move:
            for role in move.roles:
                intent = journal.intend("AddRoleToDBCluster", cluster.arn, role.arn)
                rds.add_role(intent, cluster, role)
                # Asked for once: a role that never shows up is reported, and not asked for at every look.
                asked = (*journal.operation.settings_asked, role.arn)
                journal.keep(settings_asked=asked, settings_asked_at=world.clock.now())
        case Wait() as move:
            pass
        case Settled(left):
            return _settled(journal, cluster, left)
    return Verdict.wait(move.reason)


def decide(operation: Operation, cluster: Cluster, instances: tuple[Instance, ...], now: datetime) -> Move:
    """Say what comes next: cluster, writer, readers, settings, roles, managed password, all settled."""
    shape = require(operation.shape, "shape")
    return (
        _about_cluster(cluster)
        or _about_instances(shape, instances)
        or _about_settings(operation, cluster, shape)
        or _settled_or_patient(operation, _differences(cluster, shape, instances), now)
    )


def _settled_or_patient(operation: Operation, differences: tuple[str, ...], now: datetime) -> Move:
    """Give AWS a while to show what it was asked for, before saying that it did not do it."""
    asked_at = operation.settings_asked_at
    if differences and asked_at is not None and now - asked_at < _PATIENCE:
        return Wait(f"not shown yet: {differences[0]}")
    return Settled(differences)


def _about_cluster(cluster: Cluster) -> Move | None:
    name = cluster.identifier
    match cluster.meaning:
        case Meaning.READY:
            return None
        case Meaning.WAIT:
            return Wait(f"the cluster is {cluster.status}")
        case Meaning.FAILED | Meaning.LEAVING | Meaning.STOPPED:
            raise RestoreFailedError(f"the cluster {name} is {cluster.status}", advice=events_of(cluster.arn))


def _about_instances(shape: ClusterShape, instances: tuple[Instance, ...]) -> Move | None:
    """Say what comes next for the instances: the writer first and alone, then all readers together."""
    there = {instance.identifier: instance for instance in instances}
    writer, readers = shape.instances[0], shape.instances[1:]
    if writer.identifier not in there:
        return Create((writer,), f"the cluster is available; its writer {writer.identifier} is being made")
    unready = _unready([there[writer.identifier]])
    if unready is not None:
        return unready
    missing = tuple(reader for reader in readers if reader.identifier not in there)
    if missing:
        names = ", ".join(reader.identifier for reader in missing)
        return Create(missing, f"the writer is available; being made: {names}")
    return _unready([there[reader.identifier] for reader in readers])


def _unready(instances: list[Instance]) -> Move | None:
    waiting: list[str] = []
    for instance in instances:
        match instance.meaning:
            case Meaning.READY:
                continue
            case Meaning.WAIT:
                waiting.append(f"{instance.identifier} is {instance.status}")
            case Meaning.FAILED | Meaning.LEAVING | Meaning.STOPPED:
                raise RestoreFailedError(
                    f"the instance {instance.identifier} is {instance.status}", advice=events_of(instance.arn)
                )
    return Wait("; ".join(waiting)) if waiting else None


def _about_settings(operation: Operation, cluster: Cluster, shape: ClusterShape) -> Move | None:
    asked = set(operation.settings_asked)
    settings = {name: value for name, value in shape.render_settings(cluster.shape).items() if name not in asked}
    if settings:
        return Modify(settings, f"being set: {', '.join(sorted(settings))}")
    if shape.http_endpoint and not cluster.shape.http_endpoint and DATA_API not in asked:
        return EnableDataApi("the Data API is being switched on")
    roles = tuple(role for role in shape.roles if role not in cluster.shape.roles and role.arn not in asked)
    if roles:
        return AddRoles(roles, f"{len(roles)} IAM roles are being added")
    return _about_master(operation, cluster)


def _about_master(operation: Operation, cluster: Cluster) -> Move | None:
    """Let RDS manage the master's password, so that production's stops working without ever being read (I7)."""
    if cluster.master_secret is None:
        if "ManageMasterUserPassword" in operation.settings_asked:
            return Wait("RDS is making the master user's secret")
        key = {"MasterUserSecretKmsKeyId": operation.secrets_key_arn} if operation.secrets_key_arn else {}
        return Modify({"ManageMasterUserPassword": True, **key}, "RDS takes over the master user's password")
    if cluster.master_secret.status != "active":
        return Wait(f"the master user's secret is {cluster.master_secret.status}")
    return None


def _create(journal: Journal, rds: Rds, cluster: Cluster, move: Create) -> None:
    operation = journal.operation
    for instance in move.instances:
        parameters = instance.render(cluster=cluster.identifier, engine=cluster.engine, tags=operation.tags)
        intent = journal.intend(
            "CreateDBInstance", f"{operation.target}/{instance.identifier}", instance.instance_class
        )
        if not rds.create_instance(intent, parameters):
            raise NotReadyError(f"an instance {instance.identifier} appeared while it was asked for: look again")


def _differences(cluster: Cluster, shape: ClusterShape, instances: tuple[Instance, ...]) -> tuple[str, ...]:
    """Return a sentence for each setting that was asked for and is not as asked (I9: read back, and reported)."""
    missing = shape.render_settings(cluster.shape)
    settings = [f"{name} was asked to be {value} and is not" for name, value in sorted(missing.items())]
    settings += [
        f"the role {role.arn} was asked for and is not there" for role in shape.roles if role not in cluster.shape.roles
    ]
    if shape.http_endpoint and not cluster.shape.http_endpoint:
        settings.append("the Data API was asked to be on and is not")
    there = {instance.identifier: instance for instance in instances}
    compared: tuple[Callable[[InstanceShape], object], ...] = (
        lambda wanted: wanted.instance_class,
        lambda wanted: wanted.promotion_tier,
        lambda wanted: wanted.parameter_group,
    )
    changed = [
        f"the instance {wanted.identifier} is not as it was asked for"
        for wanted in shape.instances
        if any(field(wanted) not in {None, field(there[wanted.identifier].shape)} for field in compared)
    ]
    return (*settings, *changed)


def _settled(journal: Journal, cluster: Cluster, left: tuple[str, ...]) -> Verdict:
    operation = journal.operation
    restored = Restored(
        arn=cluster.arn,
        resource_id=cluster.resource_id,
        endpoint=cluster.endpoint,
        reader_endpoint=cluster.reader_endpoint,
        port=cluster.port,
        database=cluster.database,
    )
    secret = require(cluster.master_secret, "managed master secret")
    journal.keep(
        restored=restored,
        master_secret_arn=secret.arn,
        not_restored=(
            *operation.not_restored,
            *(sentence for sentence in left if sentence not in operation.not_restored),
        ),
    )
    count = len(require(operation.shape, "shape").instances)
    return Verdict.done(f"{cluster.identifier} is available with {count} {'instance' if count == 1 else 'instances'}")
