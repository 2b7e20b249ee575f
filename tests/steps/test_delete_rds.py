"""Step 4: the old target goes, instances first, never without a warrant (I2)."""

from typing import Any

import pytest

from aurora_restore.errors import (
    AwsUnavailableError,
    DeletionNotWarrantedError,
    SnapshotFailedError,
    StepTimedOutError,
    ThrottledError,
    UnexpectedError,
)
from aurora_restore.names import SnapshotRole, snapshot_identifier
from aurora_restore.operation import Intent, Step
from aurora_restore.safety import DeletionWarrant
from tests.steps.world import EAST, SOURCE, WEST, Stage

DELETE = Step.DELETE_RDS


def final_name(stage: Stage) -> str:
    return snapshot_identifier(SnapshotRole.FINAL, stage.operation_id, stage.target)


def modify(stage: Stage, **changes: Any) -> None:
    stage.client("rds").modify_db_cluster(DBClusterIdentifier=stage.target, ApplyImmediately=True, **changes)
    stage.clock.advance(60)


def deletions(stage: Stage) -> list[str]:
    return [call.action for call in stage.changes("DeleteDBInstance", "DeleteDBCluster", "ModifyDBCluster")]


def refused(stage: Stage) -> str:
    """Return why the warrant is refused; nothing may have been deleted."""
    with pytest.raises(DeletionNotWarrantedError) as error:
        stage.call(DELETE)
    assert deletions(stage) == []
    assert stage.exists()
    return "\n".join(error.value.refusals)


def remade(stage: Stage) -> None:
    """Let somebody delete the target and make another one of its name."""
    gone(stage)
    stage.make_target()


def gone(stage: Stage) -> None:
    rds = stage.client("rds")
    for instance in stage.instances():
        rds.delete_db_instance(DBInstanceIdentifier=instance["DBInstanceIdentifier"], SkipFinalSnapshot=True)
    rds.delete_db_cluster(DBClusterIdentifier=stage.target, SkipFinalSnapshot=True)
    stage.clock.advance(60)


def test_mistake_2_instances_go_before_the_cluster_and_a_final_snapshot_is_taken(copied: Stage) -> None:
    """I2: the warrant stands in the audit before each act, and the final snapshot is tagged as the operation's."""
    assert copied.finish(DELETE)["reason"] == f"{copied.target} is gone; its final snapshot is {final_name(copied)}"
    assert deletions(copied) == ["DeleteDBInstance", "DeleteDBInstance", "DeleteDBCluster"]
    actions = copied.actions()
    assert actions.index("IssueWarrant") < actions.index("DeleteDBInstance")
    assert not copied.exists()
    final = copied.snapshots()[final_name(copied)]
    assert final["Status"] == "available"
    assert copied.tags(final)["aurora-restore:role"] == "final"
    assert copied.operation().final_snapshot_arn == final["DBClusterSnapshotArn"]


def test_the_warrant_in_the_audit_names_the_resource_and_the_way_back(copied: Stage) -> None:
    """An operator reads on what the deletion rested."""
    copied.finish(DELETE)
    warrant = next(event for event in copied.events() if event.action == "IssueWarrant")
    assert warrant.subject.endswith(f":cluster:{copied.target}")
    assert "stands available to restore from" in warrant.detail
    assert final_name(copied) in warrant.detail


def test_without_a_final_snapshot_none_is_taken(bare: Stage) -> None:
    """Only because the request says so in words."""
    bare.make_source()
    bare.make_target()
    bare.ask(replace={"final_snapshot": False})
    assert "without a final snapshot, as the request says" in bare.run(DELETE)["reason"]
    assert bare.changes("DeleteDBCluster")[0].parameters["SkipFinalSnapshot"] is True
    assert final_name(bare) not in bare.snapshots()


