"""The alarms: what each watches, from when on it is on, and why so. Data, without CDK; ``alarms.py`` makes them.

| Alarm               | Is on when                                                           | With nothing measured |
| ------------------- | -------------------------------------------------------------------- | ---------------------- |
| ExecutionsFailed    | an execution failed                                                  | fine: nothing ran      |
| ExecutionsAborted   | somebody stopped an execution                                        | fine: nothing ran      |
| ExecutionsTimedOut  | an execution ran for 15 days                                         | fine: nothing ran      |
| OperationSlow       | an operation has run longer than ExpectedMinutes                     | said: nobody looks     |
| LockHeld            | a target has been locked for longer than LockedMinutes               | said: nobody looks     |
| StepErrors          | a step raised an error that is not retried                           | fine: nothing ran      |
| FunctionsFailing    | functions failed ten times in 15 minutes, retried or not             | fine: nothing ran      |
| Throttled           | AWS refused five calls in 15 minutes for their rate                  | fine: nothing ran      |
| NotificationFailed  | somebody was not told, or an event could not be handled              | fine: nothing was sent |
| ArchivesOutOfBounds | the last operation kept fewer or more archives than it may           | as before              |
| NoSuccess           | a scheduled target was not restored in time (one a schedule)         | on: that is its point  |

AWS/States and AWS/Lambda count what happens; when nothing runs they count nothing, and that is no news. Whether
something stands still can only be told by somebody who looks: a rule has SNSNotification look every quarter of an hour.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from aurora_restore.measurements import NAMESPACE, Metric
from aurora_restore.operation import Step

# Where a description points to; docs/ is beside the template in every copy of the repository.
RUNBOOKS = "docs/runbooks"
# SNSNotification looks this often; the period of what it sees is twice that, so that one late look is no gap.
LOOKS_EVERY_MINUTES = 15
_SEEN_PERIOD_S = 2 * LOOKS_EVERY_MINUTES * 60


class Missing(StrEnum):
    """CloudWatch's words for what a period without a value means."""

    FINE = "notBreaching"
    ON = "breaching"
    AS_BEFORE = "ignore"
    SAID = "missing"


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric as an alarm reads it. Dimensions' values hold CloudFormation substitutions."""

    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    statistic: str = "Sum"


def own(metric: Metric, statistic: str = "Sum", **dimensions: str) -> Measure:
    """Return one of the pipeline's own metrics, of this stack."""
    return Measure(NAMESPACE, metric.value, {"Stack": "${AWS::StackName}", **dimensions}, statistic)


def _of_states(metric: str) -> tuple[Measure, ...]:
    return (Measure("AWS/States", metric, {"StateMachineArn": "${StateMachine}"}),)


def _of_functions(metric: str) -> tuple[Measure, ...]:
    return tuple(Measure("AWS/Lambda", metric, {"FunctionName": f"${{{step.function_name}}}"}) for step in Step)


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which value on; a parameter where only the operator can know."""

    default: int
    why: str
    parameter: str | None = None
    most: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm. With several measures they are added up, where none was measured as 0, unless a formula says else."""

    name: str
    meaning: str
    measures: tuple[Measure, ...]
    threshold: Threshold
    missing: Missing = Missing.FINE
    period_s: int = 300
    formula: str | None = None
    # Parameters that the formula names.
    bounds: tuple[Threshold, ...] = field(default=())
    # Whether people hear when it is over: an event is over at once, a state is not.
    is_a_state: bool = False

    @property
    def runbook(self) -> str:
        """Return the path of its page in the repository."""
        return f"{RUNBOOKS}/{re.sub(r'(?<=[a-z])(?=[A-Z])', '-', self.name).lower()}.md"

    @property
    def description(self) -> str:
        """Return what a person reads in the alarm's e-mail."""
        return f"{self.meaning} What to do: {self.runbook}"


