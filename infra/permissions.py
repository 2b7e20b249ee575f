"""What each role of the stack may do in AWS, on what, and why: the whole table, to be read from top to bottom.

The roles have these statements and no others. First what every function has and what is denied to all of them, then
step by step ``source_permissions`` and ``target_permissions``. At the end the two roles that AWS's own services take.
``resources`` says what the names r.… stand for. docs/decisions/0011 says why it is cut this way; the tests prove on the
calls of whole operations that nothing is missing and nothing is too much, and docs/reference/permissions.md shows it.
"""

from collections.abc import Mapping

from aurora_restore.operation import Step
from infra import resources as r
from infra import source_permissions as source
from infra import target_permissions as target
from infra.statements import BY_LAMBDA, Statement, allow, deny_all_but

_BY_SERVICE = "The service makes these calls itself."


def _of_every_function(step: Step) -> tuple[Statement, ...]:
    return (
        allow(
            "ReadState", "dynamodb:GetItem", on=[r.STATE_TABLE], why="The operation's record, and the target's lock."
        ),
        allow(
            "WriteState",
            "dynamodb:PutItem",
            on=[r.STATE_TABLE],
            why="Each change of the record, conditional on the version that was read.",
        ),
        allow(
            "AppendToAudit",
            "dynamodb:PutItem",
            on=[r.AUDIT_TABLE],
            when=r.IN_A_TRANSACTION,
            why="Each event goes out in one transaction with the record, and in no other way (I5).",
        ),
        allow(
            "ReadTables",
            "kms:Decrypt",
            on=[r.OWN_KEY],
            when=r.through("dynamodb"),
            why="The tables are encrypted: DynamoDB uses the key with the rights of whoever asks.",
        ),
        allow(
            "WriteLog",
            "logs:CreateLogStream logs:PutLogEvents",
            on=[r.log_group(step.function_name)],
            why="Its own log group, which the stack makes.",
            unseen=BY_LAMBDA,
        ),
        allow(
            "Trace",
            "xray:PutTraceSegments xray:PutTelemetryRecords",
            why="Active tracing. X-Ray knows no resources here.",
            unseen=BY_LAMBDA,
        ),
        deny_all_but(
            "NeverRewriteAudit",
            "dynamodb:PutItem",
            on=[r.AUDIT_TABLE],
            why="The audit is only ever appended to (I5), whatever else is allowed, now or by a later policy.",
        ),
        *_never_change_the_source(step),
    )


# What a function may do to a source in spite of the Deny: step 1 looks at it, and may ask for a snapshot of it.
_ON_SOURCES = {
    Step.SNAPSHOT_CHECK: "rds:DescribeDBClusters rds:DescribeDBClusterSnapshots rds:CreateDBClusterSnapshot",
}
# And to instances that are named after one: a target that is named after its source (orders, orders-staging) has such.
_ON_SOURCE_INSTANCES = {
    Step.SNAPSHOT_CHECK: "rds:DescribeDBInstances",
    Step.CHECK_RESTORE_STATUS: "rds:CreateDBInstance rds:AddTagsToResource",
}


def _never_change_the_source(step: Step) -> tuple[Statement, ...]:
    return (
        deny_all_but(
            "NeverChangeSource",
            _ON_SOURCES.get(step, ""),
            on=[r.SOURCE_CLUSTERS],
            why="I1, even if the code is wrong, the target's pattern covers the source, or a later policy allows all.",
        ),
        deny_all_but(
            "NeverChangeSourceInstances",
            _ON_SOURCE_INSTANCES.get(step, ""),
            on=r.SOURCE_INSTANCES,
            when=r.IS_NOT_OURS if step is Step.DELETE_RDS else None,
            why="I1 for instances that are named after a source. Those that this stack made may be deleted again."
            if step is Step.DELETE_RDS
            else "I1 for instances that are named after a source.",
        ),
    )


_BY_STEP: Mapping[Step, tuple[Statement, ...]] = {
    Step.SNAPSHOT_CHECK: source.SNAPSHOT_CHECK,
    Step.COPY_SNAPSHOT: source.COPY_SNAPSHOT,
    Step.CHECK_COPY_STATUS: source.CHECK_COPY_STATUS,
    Step.DELETE_RDS: target.DELETE_RDS,
    Step.RESTORE_SNAPSHOT: target.RESTORE_SNAPSHOT,
    Step.CHECK_RESTORE_STATUS: target.CHECK_RESTORE_STATUS,
    Step.SETUP_DB_USERS: target.SETUP_DB_USERS,
    Step.ARCHIVE_SNAPSHOT: target.ARCHIVE_SNAPSHOT,
    Step.SNS_NOTIFICATION: target.SNS_NOTIFICATION,
}

PERMISSIONS: Mapping[Step, tuple[Statement, ...]] = {
    step: (*_of_every_function(step), *_BY_STEP[step]) for step in Step
}

STATE_MACHINE = (
    allow(
        "CallFunctions",
        "lambda:InvokeFunction",
        on=[f"${{{step.function_name}.Arn}}" for step in Step],
        why="Each state calls its function, and no other.",
    ),
    allow(
        "DeliverLog",
        "logs:CreateLogDelivery logs:GetLogDelivery logs:UpdateLogDelivery logs:DeleteLogDelivery "
        "logs:ListLogDeliveries logs:PutResourcePolicy logs:DescribeResourcePolicies logs:DescribeLogGroups",
        why="What AWS asks for so that Step Functions can log. CloudWatch Logs knows no resources for these.",
        unseen=_BY_SERVICE,
    ),
    allow(
        "Trace",
        "xray:PutTraceSegments xray:PutTelemetryRecords xray:GetSamplingRules xray:GetSamplingTargets",
        why="Active tracing. X-Ray knows no resources here.",
        unseen=_BY_SERVICE,
    ),
)

SCHEDULER = (
    allow(
        "StartOperations", "states:StartExecution", on=["${StateMachine}"], why="A schedule starts the state machine."
    ),
    allow(
        "KeepLostStarts",
        "sqs:SendMessage",
        on=[r.DEAD_LETTERS],
        why="A start that could not be delivered, however often it was tried.",
        unseen=_BY_SERVICE,
    ),
    allow(
        "EncryptLostStarts",
        "kms:GenerateDataKey kms:Decrypt",
        on=[r.OWN_KEY],
        when=r.through("sqs"),
        why="The queue is encrypted: SQS uses the key with the rights of whoever sends.",
        unseen=_BY_SERVICE,
    ),
)
