"""The rule that ends an operation whose execution could not do it itself (I8)."""

from aws_cdk import aws_events, aws_lambda, aws_sqs, aws_stepfunctions
from constructs import Construct

_DELIVERY_ATTEMPTS = 185
_DELIVERY_AGE_S = 24 * 3600


def add_rule(
    scope: Construct,
    state_machine: aws_stepfunctions.CfnStateMachine,
    ends_operations: aws_lambda.CfnFunction,
    dead_letters: aws_sqs.CfnQueue,
) -> aws_events.CfnRule:
    """Send the events of executions that were stopped or timed out to the function that ends operations.

    Not of those that failed: they have been there already, or could not be told, and then an alarm rings.
    """
    target = aws_events.CfnRule.TargetProperty(
        id=ends_operations.logical_id,
        arn=ends_operations.attr_arn,
        dead_letter_config=aws_events.CfnRule.DeadLetterConfigProperty(arn=dead_letters.attr_arn),
        retry_policy=aws_events.CfnRule.RetryPolicyProperty(
            maximum_retry_attempts=_DELIVERY_ATTEMPTS, maximum_event_age_in_seconds=_DELIVERY_AGE_S
        ),
    )
    rule = aws_events.CfnRule(
        scope,
        "EndedByForce",
        description="An execution that was stopped or timed out cannot end its operation itself",
        event_pattern={
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {"stateMachineArn": [state_machine.ref], "status": ["ABORTED", "TIMED_OUT"]},
        },
        state="ENABLED",
        targets=[target],
    )
    aws_lambda.CfnPermission(
        scope,
        "EndedByForcePermission",
        action="lambda:InvokeFunction",
        function_name=ends_operations.ref,
        principal="events.amazonaws.com",
        # It names the account already; EventBridge is not documented to send aws:SourceAccount to Lambda.
        source_arn=rule.attr_arn,
    )
    return rule
