"""Steps 5 and 6: the restore with every parameter explicit, then instances and settings, one after the other."""

from typing import Any

import pytest

from aurora_restore.aws.rds import Rds
from aurora_restore.errors import (
    AwsRefusedError,
    AwsUnavailableError,
    CapacityError,
    ForeignResourceError,
    NotReadyError,
    RestoreFailedError,
    StepTimedOutError,
    UnknownStatusError,
)
from aurora_restore.operation import Intent, Step
from tests.steps.world import EAST, ROLE, WEST, Stage

RESTORE, CHECK = Step.RESTORE_SNAPSHOT, Step.CHECK_RESTORE_STATUS


def records(stage: Stage, region: str = WEST) -> Any:
    """Return the emulator's records of a region, to let happen what the API cannot do."""
    return next(found for place, found in stage.aurora._world.places.items() if place.region == region)


def test_mistake_9_the_restore_names_everything_the_target_had(deleted: Stage) -> None:
    """Omitted means default: groups, subnets, version, storage, port and tags are all in the call."""
    deleted.run(RESTORE)
    (call,) = deleted.changes("RestoreDBClusterFromSnapshot")
    operation = deleted.operation()
    assert operation.restore_from is not None
    at = deleted.region()
    assert call.parameters["SnapshotIdentifier"] == operation.restore_from.arn
    assert set(call.parameters["VpcSecurityGroupIds"]) == {at.security_group, at.other_security_group}
    assert call.parameters["DBSubnetGroupName"] == "private"
    assert call.parameters["DBClusterParameterGroupName"] == "orders-staging-16"
    assert call.parameters["EngineVersion"] == "16.4"
    assert call.parameters["KmsKeyId"] == at.key
    assert deleted.tags(deleted.show())["aurora-restore:operation"] == deleted.operation_id


def test_the_request_s_overrides_win_over_the_captured_shape(stage: Stage) -> None:
    """Only what it names; all else stays."""
    stage.ask(
        target={"port": 6000, "subnet_group": "isolated", "tags": {"team": "data"}, "backup_retention_days": 9},
        tags={"made-by": "nightly"},
    )
    stage.run(CHECK)
    made = stage.show()
    assert (made["Port"], made["DBSubnetGroup"], made["BackupRetentionPeriod"]) == (6000, "isolated", 9)
    tags = stage.tags(made)
    assert (tags["team"], tags["made-by"]) == ("data", "nightly")
    assert made["EnabledCloudwatchLogsExports"] == ["postgresql"]


def test_a_restore_whose_answer_was_lost_is_not_started_twice(deleted: Stage) -> None:
    """I4: the retry finds the cluster by the operation's tag."""
    deleted.aurora.refuse_next("RestoreDBClusterFromSnapshot", "InternalFailure", after_effect=True)
    with pytest.raises(AwsUnavailableError):
        deleted.call(RESTORE)
    assert deleted.call(RESTORE)["reason"] == f"{deleted.target} is being restored already"
    assert len(deleted.changes("RestoreDBClusterFromSnapshot")) == 1


def test_a_cluster_that_appears_while_it_is_asked_for_is_looked_at_again(deleted: Stage) -> None:
    """Ours or another's: the next look says."""
    deleted.aurora.refuse_next("RestoreDBClusterFromSnapshot", "DBClusterAlreadyExistsFault", after_effect=True)
    with pytest.raises(NotReadyError, match="appeared while the restore was asked for"):
        deleted.call(RESTORE)
    assert deleted.call(RESTORE)["status"] == "DONE"


def test_somebody_else_s_cluster_of_the_name_is_left_alone(deleted: Stage) -> None:
    """It was made between deletion and restore; whoever made it must say what it is."""
    deleted.make_target()
    with pytest.raises(ForeignResourceError, match=r"was made by somebody else meanwhile\. Find out who"):
        deleted.call(RESTORE)
    assert deleted.changes("RestoreDBClusterFromSnapshot") == []


