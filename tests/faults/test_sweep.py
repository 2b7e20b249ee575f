"""The part of the sweep that each change must pass: each call suffers one fault. ``make faults`` runs all of it."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from aurora_restore.operation import Step
from tests.faults.faults import FIVE_TIMES, FOR_EVER, ONCE
from tests.faults.harness import Rig
from tests.faults.mishaps import operation_scenarios
from tests.faults.scenarios import Scenario, nominal, observe, play, sites_of
from tests.faults.sweep import THOROUGH, calls_once_each, kind_of, some_operations, some_walks
from tests.faults.variations import VARIATIONS

# A scenario takes a second, on a slow machine some more.
pytestmark = pytest.mark.timeout(600)

_PARTS = 4
PAGE = Path(__file__).parents[2] / "docs" / "what-can-go-wrong.md"


def _broken(rig: Rig, scenarios: Iterable[Scenario]) -> list[str]:
    return [
        f"{scenario.id}: {violation} (again: {scenario.replay})"
        for scenario in scenarios
        for violation in play(rig, scenario)
    ]


@pytest.mark.parametrize("variation", VARIATIONS)
def test_an_operation_keeps_every_promise_when_nothing_goes_wrong(rig: Rig, variation: str) -> None:
    """I1 to I9, in each variation, with AWS taking hours: the sweep's faults are set against this."""
    assert _broken(rig, [nominal(variation)]) == []


@pytest.mark.parametrize("step", Step)
def test_each_call_of_a_step_may_fail(rig: Rig, step: Step) -> None:
    """I4: throttled, unavailable, unanswered, killed, doubled or denied, the promises hold and the operation ends."""
    scenarios = calls_once_each(sites_of(rig, THOROUGH))
    assert _broken(rig, (each for each in scenarios if f"/{step}." in each.id)) == []


@pytest.mark.parametrize("part", range(_PARTS))
def test_operations_end_well_or_say_why_not(rig: Rig, part: int) -> None:
    """I2, I4 and I8: AWS fails, others meddle, a person stops it; nothing is lost and what is told is true."""
    assert _broken(rig, some_operations()[part::_PARTS]) == []


def test_faults_combined_do_no_more_than_faults_alone(rig: Rig) -> None:
    """I4: what passes by itself never keeps an operation from its end, however much of it comes together."""
    assert _broken(rig, some_walks(rig)) == []


def test_no_two_scenarios_have_the_same_id(rig: Rig) -> None:
    """An id is how a scenario is run again."""
    ids = [scenario.id for scenario in [*operation_scenarios(), *calls_once_each(sites_of(rig, THOROUGH))]]
    assert len(ids) == len(set(ids))


def test_a_scenario_ends_the_same_every_time(rig: Rig) -> None:
    """A violation that cannot be had again could not be mended."""
    walk = some_walks(rig)[0]
    first, second = ([call.site for call in observe(rig, walk).calls] for _ in range(2))
    assert first == second


def test_the_documentation_tells_what_every_fault_comes_to() -> None:
    """Whoever is called at night finds there what happened; a fault that is new here must be told there."""
    told = set(re.findall(r"^\| `([\w-]+)`", PAGE.read_text(), re.MULTILINE))
    assert told == {*ONCE, *FIVE_TIMES, *FOR_EVER, *map(kind_of, operation_scenarios())}
