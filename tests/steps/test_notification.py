"""Step 9: how it ended is told, once an outcome; the lock is free; a failure says what stands now."""

import json
from datetime import timedelta

import pytest

from aurora_restore.errors import (
    PreconditionError,
    PreflightError,
    RequestError,
    RestoreFailedError,
    SnapshotFailedError,
    TargetLockedError,
)
from aurora_restore.operation import DatabaseWork, OperationStatus, Step
from aurora_restore.steps.announcement import announce, duration
from tests.steps.world import Stage


def failed(stage: Stage, error: Exception) -> str:
    """Let the state machine have caught an error; return the text of the message."""
    result = stage.fail(error)
    assert result["outcome"] == "failed"
    assert stage.holder() is None
    (message,) = stage.messages()
    assert message["event"]["outcome"] == "failed"
    return str(message["text"])


def test_a_refused_operation_says_that_nothing_was_changed(stage: Stage) -> None:
    """With Lambda's message in full, the step, and what to do."""
    stage.clock.advance(3 * 24 * 3600)
    stage.ask(source={"max_age_hours": 24})
    with pytest.raises(PreflightError) as refused:
        stage.call(Step.SNAPSHOT_CHECK)
    text = failed(stage, refused.value)
    assert f"us-west-2/{stage.target} NOT restored" in text
    assert "Failed in SnapshotCheck: PreflightError" in text
    assert "raise it, or ask for source.snapshot: new" in text
    assert "Nothing was deleted. The target is as it was." in text
    assert "SnapshotCheck        FAILED" in text
    failure = stage.operation().failure
    assert failure is not None
    assert (failure.step, failure.error) == (Step.SNAPSHOT_CHECK, "PreflightError")


def test_a_failure_names_the_step_even_when_the_clock_moved(stage: Stage) -> None:
    """The notification's own beginning is not where it failed."""
    stage.run(Step.COPY_SNAPSHOT)
    stage.clock.advance(60)
    stage.call(Step.CHECK_COPY_STATUS)
    stage.clock.advance(60)
    assert "Failed in CheckCopyStatus: SnapshotFailedError" in failed(stage, SnapshotFailedError("the copy failed"))


def test_a_failure_in_the_deletion_says_what_may_be_gone(copied: Stage) -> None:
    """And where the data is."""
    copied.call(Step.DELETE_RDS)
    text = failed(copied, RestoreFailedError("x"))
    assert "The deletion of the target began; it may be gone in part." in text
    copy = copied.operation().restore_from
    assert copy is not None
    assert f"The data is safe in {copy.arn}." in text


def test_a_failure_in_the_restore_names_the_final_snapshot(begun: Stage) -> None:
    """The old target's data, and the new cluster that is half made."""
    begun.call(Step.CHECK_RESTORE_STATUS)
    text = failed(begun, RestoreFailedError("the cluster is failed"))
    assert f"its final snapshot: {begun.operation().final_snapshot_arn}" in text
    assert "may be half made" in text


def test_a_state_machine_s_own_timeout_is_told(stage: Stage) -> None:
    """States.Timeout has no cause of Lambda's form, or none at all."""
    stage.call(Step.SNAPSHOT_CHECK)
    stage.end({"Error": "States.Timeout", "Cause": ""})
    failure = stage.operation().failure
    assert failure is not None
    assert (failure.error, failure.message) == ("States.Timeout", "no cause was given")


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        ("plain words", "plain words"),
        ('["a list"]', '["a list"]'),
        ('{"errorType": "X"}', '{"errorType": "X"}'),
        (json.dumps({"errorMessage": "y" * 19_000}), f"{'y' * 16_000}…"),
        (
            json.dumps({"errorMessage": "\n".join(["z" * 99] * 200)}),
            "\n".join(["z" * 99] * 160 + ["  … and 40 more lines"]),
        ),
    ],
)
def test_any_cause_becomes_a_message(stage: Stage, cause: str, message: str) -> None:
    """Whatever Step Functions hands over, and never longer than a record bears."""
    stage.call(Step.SNAPSHOT_CHECK)
    stage.end({"Error": "Other", "Cause": cause})
    failure = stage.operation().failure
    assert failure is not None
    assert failure.message == message


def test_a_request_that_could_not_be_read_is_told_too(bare: Stage) -> None:
    """I8: there is no operation yet; one is written that says so, and it can be read again."""
    bare.request = {"name": "x", "target": {"cluster": bare.target}}
    with pytest.raises(RequestError) as refused:
        bare.call(Step.SNAPSHOT_CHECK)
    text = failed(bare, refused.value)
    assert "the request has 2 mistakes" in text
    operation = bare.operation()
    assert operation.request is None
    assert operation.target == f"unknown/{bare.target}"
    assert operation.failure is not None
    assert operation.failure.step is None
    assert bare.actions()[0] == "RefuseRequest"


@pytest.mark.parametrize(
    "request_",
    [None, [1], "text", {}, {"target": "x"}, {"target": {"cluster": {"a": "\n" * 9_000}, "region": "ü" * 300}}],
)
def test_however_wrong_the_request_is_its_end_is_told(bare: Stage, request_: object) -> None:
    """I8: SNS takes ASCII subjects without line breaks, and DynamoDB keys of a limited length."""
    bare.request = request_
    with pytest.raises(RequestError) as refused:
        bare.call(Step.SNAPSHOT_CHECK)
    failed(bare, refused.value)
    subject = bare.messages()[0]["subject"]
    assert subject.isascii()
    assert subject.isprintable()
    assert len(subject) <= 100
    assert len(bare.operation().target) < 200


