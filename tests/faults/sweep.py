"""All scenarios, in an order that every process finds the same, and the part of them that each change must pass."""

import re
from collections.abc import Iterator, Sequence

from tests.faults.faults import FIVE_TIMES, FOR_EVER, ONCE, ONLY_WHERE_CHANGED
from tests.faults.harness import Rig
from tests.faults.mishaps import operation_scenarios
from tests.faults.scenarios import (
    Scenario,
    call_scenario,
    call_scenarios,
    changing,
    nominal,
    resumed_scenarios,
    sites_of,
)
from tests.faults.variations import VARIATIONS
from tests.faults.walks import walks

# The variation whose every call suffers everything; of the others, what changes something suffers the worst.
THOROUGH = "renewal"
_WORST = ("lost-answer", "killed-before", "killed-after", "twice-at-once")
_WALKS = 80
_SOME_WALKS = 4
_SOME_ORDINALS = 2


def whole(rig: Rig, *, more_walks: Sequence[int] = ()) -> list[Scenario]:
    """Return every scenario, those that take longest first."""
    sites = {name: sites_of(rig, name) for name in VARIATIONS}
    found = [*operation_scenarios(), *walks(sites, [*range(1, _WALKS + 1), *more_walks])]
    for name in VARIATIONS:
        found.append(nominal(name))
        if name == THOROUGH:
            found.extend(call_scenarios(name, sites[name]))
            found.extend(resumed_scenarios(name, sites[name]))
        else:
            found.extend(call_scenarios(name, changing(sites[name]), _WORST))
    return found


def calls_once_each(sites: Sequence[str]) -> Iterator[Scenario]:
    """Yield one fault for each call, but not for the repetitions of one: which fault changes from call to call."""
    faults = [*ONCE, *FIVE_TIMES, *FOR_EVER]
    for number, site in enumerate(site for site in sites if int(site.rpartition(".")[2]) <= _SOME_ORDINALS):
        possible = [fault for fault in faults if changing([site]) or fault not in ONLY_WHERE_CHANGED]
        yield call_scenario(THOROUGH, site, possible[number % len(possible)])


def kind_of(scenario: Scenario) -> str:
    """Return what a scenario is an example of: its id without the place and the number."""
    name = scenario.id.partition("/")[2]
    if not name.startswith("stopped"):
        name = name.removesuffix("-then-resumed")
    return re.sub(r"-at-[A-Z][\w.]*|-in-(?:renewal|first)\b|-\d+\b", "", name)


def some_operations() -> list[Scenario]:
    """Return every fifth of the scenarios that befall operations as a whole."""
    return list(operation_scenarios())[::5]


def some_walks(rig: Rig) -> list[Scenario]:
    """Return a few walks."""
    return list(walks({name: sites_of(rig, name) for name in VARIATIONS}, range(1, _SOME_WALKS + 1)))
