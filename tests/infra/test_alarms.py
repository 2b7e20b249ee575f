"""The alarms and the dashboard of the shipped template: what they watch exists, and what silence means was chosen."""

import json
import re
from typing import Any

import pytest
from infra.alarm_table import ALARMS, LOOKS_EVERY_MINUTES, THRESHOLDS, Alarm, Missing

from aurora_restore.cloudformation.freshness import (
    freshness_alarm,
    freshness_alarm_id,
    kept_schedules,
    longest_gap_h,
    scheduled,
)
from aurora_restore.measurements import NAMESPACE, Metric
from aurora_restore.operation import Step
from aurora_restore.request import RestoreRequest
from aurora_restore.steps.sns_notification import is_watch
from infra import alarm_table
from tests.infra.template import STACK, Deployed, Json, of_type, shipped
from tests.tidy.repository import ROOT, table_rows

# What AWS itself measures, and the dimensions by which it does; its user guides have these.
OF_AWS = {
    ("AWS/States", "ExecutionsStarted"): {"StateMachineArn"},
    ("AWS/States", "ExecutionsFailed"): {"StateMachineArn"},
    ("AWS/States", "ExecutionsAborted"): {"StateMachineArn"},
    ("AWS/States", "ExecutionsTimedOut"): {"StateMachineArn"},
    ("AWS/Lambda", "Errors"): {"FunctionName"},
    ("AWS/Lambda", "Throttles"): {"FunctionName"},
    ("AWS/SNS", "NumberOfNotificationsFailed"): {"TopicName"},
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): {"QueueName"},
}
TOPIC = "arn:aws:sns:us-west-2:123456789012:Topic"
PAGER = "arn:aws:sns:us-west-2:123456789012:pager"
COLUMNS = 24
# CloudWatch's own limits: of metrics in one alarm's formula, of a description.
MOST_METRICS, LONGEST_DESCRIPTION = 10, 1024

NIGHTLY = RestoreRequest.parse(
    {
        "name": "nightly",
        "source": {"cluster": "orders-prod", "region": "us-east-1"},
        "target": {"cluster": "orders-staging", "region": "us-west-2"},
    }
)

each_alarm = pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)


def made(alarm: Alarm, **given: Any) -> Json:
    return Deployed(given).properties(f"{alarm.name}Alarm")


def is_measured(namespace: str, metric: str, dimensions: set[str]) -> bool:
    """Say whether somebody measures this metric by exactly these dimensions."""
    if namespace != NAMESPACE:
        return OF_AWS.get((namespace, metric)) == dimensions
    return dimensions in [{each.value for each in by} for by in Metric(metric).by]


def metrics_of(properties: Json) -> list[Json]:
    """Return the metrics that an alarm reads, each as CloudFormation names it."""
    if "MetricName" in properties:
        return [properties]
    return [query["MetricStat"]["Metric"] for query in properties["Metrics"] if "MetricStat" in query]


def test_every_alarm_of_the_table_is_in_the_template_and_no_other_is() -> None:
    """Under its own name, so that its e-mail says which it is."""
    assert set(of_type("AWS::CloudWatch::Alarm")) == {f"{alarm.name}Alarm" for alarm in ALARMS}
    for alarm in ALARMS:
        assert made(alarm)["AlarmName"] == f"{STACK}-{alarm.name}"


def test_the_module_s_own_table_is_true() -> None:
    """Whoever reads its head knows every alarm, and what silence means for it."""
    shown = re.findall(r"^\| (\w+) +\|.*\| ([\w ]+?)(?::.*)? +\|$", str(alarm_table.__doc__), re.MULTILINE)
    words = {Missing.FINE: "fine", Missing.SAID: "said", Missing.AS_BEFORE: "as before", Missing.ON: "on"}
    assert shown[1:] == [*((alarm.name, words[alarm.missing]) for alarm in ALARMS), ("NoSuccess", words[Missing.ON])]


@each_alarm
def test_an_alarm_watches_what_is_measured(alarm: Alarm) -> None:
    """A metric that nobody writes, or not by these dimensions, would never ring."""
    metrics = metrics_of(made(alarm))
    assert 1 <= len(metrics) <= MOST_METRICS
    for metric in metrics:
        dimensions = {each["Name"]: each["Value"] for each in metric["Dimensions"]}
        assert is_measured(metric["Namespace"], metric["MetricName"], set(dimensions))
        assert all(dimensions.values())
        if metric["Namespace"] == NAMESPACE:
            assert dimensions["Stack"] == STACK


@each_alarm
def test_an_alarm_tells_people_and_says_where_to_read_on(alarm: Alarm) -> None:
    """The stack's topic, and the operator's own when there is one."""
    properties = made(alarm)
    assert properties["AlarmActions"] == [TOPIC]
    assert made(alarm, AlarmTopicArn=PAGER)["AlarmActions"] == [TOPIC, PAGER]
    assert properties["AlarmDescription"].endswith(f"What to do: {alarm.runbook}")
    assert len(properties["AlarmDescription"]) <= LONGEST_DESCRIPTION
    assert (ROOT / alarm.runbook).is_file()


