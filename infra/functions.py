"""The nine Lambda functions, each with its log group and its role."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_lambda, aws_logs
from constructs import Construct

from aurora_restore.operation import Step
from aurora_restore.workflow.definition import definition_text
from infra.acknowledgements import NO_OTHER_KEY, acknowledge
from infra.parameters import Parameters
from infra.permissions import PERMISSIONS
from infra.roles import add_role

_MEMORY_MB = 512
# A function ends before the state machine gives it up: what it says then is worth more than States.Timeout.
_MARGIN_S = 10


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every function is told and uses."""

    parameters: Parameters
    key_arn: str
    values: Mapping[str, str]
    environment: Mapping[str, str]
    dead_letters_arn: str
    network: aws_lambda.CfnFunction.VpcConfigProperty


def add_functions(scope: Construct, surroundings: Surroundings) -> dict[Step, aws_lambda.CfnFunction]:
    """Make the function of every step."""
    return {step: _add_function(scope, step, surroundings) for step in Step}


def _add_function(scope: Construct, step: Step, surroundings: Surroundings) -> aws_lambda.CfnFunction:
    parameters = surroundings.parameters
    name = f"${{AWS::StackName}}-{step.function_name}"
    log_group = add_log_group(scope, f"{step}Logs", f"/aws/lambda/{name}", surroundings)
    role = add_role(
        scope, f"{step}Role", service="lambda.amazonaws.com", statements=PERMISSIONS[step], values=surroundings.values
    )
    code = aws_lambda.CfnFunction.CodeProperty(
        s3_bucket=parameters.bundle_bucket.value_as_string, s3_key=parameters.bundle_key.value_as_string
    )
    function = aws_lambda.CfnFunction(
        scope,
        step.function_name,
        function_name=cdk.Fn.sub(name),
        description=f"Step {len(step.before) + 1} of 9 of an operation: {step}",
        runtime="python3.13",
        architectures=["arm64"],
        handler=f"aurora_restore.runtime.{step.module}_handler",
        code=code,
        role=role.attr_arn,
        memory_size=_MEMORY_MB,
        timeout=_state_timeout_s(step) - _MARGIN_S,
        environment=aws_lambda.CfnFunction.EnvironmentProperty(variables=dict(surroundings.environment)),
        tracing_config=aws_lambda.CfnFunction.TracingConfigProperty(mode="Active"),
        logging_config=aws_lambda.CfnFunction.LoggingConfigProperty(
            log_format="JSON", application_log_level="INFO", system_log_level="WARN", log_group=log_group.ref
        ),
    )
    acknowledge(
        function,
        "AwsSolutions-L1",
        "The bundle's compiled libraries are built for python3.13: a newer runtime cannot load them.",
    )
    if step is Step.SETUP_DB_USERS:
        function.vpc_config = surroundings.network
    if step is Step.SNS_NOTIFICATION:
        _protect_the_end(function, surroundings)
    return function


def _protect_the_end(function: aws_lambda.CfnFunction, surroundings: Surroundings) -> None:
    """Never let the function that ends operations wait for others, nor an event that it cannot handle vanish."""
    reserved = surroundings.parameters.notification_concurrency.value_as_number
    function.reserved_concurrent_executions = cdk.Token.as_number(
        cdk.Fn.condition_if(surroundings.parameters.reserves_concurrency.logical_id, reserved, cdk.Aws.NO_VALUE)
    )
    # It is the only one that is called without somebody who waits for the answer: by the rule.
    function.dead_letter_config = aws_lambda.CfnFunction.DeadLetterConfigProperty(
        target_arn=surroundings.dead_letters_arn
    )


def add_log_group(scope: Construct, id_: str, name: str, surroundings: Surroundings) -> aws_logs.CfnLogGroup:
    """Make a log group of the stack, encrypted, kept as long as the parameter says."""
    group = aws_logs.CfnLogGroup(
        scope,
        id_,
        log_group_name=cdk.Fn.sub(name),
        retention_in_days=surroundings.parameters.log_retention_days.value_as_number,
        kms_key_id=surroundings.key_arn,
    )
    acknowledge(group, *NO_OTHER_KEY)
    return group


def _state_timeout_s(step: Step) -> int:
    return int(json.loads(definition_text())["States"][step.value]["TimeoutSeconds"])
