"""Whole restores that are not the ordinary one."""

from aurora_restore.operation import Step
from tests.steps.world import EAST, WEST, Stage


def test_an_unencrypted_source_and_target_go_through(bare: Stage) -> None:
    """Without any key: copied without one, restored without one, its master secret under Secrets Manager's own."""
    bare.make_source(StorageEncrypted=False, KmsKeyId=None)
    bare.make_target(StorageEncrypted=False, KmsKeyId=None)
    del bare.request["target"]["kms_key"]
    assert bare.run(Step.SNS_NOTIFICATION)["outcome"] == "succeeded"
    assert not bare.show()["StorageEncrypted"]
    (copy,) = bare.changes("CopyDBClusterSnapshot")
    assert "KmsKeyId" not in copy.parameters
    managed = [call for call in bare.changes("ModifyDBCluster") if "ManageMasterUserPassword" in call.parameters]
    assert "MasterUserSecretKmsKeyId" not in managed[0].parameters


def test_an_unencrypted_source_can_become_an_encrypted_target(bare: Stage) -> None:
    """CopyDBClusterSnapshot refuses a key for it: the restore encrypts."""
    bare.make_source(StorageEncrypted=False, KmsKeyId=None)
    bare.make_target()
    bare.run(Step.RESTORE_SNAPSHOT)
    assert bare.show()["KmsKeyId"] == bare.region().key
    assert "KmsKeyId" not in bare.changes("CopyDBClusterSnapshot")[0].parameters


def test_a_target_that_does_not_exist_yet_is_made(bare: Stage) -> None:
    """The shape comes from the request; there is nothing to delete."""
    bare.make_source()
    bare.ask(
        target={
            "subnet_group": "private",
            "security_groups": [bare.region().security_group],
            "instances": [{"class": "db.serverless"}, {"class": "db.r6g.large", "promotion_tier": 0}],
            "serverless": {"min_acu": 1, "max_acu": 4},
            "backup_retention_days": 2,
            "deletion_protection": True,
        },
        replace={},
    )
    bare.run(Step.CHECK_RESTORE_STATUS)
    verdict = bare.operation().finished(Step.DELETE_RDS)
    assert verdict is not None
    assert verdict.reason == f"there is no cluster {bare.target} to delete"
    made = bare.show()
    assert (made["BackupRetentionPeriod"], made["DeletionProtection"]) == (2, True)
    assert {each["DBInstanceIdentifier"] for each in bare.instances()} == {f"{bare.target}-1", f"{bare.target}-2"}


def test_a_drill_in_the_source_s_own_region_needs_no_copy(bare: Stage) -> None:
    """Same region, same key: both waits for a copy are skipped, and the snapshot itself is restored."""
    bare.make_source()
    bare.make_target(region=EAST)
    bare.ask(target={"region": EAST, "kms_key": bare.region(EAST).key})
    assert bare.run(Step.COPY_SNAPSHOT)["status"] == "SKIP"
    assert bare.run(Step.CHECK_COPY_STATUS)["reason"] == "there is no copy to wait for"
    assert bare.run(Step.SNS_NOTIFICATION)["outcome"] == "succeeded"
    assert bare.changes("CopyDBClusterSnapshot") == []
    assert bare.show(region=EAST)["Status"] == "available"
    assert WEST not in {call.region for call in bare.changes() if call.service == "rds"}


def test_the_longest_name_of_a_cluster_goes_through(bare: Stage) -> None:
    """61 characters and an instance number: a snapshot has no room for all of it."""
    bare.target = f"orders-{bare.number:03}-".ljust(61, "x")
    bare.make_source()
    bare.make_target()
    bare.ask(replace={"confirm": bare.target})
    assert bare.run(Step.RESTORE_SNAPSHOT)["status"] == "DONE"
    assert len(bare.changes("CopyDBClusterSnapshot")[0].parameters["TargetDBClusterSnapshotIdentifier"]) == 63