@each_alarm
def test_what_silence_means_was_chosen(alarm: Alarm) -> None:
    """Where nothing is measured, an event did not happen; a state is unknown, and that is told."""
    properties = made(alarm)
    assert properties["TreatMissingData"] == alarm.missing
    assert properties.get("InsufficientDataActions") == ([TOPIC] if alarm.missing is Missing.SAID else None)
    assert properties.get("OKActions") == ([TOPIC] if alarm.is_a_state else None)
    by_the_clock = {Metric.OPERATION_AGE_MINUTES, Metric.LOCK_AGE_MINUTES}
    watched = {metric["MetricName"] for metric in metrics_of(properties)}
    assert (alarm.missing is Missing.SAID) == bool(watched & by_the_clock)


@each_alarm
def test_a_formula_reads_every_metric_and_misses_none_that_has_no_value(alarm: Alarm) -> None:
    """One function without errors must not hide the errors of the others."""
    properties = made(alarm)
    if "Metrics" not in properties:
        return
    formula, *queries = properties["Metrics"]
    names = {query["Id"] for query in queries}
    assert set(re.findall(r"\bm\d+\b", formula["Expression"])) == names
    assert [query["ReturnData"] for query in (formula, *queries)] == [True, *[False] * len(queries)]
    if len(queries) > 1:
        assert formula["Expression"] == " + ".join(
            f"FILL({name}, 0)" for name in sorted(names, key=lambda n: int(n[1:]))
        )


@each_alarm
def test_a_threshold_is_the_operator_s_where_only_they_can_know(alarm: Alarm) -> None:
    """The parameter, with a default that is given a reason."""
    threshold = alarm.threshold
    assert float(made(alarm)["Threshold"]) == threshold.default
    assert threshold.why
    if threshold.parameter is not None:
        assert made(alarm, **{threshold.parameter: 17})["Threshold"] == 17


def test_the_parameters_are_in_the_template_with_their_bounds() -> None:
    """And explained to whoever deploys."""
    for threshold in THRESHOLDS:
        parameter = shipped()["Parameters"][threshold.parameter]
        assert (parameter["Type"], parameter["Default"]) == ("Number", threshold.default)
        assert parameter["MinValue"] <= threshold.default <= parameter["MaxValue"]
        assert parameter["Description"] == threshold.description


def test_archives_are_out_of_bounds_below_the_fewest_and_above_the_most() -> None:
    """The formula with the operator's numbers in it."""
    alarm = next(alarm for alarm in ALARMS if alarm.name == "ArchivesOutOfBounds")
    formula = made(alarm, FewestArchives=2, MostArchives=9)["Metrics"][0]
    assert formula["Expression"] == "IF(m1 < 2 OR m1 > 9, 1, 0)"


def test_alarms_on_steps_read_every_step() -> None:
    """A new step is watched at once."""
    for name in ("FunctionsFailing", "Throttled"):
        alarm = next(alarm for alarm in ALARMS if alarm.name == name)
        of_lambda = [metric for metric in metrics_of(made(alarm)) if metric["Namespace"] == "AWS/Lambda"]
        assert len(of_lambda) == len(Step)
        assert len({metric["Dimensions"][0]["Value"] for metric in of_lambda}) == len(Step)


def test_somebody_looks_by_the_clock() -> None:
    """I3: a lock that is left calls no function; a rule has the last one look, with the event that it knows."""
    rule = Deployed().properties("LookAround")
    assert rule["ScheduleExpression"] == f"rate({LOOKS_EVERY_MINUTES} minutes)"
    (target,) = rule["Targets"]
    assert target["Arn"].endswith(f"{STACK}-{Step.SNS_NOTIFICATION.function_name}")
    assert is_watch(json.loads(target["Input"]))
    permission = Deployed().properties("LookAroundPermission")
    assert permission["SourceArn"].endswith("rule/LookAround")
    for alarm in ALARMS:
        if alarm.missing is Missing.SAID:
            assert alarm.period_s >= 2 * LOOKS_EVERY_MINUTES * 60


def test_a_schedule_s_alarm_watches_the_age_of_its_target() -> None:
    """On without any measurement: that nothing ran is what it is for."""
    alarm = freshness_alarm(NIGHTLY, "cron(10 3 * * ? *)")
    assert alarm is not None
    assert freshness_alarm_id(NIGHTLY).isalnum()
    template = {**shipped(), "Resources": {**shipped()["Resources"], "Fresh": alarm}}
    properties = Deployed({"AlarmTopicArn": PAGER}, template).properties("Fresh")
    dimensions = {each["Name"]: each["Value"] for each in properties["Dimensions"]}
    assert is_measured(properties["Namespace"], properties["MetricName"], set(dimensions))
    assert dimensions == {"Stack": STACK, "Target": "us-west-2/orders-staging"}
    assert (properties["Threshold"], properties["TreatMissingData"]) == (28, "breaching")
    assert properties["Tags"] == [{"Key": "aurora-restore:stack", "Value": STACK}]
    assert properties["AlarmActions"] == [TOPIC, PAGER]
    assert properties["AlarmName"] == f"{STACK}-NoSuccess-nightly"


