"""What a person is told to do after an operation that did not succeed."""

from datetime import UTC, datetime

import pytest

from aurora_restore.operation import Failure, Operation, OperationStatus, Step, StepRecord
from aurora_restore.shape import ClusterShape
from aurora_restore.steps.advice import events_of, what_to_do

SHAPE = ClusterShape(engine="e", engine_version="1", port=1, subnet_group="s", security_groups=())
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RESUME = "aurora-restore resume nightly-1"


def failed(error: str, step: Step = Step.SETUP_DB_USERS, *, begun: bool = True) -> Operation:
    """Return an operation that ended with an error; ``begun``: it had looked at its target."""
    plain = Operation(
        operation_id="nightly-1", execution_arn="arn:e", stack="blue", target="us-west-2/a", requested_at=NOON
    )
    return plain.with_(
        steps={step: StepRecord(started_at=NOON)},
        status=OperationStatus.FAILED,
        failure=Failure(step=step, error=error, message="x"),
        shape=SHAPE if begun else None,
    )


@pytest.mark.parametrize(
    "error",
    ["PreflightError", "AwsRefusedError", "DatabaseRefusedError", "ScriptFailedError", "VerificationFailedError"],
)
def test_where_the_request_may_be_wrong_that_is_said_before_resume(error: str) -> None:
    """Resume goes on with the request that the operation began with: a corrected file is nothing to it."""
    advice = what_to_do(failed(error))
    assert "correct" in advice.partition("resume")[0]
    assert "anew: resume would" in advice
    assert advice.index("anew") < advice.index(RESUME)


@pytest.mark.parametrize("error", ["StepTimedOutError", "AccessDeniedError", "CapacityError", "States.Timeout"])
def test_where_the_world_was_wrong_resume_comes_first(error: str) -> None:
    """What was done is not done again."""
    advice = what_to_do(failed(error, Step.CHECK_RESTORE_STATUS))
    assert RESUME in advice
    assert "anew" not in advice.partition(RESUME)[0]


@pytest.mark.parametrize("error", ["RestoreFailedError", "SnapshotFailedError"])
def test_what_rds_gave_up_is_begun_anew(error: str) -> None:
    """A cluster or copy that is failed would be found so by resume."""
    advice = what_to_do(failed(error, Step.CHECK_RESTORE_STATUS))
    assert advice.index("start the request anew") < advice.index(RESUME)


def test_where_to_mend_it_is_said() -> None:
    """What step 7 misses is missing in the database."""
    assert "mend what is wrong in the database" in what_to_do(failed("PreflightError"))
    assert "mend what is wrong in AWS" in what_to_do(failed("PreflightError", Step.RESTORE_SNAPSHOT))
    assert "mend what is wrong in AWS" in what_to_do(failed("AwsRefusedError"))


@pytest.mark.parametrize(
    ("error", "first"),
    [
        ("PreflightError", "Mend each line above"),
        ("TargetLockedError", "Wait until the other operation has ended"),
        ("AccessDeniedError", "Mend the cause above"),
    ],
)
def test_what_had_not_begun_is_started_again(error: str, first: str) -> None:
    """There is nothing to go on with: resume would refuse."""
    advice = what_to_do(failed(error, Step.SNAPSHOT_CHECK, begun=False))
    assert advice.startswith(first)
    assert "resume" not in advice


def test_after_an_abort_there_is_no_cause_to_mend() -> None:
    """Somebody wanted it: it is gone on with, or given up."""
    aborted = failed("ExecutionAborted").with_(status=OperationStatus.ABORTED)
    advice = what_to_do(aborted)
    assert "Mend" not in advice
    assert RESUME in advice
    assert "To give it up" in advice


def test_an_end_without_an_outcome_can_be_gone_on_with() -> None:
    """Its execution is gone, and nobody wrote why."""
    assert RESUME in what_to_do(failed("x").with_(failure=None))


def test_what_was_aborted_before_it_began_is_started_when_it_is_wanted() -> None:
    """Nothing is left of it."""
    advice = what_to_do(failed("ExecutionAborted", begun=False).with_(status=OperationStatus.ABORTED))
    assert advice.startswith("Start the request again when it is wanted. ")


@pytest.mark.parametrize(
    ("kind", "name", "source"),
    [
        ("cluster", "orders-staging", "db-cluster"),
        ("db", "orders-staging-1", "db-instance"),
        ("cluster-snapshot", "rds:orders-prod-2026-11-22-03-10", "db-cluster-snapshot"),
    ],
)
def test_why_rds_gave_up_is_asked_where_it_happened(kind: str, name: str, source: str) -> None:
    """In the thing's own region, by the name that RDS's events have for its kind."""
    advice = events_of(f"arn:aws:rds:us-west-2:123456789012:{kind}:{name}")
    assert f"--region us-west-2 --source-type {source} --source-identifier {name} --duration 720" in advice
