"""An emulated Aurora in this process, with short ways to make things in it."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from aurora_restore.embedded.aurora import Aurora, install
from aurora_restore.embedded.clock import VirtualClock
from aurora_restore.embedded.dataplane import MasterUser, RecordsOnly

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EAST, WEST = "us-east-1", "us-west-2"
ENGINE, VERSION, FAMILY = "aurora-postgresql", "16.4", "aurora-postgresql16"
PASSWORD = "testing-password"
ONE_DAY_S = 86_400.0


# One for all tests: reading the models of the services takes longer than a test.
_SESSION: Any = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")


@cache
def client(service: str, region: str) -> Any:
    """Return a client of a service in a region."""
    return _SESSION.client(service, region_name=region)


class Plane(RecordsOnly):
    """Records only, and remembers whose password was changed to what."""

    def __init__(self) -> None:
        super().__init__()
        self.passwords: dict[str, str] = {}

    def set_password(self, volume: str, master: MasterUser) -> None:
        self.passwords[volume] = master.password


class Account:
    """An embedded account with its clock, its databases and its clients."""

    def __init__(self) -> None:
        self.plane = Plane()
        self.clock = VirtualClock(NOON)
        self.aurora: Aurora = install(self.plane, self.clock)
        self.east: Any = client("rds", EAST)
        self.west: Any = client("rds", WEST)

    def wait(self, seconds: float = ONE_DAY_S) -> None:
        self.clock.advance(seconds)

    def cluster(self, name: str = "orders", **changes: Any) -> dict[str, Any]:
        settings = {
            "DBClusterIdentifier": name,
            "Engine": ENGINE,
            "EngineVersion": VERSION,
            "DatabaseName": "shop",
            "MasterUsername": "dba",
            "MasterUserPassword": PASSWORD,
        } | changes
        self.east.create_db_cluster(**settings)
        self.wait()
        return self.show(name)

    def show(self, name: str = "orders", rds: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = (rds or self.east).describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
        return found

    def instance(self, name: str = "orders-1", cluster: str = "orders", *, wait: bool = True, **changes: Any) -> None:
        settings = {
            "DBInstanceIdentifier": name,
            "DBClusterIdentifier": cluster,
            "Engine": ENGINE,
            "DBInstanceClass": "db.r6g.large",
        } | changes
        self.east.create_db_instance(**settings)
        if wait:
            self.wait()

    def show_instance(self, name: str = "orders-1") -> dict[str, Any]:
        found: dict[str, Any] = self.east.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
        return found

    def snapshot(self, name: str = "kept", cluster: str = "orders", **more: Any) -> dict[str, Any]:
        self.east.create_db_cluster_snapshot(DBClusterIdentifier=cluster, DBClusterSnapshotIdentifier=name, **more)
        self.wait()
        return self.show_snapshot(name)

    def show_snapshot(self, name: str = "kept", rds: Any = None) -> dict[str, Any]:
        answer = (rds or self.east).describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name)
        found: dict[str, Any] = answer["DBClusterSnapshots"][0]
        return found

    def copy_west(self, name: str, source: str, **more: Any) -> None:
        self.west.copy_db_cluster_snapshot(
            SourceDBClusterSnapshotIdentifier=source, TargetDBClusterSnapshotIdentifier=name, SourceRegion=EAST, **more
        )

    def restore(self, name: str = "copy", snapshot: str = "kept", **changes: Any) -> dict[str, Any]:
        settings = {
            "DBClusterIdentifier": name,
            "SnapshotIdentifier": snapshot,
            "Engine": ENGINE,
            "EngineVersion": VERSION,
        }
        restored: dict[str, Any] = self.east.restore_db_cluster_from_snapshot(**settings | changes)["DBCluster"]
        return restored

    def key(self, region: str) -> str:
        arn: str = client("kms", region).create_key()["KeyMetadata"]["Arn"]
        return arn

    def delete_cluster(self, name: str = "orders", **more: Any) -> None:
        self.east.delete_db_cluster(DBClusterIdentifier=name, **({"SkipFinalSnapshot": True} | more))

    def delete_instance(self, name: str = "orders-1") -> None:
        self.east.delete_db_instance(DBInstanceIdentifier=name)


def refused(code: str, message: str = "") -> "pytest.RaisesExc[ClientError]":
    return pytest.raises(ClientError, match=rf"\({code}\).*{message}")
