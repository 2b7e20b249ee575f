"""Snapshots of the emulated Aurora: taken, copied, described, shared and deleted as in AWS."""

from datetime import timedelta
from typing import Any

from tests.embedded.aurora_account import EAST, FAMILY, NOON, WEST, Account, client, refused


def test_a_snapshot_progresses_with_the_clock(account: Account) -> None:
    """A snapshot is ``creating`` with growing progress, its cluster ``backing-up``; then both are available."""
    account.cluster()
    account.east.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="kept")
    seen = []
    for _ in range(4):
        snapshot = account.show_snapshot()
        seen.append((snapshot["Status"], snapshot["PercentProgress"], account.show()["Status"]))
        account.wait(60)
    assert seen == [
        ("creating", 0, "backing-up"),
        ("creating", 33, "backing-up"),
        ("creating", 66, "backing-up"),
        ("available", 100, "available"),
    ]
    assert account.show_snapshot()["SnapshotCreateTime"] == NOON + timedelta(days=1)


def test_a_snapshot_holds_the_data_of_when_it_was_taken(account: Account) -> None:
    """The volume is cloned when the snapshot begins, and clones go when their snapshots go."""
    volume = account.cluster()["DbClusterResourceId"]
    account.east.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="kept")
    assert len(account.plane.volumes) == 2
    account.wait()
    account.east.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="kept")
    assert list(account.plane.volumes) == [volume]
    with refused("DBClusterSnapshotNotFoundFault"):
        account.show_snapshot()


def test_snapshot_names_are_unique_and_their_number_is_limited(account: Account) -> None:
    """The same name is refused, and so is the manual snapshot after the hundredth, but no automated one."""
    account.cluster()
    account.snapshot("s0")
    with refused("DBClusterSnapshotAlreadyExistsFault"):
        account.snapshot("s0")
    for number in range(1, 100):
        account.snapshot(f"s{number}")
    with refused("SnapshotQuotaExceeded", "100 manual"):
        account.snapshot("s100")
    assert account.aurora.take_automated_snapshot(EAST, "orders") == "rds:orders-2026-06-10-12-00"


def test_describing_pages(account: Account) -> None:
    """At most MaxRecords come at once, the marker leads to the rest, and the order is not that of time."""
    account.cluster()
    for number in range(45):
        account.aurora.take_automated_snapshot(EAST, "orders", NOON - timedelta(hours=number))
    first = account.east.describe_db_cluster_snapshots(MaxRecords=20)
    assert len(first["DBClusterSnapshots"]) == 20
    pages = account.east.get_paginator("describe_db_cluster_snapshots").paginate(PaginationConfig={"PageSize": 20})
    found = [each["SnapshotCreateTime"] for one in pages for each in one["DBClusterSnapshots"]]
    assert (len(set(found)), found[0]) == (45, min(found))
    for size in (19, 101):
        with refused("InvalidParameterValue"):
            account.east.describe_db_cluster_snapshots(MaxRecords=size)
    with refused("InvalidParameterValue"):
        account.east.describe_db_clusters(Marker="nonsense")


def test_describing_filters(account: Account) -> None:
    """Clusters, instances and snapshots are found by identifier, ARN, type and filter; unknown filters are refused."""
    account.cluster()
    account.cluster("other")
    account.instance()
    snapshot = account.snapshot(cluster="other")
    automated = account.aurora.take_automated_snapshot(EAST, "orders")
    arn = account.show()["DBClusterArn"]
    by_cluster = [{"Name": "db-cluster-id", "Values": [arn]}]
    describe = account.east.describe_db_cluster_snapshots

    def names(**how: Any) -> list[str]:
        return [each["DBClusterSnapshotIdentifier"] for each in describe(**how)["DBClusterSnapshots"]]

    assert (
        names(SnapshotType="automated")
        == names(Filters=by_cluster)
        == names(DBClusterIdentifier="orders")
        == [automated]
    )
    assert names(SnapshotType="manual", IncludeShared=True) == ["kept"]
    assert names(DBClusterSnapshotIdentifier=snapshot["DBClusterSnapshotArn"]) == ["kept"]
    assert names(DBClusterIdentifier="missing") == []
    assert account.show(arn)["DBClusterArn"] == arn
    assert len(account.east.describe_db_clusters(Filters=by_cluster)["DBClusters"]) == 1
    assert len(account.east.describe_db_instances(Filters=by_cluster)["DBInstances"]) == 1
    assert (
        account.east.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": ["other"]}])["DBInstances"]
        == []
    )
    with refused("InvalidParameterValue", "Unrecognized filter"):
        account.east.describe_db_clusters(Filters=[{"Name": "colour", "Values": ["red"]}])


