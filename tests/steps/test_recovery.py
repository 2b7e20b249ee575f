"""Going on with an operation that failed or was stopped, and giving one up."""

import json
from typing import Any

import pytest

from aurora_restore import names
from aurora_restore.errors import PreconditionError, PreflightError, RestoreFailedError
from aurora_restore.operation import OperationStatus, Step
from aurora_restore.runtime import Result
from aurora_restore.steps.aborting import abort
from aurora_restore.steps.resuming import obstacles
from aurora_restore.store.journal import Journal
from tests.steps.world import EAST, SOURCE, WEST, Stage


def resumed(stage: Stage, number: int = 2) -> Result:
    """Go on with the stage's operation in another execution, to its end."""
    stage.execution = names.resumption(stage.operation_id, number)
    return stage.run(Step.SNS_NOTIFICATION)


def stopped(stage: Stage, status: str = "ABORTED") -> Result:
    """Call the last step with EventBridge's event about an execution that was stopped."""
    detail = {
        "name": stage.execution,
        "executionArn": stage.arn_of(stage.execution),
        "status": status,
        "input": json.dumps(stage.request),
    }
    event: dict[str, Any] = {"detail-type": "Step Functions Execution Status Change", "detail": detail}
    return stage.call_with(Step.SNS_NOTIFICATION, event)


def test_a_failed_operation_is_gone_on_with_and_nothing_is_made_twice(stage: Stage) -> None:
    """I4: the copy, the deletion and the restore that were done stay done; the second outcome is told too."""
    stage.run(Step.RESTORE_SNAPSHOT)
    stage.fail(RestoreFailedError("the instance is failed"))
    result = resumed(stage)
    assert result["outcome"] == "succeeded"
    assert len(stage.changes("CopyDBClusterSnapshot", "RestoreDBClusterFromSnapshot", "DeleteDBCluster")) == 3
    assert [message["event"]["outcome"] for message in stage.messages()] == ["failed", "succeeded"]
    assert stage.operation().executions == 2
    assert stage.holder() is None
    assert "ResumeOperation" in stage.actions()


def test_an_operation_whose_execution_was_stopped_is_gone_on_with(stage: Stage) -> None:
    """I3, I4: its own lock does not stand in its way, and what a step had begun is found again."""
    stage.run(Step.COPY_SNAPSHOT)
    stage.call(Step.CHECK_COPY_STATUS)
    assert stage.holder() == stage.operation_id
    assert resumed(stage)["outcome"] == "succeeded"
    assert len(stage.changes("CopyDBClusterSnapshot")) == 1


def test_one_that_runs_is_not_gone_on_with(stage: Stage) -> None:
    """I3: two executions of one operation would undo each other."""
    stage.run(Step.COPY_SNAPSHOT)
    stage.running.add(stage.arn_of(stage.operation_id))
    assert "still running" in " ".join(obstacles(stage.operation(), stage.world))
    stage.execution = names.resumption(stage.operation_id, 2)
    with pytest.raises(PreflightError, match="still running"):
        stage.call(Step.SNAPSHOT_CHECK)


def test_one_that_succeeded_is_not_gone_on_with(stage: Stage) -> None:
    stage.run(Step.SNS_NOTIFICATION)
    assert "has succeeded" in " ".join(obstacles(stage.operation(), stage.world))


def test_one_that_never_looked_at_the_target_is_not_gone_on_with(stage: Stage) -> None:
    """There is nothing to go on with: the request is started again."""
    stage.ask(source={"snapshot": "no-such-snapshot"})
    with pytest.raises(PreflightError) as refused:
        stage.call(Step.SNAPSHOT_CHECK)
    stage.fail(refused.value)
    assert "start the request again" in " ".join(obstacles(stage.operation(), stage.world))


def test_a_target_that_somebody_made_again_is_an_obstacle(stage: Stage) -> None:
    """I2: what is there now is not what the operation may replace."""
    stage.run(Step.DELETE_RDS)
    stage.fail(RestoreFailedError("nothing"))
    stage.make_cluster(stage.target, WEST, instances=0)
    assert "made by somebody else" in " ".join(obstacles(stage.operation(), stage.world))


def test_a_snapshot_that_is_gone_is_an_obstacle(stage: Stage) -> None:
    stage.run(Step.CHECK_COPY_STATUS)
    stage.fail(RestoreFailedError("nothing"))
    copy = next(name for name in stage.snapshots() if "-copy-" in name)
    stage.client("rds").delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=copy)
    assert f"the snapshot {copy} is gone" in " ".join(obstacles(stage.operation(), stage.world))


def test_a_restored_cluster_that_is_gone_is_an_obstacle(stage: Stage) -> None:
    stage.run(Step.RESTORE_SNAPSHOT)
    stage.fail(RestoreFailedError("nothing"))
    stage.clock.advance(60)
    stage.client("rds").delete_db_cluster(DBClusterIdentifier=stage.target, SkipFinalSnapshot=True)
    stage.clock.advance(60)
    assert "is gone" in " ".join(obstacles(stage.operation(), stage.world))


def test_a_resumption_of_nothing_is_refused(stage: Stage) -> None:
    """A name with a dot is kept for resumptions: it cannot begin an operation."""
    stage.execution = "something.2"
    with pytest.raises(PreconditionError) as refused:
        stage.call(Step.COPY_SNAPSHOT)
    assert "no operation something" in str(refused.value)


def test_an_execution_that_was_stopped_ends_like_every_other(stage: Stage) -> None:
    """I8, I3: its event frees the lock and tells people what is left, with the command that removes it."""
    stage.run(Step.RESTORE_SNAPSHOT)
    assert stopped(stage)["outcome"] == "aborted"
    assert stage.operation().status is OperationStatus.ABORTED
    assert stage.holder() is None
    [message] = stage.messages()
    assert message["event"]["outcome"] == "aborted"
    assert f"--db-cluster-identifier {stage.target} --skip-final-snapshot" in message["text"]
    assert stage.exists()
    assert stopped(stage)["outcome"] == "aborted"
    assert len(stage.messages()) == 1


def test_an_execution_that_timed_out_has_failed(stage: Stage) -> None:
    stage.run(Step.COPY_SNAPSHOT)
    assert stopped(stage, "TIMED_OUT")["outcome"] == "failed"


def test_giving_up_cancels_a_copy_under_way_and_nothing_else(stage: Stage) -> None:
    """No cluster is deleted, the source's snapshots stay, and the deletion is announced (I5)."""
    stage.run(Step.COPY_SNAPSHOT)
    abort(Journal(stage.world.store, stage.operation(), Step.SNS_NOTIFICATION), stage.world, why="somebody said so")
    stage.clock.advance(60)
    assert not [name for name in stage.snapshots() if "-copy-" in name]
    assert stage.exists()
    assert stage.exists(SOURCE, EAST)
    assert "DeleteDBClusterSnapshot" in stage.actions()
    failure = stage.operation().failure
    assert failure is not None
    assert failure.message.startswith("somebody said so")


def test_a_copy_that_is_there_stays_and_is_named(stage: Stage) -> None:
    """It may have taken hours: a person decides."""
    stage.run(Step.CHECK_COPY_STATUS)
    abort(Journal(stage.world.store, stage.operation(), Step.SNS_NOTIFICATION), stage.world, why="somebody said so")
    failure = stage.operation().failure
    assert failure is not None
    assert "delete-db-cluster-snapshot" in failure.message
    assert [name for name in stage.snapshots() if "-copy-" in name]
