"""Step 8: the operation's snapshot is kept, older ones of the pipeline go; never another's, never the last."""

from typing import Any

import pytest

from aurora_restore.errors import AwsRefusedError, AwsUnavailableError
from aurora_restore.names import SnapshotRole, pipeline_tags
from aurora_restore.operation import Step
from tests.steps.world import EAST, WEST, Stage

ARCHIVE = Step.ARCHIVE_SNAPSHOT


def older(stage: Stage, name: str, hours: float, *, role: str = "archive", region: str = WEST, **tags: str) -> None:
    """Let there be a snapshot, so old, that the pipeline made of this target; or with other tags."""
    plain = pipeline_tags("aurora-restore", f"op-{name}", f"us-west-2/{stage.target}", SnapshotRole(role))
    cluster = stage.target if region == WEST else "orders-prod"
    stage.client("rds", region).create_db_cluster_snapshot(
        DBClusterIdentifier=cluster,
        DBClusterSnapshotIdentifier=name,
        Tags=[{"Key": key, "Value": value} for key, value in {**plain, **tags}.items() if value],
    )
    stage.clock.advance(5)
    for records in stage.aurora._world.places.values():
        if name in records.snapshots:
            at = records.snapshots[name].snapshot_create_time
            records.snapshots[name].snapshot_create_time = at.fromtimestamp(at.timestamp() - hours * 3600, at.tzinfo)


def limits(stage: Stage, **archive: Any) -> None:
    """Let the operation have asked for other limits."""
    stage.ask(archive=archive)
    store, operation = stage.world.store, stage.operation()
    request = operation.wanted.model_validate(stage.request)
    store.state.write([store.operations.write(operation.with_(request=request, version=operation.version + 1))])


def deleted_names(stage: Stage) -> set[str]:
    return {call.parameters["DBClusterSnapshotIdentifier"] for call in stage.changes("DeleteDBClusterSnapshot")}


def test_mistake_10_the_copy_is_kept_as_an_archive(peopled: Stage) -> None:
    """Tagged, not deleted."""
    result = peopled.call(ARCHIVE)
    operation = peopled.operation()
    assert operation.restore_from is not None
    name = operation.restore_from.identifier
    assert result["reason"] == f"{name} is kept as an archive; nothing older is to prune"
    assert peopled.tags(peopled.snapshots()[name])["aurora-restore:role"] == "archive"
    assert operation.archive_arn == operation.restore_from.arn
    assert deleted_names(peopled) == set()


def test_older_archives_beyond_the_number_go(peopled: Stage) -> None:
    """This operation's own counts as the newest; each deletion names the operation that had made it."""
    for number in range(4):
        older(peopled, f"old-{number}", hours=10 + number)
    limits(peopled, keep=3)
    assert "2 older ones are pruned: old-2, old-3" in peopled.call(ARCHIVE)["reason"]
    assert deleted_names(peopled) == {"old-2", "old-3"}
    details = [event.detail for event in peopled.events() if event.action == "DeleteDBClusterSnapshot"]
    assert "made by op-old-2" in details[0]


def test_archives_beyond_the_age_go(peopled: Stage) -> None:
    """Even where the number would keep them."""
    older(peopled, "young", hours=20)
    older(peopled, "old", hours=49)
    limits(peopled, keep_days=2)
    peopled.call(ARCHIVE)
    assert deleted_names(peopled) == {"old"}


def test_a_copy_of_an_operation_that_failed_is_pruned_like_an_archive(peopled: Stage) -> None:
    """It never came so far as to be tagged as one."""
    older(peopled, "left-behind", hours=50, role="copy")
    limits(peopled, keep=1)
    peopled.call(ARCHIVE)
    assert deleted_names(peopled) == {"left-behind"}


def test_final_snapshots_are_counted_by_themselves(peopled: Stage) -> None:
    """The old target's data is not pushed out by archives of production; this operation's own final one stays."""
    for number in range(3):
        older(peopled, f"final-{number}", hours=10 + number, role="final")
    older(peopled, "archive-1", hours=10)
    limits(peopled, keep=2)
    peopled.call(ARCHIVE)
    assert deleted_names(peopled) == {"final-1", "final-2"}
    final = peopled.operation().final_snapshot_arn
    assert final in {each["DBClusterSnapshotArn"] for each in peopled.snapshots().values()}