def test_a_protected_target_is_not_touched_unless_asked(copied: Stage) -> None:
    """Protection was switched on after the preflight: not one instance goes, because that alone takes it down."""
    modify(copied, DeletionProtection=True)
    assert "set replace.protection to lift" in refused(copied)


def test_protection_is_lifted_before_the_first_instance_goes(stage: Stage) -> None:
    """In the order in which it can be stopped: the cluster would refuse only after its instances are gone."""
    modify(stage, DeletionProtection=True)
    stage.ask(replace={"protection": "lift"})
    assert stage.run(DELETE)["status"] == "DONE"
    assert deletions(stage) == ["ModifyDBCluster", "DeleteDBInstance", "DeleteDBInstance", "DeleteDBCluster"]
    lifted = stage.changes("ModifyDBCluster")[0].parameters
    assert (lifted["DeletionProtection"], lifted["ApplyImmediately"]) == (False, True)


def test_a_stopped_target_is_started_to_be_deleted(copied: Stage) -> None:
    """RDS refuses to delete a stopped cluster."""
    copied.client("rds").stop_db_cluster(DBClusterIdentifier=copied.target)
    copied.clock.advance(60)
    assert "a stopped cluster cannot be deleted" in copied.call(DELETE)["reason"]
    copied.clock.advance(1)
    assert "is starting: it can be deleted when that is over" in copied.call(DELETE)["reason"]
    assert copied.finish(DELETE)["status"] == "DONE"
    assert [call.action for call in copied.changes() if call.service == "rds"][:2] == [
        "StartDBCluster",
        "DeleteDBInstance",
    ]


def test_a_busy_instance_is_waited_for(copied: Stage) -> None:
    """A deletion in between could be refused halfway."""
    name = copied.instances()[0]["DBInstanceIdentifier"]
    copied.client("rds").reboot_db_instance(DBInstanceIdentifier=name)
    assert copied.call(DELETE)["reason"] == f"the instance {name} is rebooting"
    assert deletions(copied) == []
    assert copied.finish(DELETE)["status"] == "DONE"


def test_a_target_that_somebody_made_again_is_not_deleted(copied: Stage) -> None:
    """I2: its shape was never captured, and somebody may have data in it."""
    remade(copied)
    assert "somebody made it again meanwhile" in refused(copied)


def test_a_target_that_appeared_later_is_not_deleted(bare: Stage) -> None:
    """I2: there was none when the shape was captured."""
    bare.make_source()
    bare.ask(
        target={
            "subnet_group": "private",
            "security_groups": [bare.region().security_group],
            "instances": [{"class": "db.r6g.large"}],
        }
    )
    bare.run(Step.CHECK_COPY_STATUS)
    bare.make_target()
    assert "the shape of the target is not captured and stored" in refused(bare)


def test_a_deletion_by_somebody_else_is_waited_for(copied: Stage) -> None:
    """It is the cluster that was captured: what is to go goes."""
    rds = copied.client("rds")
    for instance in copied.instances():
        rds.delete_db_instance(DBInstanceIdentifier=instance["DBInstanceIdentifier"], SkipFinalSnapshot=True)
    rds.delete_db_cluster(DBClusterIdentifier=copied.target, SkipFinalSnapshot=True)
    assert copied.call(DELETE)["reason"] == f"{copied.target} is being deleted"
    assert copied.finish(DELETE)["status"] == "DONE"
    assert deletions(copied) == []


def test_another_s_deletion_of_another_cluster_is_not_waited_for(copied: Stage) -> None:
    """The one that is leaving is not the one that was captured."""
    remade(copied)
    rds = copied.client("rds")
    for instance in copied.instances():
        rds.delete_db_instance(DBInstanceIdentifier=instance["DBInstanceIdentifier"], SkipFinalSnapshot=True)
    rds.delete_db_cluster(DBClusterIdentifier=copied.target, SkipFinalSnapshot=True)
    assert "it is not the cluster whose shape was captured" in refused(copied)


