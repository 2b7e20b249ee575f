"""The nine steps, one after the other and every one called twice: what holds afterwards."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from aurora_restore.operation import Step
from aurora_restore.runtime import Result
from tests.steps.world import EAST, MASTER_PASSWORD, ROLE, SOURCE, WEST, Country, Stage, check_promises


@dataclass
class Restored:
    """A restore that went well, with what was seen before it and what each step answered, twice."""

    stage: Stage
    target_before: dict[str, Any]
    instances_before: list[dict[str, Any]]
    source_before: dict[str, Any]
    answers: dict[Step, tuple[Result, Result]]
    changes_of_second_calls: list[str]


@pytest.fixture(scope="module")
def restored(country: Country) -> Iterator[Restored]:
    """One restore for all tests of this module: they only look at it."""
    stage = Stage(country)
    stage.make_source()
    stage.make_target()
    seen = Restored(stage, stage.show(), stage.instances(), stage.show(SOURCE, EAST), {}, [])
    for step in Step:
        first = stage.end() if step is Step.SNS_NOTIFICATION else stage.finish(step)
        before = len(stage.changes())
        seen.answers[step] = (first, stage.call(step, outcome={"status": "DONE"}))
        seen.changes_of_second_calls += [call.action for call in stage.changes()[before:]]
    yield seen
    check_promises(stage)


def test_it_ends_well_and_says_so_once(restored: Restored) -> None:
    """I8, I3: the outcome for the state machine, one message, and a free lock."""
    topic = restored.stage.world.topic.arn.rsplit(":", 1)[-1]
    assert restored.answers[Step.SNS_NOTIFICATION][0] == {
        "operation_id": restored.stage.operation_id,
        "status": "DONE",
        "reason": f"the operation has succeeded; {topic} was told",
        "wait_seconds": 5,
        "outcome": "succeeded",
    }
    assert restored.stage.holder() is None
    assert len(restored.stage.messages()) == 1


def test_the_target_has_its_old_settings(restored: Restored) -> None:
    """I9: whatever a restore would lose is as it was."""
    before, after = restored.target_before, restored.stage.show()
    for member in (
        "DBClusterParameterGroup DBSubnetGroup BackupRetentionPeriod PreferredBackupWindow Port "
        "PreferredMaintenanceWindow EnabledCloudwatchLogsExports IAMDatabaseAuthenticationEnabled CopyTagsToSnapshot "
        "StorageType KmsKeyId DeletionProtection"
    ).split():
        assert after[member] == before[member], member
    assert _groups(after) == _groups(before)
    assert [(role["RoleArn"], role["FeatureName"]) for role in after["AssociatedRoles"]] == [(ROLE, "s3Import")]
    assert restored.stage.tags(after)["team"] == "shop"


def _groups(cluster: dict[str, Any]) -> set[str]:
    return {group["VpcSecurityGroupId"] for group in cluster["VpcSecurityGroups"]}


def test_mistake_2_the_target_has_its_instances_again(restored: Restored) -> None:
    """I9: name, class, tier, parameter group and tags of each; the writer is the one it was."""
    before = {each["DBInstanceIdentifier"]: each for each in restored.instances_before}
    after = {each["DBInstanceIdentifier"]: each for each in restored.stage.instances()}
    assert after.keys() == before.keys()
    for name, instance in after.items():
        for member in ("DBInstanceClass", "PromotionTier", "DBParameterGroups", "AvailabilityZone"):
            assert instance[member] == before[name][member], member
        assert restored.stage.tags(instance).items() >= restored.stage.tags(before[name]).items()
        assert instance["DBInstanceStatus"] == "available"
    assert _writer(restored.stage.show()) == _writer(restored.target_before)


def _writer(cluster: dict[str, Any]) -> str:
    return next(str(each["DBInstanceIdentifier"]) for each in cluster["DBClusterMembers"] if each["IsClusterWriter"])


def test_it_is_a_new_cluster_with_a_managed_password(restored: Restored) -> None:
    """I7: production's master password is replaced by one that RDS keeps, under the target's key."""
    after = restored.stage.show()
    assert after["DbClusterResourceId"] != restored.target_before["DbClusterResourceId"]
    assert after["MasterUserSecret"]["SecretStatus"] == "active"
    assert after["MasterUserSecret"]["KmsKeyId"] == restored.stage.region().key
    assert restored.stage.secret_value(after["MasterUserSecret"]["SecretArn"])["password"] != MASTER_PASSWORD


@pytest.mark.parametrize("step", Step)
def test_a_step_that_is_called_again_answers_as_it_did(restored: Restored, step: Step) -> None:
    """I4: whoever lost the first answer gets the same one."""
    first, again = restored.answers[step]
    assert (again["status"], again["reason"]) == (first["status"], first["reason"])
    assert again["wait_seconds"] == 0


def test_steps_that_are_called_again_change_nothing(restored: Restored) -> None:
    """I4: no second copy, cluster, instance, secret or message."""
    assert restored.changes_of_second_calls == []
    assert len(restored.stage.changes("CopyDBClusterSnapshot", "RestoreDBClusterFromSnapshot", "DeleteDBCluster")) == 3
    assert len(restored.stage.changes("CreateDBInstance", "DeleteDBInstance")) == 4
    assert len(restored.stage.changes("CreateSecret")) == 1


def test_everything_is_announced_before_it_is_done(restored: Restored) -> None:
    """I5: the intents in the audit are the changes, in their order, and the chain verifies."""
    intents = [event.action for event in restored.stage.events() if event.kind == "intent"]
    assert [action for action in intents if action != "SetupUsers"] == [
        call.action for call in restored.stage.changes()
    ]
    assert intents.count("SetupUsers") == 1


def test_every_step_begins_and_ends_in_the_audit(restored: Restored) -> None:
    """Once each, in order."""
    events = restored.stage.events()
    assert [event.step for event in events if event.action == "BeginStep"] == list(Step)
    assert [event.step for event in events if event.action == "EndStep"] == list(Step)


def test_the_source_is_as_it_was(restored: Restored) -> None:
    """I1: nothing about production differs, down to its tags, and nothing in its region was changed."""
    after = restored.stage.show(SOURCE, EAST)
    # The one thing that goes on by itself.
    assert after | {"LatestRestorableTime": None} == restored.source_before | {"LatestRestorableTime": None}
    assert {call.region for call in restored.stage.changes() if call.service == "rds"} == {WEST}


def test_no_secret_is_seen_anywhere(restored: Restored) -> None:
    """I6: neither production's password nor a new one is in log, state, audit or message; only the secret has it."""
    stage = restored.stage
    written = stage.log + str([call for call in stage.calls if call.service != "secretsmanager"])
    assert stage.secret_value(stage.secret)["password"] not in written
    assert MASTER_PASSWORD not in written
    assert stage.secret in written