def test_a_cluster_that_was_replaced_meanwhile_is_left_alone(begun: Stage) -> None:
    """The same in the step after."""
    records(begun).clusters[begun.target].tag_list.clear()
    with pytest.raises(ForeignResourceError, match="is not the one that this operation restored"):
        begun.call(CHECK)


def test_a_cluster_that_cannot_be_seen_is_looked_for_again(begun: Stage) -> None:
    """Not visible yet, or deleted by somebody."""
    begun.aurora.refuse_next("DescribeDBClusters", "DBClusterNotFoundFault")
    with pytest.raises(NotReadyError, match="cannot be seen"):
        begun.call(CHECK)


def test_mistake_2_the_writer_is_made_first_and_the_readers_together(stage: Stage) -> None:
    """An available cluster without instances is not usable; and the first instance becomes the writer."""
    stage.client("rds").create_db_instance(
        DBInstanceIdentifier=f"{stage.target}-3",
        DBClusterIdentifier=stage.target,
        Engine="aurora-postgresql",
        DBInstanceClass="db.r6g.large",
    )
    stage.clock.advance(60)
    stage.run(RESTORE)
    reasons = []
    while (result := stage.call(CHECK))["status"] == "WAIT":
        reasons.append(result["reason"])
        stage.clock.sleep(result["wait_seconds"])
    assert reasons[0] == "the cluster is creating"
    assert reasons[1].endswith(f"its writer {stage.target}-1 is being made")
    assert reasons[2].startswith("the writer is available; being made: ")
    made = [call.parameters["DBInstanceIdentifier"] for call in stage.changes("CreateDBInstance")]
    assert made[0] == f"{stage.target}-1"
    assert set(made[1:]) == {f"{stage.target}-2", f"{stage.target}-3"}
    assert result["reason"] == f"{stage.target} is available with 3 instances"


def test_what_a_restore_cannot_set_is_set_and_read_back(begun: Stage) -> None:
    """Retention and windows in one call, the role by its own API, and the managed password last, under the key."""
    begun.run(CHECK)
    settings, managed = (call.parameters for call in begun.changes("ModifyDBCluster"))
    assert settings["ApplyImmediately"] is True
    assert {name for name in settings if name not in {"DBClusterIdentifier", "ApplyImmediately"}} == {
        "BackupRetentionPeriod",
        "PreferredBackupWindow",
        "PreferredMaintenanceWindow",
    }
    assert managed["ManageMasterUserPassword"] is True
    assert managed["MasterUserSecretKmsKeyId"] == begun.region().key
    (role,) = begun.changes("AddRoleToDBCluster")
    assert (role.parameters["RoleArn"], role.parameters["FeatureName"]) == (ROLE, "s3Import")
    operation = begun.operation()
    assert operation.restored is not None
    assert operation.restored.port == 5544
    assert operation.master_secret_arn == begun.show()["MasterUserSecret"]["SecretArn"]
    assert operation.not_restored == ()


def test_a_protected_target_is_protected_again_at_the_end(stage: Stage) -> None:
    """And not before: until then a failed restore must be removable."""
    stage.client("rds").modify_db_cluster(
        DBClusterIdentifier=stage.target, DeletionProtection=True, ApplyImmediately=True
    )
    stage.clock.advance(60)
    stage.ask(replace={"protection": "lift"})
    stage.run(RESTORE)
    assert not stage.show()["DeletionProtection"]
    stage.run(CHECK)
    assert stage.show()["DeletionProtection"]


def test_a_setting_that_does_not_take_is_reported_and_not_asked_for_ever(begun: Stage) -> None:
    """I9: after a while it is told as lost, and the operation goes on."""
    begun.call(CHECK)
    original = begun.aurora._operations.modification.modify

    def forgetful(place: Any, params: Any) -> Any:
        return original(place, {name: value for name, value in params.items() if name != "backup_retention_period"})

    begun.aurora._operations.modification.modify = forgetful  # type: ignore[method-assign]
    began = begun.clock.now()
    assert begun.finish(CHECK)["status"] == "DONE"
    assert begun.operation().not_restored == ("BackupRetentionPeriod was asked to be 5 and is not",)
    assert len(begun.changes("ModifyDBCluster")) == 2
    assert (begun.clock.now() - began).total_seconds() >= 300