def test_a_copy_across_regions_is_made_where_it_is_asked_for(account: Account) -> None:
    """The copy appears in the destination, ``copying`` with progress, and names its source."""
    account.cluster()
    source = account.snapshot()["DBClusterSnapshotArn"]
    account.copy_west("landed", source)
    account.wait(300)
    copying = account.show_snapshot("landed", account.west)
    assert (copying["Status"], copying["PercentProgress"]) == ("copying", 50)
    account.wait(300)
    copied = account.show_snapshot("landed", account.west)
    assert (copied["Status"], copied["SourceDBClusterSnapshotArn"]) == ("available", source)
    with refused("DBClusterSnapshotAlreadyExistsFault"):
        account.copy_west("landed", source)


def test_an_encrypted_copy_across_regions_needs_a_usable_key(account: Account) -> None:
    """No key, a missing key, a disabled key and the source region's key are refused; id, ARN and alias are taken."""
    account.cluster(KmsKeyId=account.key(EAST))
    source = account.snapshot()["DBClusterSnapshotArn"]
    kms = client("kms", WEST)
    good, disabled = account.key(WEST), account.key(WEST)
    kms.disable_key(KeyId=disabled.rpartition("/")[2])
    kms.create_alias(AliasName="alias/staging", TargetKeyId=good)
    with refused("InvalidParameterCombination", "KmsKeyId"):
        account.copy_west("none", source)
    for bad in (disabled, account.key(EAST), "alias/missing", "00000000-missing"):
        with refused("KMSKeyNotAccessibleFault"):
            account.copy_west("bad", source, KmsKeyId=bad)
    for number, key in enumerate((good, good.rpartition("/")[2], "alias/staging")):
        account.copy_west(f"good-{number}", source, KmsKeyId=key)
        assert account.show_snapshot(f"good-{number}", account.west)["KmsKeyId"] == good


def test_a_copy_cannot_encrypt(account: Account) -> None:
    """A key with an unencrypted cluster snapshot is an error: encrypt on restore instead."""
    account.cluster()
    source = account.snapshot()["DBClusterSnapshotArn"]
    with refused("InvalidParameterCombination"):
        account.copy_west("encrypted", source, KmsKeyId=account.key(WEST))
    account.restore(KmsKeyId=account.key(EAST))
    assert account.show("copy")["StorageEncrypted"]


def test_a_copy_needs_an_available_source_and_a_good_name(account: Account) -> None:
    """A source that is still being made, that does not exist, or a bad target name: each has its code."""
    account.cluster()
    account.east.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="fresh")
    source = account.show_snapshot("fresh")["DBClusterSnapshotArn"]
    with refused("InvalidDBClusterSnapshotStateFault"):
        account.copy_west("copy", source)
    with refused("DBClusterSnapshotNotFoundFault"):
        account.copy_west("copy", "fresh")
    with refused("InvalidParameterValue"):
        account.wait()
        account.copy_west("rds:copy", source)


def test_tags_of_aws_make_a_copy_fail(account: Account) -> None:
    """Own tags are copied on request; a tag starting with ``aws:`` is refused."""
    account.cluster(Tags=[{"Key": "team", "Value": "shop"}], CopyTagsToSnapshot=True)
    source = account.snapshot(Tags=[{"Key": "why", "Value": "test"}])["DBClusterSnapshotArn"]
    account.copy_west("with-tags", source, CopyTags=True, Tags=[{"Key": "team", "Value": "other"}])
    found = {tag["Key"]: tag["Value"] for tag in account.show_snapshot("with-tags", account.west)["TagList"]}
    assert found == {"team": "other", "why": "test"}
    with refused("InvalidParameterValue", "aws:"):
        account.copy_west("own-tags", source, Tags=[{"Key": "aws:rds:x", "Value": ""}])


def test_five_copies_across_regions_fit_at_once(account: Account) -> None:
    """The sixth is refused, with a message of its own, until one has landed; copies within a region are free."""
    account.cluster()
    source = account.snapshot()["DBClusterSnapshotArn"]
    for number in range(5):
        account.copy_west(f"copy-{number}", source)
    with refused("SnapshotQuotaExceeded", "across regions"):
        account.copy_west("copy-5", source)
    account.east.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier="kept", TargetDBClusterSnapshotIdentifier="near"
    )
    account.wait()
    account.copy_west("copy-5", source)


