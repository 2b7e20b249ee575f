"""Steps 2 and 3: the copy is started once, under the target's key, and waited for to its end."""

import pytest

from aurora_restore.errors import (
    AwsUnavailableError,
    CopyQuotaError,
    ForeignResourceError,
    KeyUnusableError,
    NotReadyError,
    PreconditionError,
    QuotaExceededError,
    SnapshotFailedError,
    StepTimedOutError,
)
from aurora_restore.names import SnapshotRole, snapshot_identifier
from aurora_restore.operation import Step
from tests.steps.world import EAST, SOURCE, WEST, Stage

COPY, CHECK = Step.COPY_SNAPSHOT, Step.CHECK_COPY_STATUS


def name_of(stage: Stage) -> str:
    return snapshot_identifier(SnapshotRole.COPY, stage.operation_id, stage.target)


def test_a_copy_across_regions_is_under_the_target_s_key(stage: Stage) -> None:
    """Asked for in the target's region, named by the source's ARN, tagged as ours."""
    stage.run(COPY)
    (copy,) = stage.changes()
    snapshot = stage.operation().snapshot
    assert snapshot is not None
    assert copy.region == WEST
    assert copy.parameters["SourceDBClusterSnapshotIdentifier"] == snapshot.arn
    assert copy.parameters["KmsKeyId"] == stage.region().key
    assert copy.parameters["SourceRegion"] == EAST
    made = stage.snapshots()[name_of(stage)]
    assert stage.tags(made)["aurora-restore:operation"] == stage.operation_id
    assert stage.tags(made)["aurora-restore:target"] == f"us-west-2/{stage.target}"
    (intent,) = [event for event in stage.events() if event.kind == "intent"]
    assert (intent.action, intent.subject) == ("CopyDBClusterSnapshot", snapshot.arn)


def test_another_key_in_the_same_region_needs_a_copy(bare: Stage) -> None:
    """A restore could not change the key; and the source's region is not given where it is the same."""
    bare.make_source()
    bare.make_target(region=EAST)
    bare.ask(target={"region": EAST, "kms_key": bare.region(EAST).other_key})
    assert "under another key" in bare.run(COPY)["reason"]
    (copy,) = bare.changes()
    assert copy.parameters["KmsKeyId"] == bare.region(EAST).other_key
    assert "SourceRegion" not in copy.parameters


def test_aws_s_own_tags_are_not_copied(bare: Stage) -> None:
    """They make a copy fail; the snapshot's other tags go with it, and the request's."""
    bare.make_source(snapshot=False)
    rds = bare.client("rds", EAST)
    rds.create_db_cluster_snapshot(
        DBClusterIdentifier=SOURCE,
        DBClusterSnapshotIdentifier="kept",
        Tags=[{"Key": "cost", "Value": "7"}, {"Key": "aurora-restore:operation", "Value": "older"}],
    )
    bare.clock.advance(60)
    bare.make_target()
    for records in bare.aurora._world.places.values():
        if "kept" in records.snapshots:
            records.snapshots["kept"].tag_list.append({"Key": "aws:cloudformation:stack", "Value": "x"})
    bare.ask(tags={"made-by": "nightly"})
    bare.run(COPY)
    tags = bare.tags(bare.snapshots()[name_of(bare)])
    assert (tags["cost"], tags["made-by"]) == ("7", "nightly")
    assert tags["aurora-restore:operation"] == bare.operation_id
    assert not [key for key in tags if key.startswith("aws:")]


def test_a_copy_whose_answer_was_lost_is_not_started_twice(stage: Stage) -> None:
    """I4: the retry finds it by its derived name."""
    stage.run(Step.SNAPSHOT_CHECK)
    stage.aurora.refuse_next("CopyDBClusterSnapshot", "InternalFailure", after_effect=True)
    with pytest.raises(AwsUnavailableError):
        stage.call(COPY)
    assert stage.call(COPY)["status"] == "DONE"
    assert len(stage.changes("CopyDBClusterSnapshot")) == 1
    assert stage.run(CHECK)["status"] == "DONE"


def test_a_snapshot_of_somebody_else_under_our_name_is_not_taken(stage: Stage) -> None:
    """ "Already exists" is success only if it is this operation's."""
    stage.run(Step.SNAPSHOT_CHECK)
    stage.client("rds").create_db_cluster_snapshot(
        DBClusterIdentifier=stage.target, DBClusterSnapshotIdentifier=name_of(stage)
    )
    with pytest.raises(ForeignResourceError, match="is not of this operation"):
        stage.call(COPY)
    assert stage.changes() == []


