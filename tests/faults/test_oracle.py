"""The oracle is proved by defects: each is planted in the code, and must be seen for what it is."""

import pytest

from tests.faults.defects import DEFECTS, Defect
from tests.faults.harness import Rig
from tests.faults.mishaps import operation_scenarios
from tests.faults.scenarios import Scenario, call_scenario, nominal, play


def _scenario(wanted: str) -> Scenario:
    kind, _, rest = wanted.partition("/")
    if rest == "nothing":
        return nominal(kind)
    if kind == "operation":
        return next(each for each in operation_scenarios() if each.id == wanted)
    return call_scenario(kind, *rest.rsplit(":", 1))


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_planted_defect_is_seen(rig: Rig, defect: Defect) -> None:
    """I1 to I9: whoever breaks a promise is told which; a sweep that stayed silent here would prove nothing."""
    with defect.planted():
        broken = play(rig, _scenario(defect.scenario))
    assert defect.promise in {violation.promise for violation in broken}, broken


@pytest.mark.parametrize("scenario", sorted({defect.scenario for defect in DEFECTS}))
def test_without_a_defect_nothing_is_seen(rig: Rig, scenario: str) -> None:
    """An oracle that always complains would see every defect too."""
    assert play(rig, _scenario(scenario)) == []
