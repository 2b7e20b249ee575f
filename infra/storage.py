"""What outlives an operation: the key, the two tables, the topic, and the queue for what nobody could take."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb, aws_kms, aws_sns, aws_sqs
from constructs import Construct

from aurora_restore.store.operations import BY_TARGET
from infra.parameters import Parameters

# The attribute that store/lock.py gives to lock items only: nothing else ever expires.
LOCK_EXPIRY = "expires_at"
_DEAD_LETTERS_KEPT_S = 14 * 24 * 3600

Statement = dict[str, Any]


def add_key(scope: Construct, parameters: Parameters) -> str:
    """Make the key unless there is one already; return the ARN of the one that is used."""
    key = aws_kms.CfnKey(
        scope,
        "Key",
        description=cdk.Fn.sub("Tables, topic, queue and logs of ${AWS::StackName}"),
        enable_key_rotation=True,
        pending_window_in_days=30,
        key_policy={"Version": "2012-10-17", "Statement": _key_statements()},
    )
    alias = aws_kms.CfnAlias(scope, "KeyAlias", alias_name=cdk.Fn.sub("alias/${AWS::StackName}"), target_key_id=key.ref)
    for resource in (key, alias):
        resource.cfn_options.condition = parameters.makes_key
    # Without it the tables, which stay, could not be read any more. Its alias would be in the next stack's way.
    _keep(key)
    existing = parameters.existing_key_arn.value_as_string
    used: str = cdk.Fn.condition_if(parameters.makes_key.logical_id, key.attr_arn, existing).to_string()
    return used


def _key_statements() -> list[Statement]:
    root = cdk.Fn.sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")
    own_logs = [
        cdk.Fn.sub(f"arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:{name}")
        for name in ("/aws/lambda/${AWS::StackName}-*", "/aws/vendedlogs/states/${AWS::StackName}")
    ]
    return [
        # The account's IAM policies decide who uses and who manages the key, as with every key that is made by hand.
        {"Sid": "Account", "Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"},
        {
            "Sid": "OwnLogs",
            "Effect": "Allow",
            "Principal": {"Service": cdk.Fn.sub("logs.${AWS::Region}.amazonaws.com")},
            "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
            "Resource": "*",
            "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": own_logs}},
        },
        # AWS documents no condition that holds for these calls to KMS, and an alarm that could not use the key would be
        # lost without a word. Whose alarms and which rule may send, the policies of topic and queue say.
        {
            "Sid": "AlarmsToTopicAndEventsToQueue",
            "Effect": "Allow",
            "Principal": {"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Resource": "*",
        },
    ]


def add_state_table(scope: Construct, key_arn: str) -> aws_dynamodb.CfnTable:
    """Make the table of operations and locks, as ``store`` reads and writes it."""
    projection = aws_dynamodb.CfnTable.ProjectionProperty(projection_type="ALL")
    by_target = aws_dynamodb.CfnTable.GlobalSecondaryIndexProperty(
        index_name=BY_TARGET, key_schema=_keys("target", "requested_at"), projection=projection
    )
    table = aws_dynamodb.CfnTable(
        scope,
        "StateTable",
        key_schema=_keys("id"),
        attribute_definitions=[_attribute(name, "S") for name in ("id", "target", "requested_at")],
        global_secondary_indexes=[by_target],
        time_to_live_specification=aws_dynamodb.CfnTable.TimeToLiveSpecificationProperty(
            attribute_name=LOCK_EXPIRY, enabled=True
        ),
        **_protected(key_arn),
    )
    _keep(table)
    return table


def add_audit_table(scope: Construct, key_arn: str) -> aws_dynamodb.CfnTable:
    """Make the table of audit events. Nothing in it expires, and no function may change or delete what is in it."""
    table = aws_dynamodb.CfnTable(
        scope,
        "AuditTable",
        key_schema=_keys("operation_id", "sequence"),
        attribute_definitions=[_attribute("operation_id", "S"), _attribute("sequence", "N")],
        **_protected(key_arn),
    )
    _keep(table)
    return table


def _protected(key_arn: str) -> dict[str, Any]:
    return {
        "billing_mode": "PAY_PER_REQUEST",
        "deletion_protection_enabled": True,
        "point_in_time_recovery_specification": aws_dynamodb.CfnTable.PointInTimeRecoverySpecificationProperty(
            point_in_time_recovery_enabled=True
        ),
        "sse_specification": aws_dynamodb.CfnTable.SSESpecificationProperty(
            sse_enabled=True, sse_type="KMS", kms_master_key_id=key_arn
        ),
    }


def _keys(partition: str, sort: str | None = None) -> list[aws_dynamodb.CfnTable.KeySchemaProperty]:
    named = [(partition, "HASH"), *([(sort, "RANGE")] if sort else [])]
    return [aws_dynamodb.CfnTable.KeySchemaProperty(attribute_name=name, key_type=kind) for name, kind in named]


def _attribute(name: str, kind: str) -> aws_dynamodb.CfnTable.AttributeDefinitionProperty:
    return aws_dynamodb.CfnTable.AttributeDefinitionProperty(attribute_name=name, attribute_type=kind)


def add_topic(scope: Construct, parameters: Parameters, key_arn: str) -> aws_sns.CfnTopic:
    """Make the topic that tells how operations ended and which alarms are on."""
    topic = aws_sns.CfnTopic(scope, "Topic", kms_master_key_id=key_arn, display_name="Aurora Restore")
    _keep(topic)
    alarms = cdk.Fn.sub("arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:*")
    statements = [
        _tls_only("sns:Publish", topic.ref),
        {
            "Sid": "Alarms",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": topic.ref,
            "Condition": {
                "ArnLike": {"aws:SourceArn": alarms},
                "StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID},
            },
        },
    ]
    policy = aws_sns.CfnTopicPolicy(
        scope,
        "TopicPolicy",
        topics=[topic.ref],
        policy_document={"Version": "2012-10-17", "Statement": statements},
    )
    # It goes where the topic goes: a topic that stays without it would take messages sent in clear.
    _keep(policy)
    email = aws_sns.CfnSubscription(
        scope,
        "EmailSubscription",
        topic_arn=topic.ref,
        protocol="email",
        endpoint=parameters.alarm_email.value_as_string,
    )
    email.cfn_options.condition = parameters.has_email
    return topic


def add_dead_letters(scope: Construct, key_arn: str) -> aws_sqs.CfnQueue:
    """Make the queue for events and schedules that could not be delivered or handled, however often it was tried."""
    return aws_sqs.CfnQueue(
        scope, "DeadLetters", kms_master_key_id=key_arn, message_retention_period=_DEAD_LETTERS_KEPT_S
    )


def allow_dead_letters(scope: Construct, queue: aws_sqs.CfnQueue, rule_arn: str) -> None:
    """Let the rule put into the queue what it could not deliver, and nobody use the queue without TLS."""
    statements = [
        _tls_only("sqs:*", queue.attr_arn),
        {
            "Sid": "UndeliverableEvents",
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue.attr_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
        },
    ]
    aws_sqs.CfnQueuePolicy(
        scope,
        "DeadLettersPolicy",
        queues=[queue.ref],
        policy_document={"Version": "2012-10-17", "Statement": statements},
    )


def _tls_only(action: str, resource: str) -> Statement:
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resource,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _keep(resource: cdk.CfnResource) -> None:
    resource.apply_removal_policy(cdk.RemovalPolicy.RETAIN, apply_to_update_replace_policy=True)
