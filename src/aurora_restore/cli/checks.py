"""The checks of doctor, each a sentence; none changes anything, and none stops the next."""

import platform
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import boto3
import botocore.session

from aurora_restore import __version__
from aurora_restore.aws.clients import PATIENT, Clients
from aurora_restore.aws.deployment import Deployment
from aurora_restore.aws.door import call, demand
from aurora_restore.aws.keys import Keys
from aurora_restore.aws.tables import Table
from aurora_restore.cli.permitted import Patterns, denials
from aurora_restore.cli.pipeline import Pipeline
from aurora_restore.clusters import Cluster
from aurora_restore.errors import AuroraRestoreError, ConfigurationError, TransientError
from aurora_restore.operation import Step
from aurora_restore.request import RestoreRequest
from aurora_restore.steps.preflight import Findings, examine
from aurora_restore.steps.world import World

_CONNECT_TIMEOUT_S = 3
_DEPLOY = "Deploy again"
_NETWORK = "Look at the network, the proxy and AWS_ENDPOINT_URL, and try again"
# The newest member that the pipeline's facts about RDS speak of: a boto3 that has it is new enough for the rest.
_NEW_MEMBER = "AssociatedRoles"
_NO_FUNCTION = frozenset({"ResourceNotFoundException"})


class Health(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and what to do about it."""

    name: str
    health: Health
    detail: str
    advice: str = ""

    def document(self) -> dict[str, str]:
        """Return it as JSON."""
        return {"name": self.name, "health": self.health.value, "detail": self.detail, "advice": self.advice}


def judge(name: str, look: Callable[..., str], *arguments: object) -> Check:
    """Return what ``look`` says as ok, or the error that it raises as a failure."""
    try:
        return Check(name, Health.OK, look(*arguments))
    except TransientError as error:
        return Check(name, Health.FAILED, error.what, error.advice or _NETWORK)
    except AuroraRestoreError as error:
        return Check(name, Health.FAILED, error.what, error.advice)


def of_environment(region: str | None) -> Iterator[Check]:
    """Yield the checks of this machine: versions, region, credentials."""
    yield Check("program", Health.OK, f"aurora-restore {__version__}, Python {platform.python_version()}")
    yield _model()
    yield judge("region", lambda: str(Clients(PATIENT)("sts", region).meta.region_name))
    yield judge("credentials", lambda: str(demand(Clients(PATIENT)("sts", region).get_caller_identity)["Arn"]))


def _model() -> Check:
    restore = botocore.session.Session().get_service_model("rds").operation_model("RestoreDBClusterFromSnapshot")
    members = restore.input_shape.members if restore.input_shape else {}
    version = f"boto3 {boto3.__version__}"
    if _NEW_MEMBER in members:
        return Check("boto3", Health.OK, f"{version}; its RDS model has {len(members)} members for a restore")
    detail = f"{version} is old: its RDS model has no {_NEW_MEMBER} for a restore"
    return Check("boto3", Health.WARNING, detail, "pip install --upgrade boto3")


def of_deployment(pipeline: Pipeline) -> Iterator[Check]:
    """Yield the checks of what a deployment consists of."""
    deployment, clients = pipeline.deployment, pipeline.clients
    region = deployment.region
    yield Check("deployment", Health.OK, f"{deployment.stack} in {region}")
    dynamodb = clients("dynamodb", region)
    yield judge("State table", _table, Table(dynamodb, deployment.state_table))
    yield judge("Audit table", _table, Table(dynamodb, deployment.audit_table))
    yield judge("state machine", _state_machine, pipeline)
    yield judge("functions", _functions, pipeline)
    yield judge("topic", _topic, pipeline)
    yield judge("key", _own_key, pipeline)


def _table(table: Table) -> str:
    if not table.exists():
        raise ConfigurationError(f"there is no table {table.name}", advice=_DEPLOY)
    return table.name


def _state_machine(pipeline: Pipeline) -> str:
    arn = pipeline.deployment.state_machine_arn
    describe = pipeline.clients("stepfunctions", pipeline.deployment.region).describe_state_machine
    answer = call(describe, tolerate=frozenset({"StateMachineDoesNotExist"}), stateMachineArn=arn)
    if answer is None or answer["status"] != "ACTIVE":
        state = answer["status"] if answer else "gone"
        raise ConfigurationError(f"the state machine {arn} is {state}", advice=_DEPLOY)
    return str(answer["name"])


def _functions(pipeline: Pipeline) -> str:
    describe = pipeline.clients("lambda", pipeline.deployment.region).get_function_configuration
    arns = {step.function_name: pipeline.deployment.functions.get(step.function_name) for step in Step}
    missing = [
        name
        for name, arn in arns.items()
        if arn is None or call(describe, tolerate=_NO_FUNCTION, FunctionName=arn) is None
    ]
    if missing:
        raise ConfigurationError(f"these functions do not exist: {', '.join(missing)}", advice=_DEPLOY)
    return f"all {len(arns)} exist"


def _topic(pipeline: Pipeline) -> str:
    arn = pipeline.deployment.topic_arn
    describe = pipeline.clients("sns", pipeline.deployment.region).get_topic_attributes
    if call(describe, tolerate=frozenset({"NotFound", "NotFoundException"}), TopicArn=arn) is None:
        raise ConfigurationError(f"there is no topic {arn}", advice=_DEPLOY)
    return arn


def _own_key(pipeline: Pipeline) -> str:
    key, region = pipeline.deployment.kms_key_arn, pipeline.deployment.region
    if key is None:
        return "the deployment has none of its own; AWS's keys are used"
    return Keys(pipeline.clients("kms", region), region).resolve(key)


def of_request(pipeline: Pipeline, request: RestoreRequest) -> Iterator[Check]:
    """Yield the checks of what a request names: clusters, snapshot, key, secrets, and the way to the target's port."""
    yield from _names(pipeline.deployment, request)
    world = pipeline.world()
    try:
        findings = examine(request, world)
    except AuroraRestoreError as error:
        yield Check("clusters", Health.FAILED, error.what, error.advice)
        return
    yield _source(request, findings)
    if findings.snapshot is not None:
        yield Check("snapshot", Health.OK, findings.snapshot.identifier)
    target = findings.target
    status = f"{target.identifier} is {target.status}" if target else f"{request.target.cluster} does not exist yet"
    yield Check("target", Health.OK, status)
    if findings.kms_key_arn is not None:
        yield Check("target's key", Health.OK, findings.kms_key_arn)
    yield from _secrets(request, world)
    if target is not None:
        yield _reach(target)
    for problem in findings.problems:
        yield Check("request", Health.FAILED, problem, "It would stop the operation before anything is changed")


def _names(deployment: Deployment, request: RestoreRequest) -> Iterator[Check]:
    """Yield a check for each name that IAM would deny; nothing of the embedded account, which denies nothing."""
    sources, targets = deployment.source_pattern, deployment.target_pattern
    if sources is None or targets is None or sources == "*":
        return
    # An older deployment does not tell the last two.
    secrets, iam_users = deployment.secret_pattern or "*", deployment.iam_user_pattern
    patterns = Patterns(sources, targets, secrets, "*" if iam_users is None else iam_users)
    for denial in denials(request, patterns):
        advice = f"Deploy with {denial.option}, or have the request name another {denial.kind}"
        yield Check("name", Health.FAILED, f"{denial.name} {denial.why}", advice)


def _source(request: RestoreRequest, findings: Findings) -> Check:
    name = f"{request.source.region}/{request.source.cluster}"
    if findings.source is None:
        return Check("source", Health.WARNING, f"there is no cluster {name}", "A snapshot of it is enough to restore")
    return Check("source", Health.OK, f"{name} is {findings.source.status}")


def _secrets(request: RestoreRequest, world: World) -> Iterator[Check]:
    secrets = world.secrets(request.target.region)

    def look(user: str, name: str) -> str:
        return f"{name} of {user} {'exists' if secrets.exists(name) else 'will be made'}"

    for user in request.users:
        if user.secret is not None:
            yield judge("secret", look, user.name, user.secret)


def _reach(target: Cluster) -> Check:
    place = f"{target.endpoint}:{target.port}"
    try:
        socket.create_connection((target.endpoint, target.port), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        detail = f"{place} does not answer from here: {error.strerror or type(error).__name__}"
        advice = "No harm: SetupDBUsers runs in the VPC. It needs a way to this port through the security groups"
        return Check("network", Health.WARNING, detail, advice)
    return Check("network", Health.OK, f"{place} answers")
