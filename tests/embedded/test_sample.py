"""The sample shop and the sample world."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql

from aurora_restore.embedded import sample, shop
from aurora_restore.embedded.findings import count_rows
from aurora_restore.embedded.opening import Opened, opened
from aurora_restore.request import RestoreRequest

ROWS = 400


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Opened, sample.Sample]]:
    with opened(is_small=True) as place:
        yield place, sample.build(place.account, sample.shop_of(ROWS), staging_rows=ROWS // 4)


def digests(database: sample.Database) -> list[object]:
    """Return a digest of every table's rows."""
    with database.open() as connection:
        return [
            connection.execute(
                sql.SQL("SELECT md5(string_agg({0}::text, '|' ORDER BY {0}::text)) FROM {0}").format(
                    sql.Identifier(table)
                )
            ).fetchone()
            for table in shop.shares(ROWS)
        ]


@pytest.mark.parametrize("rows", [10, 11, 99, 1_000, 200_000])
def test_tables_share_all_rows(rows: int) -> None:
    """However few rows are wanted: that many are made in all, and no table is empty."""
    counts = shop.shares(rows)
    assert sum(counts.values()) == rows
    assert len(counts) == 5
    assert min(counts.values()) > 0


def test_too_few_rows_are_refused() -> None:
    """Five tables that refer to each other cannot be filled with less."""
    with pytest.raises(ValueError, match="at least 10"):
        shop.shares(9)


def test_shop_is_the_same_every_time(world: tuple[Opened, sample.Sample]) -> None:
    """Two loads make the same rows: what one person sees, another can look up."""
    first = world[1].source
    with first.open() as connection:
        connection.execute("CREATE DATABASE again")
    second = replace(first, name="again")
    sample.shop_of(ROWS)(second)
    assert digests(first) == digests(second)


def test_request_is_valid_and_all_it_names_exists(world: tuple[Opened, sample.Sample]) -> None:
    """The demo's request needs no change: clusters, key and snapshot are there."""
    account, request = world[0].account, RestoreRequest.parse(sample.request())
    for side in (request.source, request.target):
        found = account.client("rds", side.region).describe_db_clusters(DBClusterIdentifier=side.cluster)
        assert found["DBClusters"][0]["Status"] == "available"
    key = account.client("kms", request.target.region).describe_key(KeyId=request.target.kms_key)
    assert key["KeyMetadata"]["Enabled"]


def test_production_has_an_automated_snapshot_and_its_own_key(world: tuple[Opened, sample.Sample]) -> None:
    """The copy has to change region and key, as it does in earnest."""
    rds = world[0].account.client("rds", sample.SOURCE_REGION)
    snapshots = rds.describe_db_cluster_snapshots(SnapshotType="automated")["DBClusterSnapshots"]
    assert [snapshot["DBClusterSnapshotIdentifier"] for snapshot in snapshots] == [world[1].snapshot]
    assert snapshots[0]["KmsKeyId"].startswith(f"arn:aws:kms:{sample.SOURCE_REGION}:")


def test_staging_has_a_shape_worth_keeping(world: tuple[Opened, sample.Sample]) -> None:
    """Two different instances, own parameter groups, tags, logs, windows and retention: nothing is a default."""
    rds = world[0].account.client("rds", sample.TARGET_REGION)
    cluster = rds.describe_db_clusters(DBClusterIdentifier=sample.TARGET)["DBClusters"][0]
    instances = rds.describe_db_instances()["DBInstances"]
    assert {instance["DBInstanceClass"] for instance in instances} == {"db.r6g.large", "db.t4g.medium"}
    assert {instance["PromotionTier"] for instance in instances} == {0, 5}
    assert cluster["DBClusterParameterGroup"] == sample.TARGET
    assert cluster["BackupRetentionPeriod"] == 5
    assert cluster["EnabledCloudwatchLogsExports"] == ["postgresql"]
    assert len(cluster["VpcSecurityGroups"]) == 2
    assert {"Key": "team", "Value": "shop"} in cluster["TagList"]


def test_staging_holds_less_than_production(world: tuple[Opened, sample.Sample]) -> None:
    """A restore that did nothing would be seen."""
    source, target = count_rows(world[1].source), count_rows(world[1].target)
    assert source == shop.shares(ROWS)
    assert target == shop.shares(ROWS // 4)


def test_production_logins_work(world: tuple[Opened, sample.Sample]) -> None:
    """They can log in to production, so that a refusal on the target means something."""
    place = world[1].source.endpoint
    for name in shop.LOGINS:
        with psycopg.connect(
            host=place.host, port=place.port, user=name, password=shop.LOGIN_PASSWORD, dbname=sample.DATABASE
        ) as connection:
            row = connection.execute("SELECT count(*) FROM customers").fetchone()
            assert row == (shop.shares(ROWS)["customers"],)


def test_old_snapshot_gets_a_younger_one(world: tuple[Opened, sample.Sample]) -> None:
    """However long a served account lives, the request's age limit is met."""
    account = world[0].account
    rds = account.client("rds", sample.SOURCE_REGION)

    def count() -> int:
        return len(rds.describe_db_cluster_snapshots(SnapshotType="automated")["DBClusterSnapshots"])

    sample.keep_snapshot_young(account)
    assert count() == 1
    account.clock.sleep(120)
    sample.keep_snapshot_young(account)
    assert count() == 1
    sample.keep_snapshot_young(account, older_than=timedelta(minutes=1))
    assert count() == 2
