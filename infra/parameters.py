"""What the person who deploys chooses: CloudFormation's parameters, so that one template serves everybody."""

from dataclasses import dataclass

import aws_cdk as cdk
from constructs import Construct

from infra.acknowledgements import acknowledge

_CLUSTER_PATTERN = r"[a-z*?][a-z0-9*?-]{0,62}"
_CLUSTER_PATTERN_RULE = "Lower-case letters, digits, hyphens, and * or ? as wildcards; at most 63 characters"
# What AWS::Logs::LogGroup takes for RetentionInDays, from a month up: the nightly restore of last week must be there.
_RETENTION_DAYS = ("30", "60", "90", "120", "150", "180", "365", "400", "545", "731", "1827", "3653")

GROUPS = {
    "Clusters": ("SourcePattern", "TargetPattern", "SecretPattern", "IamUserPattern"),
    "Network of the function that sets up users": ("VpcId", "SubnetIds", "CreateEndpoints", "RouteTableIds"),
    "Telling people": ("AlarmEmail",),
    "Encryption, logs, limits": ("ExistingKeyArn", "LogRetentionDays", "NotificationConcurrency"),
    "Code": ("BundleBucket", "BundleKey"),
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters that the stack's constructs read, and the conditions made of them."""

    source_pattern: cdk.CfnParameter
    target_pattern: cdk.CfnParameter
    secret_pattern: str
    vpc_id: cdk.CfnParameter
    subnet_ids: cdk.CfnParameter
    create_endpoints: cdk.CfnParameter
    route_table_ids: cdk.CfnParameter
    alarm_email: cdk.CfnParameter
    existing_key_arn: cdk.CfnParameter
    log_retention_days: cdk.CfnParameter
    notification_concurrency: cdk.CfnParameter
    bundle_bucket: cdk.CfnParameter
    bundle_key: cdk.CfnParameter
    makes_key: cdk.CfnCondition
    makes_endpoints: cdk.CfnCondition
    has_email: cdk.CfnCondition
    reserves_concurrency: cdk.CfnCondition


def add_parameters(scope: Construct) -> Parameters:
    """Declare every parameter, with the rule that they keep among themselves."""
    existing_key_arn = _existing_key_arn(scope)
    create_endpoints = _create_endpoints(scope)
    route_table_ids = _route_table_ids(scope)
    alarm_email = _alarm_email(scope)
    concurrency = _notification_concurrency(scope)
    target_pattern = _cluster_pattern(scope, "TargetPattern", "Clusters that may be replaced: others never are.")
    _iam_user_pattern(scope)
    _route_tables_for_endpoints(scope, create_endpoints, route_table_ids)
    return Parameters(
        source_pattern=_cluster_pattern(scope, "SourcePattern", "Clusters that may be sources: never changed."),
        target_pattern=target_pattern,
        secret_pattern=_secret_pattern(scope, target_pattern),
        vpc_id=_vpc_id(scope),
        subnet_ids=_subnet_ids(scope),
        create_endpoints=create_endpoints,
        route_table_ids=route_table_ids,
        alarm_email=alarm_email,
        existing_key_arn=existing_key_arn,
        log_retention_days=_log_retention_days(scope),
        notification_concurrency=concurrency,
        bundle_bucket=_bundle_bucket(scope),
        bundle_key=_bundle_key(scope),
        makes_key=_condition(scope, "MakesKey", _is(existing_key_arn, "")),
        makes_endpoints=_condition(scope, "MakesEndpoints", _is(create_endpoints, "true")),
        has_email=_condition(scope, "HasEmail", cdk.Fn.condition_not(_is(alarm_email, ""))),
        reserves_concurrency=_condition(scope, "ReservesConcurrency", cdk.Fn.condition_not(_is(concurrency, "0"))),
    )


def _is(parameter: cdk.CfnParameter, value: str) -> cdk.ICfnRuleConditionExpression:
    return cdk.Fn.condition_equals(parameter.value_as_string, value)


def _condition(scope: Construct, name: str, expression: cdk.ICfnConditionExpression) -> cdk.CfnCondition:
    return cdk.CfnCondition(scope, name, expression=expression)


def _cluster_pattern(scope: Construct, name: str, description: str) -> cdk.CfnParameter:
    return cdk.CfnParameter(
        scope,
        name,
        type="String",
        description=f"{description} A name, with * and ? as wildcards.",
        allowed_pattern=_CLUSTER_PATTERN,
        constraint_description=_CLUSTER_PATTERN_RULE,
    )


def _secret_pattern(scope: Construct, targets: cdk.CfnParameter) -> str:
    parameter = cdk.CfnParameter(
        scope,
        "SecretPattern",
        type="String",
        default="",
        description="Secrets of database users that the pipeline may make and read. A name, with * as a wildcard. "
        "Empty: those whose names begin with a target's and a slash, such as orders-staging/app.",
        allowed_pattern=r"[A-Za-z0-9/_+=.@*?-]{0,512}",
        constraint_description="A secret's name: letters, digits, /_+=.@- and * or ? as wildcards; or nothing",
    )
    acknowledge(scope, "CloudFormation-Validate::W2509", "SecretPattern is a pattern of secrets' names, and no secret.")
    by_target = _condition(scope, "SecretsByTarget", _is(parameter, ""))
    by_name = f"{targets.value_as_string}/*"
    chosen: str = cdk.Fn.condition_if(by_target.logical_id, by_name, parameter.value_as_string).to_string()
    return chosen


def _iam_user_pattern(scope: Construct) -> None:
    cdk.CfnParameter(
        scope,
        "IamUserPattern",
        type="String",
        default="",
        description="Database users as whom the pipeline may log in with a token, for the request's checks. "
        "A name, with * as a wildcard. Empty: nobody.",
        allowed_pattern=r"[A-Za-z0-9_.@*?-]{0,63}",
        constraint_description="A database user's name: letters, digits, _.@- and * or ? as wildcards; or nothing",
    )


def _vpc_id(scope: Construct) -> cdk.CfnParameter:
    return cdk.CfnParameter(
        scope,
        "VpcId",
        type="AWS::EC2::VPC::Id",
        description="The VPC from which the targets' databases can be reached.",
    )


def _subnet_ids(scope: Construct) -> cdk.CfnParameter:
    return cdk.CfnParameter(
        scope,
        "SubnetIds",
        type="List<AWS::EC2::Subnet::Id>",
        description="Private subnets of that VPC, in two availability zones or more.",
    )


def _create_endpoints(scope: Construct) -> cdk.CfnParameter:
    return cdk.CfnParameter(
        scope,
        "CreateEndpoints",
        type="String",
        default="false",
        allowed_values=["true", "false"],
        description="true: make VPC endpoints for Secrets Manager and DynamoDB. "
        "false: the subnets reach both already, through endpoints of your own or a NAT gateway.",
    )


def _route_table_ids(scope: Construct) -> cdk.CfnParameter:
    return cdk.CfnParameter(
        scope,
        "RouteTableIds",
        type="String",
        default="",
        allowed_pattern=r"|rtb-[0-9a-f]+(,rtb-[0-9a-f]+)*",
        constraint_description="Ids of route tables with commas between them and no spaces, or nothing",
        description="With CreateEndpoints: the route tables of the subnets, for DynamoDB's gateway endpoint.",
    )


def _route_tables_for_endpoints(
    scope: Construct, create_endpoints: cdk.CfnParameter, route_table_ids: cdk.CfnParameter
) -> None:
    """Let a deployment fail at once, not its first operation, when the gateway endpoint would serve no subnet."""
    cdk.CfnRule(
        scope,
        "RouteTablesForEndpoints",
        rule_condition=_is(create_endpoints, "true"),
        assertions=[
            cdk.CfnRuleAssertion(
                assert_=cdk.Fn.condition_not(_is(route_table_ids, "")),
                assert_description="CreateEndpoints is true: RouteTableIds must name the subnets' route tables",
            )
        ],
    )


def _alarm_email(scope: Construct) -> cdk.CfnParameter:
    return cdk.CfnParameter(
        scope,
        "AlarmEmail",
        type="String",
        default="",
        allowed_pattern=r"|[^@\s]+@[^@\s]+\.[^@\s]+",
        constraint_description="An e-mail address, or nothing",
        description="Who is told how operations ended, and of alarms; AWS asks them to confirm. Empty: nobody yet.",
    )


def _existing_key_arn(scope: Construct) -> cdk.CfnParameter:
    return cdk.CfnParameter(
        scope,
        "ExistingKeyArn",
        type="String",
        default="",
        allowed_pattern=r"|arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+",
        constraint_description="The ARN of a KMS key (not an alias) of this region, or nothing",
        description="A KMS key to use in place of one of the stack's own; its policy must allow what Key's does. "
        "Empty: the stack makes one.",
    )


def _log_retention_days(scope: Construct) -> cdk.CfnParameter:
    return cdk.CfnParameter(
        scope,
        "LogRetentionDays",
        type="Number",
        default="90",
        allowed_values=list(_RETENTION_DAYS),
        description="How many days the functions' and the state machine's logs are kept.",
    )


def _notification_concurrency(scope: Construct) -> cdk.CfnParameter:
    return cdk.CfnParameter(
        scope,
        "NotificationConcurrency",
        type="Number",
        default=5,
        min_value=0,
        max_value=100,
        description="Concurrent executions reserved for the function that ends operations and frees locks. "
        "0: none, for an account whose Lambda quota is too small to reserve any.",
    )


def _bundle_bucket(scope: Construct) -> cdk.CfnParameter:
    return cdk.CfnParameter(
        scope,
        "BundleBucket",
        type="String",
        allowed_pattern=r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        constraint_description="An S3 bucket's name",
        description="The S3 bucket, in this region, that holds the functions' code.",
    )


def _bundle_key(scope: Construct) -> cdk.CfnParameter:
    return cdk.CfnParameter(
        scope,
        "BundleKey",
        type="String",
        allowed_pattern=r".{1,1024}",
        constraint_description="An S3 object's key",
        description="The code's key in it, as aurora-restore bundle wrote it.",
    )
