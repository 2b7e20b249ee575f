"""The scenarios: each fault at each call of whole operations, and what befalls operations as a whole."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aurora_restore.names import resumption
from tests.faults.evidence import Evidence
from tests.faults.faults import FIVE_TIMES, FOR_EVER, ONCE, ONLY_WHERE_CHANGED, trap
from tests.faults.harness import Rig
from tests.faults.oracle import Violation, judge
from tests.faults.variations import VARIATIONS, drawn

OPERATION, NEXT = "op-1", "op-2"
SUCCEEDED, FAILED, ABORTED, ANY = "succeeded", "failed", "aborted", "any"
# Later calls of a step's loop are like its first ones.
_MOST_ORDINALS = 4
_SITE_SEED = 1
_READING = re.compile(r"\.(Describe|Get|List|Query)")


@dataclass(frozen=True)
class Scenario:
    """One run: the world, what goes wrong, and how the operation must end."""

    id: str
    variation: str
    arm: Callable[[Rig], None]
    ends: str = SUCCEEDED
    seed: int = _SITE_SEED
    changes: Mapping[str, Any] = field(default_factory=dict)
    # Somebody else changes the target; nobody can be told for good; afterwards the operation is resumed.
    meddled: bool = False
    unreachable: bool = False
    resumed: bool = False
    # Whether every fault of it must happen.
    certain: bool = True
    # What is mended before the next operation on the target, which must succeed: None where there need not be one.
    mend: Callable[[Rig], None] | None = None

    @property
    def replay(self) -> str:
        """Return the command that runs this scenario alone."""
        return f'make faults ARGS="--only {self.id}"'


def play(rig: Rig, scenario: Scenario) -> list[Violation]:
    """Run a scenario, and return the promises that it breaks."""
    return judge(observe(rig, scenario))


def observe(rig: Rig, scenario: Scenario) -> Evidence:
    """Run a scenario, and the next operation on the target where one is left in the way; return what is known."""
    rig.fresh(scenario.variation, drawn(scenario.seed), scenario.seed)
    request = request_for(rig, scenario.variation, scenario.changes)
    scenario.arm(rig)
    rig.run(OPERATION, request)
    ended = rig.scene()
    unsprung = [trap for trap in rig.traps if not trap.is_sprung]
    rig.traps.clear()
    outcomes = {} if scenario.ends == ANY else {OPERATION: scenario.ends}
    if scenario.mend is not None:
        scenario.mend(rig)
    if scenario.resumed:
        rig.run(resumption(OPERATION, 2), request)
        outcomes = {OPERATION: SUCCEEDED}
    elif scenario.mend is not None or _is_in_the_way(rig):
        rig.run(NEXT, request)
        outcomes |= {NEXT: SUCCEEDED} if scenario.mend is not None else {}
    evidence = rig.evidence(request)
    evidence.outcomes, evidence.first_ended = outcomes, ended
    evidence.unsprung = len(unsprung) if scenario.certain else 0
    evidence.meddled, evidence.unreachable = scenario.meddled, scenario.unreachable
    return evidence


def _is_in_the_way(rig: Rig) -> bool:
    items = rig.tables.items(rig.settings.state_table)
    return any(key.startswith("lock#") or item["status"] == "running" for key, item in items.items())


def request_for(rig: Rig, variation: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a variation's request, with sections merged in, and the security group that only the account knows."""
    known = VARIATIONS[variation]
    request: dict[str, Any] = json.loads(json.dumps(known.request))
    for section, value in changes.items():
        request[section] = {**request[section], **value} if isinstance(value, dict) else value
    if not known.replaces:
        by_name = [{"Name": "group-name", "Values": ["orders"]}]
        groups = rig.client("ec2").describe_security_groups(Filters=by_name)["SecurityGroups"]
        request["target"]["security_groups"] = [groups[0]["GroupId"]]
    return request


def sites_of(rig: Rig, variation: str) -> list[str]:
    """Return every call of an operation in which nothing goes wrong, in order."""
    evidence = observe(rig, nominal(variation))
    found = judge(evidence)
    if found:
        raise AssertionError(f"{variation} breaks promises although nothing goes wrong: {found}")
    return [call.site for call in evidence.calls if call.caller is not None and call.ordinal <= _MOST_ORDINALS]


def nominal(variation: str) -> Scenario:
    """Return the scenario in which nothing goes wrong."""
    return Scenario(f"{variation}/nothing", variation, lambda _: None)


def call_scenarios(variation: str, sites: Iterable[str], faults: Sequence[str] = ()) -> Iterator[Scenario]:
    """Yield each fault at each of these calls."""
    for site in sites:
        for fault in faults or (*ONCE, *FIVE_TIMES, *FOR_EVER):
            if _READING.search(site) and fault in ONLY_WHERE_CHANGED:
                continue
            yield call_scenario(variation, site, fault)


def call_scenario(variation: str, site: str, fault: str) -> Scenario:
    """Return the scenario of one fault at one call. All but a refusal for good must end well."""
    denied = fault in FOR_EVER
    return Scenario(
        f"{variation}/{site}:{fault}",
        variation,
        lambda rig: rig.traps.append(trap(site, fault)),
        ends=ANY if denied else SUCCEEDED,
        # What the last step may not do, nobody does in its place: the outcome stands in the State table only.
        unreachable=denied and site.startswith("SNSNotification"),
    )


def resumed_scenarios(variation: str, sites: Iterable[str]) -> Iterator[Scenario]:
    """Yield operations that were denied a change, and are resumed once it is allowed: they must end well (I4)."""
    for site in changing(sites):
        if not site.startswith("SNSNotification"):
            denied = call_scenario(variation, site, "denied")
            yield replace(denied, id=f"{denied.id}-then-resumed", resumed=True)


def changing(sites: Iterable[str]) -> list[str]:
    """Return those of the calls that change something outside of the pipeline's own tables."""
    own = ("TransactWriteItems", "PutItem", "DeleteItem")
    return [site for site in sites if not _READING.search(site) and site.split(".")[1] not in own]


def matches(scenario: Scenario, wanted: str) -> bool:
    """Say whether an id, or a part of one in any spelling, means this scenario."""
    plain = [re.sub(r"[_\s]", "", text).lower() for text in (scenario.id, wanted)]
    without_ordinal = re.sub(r"\.\d+:", ":", plain[0])
    return plain[1] in plain[0] or plain[1] in without_ordinal
