"""I4: a handler that is killed after its effect, at any of the nine steps, changes nothing about the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aurora_restore.embedded import sample
from aurora_restore.embedded.lambdas import FunctionKilledError
from aurora_restore.operation import Operation, OperationStatus, Step
from aurora_restore.store.audit import verify
from tests.pipeline.conftest import Pipeline


@contextmanager
def killed_once(pipeline: Pipeline, step: Step) -> Iterator[list[str]]:
    """Let the first call of a step's function end without an answer, after all that it did."""
    killed: list[str] = []

    def kill(function: str, event: dict[str, Any], result: dict[str, Any]) -> None:
        if function.endswith(f"-{step.function_name}") and not killed:
            killed.append(function)
            raise FunctionKilledError

    pipeline.account.functions.after.append(kill)
    try:
        yield killed
    finally:
        pipeline.account.functions.after.remove(kill)


def own_snapshots(pipeline: Pipeline, operation: Operation) -> list[str]:
    rds = pipeline.account.client("rds", sample.TARGET_REGION)
    found = rds.describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"]
    mine = {"Key": "aurora-restore:operation", "Value": operation.operation_id}
    return sorted(
        tag["Value"]
        for snapshot in found
        if mine in snapshot["TagList"]
        for tag in snapshot["TagList"]
        if tag["Key"] == "aurora-restore:role"
    )


@pytest.mark.parametrize("step", Step)
def test_a_handler_killed_after_its_effect_is_run_again_to_the_same_end(pipeline: Pipeline, step: Step) -> None:
    """I4: no second copy, cluster, instance or user; the lock is free, the audit whole."""
    with killed_once(pipeline, step) as killed:
        done = pipeline.restore(archive={"keep": 1})
    assert killed
    assert done.status is OperationStatus.SUCCEEDED, done.failure
    assert own_snapshots(pipeline, done) == ["archive", "final"]
    assert [each["DBInstanceIdentifier"] for each in pipeline.target_instances()] == [
        f"{sample.TARGET}-1",
        f"{sample.TARGET}-2",
    ]
    assert done.logins == ("postgres", "staging_app", "staging_report")
    assert pipeline.store.locks.held(sample.TARGET_REGION, sample.TARGET) is None
    events = pipeline.store.audit.events(done.operation_id)
    assert verify(events, head=done.audit_hash) == len(events)
    once = ["CopyDBClusterSnapshot", "RestoreDBClusterFromSnapshot", "DeleteDBCluster", "EndOperation"]
    assert [[event.action for event in events].count(action) for action in once] == [1, 1, 1, 1]