def test_a_copy_that_lost_the_race_for_its_name_is_looked_at_again(stage: Stage) -> None:
    """ "Exists already" after our own look is found by the next step, which says whose it is by its status."""
    stage.run(Step.SNAPSHOT_CHECK)
    stage.aurora.refuse_next("CopyDBClusterSnapshot", "DBClusterSnapshotAlreadyExistsFault", after_effect=True)
    assert stage.call(COPY)["status"] == "DONE"
    assert stage.run(CHECK)["status"] == "DONE"


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("SnapshotQuotaExceeded", "Cannot copy more than 5 snapshots across regions", CopyQuotaError),
        ("SnapshotQuotaExceeded", "Cannot create more than 100 manual snapshots", QuotaExceededError),
        ("KMSKeyNotAccessibleFault", "No access", KeyUnusableError),
        ("InvalidDBClusterSnapshotStateFault", "Not available", NotReadyError),
    ],
)
def test_a_refused_copy_is_repeated_only_if_it_passes_by_itself(
    stage: Stage, code: str, message: str, kind: type[Exception]
) -> None:
    """And nothing is left behind that a repetition would trip over."""
    stage.run(Step.SNAPSHOT_CHECK)
    stage.aurora.refuse_next("CopyDBClusterSnapshot", code, message)
    with pytest.raises(kind):
        stage.call(COPY)
    assert stage.call(COPY)["status"] == "DONE"


def test_the_copy_is_waited_for_with_its_progress(stage: Stage) -> None:
    """Every answer says how far it is."""
    stage.run(COPY)
    waiting = stage.call(CHECK)
    assert (waiting["status"], waiting["reason"]) == ("WAIT", "the copy is 0 % done")
    assert stage.operation().restore_from is None
    stage.clock.advance(2)
    assert stage.call(CHECK)["reason"] == "the copy is 50 % done"
    stage.clock.advance(2)
    assert stage.call(CHECK)["reason"] == f"the copy {name_of(stage)} is available in us-west-2"
    assert stage.operation().restore_from is not None


def test_a_copy_that_fails_fails_the_operation(stage: Stage) -> None:
    """With AWS's word for it; the target is untouched, and the message says so."""
    stage.aurora.fail_next("copy", name_of(stage), at_percent=40)
    stage.run(COPY)
    with pytest.raises(SnapshotFailedError, match=r"as failed at 40 %. Nothing was deleted"):
        stage.finish(CHECK)


def test_a_copy_that_cannot_be_seen_is_looked_for_again(stage: Stage) -> None:
    """Not visible yet, or deleted by somebody: a few retries tell."""
    stage.run(COPY)
    stage.aurora.refuse_next("DescribeDBClusterSnapshots", "DBClusterSnapshotNotFoundFault")
    with pytest.raises(NotReadyError, match=f"the copy {name_of(stage)} cannot be seen in us-west-2"):
        stage.call(CHECK)
    assert stage.finish(CHECK)["status"] == "DONE"


def test_a_copy_that_takes_too_long_times_out(stage: Stage) -> None:
    """After the request's own limit."""
    stage.ask(timeouts={"copy_minutes": 1})
    stage.run(COPY)
    stage.call(CHECK)
    for records in stage.aurora._world.places.values():
        for snapshot in records.snapshots.values():
            if snapshot.pending:
                snapshot.pending.due_at = stage.clock.now().replace(year=2027)
    stage.clock.advance(61)
    with pytest.raises(StepTimedOutError, match="CheckCopyStatus has waited for 1 minutes and gives up") as over:
        stage.call(CHECK)
    assert "raise the limit in timeouts" in over.value.advice


@pytest.mark.parametrize("step", [COPY, CHECK, Step.DELETE_RDS, Step.RESTORE_SNAPSHOT])
def test_no_step_overtakes_another(stage: Stage, step: Step) -> None:
    """A hand-started function changes nothing."""
    stage.call(Step.SNAPSHOT_CHECK)
    if step is COPY:
        stage.end({"Error": "States.Timeout"})
    with pytest.raises(PreconditionError, match="cannot run"):
        stage.call(step)
    assert [call.action for call in stage.changes()] in ([], ["Publish"])
