"""The benchmark's model of the state machine: what it foretells is what the real one does."""

import pytest
from benchmarks.orchestration import COMPARED, OURS, SWEPT, a_day, draw_many, measure, targets
from benchmarks.orchestration_account import run_in_account
from benchmarks.orchestration_model import Case, CopyKind, Machine, critical_path_s, phases

from aurora_restore.embedded.aurora_records import Durations

# Long enough for waits above the shortest, short enough to be quick: in the emulator each look costs real work.
SHORT = Durations(
    snapshot_s=31,
    copy_across_regions_s=71,
    restore_s=83,
    instance_create_s=27,
    modify_s=9,
    credentials_s=13,
    instance_delete_s=41,
    cluster_delete_s=22,
)


@pytest.mark.parametrize(
    "case",
    [
        Case(SHORT, CopyKind.ACROSS_REGIONS, takes_snapshot=True, is_protected=True, readers=2),
        Case(SHORT, CopyKind.NONE, readers=0),
    ],
    ids=lambda case: case.copy.name,
)
def test_the_model_foretells_what_the_real_state_machine_does(case: Case) -> None:
    """Seconds, transitions, history events and calls of each step: all of them exactly."""
    assert Machine().run(case, COMPARED[OURS]) == run_in_account(case)


def test_an_operation_takes_what_aws_needs_and_what_polling_adds() -> None:
    """Polled every second it loses up to a second with each thing that it asks for, and never takes less."""
    for case in draw_many(5, seed=3):
        eager = Machine().run(case, lambda _waited_s, _quiet_s: 1)
        assert 0 <= eager.wall_s - critical_path_s(case) <= sum(map(len, phases(case).values()))


def test_our_waits_meet_their_targets() -> None:
    """At most 2 % for the median operation, less than any fixed interval as cheap, and a day in the history."""
    cases = draw_many(40, seed=2)
    rivals = {rule: wait for rule, wait in SWEPT.items() if rule in {"every 45 s", "every 50 s", "every 90 s"}}
    compared, swept = ([measure(*rule, cases) for rule in rules.items()] for rules in (COMPARED, rivals))
    met = targets(compared, swept)
    assert all(met.values()), met


def test_the_longest_operation_takes_a_day() -> None:
    """The target about the history is about 24 hours of AWS's own time."""
    assert critical_path_s(a_day()) == 24 * 3_600
