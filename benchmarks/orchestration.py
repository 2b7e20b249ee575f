"""What waiting costs an operation: time, state transitions and money, for our rule of waiting and for others.

Overhead is an operation's time minus what AWS itself needs. Prints tables and writes
benchmarks/results/orchestration.json. The README beside this file says how to read them.
"""

import argparse
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

from aurora_restore.embedded.aurora_records import Durations
from aurora_restore.operation import LONGEST_WAIT_S, SHORTEST_WAIT_S, wait_seconds
from benchmarks import machine
from benchmarks.orchestration_account import run_in_account
from benchmarks.orchestration_model import Case, CopyKind, Machine, WaitRule, critical_path_s, draw

RESULTS = Path(__file__).resolve().parent / "results"
OURS = "ours"
MOST_EVENTS = 25_000
TRANSITION_USD = 0.025 / 1_000
# Lambda on arm64: a request, and 512 MB for one second, rounded up from what a step takes.
INVOCATION_USD = 0.20 / 1_000_000 + 0.5 * 1.0 * 0.0000133334
_DAY_S = 86_400
# An operation goes through the emulator too if AWS would take no longer: there each look costs real time.
_VALIDATED_BELOW_S = 5_400


def _fixed(seconds: float) -> WaitRule:
    return lambda _waited_s, _quiet_s: seconds


def _bounded(seconds: float) -> float:
    return round(min(max(seconds, SHORTEST_WAIT_S), LONGEST_WAIT_S))


def _share_of_step(share: float) -> WaitRule:
    return lambda waited_s, _: _bounded(share * waited_s)


def _share(share: float) -> WaitRule:
    return lambda _, quiet_s: _bounded(share * quiet_s)


def _root_of_step(factor: float) -> WaitRule:
    return lambda waited_s, _: _bounded(factor * math.sqrt(waited_s))


def _root(factor: float) -> WaitRule:
    return lambda _, quiet_s: _bounded(factor * math.sqrt(quiet_s))


COMPARED: dict[str, WaitRule] = {
    OURS: lambda _, quiet_s: wait_seconds(quiet_s),
    "every 10 s": _fixed(10),
    "every 30 s": _fixed(30),
    "every 60 s": _fixed(60),
    "300 s, then every 60 s": lambda waited_s, _: 300 if waited_s == 0 else 60,
}
SWEPT: dict[str, WaitRule] = {
    **{f"every {seconds} s": _fixed(seconds) for seconds in (20, 25, 35, 40, 45, 50, 90, 120)},
    **{f"{share} of the step's time": _share_of_step(share) for share in (0.01, 0.02, 0.04)},
    **{f"{share} since it asked": _share(share) for share in (0.02, 0.03, 0.04, 0.06)},
    **{f"{factor} roots of the step's time": _root_of_step(factor) for factor in (0.75, 1.0, 1.25)},
    **{f"{factor} roots since it asked": _root(factor) for factor in (0.75, 1.0, 1.25, 1.5, 2.0)},
}


@dataclass(frozen=True, slots=True)
class Measurement:
    """A rule's figures, of all operations: overheads in per cent of AWS's own time, the rest per operation."""

    rule: str
    overhead_median: float
    overhead_p90: float
    lost_mean_s: float
    transitions: float
    transitions_median: float
    events: float
    most_events: int
    too_long_for_history: int
    invocations: float
    usd: float
    events_of_a_day: int


def measure(rule: str, wait: WaitRule, cases: Sequence[Case]) -> Measurement:
    """Run every operation with a rule of waiting."""
    model = Machine()
    runs = [model.run(case, wait) for case in cases]
    lost = [run.wall_s - critical_path_s(case) for case, run in zip(cases, runs, strict=True)]
    overheads = [100 * lost_s / critical_path_s(case) for case, lost_s in zip(cases, lost, strict=True)]
    transitions = statistics.mean(run.transitions for run in runs)
    invocations = statistics.mean(run.invocations for run in runs)
    return Measurement(
        rule=rule,
        overhead_median=round(statistics.median(overheads), 2),
        overhead_p90=round(statistics.quantiles(overheads, n=10)[-1], 2),
        lost_mean_s=round(statistics.mean(lost), 1),
        transitions=round(transitions, 1),
        transitions_median=statistics.median(run.transitions for run in runs),
        events=round(statistics.mean(run.events for run in runs), 1),
        most_events=max(run.events for run in runs),
        too_long_for_history=sum(run.events > MOST_EVENTS for run in runs),
        invocations=round(invocations, 1),
        usd=round(transitions * TRANSITION_USD + invocations * INVOCATION_USD, 4),
        events_of_a_day=model.run(a_day(), wait).events,
    )


