"""Makes the alarms of ``alarm_table.py``, and the rule that has somebody look how things stand."""

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch, aws_events, aws_lambda
from constructs import Construct

from aurora_restore.operation import Step
from infra.acknowledgements import NO_OTHER_TOPIC, acknowledge
from infra.alarm_table import ALARMS, LOOKS_EVERY_MINUTES, THRESHOLDS, Alarm, Measure, Missing, Threshold
from infra.parts import Parts

PARAMETERS = (*(str(each.parameter) for each in THRESHOLDS), "AlarmTopicArn")
"""The names of the parameters that are declared here."""


def add_alarms(scope: Construct, parts: Parts) -> None:
    """Make every alarm of the table, each telling the stack's topic and, if there is one, the operator's own."""
    other = _alarm_topic(scope)
    has_other = cdk.CfnCondition(
        scope, "HasAlarmTopic", expression=cdk.Fn.condition_not(cdk.Fn.condition_equals(other.value_as_string, ""))
    )
    told = [
        parts.topic.ref,
        cdk.Fn.condition_if(has_other.logical_id, other.value_as_string, cdk.Aws.NO_VALUE).to_string(),
    ]
    thresholds = {str(each.parameter): _parameter(scope, each) for each in THRESHOLDS}
    for alarm in ALARMS:
        _add_alarm(scope, alarm, thresholds, told)
    _add_look(scope, parts)


def _alarm_topic(scope: Construct) -> cdk.CfnParameter:
    return cdk.CfnParameter(
        scope,
        "AlarmTopicArn",
        type="String",
        default="",
        allowed_pattern=r"|arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+",
        constraint_description="The ARN of an SNS topic of this region, or nothing",
        description="A topic of your own that hears the alarms too: it still does when the stack's own is what broke.",
    )


def _parameter(scope: Construct, threshold: Threshold) -> cdk.CfnParameter:
    return cdk.CfnParameter(
        scope,
        str(threshold.parameter),
        type="Number",
        default=threshold.default,
        min_value=min(threshold.default, 1),
        max_value=threshold.most,
        description=threshold.description,
    )


def _add_alarm(scope: Construct, alarm: Alarm, thresholds: Mapping[str, cdk.CfnParameter], told: list[str]) -> None:
    chosen = alarm.threshold.parameter
    made = aws_cloudwatch.CfnAlarm(
        scope,
        f"{alarm.name}Alarm",
        alarm_name=cdk.Fn.sub(f"${{AWS::StackName}}-{alarm.name}"),
        alarm_description=alarm.description,
        comparison_operator="GreaterThanOrEqualToThreshold",
        threshold=alarm.threshold.default if chosen is None else thresholds[chosen].value_as_number,
        evaluation_periods=1,
        treat_missing_data=alarm.missing.value,
        alarm_actions=told,
        ok_actions=told if alarm.is_a_state else None,
        insufficient_data_actions=told if alarm.missing is Missing.SAID else None,
        **_watched(alarm),
    )
    acknowledge(made, *NO_OTHER_TOPIC)


def _watched(alarm: Alarm) -> dict[str, Any]:
    """Return what the alarm reads: its metric, or the formula over all of them."""
    if len(alarm.measures) == 1 and alarm.formula is None:
        (measure,) = alarm.measures
        return {
            "namespace": measure.namespace,
            "metric_name": measure.metric,
            "dimensions": [
                aws_cloudwatch.CfnAlarm.DimensionProperty(name=name, value=_resolved(value))
                for name, value in measure.dimensions.items()
            ],
            "statistic": measure.statistic,
            "period": alarm.period_s,
        }
    queries = [_query(f"m{number}", each, alarm.period_s) for number, each in enumerate(alarm.measures, start=1)]
    formula = aws_cloudwatch.CfnAlarm.MetricDataQueryProperty(
        id="formula", expression=_formula(alarm), label=alarm.name, return_data=True
    )
    return {"metrics": [formula, *queries]}


def _formula(alarm: Alarm) -> str:
    if alarm.formula is not None:
        return str(cdk.Fn.sub(alarm.formula))
    # Without FILL a sum has no value where one of its parts has none.
    return " + ".join(f"FILL(m{number}, 0)" for number in range(1, len(alarm.measures) + 1))


def _query(name: str, measure: Measure, period_s: int) -> aws_cloudwatch.CfnAlarm.MetricDataQueryProperty:
    metric = aws_cloudwatch.CfnAlarm.MetricProperty(
        namespace=measure.namespace,
        metric_name=measure.metric,
        dimensions=[
            aws_cloudwatch.CfnAlarm.DimensionProperty(name=key, value=_resolved(value))
            for key, value in measure.dimensions.items()
        ],
    )
    stat = aws_cloudwatch.CfnAlarm.MetricStatProperty(metric=metric, period=period_s, stat=measure.statistic)
    return aws_cloudwatch.CfnAlarm.MetricDataQueryProperty(id=name, metric_stat=stat, return_data=False)


def _resolved(value: str) -> str:
    return cdk.Fn.sub(value) if "${" in value else value


def _add_look(scope: Construct, parts: Parts) -> None:
    """Have SNSNotification look how things stand: the one function that is called without an execution already."""
    function = parts.functions[Step.SNS_NOTIFICATION]
    rule = aws_events.CfnRule(
        scope,
        "LookAround",
        description="What stands still calls no function: somebody must look",
        schedule_expression=f"rate({LOOKS_EVERY_MINUTES} minutes)",
        state="ENABLED",
        # No dead letter: the next look comes by itself, and alarms say when none does.
        targets=[
            aws_events.CfnRule.TargetProperty(id=function.logical_id, arn=function.attr_arn, input='{"watch": true}')
        ],
    )
    aws_lambda.CfnPermission(
        scope,
        "LookAroundPermission",
        action="lambda:InvokeFunction",
        function_name=function.ref,
        principal="events.amazonaws.com",
        # It names the account already; EventBridge is not documented to send aws:SourceAccount to Lambda.
        source_arn=rule.attr_arn,
    )