_ONE = Threshold(1, "One is one too many: each has a cause that a person can see.")
_FEWEST = Threshold(
    0, "Only who archives on purpose knows how many there must be.", "FewestArchives", 90,
    "Alarm when a target has fewer archives than this after an operation. 0: never.",
)  # fmt: skip
_MOST = Threshold(
    30, "A region takes 100 manual cluster snapshots, of all targets together.", "MostArchives", 90,
    "Alarm when a target has more archives than this after an operation.",
)  # fmt: skip

ALARMS: tuple[Alarm, ...] = (
    Alarm(
        name="ExecutionsFailed",
        meaning="An operation failed, and its target may be gone or half made.",
        measures=_of_states("ExecutionsFailed"),
        threshold=_ONE,
    ),
    Alarm(
        name="ExecutionsAborted",
        meaning="Somebody stopped an operation.",
        measures=_of_states("ExecutionsAborted"),
        threshold=_ONE,
    ),
    Alarm(
        name="ExecutionsTimedOut",
        meaning="An operation came to the state machine's limit of 15 days.",
        measures=_of_states("ExecutionsTimedOut"),
        threshold=_ONE,
    ),
    Alarm(
        name="OperationSlow",
        meaning="An operation runs longer than expected; with insufficient data: nobody looks any more.",
        measures=(own(Metric.OPERATION_AGE_MINUTES, "Maximum"),),
        threshold=Threshold(
            240,
            "A restore within a region takes one to two hours, a copy between regions as long again.",
            "ExpectedMinutes",
            20_160,
            "Alarm when an operation runs longer than this many minutes.",
        ),
        missing=Missing.SAID,
        period_s=_SEEN_PERIOD_S,
        is_a_state=True,
    ),
    Alarm(
        name="LockHeld",
        meaning="A target has been locked for too long: nobody can restore it; with insufficient data: nobody looks.",
        measures=(own(Metric.LOCK_AGE_MINUTES, "Maximum"),),
        threshold=Threshold(
            720,
            "Three times what an operation is expected to take: it hangs, or has ended and left its lock.",
            "LockedMinutes",
            40_320,
            "Alarm when a target is locked for longer than this many minutes.",
        ),
        missing=Missing.SAID,
        period_s=_SEEN_PERIOD_S,
        is_a_state=True,
    ),
    Alarm(
        name="StepErrors",
        meaning="A step refused to go on, or broke.",
        measures=(own(Metric.STEP_ERRORS),),
        threshold=_ONE,
    ),
    Alarm(
        name="FunctionsFailing",
        meaning="The functions fail again and again: retries may soon be used up.",
        measures=_of_functions("Errors"),
        threshold=Threshold(10, "A retried error is no news; the longest quick retry is of 10 attempts."),
        period_s=900,
    ),
    Alarm(
        name="Throttled",
        meaning="AWS refuses calls for their rate, or has no room for the functions.",
        measures=(own(Metric.THROTTLED_CALLS), *_of_functions("Throttles")),
        threshold=Threshold(5, "A throttled call is tried 8 times within minutes: this is heard before the last."),
        period_s=900,
    ),
    Alarm(
        name="NotificationFailed",
        meaning="Somebody was not told how an operation ended, or an event about one could not be handled.",
        measures=(
            own(Metric.NOTIFICATIONS_FAILED),
            Measure("AWS/SNS", "NumberOfNotificationsFailed", {"TopicName": "${Topic.TopicName}"}),
            Measure(
                "AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": "${DeadLetters.QueueName}"}, "Maximum"
            ),
        ),
        threshold=_ONE,
        is_a_state=True,
    ),
    Alarm(
        name="ArchivesOutOfBounds",
        meaning="The last operation left fewer or more archives of its target than it may.",
        measures=(own(Metric.ARCHIVES_KEPT, "Maximum"),),
        threshold=Threshold(1, "1 means out of bounds."),
        missing=Missing.AS_BEFORE,
        formula="IF(m1 < ${FewestArchives} OR m1 > ${MostArchives}, 1, 0)",
        bounds=(_FEWEST, _MOST),
        is_a_state=True,
    ),
)

THRESHOLDS = tuple(each for alarm in ALARMS for each in (alarm.threshold, *alarm.bounds) if each.parameter is not None)
"""What an operator may choose."""
