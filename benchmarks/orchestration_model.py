"""The state machine's loop without AWS: the real definition is walked, its functions are phases of known length."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

from aurora_restore.embedded.aurora_records import Durations
from aurora_restore.operation import Step, StepStatus
from aurora_restore.workflow.definition import definition_text

# What Step Functions writes for a state of each kind: entered and exited; a task is also scheduled, started and
# succeeded. The run through the real interpreter counts them again.
EVENTS_OF = {"Task": 5, "Choice": 2, "Wait": 2, "Pass": 2, "Succeed": 2}
# The execution itself starts and succeeds.
EVENTS_OF_EXECUTION = 2

# Returns the seconds to wait, given the seconds since the step began and those since it last asked for something.
WaitRule = Callable[[float, float], float]


class CopyKind(StrEnum):
    """Which copy an operation needs."""

    NONE = "none"
    SAME_REGION = "in one region"
    ACROSS_REGIONS = "across regions"


@dataclass(frozen=True)
class Case:
    """One operation: how long AWS takes for each thing, and which things it has to do."""

    durations: Durations
    copy: CopyKind = CopyKind.ACROSS_REGIONS
    takes_snapshot: bool = False
    is_protected: bool = False
    readers: int = 1


@dataclass(frozen=True)
class Phase:
    """Something that AWS does after a step has asked for it.

    It takes ``duration_s``, and ends no earlier than ``from_previous_s`` after the phase before it was asked for.
    """

    duration_s: float
    from_previous_s: float = 0.0


@dataclass
class Run:
    """What became of an operation."""

    wall_s: float = 0.0
    transitions: int = 0
    events: int = EVENTS_OF_EXECUTION
    invocations: int = 0
    calls: dict[Step, int] = field(default_factory=dict)


# The least and the most seconds that each thing takes, from what AWS documents and users report; drawn evenly on a
# logarithmic scale, because some operations take minutes and some hours.
BOUNDS_S: dict[str, tuple[float, float]] = {
    "snapshot_s": (60, 3_600),
    "copy_s": (300, 3 * 3_600),
    "copy_across_regions_s": (600, 20 * 3_600),
    "restore_s": (600, 9_000),
    "instance_create_s": (300, 1_200),
    "instance_delete_s": (120, 900),
    "cluster_delete_s": (60, 600),
    "modify_s": (30, 180),
    "credentials_s": (30, 180),
}
# Of 100 operations so many are of this kind; the rest copy across regions.
_NO_COPY, _COPY_IN_REGION = 25, 25
_TAKES_SNAPSHOT, _PROTECTED = 15, 15
_MOST_READERS = 2


def draw(random: Random) -> Case:
    """Draw an operation."""
    lengths = {name: _log_uniform(random, *bounds) for name, bounds in BOUNDS_S.items()}
    kind = random.uniform(0, 100)
    copy = CopyKind.NONE if kind < _NO_COPY else CopyKind.SAME_REGION
    return Case(
        durations=Durations(**lengths),
        copy=copy if kind < _NO_COPY + _COPY_IN_REGION else CopyKind.ACROSS_REGIONS,
        takes_snapshot=random.uniform(0, 100) < _TAKES_SNAPSHOT,
        is_protected=random.uniform(0, 100) < _PROTECTED,
        readers=random.randint(0, _MOST_READERS),
    )


def _log_uniform(random: Random, least: float, most: float) -> float:
    return round(math.exp(random.uniform(math.log(least), math.log(most))), 1)


def phases(case: Case) -> dict[Step, list[Phase]]:
    """Return what each step waits for, in order; a step that is not named is done at its first call."""
    lasts = case.durations
    copy_s = {CopyKind.SAME_REGION: lasts.copy_s, CopyKind.ACROSS_REGIONS: lasts.copy_across_regions_s}
    deleted = Phase(max(lasts.cluster_delete_s, lasts.snapshot_s), from_previous_s=lasts.instance_delete_s)
    # The cluster may be deleted as soon as its instances are going: asking for theirs is a phase without a length.
    lifted = [Phase(lasts.modify_s)] if case.is_protected else []
    instances = [Phase(lasts.instance_create_s)] * (2 if case.readers else 1)
    return {
        Step.SNAPSHOT_CHECK: [Phase(lasts.snapshot_s)] if case.takes_snapshot else [],
        Step.CHECK_COPY_STATUS: [] if case.copy is CopyKind.NONE else [Phase(copy_s[case.copy])],
        Step.DELETE_RDS: [*lifted, Phase(0), deleted],
        # Cluster, writer, readers together; then what a restore cannot set, then the managed password.
        Step.CHECK_RESTORE_STATUS: [
            Phase(lasts.restore_s),
            *instances,
            Phase(lasts.modify_s),
            Phase(lasts.credentials_s),
        ],
    }


def critical_path_s(case: Case) -> float:
    """Return how long AWS needs if everything is asked for in the moment in which it can be."""
    return sum(max(phase.duration_s, phase.from_previous_s) for steps in phases(case).values() for phase in steps)


class _Step:
    """A step at work on its phases. Each call asks for the next one if the one before is over."""

    def __init__(self, waits_for: list[Phase], now_s: float) -> None:
        self._left: Iterator[Phase] = iter(waits_for)
        self._began_s = self._asked_s = self._due_s = now_s

    def call(self, now_s: float, rule: WaitRule) -> dict[str, Any]:
        status = StepStatus.WAIT
        if now_s >= self._due_s:
            phase = next(self._left, None)
            if phase is None:
                status = StepStatus.DONE
            else:
                self._due_s = max(now_s + phase.duration_s, self._asked_s + phase.from_previous_s)
                self._asked_s = now_s
        wait_s = rule(now_s - self._began_s, now_s - self._asked_s)
        return {"status": status.value, "wait_seconds": wait_s, "outcome": "succeeded"}


class Machine:
    """The state machine, read from its definition."""

    def __init__(self) -> None:
        """Read the definition."""
        self._definition = json.loads(definition_text())

    def run(self, case: Case, rule: WaitRule) -> Run:
        """Run an operation from its start to its end in virtual time."""
        waits_for, begun, result = phases(case), dict[Step, _Step](), dict[str, Any]()
        run, name = Run(), self._definition["StartAt"]
        while True:
            state = self._definition["States"][name]
            run.transitions += 1
            run.events += EVENTS_OF[state["Type"]]
            match state["Type"]:
                case "Task":
                    step = Step(name)
                    if step not in begun:
                        begun[step] = _Step(waits_for.get(step, []), run.wall_s)
                    result = begun[step].call(run.wall_s, rule)
                    run.invocations += 1
                    run.calls[step] = run.calls.get(step, 0) + 1
                case "Wait":
                    run.wall_s += result[state["SecondsPath"].removeprefix("$.")]
                case "Choice":
                    name = _chosen(state, result)
                    continue
                case _:
                    return run
            name = state["Next"]


def _chosen(state: dict[str, Any], result: dict[str, Any]) -> str:
    for choice in state["Choices"]:
        if result[choice["Variable"].removeprefix("$.")] == choice["StringEquals"]:
            return str(choice["Next"])
    return str(state["Default"])
