"""What the stack is made of, for whatever watches it."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import aws_dynamodb, aws_events, aws_lambda, aws_sns, aws_sqs, aws_stepfunctions

from aurora_restore.operation import Step


@dataclass(frozen=True, slots=True)
class Parts:
    """The stack's constructs; all are of CloudFormation's own level (L1), so that their logical ids are their names."""

    functions: Mapping[Step, aws_lambda.CfnFunction]
    state_machine: aws_stepfunctions.CfnStateMachine
    state_table: aws_dynamodb.CfnTable
    audit_table: aws_dynamodb.CfnTable
    topic: aws_sns.CfnTopic
    dead_letters: aws_sqs.CfnQueue
    ended_by_force: aws_events.CfnRule
