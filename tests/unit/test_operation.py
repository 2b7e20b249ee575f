"""The operation's moves, and how long it waits between them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore.errors import PreconditionError
from aurora_restore.operation import Operation, OperationStatus, Step, StepStatus, Verdict, require, wait_seconds
from aurora_restore.request import RestoreRequest

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
# What one turn of a poll loop adds to an execution's history: task, choice, wait (aurora-facts).
EVENTS_A_TURN, MOST_EVENTS = 9, 25_000


def new() -> Operation:
    request = RestoreRequest.parse(
        {
            "name": "nightly",
            "source": {"cluster": "orders-prod", "region": "us-east-1"},
            "target": {"cluster": "orders-staging", "region": "us-west-2"},
            "tags": {"made-by": "us"},
        }
    )
    return Operation(
        operation_id="nightly-1",
        execution_arn="arn:e",
        stack="blue",
        target="us-west-2/orders-staging",
        requested_at=NOON,
        request=request,
    )


def after(last: Step) -> Operation:
    operation = new()
    for step in (*last.before, last):
        operation = operation.begun(step, NOON).judged(step, Verdict.done("so"), LATER)
    return operation


def test_there_are_nine_steps_in_the_design_s_order() -> None:
    """Names of states, functions and modules all come from here."""
    assert [step.function_name for step in Step] == [
        f"{name}Function"
        for name in (
            "SnapshotCheck CopySnapshot CheckCopyStatus DeleteRDS RestoreSnapshot CheckRestoreStatus "
            "SetupDBUsers ArchiveSnapshot SNSNotification"
        ).split()
    ]
    assert Step.SETUP_DB_USERS.module == "setup_db_users"


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.SNS_NOTIFICATION])
def test_no_step_runs_before_those_before_it_have_ended(step: Step) -> None:
    """A deletion before the copy is checked would be a loss."""
    operation = new()
    for earlier in step.before:
        with pytest.raises(PreconditionError, match=f"{step} cannot run before .*{earlier}"):
            operation.begun(step, NOON)
        operation = operation.begun(earlier, NOON)
        with pytest.raises(PreconditionError):
            operation.begun(step, NOON)
        operation = operation.judged(earlier, Verdict.skip("not needed"), LATER)
    assert operation.begun(step, NOON).steps[step].calls == 1


@pytest.mark.parametrize("step", [None, *Step])
def test_the_notification_runs_after_any_step(step: Step | None) -> None:
    """It is where every failure goes."""
    operation = new() if step is None else new().with_(steps=after(step).steps)
    assert Step.SNS_NOTIFICATION in operation.begun(Step.SNS_NOTIFICATION, LATER).steps


@pytest.mark.parametrize("status", [OperationStatus.FAILED, OperationStatus.SUCCEEDED])
def test_nothing_runs_in_an_operation_that_has_ended(status: OperationStatus) -> None:
    """A late retry of a step must not work on a target whose lock is free again."""
    ended = after(Step.CHECK_COPY_STATUS).with_(status=status)
    with pytest.raises(PreconditionError, match=f"nightly-1 has {status}: DeleteRDS cannot run"):
        ended.begun(Step.DELETE_RDS, LATER)
    ended.begun(Step.SNS_NOTIFICATION, LATER)


def test_a_step_that_waits_has_not_ended() -> None:
    """It is called again, counted, and its first call's time stays."""
    waiting = new().begun(Step.SNAPSHOT_CHECK, NOON).judged(Step.SNAPSHOT_CHECK, Verdict.wait("40 %"), LATER)
    assert waiting.finished(Step.SNAPSHOT_CHECK) is None
    again = waiting.begun(Step.SNAPSHOT_CHECK, LATER)
    assert again.steps[Step.SNAPSHOT_CHECK].calls == 2
    assert again.steps[Step.SNAPSHOT_CHECK].started_at == NOON
    assert again.waited_s(Step.SNAPSHOT_CHECK, LATER) == 60
    assert again.waited_s(Step.COPY_SNAPSHOT, LATER) == again.quiet_s(Step.COPY_SNAPSHOT, LATER) == 0
    done = again.judged(Step.SNAPSHOT_CHECK, Verdict.done("all"), LATER).finished(Step.SNAPSHOT_CHECK)
    assert done is not None
    assert done.status is StepStatus.DONE