def test_a_target_that_is_gone_already_is_done(copied: Stage) -> None:
    """Somebody else deleted it: the reason says that there is no final snapshot."""
    gone(copied)
    assert "somebody else deleted it, and there is no final snapshot" in copied.call(DELETE)["reason"]
    assert deletions(copied) == []


def test_without_a_snapshot_to_restore_from_nothing_is_deleted(copied: Stage) -> None:
    """I2: it is looked at again immediately before, and it is gone."""
    copy = copied.operation().restore_from
    assert copy is not None
    copied.client("rds").delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=copy.identifier)
    assert "there is no snapshot to restore from" in refused(copied)


def test_without_its_key_nothing_is_deleted(bare: Stage) -> None:
    """I2: the copy is there, but its key was disabled meanwhile."""
    kms = bare.client("kms")
    key = kms.create_key()["KeyMetadata"]
    bare.make_source()
    bare.make_target()
    bare.ask(target={"kms_key": key["Arn"]})
    bare.run(Step.CHECK_COPY_STATUS)
    kms.disable_key(KeyId=key["KeyId"])
    assert "the key of the restored cluster cannot be used in us-west-2" in refused(bare)


def test_a_final_snapshot_s_name_that_is_taken_stops_the_deletion(copied: Stage) -> None:
    """Nothing is deleted without the final snapshot that was asked for."""
    copied.client("rds").create_db_cluster_snapshot(
        DBClusterIdentifier=copied.target, DBClusterSnapshotIdentifier=final_name(copied)
    )
    copied.clock.advance(60)
    assert f"the final snapshot's name {final_name(copied)} is taken" in refused(copied)


def test_the_source_is_not_deleted_as_a_target(bare: Stage) -> None:
    """I1, I2: production was renamed to the target's name after the preflight. Everything is wrong, and told."""
    bare.make_source()
    bare.make_target(region=EAST)
    bare.ask(target={"region": EAST, "kms_key": bare.region(EAST).key})
    bare.run(Step.CHECK_COPY_STATUS)
    rds = bare.client("rds", EAST)
    for instance in bare.instances(region=EAST):
        rds.delete_db_instance(DBInstanceIdentifier=instance["DBInstanceIdentifier"], SkipFinalSnapshot=True)
    rds.delete_db_cluster(DBClusterIdentifier=bare.target, SkipFinalSnapshot=True)
    bare.clock.advance(60)
    rds.modify_db_cluster(DBClusterIdentifier=SOURCE, NewDBClusterIdentifier=bare.target, ApplyImmediately=True)
    bare.clock.advance(60)
    with pytest.raises(DeletionNotWarrantedError) as error:
        bare.call(DELETE)
    assert f"{bare.target} is the source cluster itself" in str(error.value)
    assert bare.exists(region=EAST)


@pytest.mark.parametrize("action", ["DeleteDBInstance", "DeleteDBCluster"])
def test_a_lost_answer_is_not_a_second_deletion(copied: Stage, action: str) -> None:
    """I4: whatever was done is seen, and the rest follows."""
    copied.aurora.refuse_next(action, "InternalFailure", after_effect=True)
    assert copied.finish(DELETE, retry=(AwsUnavailableError,))["status"] == "DONE"
    assert deletions(copied) == ["DeleteDBInstance", "DeleteDBInstance", "DeleteDBCluster"]
    assert final_name(copied) in copied.snapshots()


@pytest.mark.parametrize(
    ("action", "code"),
    [("DeleteDBInstance", "DBInstanceNotFound"), ("DeleteDBCluster", "DBClusterNotFoundFault")],
)
def test_what_vanishes_while_it_is_deleted_is_deleted(copied: Stage, action: str, code: str) -> None:
    """Somebody was quicker by a moment."""
    copied.aurora.refuse_next(action, code, after_effect=True)
    assert copied.finish(DELETE)["status"] == "DONE"