def test_an_instance_that_is_not_as_asked_is_reported(begun: Stage) -> None:
    """Somebody changed its class while it was made."""
    begun.call(CHECK)
    begun.clock.advance(5)
    begun.call(CHECK)
    records(begun).instances[f"{begun.target}-1"].db_instance_class = "db.r6g.4xlarge"
    begun.finish(CHECK)
    assert begun.operation().not_restored == (f"the instance {begun.target}-1 is not as it was asked for",)


@pytest.mark.parametrize("status", ["failed", "incompatible-restore", "storage-full", "stopped", "deleting"])
def test_mistake_4_a_terminal_cluster_status_fails_at_once(begun: Stage, status: str) -> None:
    """With AWS's word for it, and where to look for why: not one more wait."""
    records(begun).clusters[begun.target].status = status
    with pytest.raises(RestoreFailedError, match=rf"the cluster {begun.target} is {status}\. Look at why: aws rds"):
        begun.call(CHECK)


@pytest.mark.parametrize("status", ["failed", "incompatible-parameters", "insufficient-capacity", "stopped"])
@pytest.mark.parametrize("number", [1, 2])
def test_mistake_4_a_terminal_instance_status_fails_at_once(begun: Stage, status: str, number: int) -> None:
    """Writer or reader alike."""
    for _ in range(3 + number):
        begun.call(CHECK)
        begun.clock.advance(5)
    name = f"{begun.target}-{number}"
    records(begun).instances[name].status = status
    with pytest.raises(RestoreFailedError, match=rf"the instance {name} is {status}\. Look at why"):
        begun.call(CHECK)


def test_an_unknown_status_is_shown_and_not_waited_for(begun: Stage) -> None:
    """Of a cluster that RDS has taught a new word."""
    records(begun).clusters[begun.target].status = "dreaming"
    with pytest.raises(UnknownStatusError, match='"dreaming"'):
        begun.call(CHECK)


def test_a_restore_that_fails_in_aws_fails_the_operation(deleted: Stage) -> None:
    """On its way, as RDS reports it."""
    deleted.aurora.fail_next("restore", deleted.target, status="incompatible-network")
    deleted.run(RESTORE)
    with pytest.raises(RestoreFailedError, match="is incompatible-network"):
        deleted.finish(CHECK)


def test_an_instance_whose_answer_was_lost_is_not_made_twice(begun: Stage) -> None:
    """I4: the next look finds it."""
    begun.aurora.refuse_next("CreateDBInstance", "InternalFailure", after_effect=True)
    assert begun.finish(CHECK, retry=(AwsUnavailableError,))["status"] == "DONE"
    assert len(begun.changes("CreateDBInstance")) == 2


def test_capacity_that_aws_has_not_is_asked_for_again(begun: Stage) -> None:
    """It passes by itself; the state machine tries for hours."""
    begun.aurora.refuse_next("CreateDBInstance", "InsufficientDBInstanceCapacity")
    with pytest.raises(CapacityError):
        begun.finish(CHECK)
    assert begun.finish(CHECK)["status"] == "DONE"


def test_an_instance_of_that_name_is_looked_at_again(begun: Stage) -> None:
    """One that somebody made in the same moment."""
    begun.aurora.refuse_next("CreateDBInstance", "DBInstanceAlreadyExists", after_effect=True)
    with pytest.raises(NotReadyError, match="appeared while it was asked for"):
        begun.finish(CHECK)
    assert begun.finish(CHECK)["status"] == "DONE"


def test_a_role_that_is_there_already_is_given(begun: Stage) -> None:
    """The answer to the first request for it was lost."""
    begun.aurora.refuse_next("AddRoleToDBCluster", "DBClusterRoleAlreadyExists", after_effect=True)
    assert begun.finish(CHECK)["status"] == "DONE"


