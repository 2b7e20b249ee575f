"""Opens a deployment through the user's own AWS configuration, and finds operations in it by as much as was typed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches

from aurora_restore import names
from aurora_restore.aws.clients import PATIENT, Clients
from aurora_restore.aws.deployment import Deployment, read_deployment
from aurora_restore.aws.executions import Executions
from aurora_restore.aws.tables import Table
from aurora_restore.cli.account_clock import AccountClock
from aurora_restore.errors import AwsUnavailableError, EnvironmentUnfitError, OperationNotFoundError
from aurora_restore.operation import Operation
from aurora_restore.runtime import Settings, open_world
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Store

# How many operations a part of an id is looked for in, newest first.
_SEARCHED = 10_000
_LISTED = 5
_NETWORK = "Look at the network, the proxy and the region"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A deployment, opened."""

    deployment: Deployment
    store: Store
    executions: Executions
    clients: Clients

    def world(self) -> World:
        """Return what a step may reach, through the user's own permissions: for commands that do a step's work."""
        deployment = self.deployment
        settings = Settings(
            stack=deployment.stack,
            state_table=deployment.state_table,
            audit_table=deployment.audit_table,
            topic_arn=deployment.topic_arn,
        )
        return open_world(
            settings, lambda service, region: self.clients(service, region or deployment.region), self.store.clock
        )

    def execution_arn(self, operation_id: str) -> str:
        """Return the ARN of the execution of an operation of this pipeline, whether there is one or not."""
        return f"{self.deployment.state_machine_arn.replace(':stateMachine:', ':execution:', 1)}:{operation_id}"

    def state(self, operation: Operation) -> str:
        """Return the operation's status, or "stopped" when its execution has ended without writing an outcome."""
        if operation.has_ended or not self.executions.has_ended(operation.execution_arn):
            return operation.status.value
        return "stopped"


def open_pipeline(stack: str, region: str | None) -> Pipeline:
    """Return the deployment of this stack name, by the SSM parameter in which it describes itself.

    Raises EnvironmentUnfitError, AccessDeniedError or DeploymentNotFoundError.
    """
    clock = AccountClock()
    clients = Clients(PATIENT, on_date=clock.hear)
    with reachable():
        deployment = read_deployment(clients("ssm", region), stack)
    dynamodb = clients("dynamodb", deployment.region)
    store = Store(Table(dynamodb, deployment.state_table), Table(dynamodb, deployment.audit_table), clock)
    return Pipeline(deployment, store, Executions(clients("stepfunctions", deployment.region)), clients)


@contextmanager
def reachable() -> Iterator[None]:
    """Around a command's first call: say of an AWS that does not answer what may be the reason."""
    try:
        yield
    except AwsUnavailableError as error:
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        served = f"AWS_ENDPOINT_URL is {endpoint}: does aurora-restore serve run there, and is the region right?"
        advice = served if endpoint else _NETWORK
        raise EnvironmentUnfitError(error.what, advice=advice) from None


def find_operation(pipeline: Pipeline, typed: str) -> Operation:
    """Return the operation of this id, or the only one whose id begins with it.

    Raises OperationNotFoundError that names the ones it could have meant.
    """
    exact = pipeline.store.operations.find(typed)
    if exact is not None:
        return exact
    known = [operation.operation_id for operation in pipeline.store.operations.newest(limit=_SEARCHED)]
    matches = [operation_id for operation_id in known if operation_id.startswith(typed)]
    if len(matches) == 1:
        return pipeline.store.operations.load(matches[0])
    raise _not_found(pipeline, typed, known, matches)


def _not_found(pipeline: Pipeline, typed: str, known: list[str], matches: list[str]) -> OperationNotFoundError:
    if matches:
        shown = ", ".join(matches[:_LISTED]) + (", …" if len(matches) > _LISTED else "")
        return OperationNotFoundError(
            f"{len(matches)} operations begin with {typed}", advice=f"Type more of one of them: {shown}"
        )
    if has_begun(pipeline, typed):
        return OperationNotFoundError(
            f"the operation {typed} has started and written nothing yet",
            advice=f"Watch it: aurora-restore watch {typed}",
        )
    nearest = _nearest(typed, known)
    advice = f"Did you mean {nearest}?" if nearest else "List what there is: aurora-restore history"
    return OperationNotFoundError(f"there is no operation {typed}", advice=advice)


def _nearest(typed: str, known: list[str]) -> str | None:
    """Return the newest id whose beginning is most like what was typed, which may be the beginning of an id only."""
    beginnings = {operation_id[: len(typed)]: operation_id for operation_id in reversed(known)}
    found = get_close_matches(typed, beginnings, n=1, cutoff=0.6)
    return beginnings[found[0]] if found else None


def has_begun(pipeline: Pipeline, operation_id: str) -> bool:
    """Say whether there is an execution of this name, though its first step may not have written anything yet."""
    if not names.is_operation_id(operation_id):
        return False
    return pipeline.executions.describe(pipeline.execution_arn(operation_id)) is not None