def test_mistake_5_a_throttled_describe_is_not_a_deleted_cluster(copied: Stage) -> None:
    """Else the restore would start over a cluster that is still there."""
    copied.aurora.refuse_next("DescribeDBClusters", "Throttling", "Rate exceeded")
    with pytest.raises(ThrottledError):
        copied.call(DELETE)
    assert copied.operation().finished(DELETE) is None


def test_a_final_snapshot_that_fails_fails_the_operation(copied: Stage) -> None:
    """The data is in the snapshot to restore from; what the old target held alone is lost, and that is told."""
    copied.aurora.fail_next("snapshot", final_name(copied))
    with pytest.raises(SnapshotFailedError, match=f"is gone and its final snapshot {final_name(copied)} is failed"):
        copied.finish(DELETE)


def test_the_final_snapshot_is_waited_for(copied: Stage) -> None:
    """Until it stands, the old data is nowhere else."""
    copied.call(DELETE)
    copied.clock.advance(5)
    copied.call(DELETE)
    for records in copied.aurora._world.places.values():
        if final_name(copied) in records.snapshots:
            pending = records.snapshots[final_name(copied)].pending
            assert pending is not None
            pending.due_at = copied.clock.now().replace(year=2027)
    copied.clock.advance(60)
    assert copied.call(DELETE)["reason"] == f"{copied.target} is gone, its final snapshot is 0 % taken"


def test_a_deletion_that_takes_too_long_times_out(stage: Stage) -> None:
    """After the request's limit, with what it was waiting for."""
    stage.ask(timeouts={"delete_minutes": 1})
    stage.run(Step.CHECK_COPY_STATUS)
    stage.call(DELETE)
    stage.clock.advance(61)
    with pytest.raises(StepTimedOutError, match=r"DeleteRDS has waited for 1 minutes.*is being deleted"):
        stage.call(DELETE)


def test_our_own_restored_cluster_is_never_deleted(copied: Stage) -> None:
    """A step that is late finds what the operation has made since, and leaves it."""
    copied.client("rds").add_tags_to_resource(
        ResourceName=copied.show()["DBClusterArn"],
        Tags=[{"Key": "aurora-restore:operation", "Value": copied.operation_id}],
    )
    assert "own restored cluster already" in copied.call(DELETE)["reason"]
    assert deletions(copied) == []


def test_a_warrant_is_good_for_one_cluster_only(copied: Stage) -> None:
    """Whoever holds it cannot delete another, nor one of the same name that was made again."""
    copied.finish(DELETE)
    rds = copied.world.rds(EAST)
    other = rds.cluster(SOURCE)
    assert other is not None
    intent = Intent(operation_id="x", sequence=1, action="DeleteDBCluster", subject=other.arn)
    with pytest.raises(DeletionNotWarrantedError, match="not issued by"):
        DeletionWarrant(other.arn, other.resource_id, None, lift_protection=False, seal=None)
    warrant = object.__new__(DeletionWarrant)
    for field, value in {"target_arn": other.arn, "resource_id": "cluster-other", "final_snapshot": None}.items():
        object.__setattr__(warrant, field, value)
    with pytest.raises(DeletionNotWarrantedError, match="is for another cluster"):
        rds.delete_cluster(intent, warrant, other)


def test_a_change_that_was_not_announced_is_not_made(copied: Stage) -> None:
    """I5: the permission is for the action and the thing that the audit holds."""
    rds = copied.world.rds(WEST)
    cluster = rds.cluster(copied.target)
    assert cluster is not None
    for intent in (
        Intent(operation_id="x", sequence=1, action="DeleteDBCluster", subject=cluster.arn),
        Intent(operation_id="x", sequence=1, action="ModifyDBCluster", subject="another"),
    ):
        with pytest.raises(UnexpectedError, match="was announced as"):
            rds.modify(intent, cluster, {"DeletionProtection": False})
    assert copied.show()["Status"] == "available"