def test_what_a_step_asks_for_begins_its_waiting_anew() -> None:
    """An instance of ten minutes is looked at as often after a restore of hours as after one of minutes."""
    begun = new().begun(Step.SNAPSHOT_CHECK, NOON)
    assert begun.quiet_s(Step.SNAPSHOT_CHECK, LATER) == 60
    asking = begun.asking(Step.SNAPSHOT_CHECK, LATER).judged(Step.SNAPSHOT_CHECK, Verdict.wait("0 %"), LATER)
    assert asking.begun(Step.SNAPSHOT_CHECK, LATER).quiet_s(Step.SNAPSHOT_CHECK, LATER + timedelta(seconds=5)) == 5
    assert asking.waited_s(Step.SNAPSHOT_CHECK, LATER) == 60


def test_a_step_that_has_not_begun_may_ask() -> None:
    """The end of another operation is told without a step of its own (I8)."""
    assert new().asking(Step.SNS_NOTIFICATION, NOON) == new()


def test_the_current_step_is_the_last_in_order_even_at_one_instant() -> None:
    """A rehearsal's clock may stand still between two steps."""
    assert new().current_step is None
    assert after(Step.CHECK_COPY_STATUS).current_step is Step.CHECK_COPY_STATUS
    shuffled = after(Step.DELETE_RDS)
    shuffled = shuffled.with_(steps=dict(sorted(shuffled.steps.items(), key=lambda each: each[0].value, reverse=True)))
    assert shuffled.current_step is Step.DELETE_RDS


def test_an_operation_knows_its_own_things_by_their_tag() -> None:
    """The request's tags cannot hide the pipeline's."""
    operation = new()
    assert operation.owns(operation.tags)
    assert operation.tags["made-by"] == "us"
    assert not operation.owns({**operation.tags, "aurora-restore:operation": "nightly-2"})
    assert not operation.owns({})


def test_what_an_earlier_step_did_not_store_is_named() -> None:
    """An operator reads what is missing, not an attribute error."""
    assert require(0, "number") == 0
    with pytest.raises(PreconditionError, match="the operation has no shape yet"):
        require(None, "shape")
    with pytest.raises(PreconditionError, match="a request that could be read"):
        _ = new().with_(request=None).wanted


@given(st.floats(0, 1e7))
def test_a_wait_is_between_five_seconds_and_five_minutes(quiet_s: float) -> None:
    """Never a busy loop, never asleep when it is over."""
    assert 5 <= wait_seconds(quiet_s) <= 300


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_who_has_waited_longer_waits_no_less(one: float, other: float) -> None:
    """The wait only grows with the time for which nothing was asked."""
    assert (wait_seconds(one) <= wait_seconds(other)) == (one <= other) or wait_seconds(one) == wait_seconds(other)


@pytest.mark.parametrize("hours", [1, 8, 24, 72])
def test_a_wait_of_days_stays_far_below_the_history_s_limit(hours: int) -> None:
    """25,000 events are hard: polling every ten seconds would be dead after eight hours (mistake 11's other end)."""
    waited_s, turns = 0.0, 0
    while waited_s < hours * 3600:
        waited_s += wait_seconds(waited_s)
        turns += 1
    assert turns * EVENTS_A_TURN < 10_000 < MOST_EVENTS


@given(st.floats(0, 1e5))
def test_what_is_over_is_noticed_soon(lasts_s: float) -> None:
    """Within 5 s of a short thing, within 1.25 times the root of a long one, and never later than five minutes."""
    waited_s = 0.0
    while waited_s < lasts_s:
        waited_s += wait_seconds(waited_s)
    assert waited_s - lasts_s <= min(max(5, 1.25 * lasts_s**0.5 + 0.5), 300)
