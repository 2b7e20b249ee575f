"""The nine steps, one after the other, and every one of them called again."""

import pytest

from aurora_restore.operation import Step
from tests.steps.world import EAST, MASTER_PASSWORD, ROLE, SOURCE, WEST, Stage


def test_nine_steps_give_the_target_its_old_shape_with_new_data(stage: Stage) -> None:
    """I9, I3, I8: shape and instances as they were, from production's snapshot; the lock is free, people are told."""
    before = stage.show()
    old = {each["DBInstanceIdentifier"]: each["DBInstanceClass"] for each in stage.instances()}
    result = stage.run(Step.SNS_NOTIFICATION)
    assert result == {
        "operation_id": stage.operation_id,
        "status": "DONE",
        "reason": "the operation has succeeded; aurora-restore was told",
        "wait_seconds": 5,
        "outcome": "succeeded",
    }
    after = stage.show()
    for member in (
        "DBClusterParameterGroup DBSubnetGroup BackupRetentionPeriod PreferredBackupWindow Port "
        "PreferredMaintenanceWindow EnabledCloudwatchLogsExports IAMDatabaseAuthenticationEnabled CopyTagsToSnapshot "
        "StorageType KmsKeyId DeletionProtection"
    ).split():
        assert after[member] == before[member], member
    assert _groups(after) == _groups(before)
    assert [(role["RoleArn"], role["FeatureName"]) for role in after["AssociatedRoles"]] == [(ROLE, "s3Import")]
    assert stage.tags(after)["team"] == "shop"
    assert {each["DBInstanceIdentifier"]: each["DBInstanceClass"] for each in stage.instances()} == old
    assert after["DbClusterResourceId"] != before["DbClusterResourceId"]
    assert after["MasterUserSecret"]["SecretStatus"] == "active"
    assert stage.holder() is None
    assert len(stage.messages()) == 1


def _groups(cluster: dict[str, list[dict[str, str]]]) -> set[str]:
    return {group["VpcSecurityGroupId"] for group in cluster["VpcSecurityGroups"]}


@pytest.mark.parametrize("step", Step)
def test_a_step_that_is_called_again_changes_nothing(stage: Stage, step: Step) -> None:
    """I4: a second call of a finished step answers as the first did, and makes no second of anything."""
    first = stage.run(step)
    before, events = len(stage.changes()), len(stage.events())
    again = stage.call(step, outcome={"status": "DONE"})
    assert (again["status"], again["reason"]) == (first["status"], first["reason"])
    assert again["wait_seconds"] == 0
    assert len(stage.changes()) == before
    assert len(stage.events()) == events


def test_everything_is_announced_before_it_is_done(stage: Stage) -> None:
    """I5: the intents in the audit are the changes, in their order; the chain verifies."""
    stage.run(Step.SNS_NOTIFICATION)
    intents = [event.action for event in stage.events() if event.kind == "intent" and event.action != "SetupUsers"]
    assert intents == [call.action for call in stage.changes()]
    assert stage.events()[0].action == "AcceptRequest"


def test_the_source_is_as_it_was(stage: Stage) -> None:
    """I1: nothing about production differs, down to its tags."""
    before = stage.show(SOURCE, EAST)
    stage.run(Step.SNS_NOTIFICATION)
    # The one thing that goes on by itself.
    assert stage.show(SOURCE, EAST) | {"LatestRestorableTime": None} == before | {"LatestRestorableTime": None}
    assert {call.region for call in stage.changes() if call.service == "rds"} == {WEST}


def test_no_secret_is_seen_anywhere(stage: Stage) -> None:
    """I6: neither production's password nor a new one is in log, state, audit or message; only the secret has it."""
    stage.run(Step.SNS_NOTIFICATION)
    password = stage.secret_value(stage.secret)["password"]
    written = stage.log + str([call for call in stage.calls if call.service != "secretsmanager"])
    assert password not in written
    assert MASTER_PASSWORD not in written
    assert stage.secret in written


def test_a_result_is_small(stage: Stage) -> None:
    """What goes through the execution's history: five fields, and no more than a sentence."""
    for step in Step.SETUP_DB_USERS.before:
        result = stage.finish(step)
        assert set(result) == {"operation_id", "status", "reason", "wait_seconds", "outcome"}
        assert len(str(result)) < 1_000


def test_an_unencrypted_source_and_target_go_through(bare: Stage) -> None:
    """Without any key: copied without one, restored without one, its master secret under Secrets Manager's own."""
    bare.make_source(StorageEncrypted=False, KmsKeyId=None)
    bare.make_target(StorageEncrypted=False, KmsKeyId=None)
    bare.ask(target={"kms_key": None})
    del bare.request["target"]["kms_key"]
    assert bare.run(Step.SNS_NOTIFICATION)["outcome"] == "succeeded"
    assert not bare.show()["StorageEncrypted"]
    (copy,) = bare.changes("CopyDBClusterSnapshot")
    assert "KmsKeyId" not in copy.parameters


def test_an_unencrypted_source_can_become_an_encrypted_target(bare: Stage) -> None:
    """CopyDBClusterSnapshot refuses a key for it: the restore encrypts."""
    bare.make_source(StorageEncrypted=False, KmsKeyId=None)
    bare.make_target()
    assert bare.run(Step.SNS_NOTIFICATION)["outcome"] == "succeeded"
    assert bare.show()["KmsKeyId"] == bare.region().key


def test_a_target_that_does_not_exist_yet_is_made(bare: Stage) -> None:
    """The shape comes from the request; there is nothing to delete."""
    bare.make_source()
    group = bare.region().security_group
    bare.ask(
        target={
            "subnet_group": "private",
            "security_groups": [group],
            "instances": [{"class": "db.serverless"}, {"class": "db.r6g.large", "promotion_tier": 0}],
            "serverless": {"min_acu": 1, "max_acu": 4},
            "backup_retention_days": 2,
            "deletion_protection": True,
        },
        replace={},
    )
    assert bare.run(Step.SNS_NOTIFICATION)["outcome"] == "succeeded"
    verdict = bare.operation().finished(Step.DELETE_RDS)
    assert verdict is not None
    assert verdict.reason == f"there is no cluster {bare.target} to delete"
    made = bare.show()
    assert (made["BackupRetentionPeriod"], made["DeletionProtection"]) == (2, True)
    assert {each["DBInstanceIdentifier"] for each in bare.instances()} == {f"{bare.target}-1", f"{bare.target}-2"}