def test_a_result_is_small(restored: Restored) -> None:
    """What goes through the execution's history: five fields, and no more than a sentence."""
    for answers in restored.answers.values():
        for result in answers:
            assert set(result) == {"operation_id", "status", "reason", "wait_seconds", "outcome"}
            assert len(str(result)) < 1_000
            assert result["reason"]


def test_the_message_is_read_in_ten_seconds(restored: Restored) -> None:
    """What, from where, how long each step took, where it is; and the same for machines."""
    (message,) = restored.stage.messages()
    operation = restored.stage.operation()
    assert message["subject"] == f"us-west-2/{restored.stage.target} restored: {operation.operation_id}"
    assert operation.snapshot is not None
    assert operation.restored is not None
    for line in (
        f"From:     {operation.snapshot.identifier} ({SOURCE}, us-east-1, taken 2026-03-01 12:",
        f"Endpoint: 127.0.0.1:{operation.restored.port}",
        "Logins:   app, postgres",
        f"Master:   its password is in {operation.master_secret_arn}",
        f"All about it: aurora-restore status {operation.operation_id}",
    ):
        assert line in message["text"]
    for step in Step.SNS_NOTIFICATION.before:
        assert f"  {step} " in message["text"]
    event = message["event"]
    assert (event["outcome"], event["endpoint"], event["failure"]) == ("succeeded", "127.0.0.1", None)
    assert event["user_secrets"].keys() == {"app"}
    assert set(event["steps"]) == set(Step)


def test_the_target_s_operations_are_found_by_target_and_time(restored: Restored) -> None:
    """The history of a target, newest first, without the locks."""
    operations = restored.stage.world.store.operations
    assert [each.operation_id for each in operations.of_target(f"us-west-2/{restored.stage.target}")] == [
        restored.stage.operation_id
    ]
    assert [each.operation_id for each in operations.newest()] == [restored.stage.operation_id]
