"""The stack: everything that a deployment of the pipeline consists of."""

import json

import aws_cdk as cdk
from aws_cdk import aws_ssm
from constructs import Construct

from aurora_restore import names
from aurora_restore.operation import Step
from infra.alarms import PARAMETERS as ALARM_PARAMETERS
from infra.alarms import add_alarms
from infra.dashboard import add_dashboard
from infra.events import add_rule
from infra.functions import Surroundings, add_functions, add_log_group
from infra.network import add_network
from infra.parameters import GROUPS, add_parameters
from infra.parts import Parts
from infra.permissions import STATE_MACHINE
from infra.roles import add_role
from infra.schedules import Schedule, add_schedules
from infra.storage import add_audit_table, add_dead_letters, add_key, add_state_table, add_topic, allow_dead_letters
from infra.workflow import add_state_machine


def add_pipeline(scope: Construct, schedules: tuple[Schedule, ...] = ()) -> Parts:
    """Make the pipeline in a stack, with these schedules, and return what it is made of."""
    parameters = add_parameters(scope)
    key_arn = add_key(scope, parameters)
    state_table = add_state_table(scope, key_arn)
    audit_table = add_audit_table(scope, key_arn)
    topic = add_topic(scope, parameters, key_arn)
    dead_letters = add_dead_letters(scope, key_arn)
    environment = {
        "AURORA_RESTORE_STACK": cdk.Aws.STACK_NAME,
        "AURORA_RESTORE_STATE_TABLE": state_table.ref,
        "AURORA_RESTORE_AUDIT_TABLE": audit_table.ref,
        "AURORA_RESTORE_TOPIC_ARN": topic.ref,
    }
    values = {"KeyArn": key_arn, "SecretPattern": parameters.secret_pattern}
    surroundings = Surroundings(
        parameters=parameters,
        key_arn=key_arn,
        values=values,
        environment=environment,
        dead_letters_arn=dead_letters.attr_arn,
        network=add_network(scope, parameters),
    )
    functions = add_functions(scope, surroundings)
    machine_role = add_role(
        scope, "StateMachineRole", service="states.amazonaws.com", statements=STATE_MACHINE, values=values
    )
    machine_logs = add_log_group(scope, "StateMachineLogs", "/aws/vendedlogs/states/${AWS::StackName}", surroundings)
    state_machine = add_state_machine(scope, functions, machine_role.attr_arn, machine_logs)
    add_schedules(scope, schedules, values)
    rule = add_rule(scope, state_machine, functions[Step.SNS_NOTIFICATION], dead_letters)
    allow_dead_letters(scope, dead_letters, rule.attr_arn)
    parts = Parts(
        functions=functions,
        state_machine=state_machine,
        state_table=state_table,
        audit_table=audit_table,
        topic=topic,
        dead_letters=dead_letters,
        ended_by_force=rule,
    )
    _describe_deployment(scope, parts, values)
    add_alarms(scope, parts)
    add_dashboard(scope)
    return parts


def _describe_deployment(scope: Construct, parts: Parts, values: dict[str, str]) -> None:
    """Make the SSM parameter by which the commands find everything: ``aws/deployment.py`` reads it."""
    deployment = {
        "stack": "${AWS::StackName}",
        "region": "${AWS::Region}",
        "state_machine_arn": "${StateMachine}",
        "state_table": "${StateTable}",
        "audit_table": "${AuditTable}",
        "topic_arn": "${Topic}",
        "kms_key_arn": "${KeyArn}",
        "source_pattern": "${SourcePattern}",
        "target_pattern": "${TargetPattern}",
        "secret_pattern": "${SecretPattern}",
        "iam_user_pattern": "${IamUserPattern}",
        "functions": {step.function_name: f"${{{step.function_name}.Arn}}" for step in parts.functions},
    }
    aws_ssm.CfnParameter(
        scope,
        "Deployment",
        name=cdk.Fn.sub(names.parameter_name("${AWS::StackName}")),
        description="What the deployment of aurora-restore consists of",
        type="String",
        value=cdk.Fn.sub(json.dumps(deployment), values),
    )


def interface() -> dict[str, object]:
    """Return how consoles show the parameters."""
    groups = [
        {"Label": {"default": label}, "Parameters": list(members)}
        for label, members in {**GROUPS, "Alarms": ALARM_PARAMETERS}.items()
    ]
    return {"AWS::CloudFormation::Interface": {"ParameterGroups": groups}}