def test_a_role_without_a_feature_is_given_without_one(begun: Stage) -> None:
    """PostgreSQL's roles have a feature; MySQL's have none."""
    rds = begun.world.rds(WEST)
    begun.finish(CHECK)
    cluster = rds.cluster(begun.target)
    assert cluster is not None
    (role,) = cluster.shape.roles
    intent = Intent(operation_id="x", sequence=1, action="AddRoleToDBCluster", subject=cluster.arn)
    rds.add_role(intent, cluster, role.model_copy(update={"feature": None}))
    assert [each.get("FeatureName") or None for each in begun.show()["AssociatedRoles"]] == ["s3Import", None]


def test_a_settings_call_that_aws_refuses_fails_with_its_word(begun: Stage) -> None:
    """A combination that RDS will not take is for a person."""
    begun.aurora.refuse_next("ModifyDBCluster", "InvalidParameterCombination", "Not both.")
    with pytest.raises(AwsRefusedError, match="ModifyDBCluster was refused with InvalidParameterCombination: Not both"):
        begun.finish(CHECK)


def test_a_settings_call_whose_answer_was_lost_is_asked_again(begun: Stage) -> None:
    """Asking twice changes nothing: what was set is read back as equal."""
    begun.aurora.refuse_next("ModifyDBCluster", "InternalFailure", after_effect=True)
    assert begun.finish(CHECK, retry=(AwsUnavailableError,))["status"] == "DONE"
    assert begun.show()["BackupRetentionPeriod"] == 5


def test_the_master_s_secret_is_waited_for(begun: Stage) -> None:
    """Until it is active, not for a number of seconds."""
    while "takes over" not in begun.call(CHECK)["reason"]:
        begun.clock.advance(5)
    secret = records(begun).clusters[begun.target].master_user_secret
    records(begun).clusters[begun.target].master_user_secret = None
    begun.clock.advance(5)
    assert begun.call(CHECK)["reason"] == "RDS is making the master user's secret"
    records(begun).clusters[begun.target].master_user_secret = secret
    secret.secret_status = "rotating"
    assert begun.call(CHECK)["reason"] == "the master user's secret is rotating"
    secret.secret_status = "active"
    assert begun.call(CHECK)["status"] == "DONE"


def test_a_restore_that_takes_too_long_times_out(stage: Stage) -> None:
    """After the request's limit, with what it was waiting for."""
    stage.ask(timeouts={"restore_minutes": 1})
    stage.run(RESTORE)
    stage.call(CHECK)
    records(stage).clusters[stage.target].pending = None
    stage.clock.advance(61)
    with pytest.raises(
        StepTimedOutError, match=r"CheckRestoreStatus has waited for 1 minutes.*the cluster is creating"
    ):
        stage.call(CHECK)


def test_what_cannot_be_restored_is_told_at_the_end(stage: Stage) -> None:
    """I9: a custom endpoint cannot be captured with the cluster; the message names it."""
    stage.call(Step.SNAPSHOT_CHECK)
    rds = stage.world.rds(EAST)
    assert isinstance(rds, Rds)
    operation = stage.operation().with_(not_restored=("custom endpoints: make them again",))
    stage.world.store.state.write([stage.world.store.operations.write(operation.with_(version=operation.version + 1))])
    stage.run(Step.SNS_NOTIFICATION)
    assert "Lost:     custom endpoints: make them again" in stage.messages()[0]["text"]
    assert stage.messages()[0]["event"]["not_restored"] == ["custom endpoints: make them again"]


def test_the_data_api_is_switched_on_again(stage: Stage) -> None:
    """I9: by its own operation, once; a restore does not know it and ModifyDBCluster is for Serverless v1."""
    stage.client("rds").enable_http_endpoint(ResourceArn=stage.show()["DBClusterArn"])
    stage.run(CHECK)
    assert stage.show()["HttpEndpointEnabled"] is True
    assert len(stage.changes("EnableHttpEndpoint")) == 1
    assert stage.operation().not_restored == ()