def a_day() -> Case:
    """Return an operation for which AWS needs 24 hours: nearly all of them for the copy."""
    rest = Case(Durations(copy_across_regions_s=0), readers=2, takes_snapshot=True, is_protected=True)
    return replace(rest, durations=Durations(copy_across_regions_s=_DAY_S - critical_path_s(rest)))


def draw_many(operations: int, seed: int) -> list[Case]:
    """Draw operations; the same seed gives the same ones."""
    random = Random(seed)  # noqa: S311  no key is made of it
    return [draw(random) for _ in range(operations)]


def dearer_than(ours: Measurement, others: Iterable[Measurement]) -> dict[str, bool]:
    """Say of each fixed interval that makes no more transitions than ours whether it loses more time."""
    return {
        other.rule: ours.overhead_median < other.overhead_median
        for other in others
        if other.rule.startswith("every ") and other.transitions <= ours.transitions
    }


def targets(compared: Sequence[Measurement], swept: Sequence[Measurement]) -> dict[str, bool]:
    """Say which targets our rule meets."""
    ours = next(one for one in compared if one.rule == OURS)
    rivals = dearer_than(ours, (*compared, *swept))
    return {
        f"the median operation loses {ours.overhead_median} %, at most 2 %": ours.overhead_median <= 2,
        f"less than with any fixed interval that makes no more transitions ({', '.join(rivals)})": all(rivals.values()),
        f"an operation of 24 h writes {ours.events_of_a_day:,} events, fewer than 10,000": ours.events_of_a_day
        < 10_000,
    }


def to_validate(cases: Iterable[Case]) -> list[Case]:
    """Return an operation of each kind of copy, none of them long."""
    short = [case for case in cases if critical_path_s(case) < _VALIDATED_BELOW_S]
    found = [next((case for case in short if case.copy is kind), None) for kind in CopyKind]
    return [case for case in found if case is not None]


def agrees(case: Case) -> bool:
    """Say whether the model and the real state machine agree to the second, event and call of each step."""
    return run_in_account(case) == Machine().run(case, COMPARED[OURS])


def main() -> None:
    """Measure, validate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=1_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    options = parser.parse_args()
    cases = draw_many(options.operations, options.seed)
    compared, swept = ([measure(*rule, cases) for rule in rules.items()] for rules in (COMPARED, SWEPT))
    print(
        f"{_spread(cases)}\n\n{_table(compared)}\n\nOther rules and intervals\n{_table(sorted(swept, key=_by_cost))}\n"
    )
    met = targets(compared, swept)
    print("\n".join(f"{'met   ' if is_met else 'MISSED'}  {target}" for target, is_met in met.items()))
    chosen = to_validate(cases)
    agreed = sum(agrees(case) for case in chosen)
    print(f"{agreed} of {len(chosen)} operations went through the real state machine just as through the model")
    print(", ".join(f"{name} {value}" for name, value in machine.describe().items()))
    RESULTS.mkdir(exist_ok=True)
    report = {
        "machine": machine.describe(),
        "operations": options.operations,
        "seed": options.seed,
        "compared": [asdict(one) for one in compared],
        "swept": [asdict(one) for one in swept],
        "targets": met,
        "validated": {"operations": len(chosen), "agreed": agreed},
    }
    (RESULTS / "orchestration.json").write_text(f"{json.dumps(report, indent=2)}\n")


def _by_cost(measurement: Measurement) -> float:
    return -measurement.transitions


def _spread(cases: Sequence[Case]) -> str:
    hours = sorted(critical_path_s(case) / 3_600 for case in cases)
    return (
        f"{len(hours):,} operations; AWS itself needs {hours[0]:.1f} h to {hours[-1]:.1f} h, "
        f"half of them less than {statistics.median(hours):.1f} h"
    )


def _table(measurements: Iterable[Measurement]) -> str:
    head = (
        f"{'wait':<30}{'median':>8}{'p90':>8}{'lost':>8}{'transi-':>9}{'events':>9}{'24 h:':>9}{'beyond':>8}"
        f"{'calls':>8}{'USD':>9}\n"
        f"{'':<30}{'%':>8}{'%':>8}{'s':>8}{'tions':>9}{'':>9}{'events':>9}{'25,000':>8}{'':>8}{'':>9}"
    )
    lines = [
        f"{one.rule:<30}{one.overhead_median:>8.2f}{one.overhead_p90:>8.2f}{one.lost_mean_s:>8.0f}"
        f"{one.transitions:>9,.0f}{one.events:>9,.0f}{one.events_of_a_day:>9,}{one.too_long_for_history:>8}"
        f"{one.invocations:>8,.0f}{one.usd:>9.4f}"
        for one in measurements
    ]
    return "\n".join([head, *lines])


if __name__ == "__main__":
    main()
