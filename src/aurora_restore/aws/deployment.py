"""A deployment describes itself in one SSM parameter, so that a stack's name is all that the CLI needs."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from aurora_restore import names
from aurora_restore.aws.door import call, demand
from aurora_restore.errors import ConfigurationError, DeploymentNotFoundError


class Deployment(BaseModel):
    """What ``/aurora-restore/<stack>`` holds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    stack: str
    region: str
    state_machine_arn: str
    state_table: str
    audit_table: str
    topic_arn: str
    kms_key_arn: str | None = None
    # Which clusters the functions' roles take as sources and as targets, which secrets they may make and read, and as
    # which users they may log in with a token.
    source_pattern: str | None = None
    target_pattern: str | None = None
    secret_pattern: str | None = None
    iam_user_pattern: str | None = None
    functions: dict[str, str] = {}


def read_deployment(client: Any, stack: str) -> Deployment:
    """Return the deployment of a stack; raises DeploymentNotFoundError, or ConfigurationError when it is damaged."""
    name = names.parameter_name(stack)
    answer = call(client.get_parameter, tolerate=frozenset({"ParameterNotFound"}), Name=name)
    if answer is None:
        raise DeploymentNotFoundError(
            f"there is no pipeline here: the SSM parameter {name} does not exist in {client.meta.region_name}",
            advice="Choose the right region, account and --stack; or rehearse first: aurora-restore serve",
        )
    try:
        return Deployment.model_validate_json(answer["Parameter"]["Value"])
    except ValidationError as error:
        broken = ", ".join(str(detail["loc"][0]) for detail in error.errors() if detail["loc"]) or "not JSON"
        raise ConfigurationError(f"the SSM parameter {name} is damaged: {broken}", advice="Deploy again") from None


def write_deployment(client: Any, deployment: Deployment) -> None:
    """Store what a deployment says of itself."""
    name = names.parameter_name(deployment.stack)
    demand(client.put_parameter, Name=name, Value=deployment.model_dump_json(), Type="String", Overwrite=True)