def test_the_outcome_is_told_once_per_outcome(stage: Stage) -> None:
    """I8: a second call, and a late one with another outcome, tell nothing again and change nothing."""
    stage.call(Step.SNAPSHOT_CHECK)
    stage.fail(RestoreFailedError("x"))
    assert stage.end()["outcome"] == "failed"
    assert len(stage.messages()) == 1
    assert stage.operation().status is OperationStatus.FAILED


def test_an_outcome_whose_publication_was_lost_is_told_again(stage: Stage) -> None:
    """I8: silence would be worse than a repeat, which receivers can tell by its deduplication id."""
    stage.call(Step.SNAPSHOT_CHECK)
    stage.fail(RestoreFailedError("x"))
    operation, store = stage.operation(), stage.world.store
    steps = {step: record for step, record in operation.steps.items() if step is not Step.SNS_NOTIFICATION}
    again = operation.with_(notified_at=None, steps=steps, version=operation.version + 1)
    store.state.write([store.operations.write(again)])
    stage.fail(RestoreFailedError("x"))
    first, second = (call.parameters["MessageAttributes"] for call in stage.changes("Publish"))
    assert first == second
    assert first["deduplication_id"]["StringValue"].startswith(f"{stage.operation_id}:")


def test_an_execution_that_was_refused_an_id_does_not_end_its_owner(stage: Stage) -> None:
    """I3: the operation goes on, with its lock, and nobody is told a lie about it."""
    stage.call(Step.SNAPSHOT_CHECK)
    arn = "arn:aws:states:us-west-2:123456789012:execution:another:x"
    with pytest.raises(PreconditionError, match="exists already"):
        stage.call(Step.SNAPSHOT_CHECK, execution_arn=arn)
    with pytest.raises(PreconditionError, match="belongs to another execution"):
        stage.call(Step.SNS_NOTIFICATION, execution_arn=arn, outcome={"Error": "PreconditionError"})
    assert stage.operation().status is OperationStatus.RUNNING
    assert stage.holder() == stage.operation_id
    assert stage.messages() == []


def test_a_locked_out_operation_does_not_free_the_holder_s_lock(stage: Stage) -> None:
    """I3: its own end frees its own lock only, and it has none."""
    holder = f"holder-{stage.number}"
    stage.call(Step.SNAPSHOT_CHECK, operation=holder)
    stage.running.add(stage.arn_of(holder))
    with pytest.raises(TargetLockedError) as locked:
        stage.call(Step.SNAPSHOT_CHECK)
    stage.fail(locked.value)
    assert stage.holder() == holder
    details = [event.detail for event in stage.events() if event.action == "EndOperation"]
    assert details == ["failed: TargetLockedError; the lock is not held"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (425, "7 min 5 s"), (3600, "1 h 0 min"), (93_784, "26 h 3 min")],
)
def test_a_time_is_said_as_people_say_it(seconds: int, said: str) -> None:
    """In the unit in which it is felt."""
    assert duration(timedelta(seconds=seconds)) == said


def test_however_many_users_there_are_the_message_can_be_sent(stage: Stage) -> None:
    """I8: SNS takes 256 KiB. What is left out is named; what is short stays."""
    stage.call(Step.SNAPSHOT_CHECK)
    names = [f"an_application_s_user_{number}" for number in range(1_000)]
    arn = "arn:aws:secretsmanager:us-west-2:123456789012:secret:orders-staging"
    stage.rewrite(
        user_secrets={name: f"{arn}/{name}-AbCdEf" for name in names},
        logins=tuple(names),
        not_restored=tuple(f"{name} keeps the attribute REPLICATION, which root may not take away" for name in names),
        database_work=DatabaseWork(checks=("orders are fresh",)),
    )
    stage.end()
    (message,) = stage.messages()
    event, text = message["event"], message["text"]
    assert (event["left_out"], event["user_secrets"], event["checks"]) == (
        ["user_secrets", "not_restored"],
        {},
        ["orders are fresh"],
    )
    machine = json.dumps(event)
    assert len(json.dumps({"default": machine, "email": text, "email-json": machine})) < 200_000
    assert f"{names[99]} and 900 more" in text
    assert "Lost:     and 900 more" in text


def test_an_operation_s_end_can_be_told_however_little_is_known(stage: Stage) -> None:
    """A record of before everything: no snapshot, no cluster, no failure."""
    stage.call(Step.SNAPSHOT_CHECK)
    operation = stage.operation()
    for status in (OperationStatus.SUCCEEDED, OperationStatus.FAILED):
        bare = operation.with_(status=status, snapshot=None, steps={})
        subject, text, event = announce(bare)
        assert subject
        assert "aurora-restore status" in text
        assert event["ended_at"] is None
    untimed = operation.snapshot
    assert untimed is not None
    shown = operation.with_(status=OperationStatus.SUCCEEDED, snapshot=untimed.model_copy(update={"created_at": None}))
    assert "time unknown" in announce(shown)[1]