@pytest.mark.parametrize(
    ("expression", "hours"),
    [
        ("rate(1 day)", 24),
        ("rate(90 minutes)", 1.5),
        ("cron(10 3 * * ? *)", 24),
        ("cron(0 */6 * * ? *)", 24),
        ("cron(10 3 ? * MON-FRI *)", 72),
        ("cron(10 3 ? * FRI-MON *)", 96),
        ("cron(10 3 ? * 2,4,6 *)", 72),
        ("cron(10 3 ? * SUN *)", 168),
        ("cron(0 0 1 * ? *)", 744),
        ("cron(0 0 ? * 6L *)", 744),
        ("cron(0 0 ? 1 2 *)", None),
        ("at(2027-01-31T03:10:00)", None),
    ],
)
def test_the_longest_gap_of_a_schedule_is_known(expression: str, hours: float | None) -> None:
    """Rather too long than too short: an alarm that rings each Monday is not heard on Tuesday."""
    assert longest_gap_h(expression) == hours
    assert (freshness_alarm(NIGHTLY, expression) is None) == (hours is None)


def test_a_schedule_that_is_replaced_takes_its_alarm_along() -> None:
    """One that starts once has none; the others of the stack stay with theirs."""
    weekly = NIGHTLY.model_copy(update={"name": "weekly"})
    before = {**scheduled(NIGHTLY, "rate(1 day)"), **scheduled(weekly, "rate(7 days)")}
    assert len(before) == 4
    resources = {**shipped()["Resources"], **before}
    once = scheduled(NIGHTLY, "at(2027-01-31T03:10:00)")
    assert len(once) == 1
    assert kept_schedules(resources, once) == scheduled(weekly, "rate(7 days)")
    assert kept_schedules(resources, {}) == before


# The dashboard


def dashboard() -> list[Json]:
    """Return its widgets."""
    widgets: list[Json] = json.loads(Deployed().properties("Dashboard")["DashboardBody"])["widgets"]
    return widgets


def test_the_dashboard_s_widgets_lie_in_24_columns_and_on_none_other() -> None:
    """What is hidden answers nothing."""
    taken: set[tuple[int, int]] = set()
    for widget in dashboard():
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < COLUMNS
        taken |= cells
    rows = {y for _, y in taken}
    assert len(taken) == COLUMNS * len(rows), "no row has a gap"


def test_the_dashboard_shows_metrics_that_are_measured() -> None:
    """By exactly their dimensions, or by a search over one of them."""
    shown = [line for widget in dashboard() for line in widget["properties"].get("metrics", [])]
    assert len(shown) > len(Step)
    for line in shown:
        if isinstance(line[0], dict):
            found = re.match(
                r"SEARCH\('{(\w+),(\w+),(\w+)} Stack=\"(.+)\" MetricName=\"(\w+)\"'", line[0]["expression"]
            )
            assert found
            assert found[4] == STACK
            assert is_measured(found[1], found[5], {found[2], found[3]})
        else:
            namespace, metric, *pairs, _ = line
            assert is_measured(namespace, metric, set(pairs[::2])), line


def test_the_dashboard_answers_its_questions() -> None:
    """What is wrong, what runs, what failed last, how long each step takes, how old each restore is."""
    by_kind = [(widget["type"], widget["properties"]) for widget in dashboard()]
    (alarms,) = [properties["alarms"] for kind, properties in by_kind if kind == "alarm"]
    assert len(alarms) == len(ALARMS)
    text = json.dumps([properties for _, properties in by_kind])
    for metric in (Metric.OPERATIONS_RUNNING, Metric.RESTORE_AGE_HOURS, Metric.STEP_DURATION):
        assert metric in text
    for step in Step:
        assert f'"Step", "{step}"' in text


def test_the_last_failures_are_looked_for_in_every_function_s_log() -> None:
    """With the words that the runtime logs; what is retried is no failure."""
    (query,) = [widget["properties"]["query"] for widget in dashboard() if widget["type"] == "log"]
    groups = re.findall(r"SOURCE '([^']+)'", query)
    assert groups == [f"/aws/lambda/{STACK}-{step.function_name}" for step in Step]
    runtime = (ROOT / "src" / "aurora_restore" / "runtime.py").read_text()
    for message in re.findall(r"message in \[([^\]]+)\]", query)[0].replace("'", "").split(", "):
        assert f'"{message}"' in runtime
    assert "'ThrottledError'" in query
    assert "'PreflightError'" not in query


# The reference


def test_every_metric_is_described_with_its_unit_and_dimensions() -> None:
    """docs/reference/metrics.md and the code agree in both directions."""
    rows = table_rows(ROOT / "docs" / "reference" / "metrics.md")
    described = {row[0].strip("`"): (row[1], row[2]) for row in rows}
    assert len(described) == len(rows)
    assert described == {
        metric.value: (
            metric.unit.value,
            "; ".join(", ".join(f"`{dimension}`" for dimension in by) for by in metric.by),
        )
        for metric in Metric
    }