def test_deleting_a_copy_cancels_it(account: Account) -> None:
    """A snapshot that is ``copying`` can be deleted, one that is ``creating`` or automated cannot."""
    account.cluster()
    account.east.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="kept")
    with refused("InvalidDBClusterSnapshotStateFault"):
        account.east.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="kept")
    account.wait()
    account.copy_west("landed", account.show_snapshot()["DBClusterSnapshotArn"])
    account.west.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="landed")
    account.wait()
    with refused("DBClusterSnapshotNotFoundFault"):
        account.show_snapshot("landed", account.west)
    automated = account.aurora.take_automated_snapshot(EAST, "orders")
    with refused("InvalidDBClusterSnapshotStateFault"):
        account.east.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=automated)


def test_an_automated_snapshot_is_as_old_as_wanted_and_goes_with_its_cluster(account: Account) -> None:
    """The helper's snapshot is available at once; deleting the cluster deletes it and leaves the manual one."""
    account.cluster()
    account.snapshot()
    name = account.aurora.take_automated_snapshot(EAST, "orders", NOON - timedelta(hours=30))
    found = account.show_snapshot(name)
    assert (name, found["Status"]) == ("rds:orders-2026-02-28-06-00", "available")
    assert found["SnapshotCreateTime"] == NOON - timedelta(hours=30)
    account.delete_cluster()
    account.wait()
    with refused("DBClusterSnapshotNotFoundFault"):
        account.show_snapshot(name)
    assert account.show_snapshot()["Status"] == "available"


def test_clusters_instances_and_snapshots_have_tags(account: Account) -> None:
    """Tags are added, replaced, listed and removed by ARN; parameter groups keep theirs at moto."""
    account.cluster()
    account.instance()
    arns = [
        account.show()["DBClusterArn"],
        account.show_instance()["DBInstanceArn"],
        account.snapshot()["DBClusterSnapshotArn"],
        account.east.create_db_parameter_group(
            DBParameterGroupName="own", DBParameterGroupFamily=FAMILY, Description="-"
        )["DBParameterGroup"]["DBParameterGroupArn"],
    ]
    for arn in arns:
        for value in ("1", "2"):
            account.east.add_tags_to_resource(
                ResourceName=arn, Tags=[{"Key": "a", "Value": value}, {"Key": "b", "Value": ""}]
            )
        account.east.remove_tags_from_resource(ResourceName=arn, TagKeys=["b"])
        assert account.east.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "a", "Value": "2"}]
    with refused("DBClusterNotFoundFault"):
        account.east.list_tags_for_resource(ResourceName=arns[0] + "-missing")


def test_a_snapshot_can_be_shared_unless_its_key_cannot(account: Account) -> None:
    """A manual snapshot under a customer key is shared; an automated one and one under ``aws/rds`` are not."""
    share = account.east.modify_db_cluster_snapshot_attribute
    account.cluster()
    account.snapshot()
    share(DBClusterSnapshotIdentifier="kept", AttributeName="restore", ValuesToAdd=["111122223333"])
    shown = account.east.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier="kept")
    attribute = shown["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"][0]
    assert (attribute["AttributeName"], attribute["AttributeValues"]) == ("restore", ["111122223333"])
    account.cluster("secret", StorageEncrypted=True)
    account.snapshot("locked", "secret")
    for name in ("locked", account.aurora.take_automated_snapshot(EAST, "orders")):
        with refused("InvalidDBClusterSnapshotStateFault"):
            share(DBClusterSnapshotIdentifier=name, AttributeName="restore", ValuesToAdd=["111122223333"])


def test_an_encrypted_copy_within_a_region_keeps_the_key(account: Account) -> None:
    """Within a region the source's key is the default, or another one is given."""
    key, other = account.key(EAST), account.key(EAST)
    account.cluster(KmsKeyId=key)
    account.snapshot()
    copy = account.east.copy_db_cluster_snapshot
    copy(SourceDBClusterSnapshotIdentifier="kept", TargetDBClusterSnapshotIdentifier="same")
    copy(SourceDBClusterSnapshotIdentifier="kept", TargetDBClusterSnapshotIdentifier="other", KmsKeyId=other)
    assert (account.show_snapshot("same")["KmsKeyId"], account.show_snapshot("other")["KmsKeyId"]) == (key, other)
    with refused("InvalidParameterValue"):
        copy(
            SourceDBClusterSnapshotIdentifier="arn:aws:rds:us-east-1:1:cluster:x", TargetDBClusterSnapshotIdentifier="c"
        )
