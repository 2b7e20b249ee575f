"""The state machine: the one definition, as it is written, with the functions filled in by CloudFormation."""

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_lambda, aws_logs, aws_stepfunctions
from constructs import Construct

from aurora_restore.operation import Step
from aurora_restore.workflow.definition import definition_text


def add_state_machine(
    scope: Construct,
    functions: Mapping[Step, aws_lambda.CfnFunction],
    role_arn: str,
    log_group: aws_logs.CfnLogGroup,
) -> aws_stepfunctions.CfnStateMachine:
    """Make the state machine. The definition stays a literal, which people, cfn-lint and the embedded account read."""
    destination = aws_stepfunctions.CfnStateMachine.LogDestinationProperty(
        cloud_watch_logs_log_group=aws_stepfunctions.CfnStateMachine.CloudWatchLogsLogGroupProperty(
            log_group_arn=log_group.attr_arn
        )
    )
    return aws_stepfunctions.CfnStateMachine(
        scope,
        "StateMachine",
        state_machine_name=cdk.Aws.STACK_NAME,
        state_machine_type="STANDARD",
        role_arn=role_arn,
        definition_string=definition_text(),
        definition_substitutions={step.function_name: function.attr_arn for step, function in functions.items()},
        tracing_configuration=aws_stepfunctions.CfnStateMachine.TracingConfigurationProperty(enabled=True),
        # Every transition, and no data (I6): a request is whatever its user wrote into it, and logs are read by more
        # people, and shipped to more places, than executions are. Who may see the data has the execution's history.
        logging_configuration=aws_stepfunctions.CfnStateMachine.LoggingConfigurationProperty(
            level="ALL", include_execution_data=False, destinations=[destination]
        ),
    )