@pytest.mark.parametrize(
    "foreign",
    [
        {"aurora-restore:stack": "another"},
        {"aurora-restore:target": "us-west-2/another"},
        {"aurora-restore:target": "us-east-1/orders-staging"},
        {"aurora-restore:role": "made-up"},
        # A person's snapshot of a restored cluster: it inherits the cluster's tags, but not a role.
        {"aurora-restore:role": ""},
    ],
)
def test_what_the_pipeline_did_not_make_of_this_target_is_never_pruned(peopled: Stage, foreign: dict[str, str]) -> None:
    """Another stack's, another target's, another region's target of the same name, or a person's."""
    older(peopled, "theirs", hours=5_000, **foreign)
    limits(peopled, keep=1, keep_days=1)
    peopled.call(ARCHIVE)
    assert deleted_names(peopled) == set()


def test_a_foreign_snapshot_in_a_status_nobody_knows_is_no_trouble(peopled: Stage) -> None:
    """Only what is ours is judged."""
    older(peopled, "theirs", hours=50, **{"aurora-restore:stack": "another"})
    for records in peopled.aurora._world.places.values():
        if "theirs" in records.snapshots:
            records.snapshots["theirs"].status = "dreaming"
    assert peopled.call(ARCHIVE)["status"] == "DONE"


def test_a_source_s_own_snapshot_stays_as_it_is(bare: Stage) -> None:
    """I1: restored without a copy, it belongs to production: no tag is put on it, and it is no archive."""
    bare.make_source()
    bare.make_target(region=EAST)
    bare.ask(target={"region": EAST, "kms_key": bare.region(EAST).key})
    bare.run(Step.SETUP_DB_USERS)
    before = bare.snapshots(EAST)
    assert "is not this pipeline's own and stays as it is" in bare.call(ARCHIVE)["reason"]
    assert bare.snapshots(EAST) == before
    assert bare.operation().archive_arn is None


def test_a_new_snapshot_that_was_copied_goes_when_its_copy_is_kept(stage: Stage) -> None:
    """It was taken only to be copied."""
    stage.ask(source={"snapshot": "new"})
    stage.run(Step.SETUP_DB_USERS)
    taken = stage.operation().snapshot
    assert taken is not None
    stage.call(ARCHIVE)
    assert deleted_names(stage) == {taken.identifier}
    assert taken.identifier not in stage.snapshots(EAST)


def test_a_new_snapshot_that_was_not_copied_is_the_archive(bare: Stage) -> None:
    """Same region, same key: the one that was taken is the one that is kept."""
    bare.make_source(snapshot=False)
    bare.make_target(region=EAST)
    bare.ask(source={"snapshot": "new"}, target={"region": EAST, "kms_key": bare.region(EAST).key})
    bare.run(ARCHIVE)
    taken = bare.operation().snapshot
    assert taken is not None
    assert bare.operation().archive_arn == taken.arn
    assert bare.tags(bare.snapshots(EAST)[taken.identifier])["aurora-restore:role"] == "archive"


def test_an_archive_that_somebody_deleted_meanwhile_is_gone(peopled: Stage) -> None:
    """Between the list and the deletion."""
    older(peopled, "old", hours=50)
    limits(peopled, keep=1)
    peopled.aurora.refuse_next("DeleteDBClusterSnapshot", "DBClusterSnapshotNotFoundFault", after_effect=True)
    assert peopled.call(ARCHIVE)["status"] == "DONE"


def test_an_archiving_that_is_killed_is_finished(peopled: Stage) -> None:
    """I4: tagged twice is tagged once, and what is pruned is pruned."""
    older(peopled, "old", hours=50)
    limits(peopled, keep=1)
    peopled.aurora.refuse_next("DeleteDBClusterSnapshot", "InternalFailure", after_effect=True)
    assert peopled.finish(ARCHIVE, retry=(AwsUnavailableError,))["status"] == "DONE"
    assert deleted_names(peopled) == {"old"}


def test_a_refused_tag_fails_with_aws_s_word(peopled: Stage) -> None:
    """Nothing is pruned before the archive is one."""
    older(peopled, "old", hours=50)
    limits(peopled, keep=1)
    peopled.aurora.refuse_next("AddTagsToResource", "InvalidParameterValue")
    with pytest.raises(AwsRefusedError):
        peopled.call(ARCHIVE)
    assert deleted_names(peopled) == set()
