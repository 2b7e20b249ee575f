"""One embedded account with the sample world in it, real databases and a virtual clock, for all tests of a module."""

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from aurora_restore.embedded import sample
from aurora_restore.embedded.account import EmbeddedAccount
from aurora_restore.embedded.aurora_records import Durations
from aurora_restore.embedded.clock import VirtualClock
from aurora_restore.embedded.postgres import PostgresServers
from aurora_restore.operation import Operation
from aurora_restore.runtime import Settings, open_world
from aurora_restore.store.journal import Store

ROWS = 600
_ENDS_WITHIN_S = 90
# Time is virtual, but each look at something that is under way costs some real work.
QUICK = Durations(
    cluster_create_s=30,
    snapshot_s=20,
    copy_across_regions_s=20,
    restore_s=20,
    instance_create_s=20,
    modify_s=10,
    credentials_s=10,
    instance_delete_s=20,
    cluster_delete_s=10,
)


@dataclass
class Pipeline:
    """The account, and what a test does with the pipeline that is deployed in it."""

    account: EmbeddedAccount
    sample: sample.Sample
    servers: PostgresServers | None = None
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def store(self) -> Store:
        """Return the deployment's tables, opened."""
        deployment = self.sample.deployment
        settings = Settings(
            stack=deployment.stack,
            state_table=deployment.state_table,
            audit_table=deployment.audit_table,
            topic_arn=deployment.topic_arn,
        )
        return open_world(settings, self.account.client, self.account.clock).store

    def restore(self, **changes: Any) -> Operation:
        """Run the sample's request, changed, through the state machine to its end; return the operation."""
        states = self.account.client("stepfunctions")
        request = {**sample.request(), **changes}
        name = f"operation-{next(self.numbers)}"
        machine = self.sample.deployment.state_machine_arn
        arn = states.start_execution(stateMachineArn=machine, name=name, input=json.dumps(request))["executionArn"]
        give_up = time.monotonic() + _ENDS_WITHIN_S
        while states.describe_execution(executionArn=arn)["status"] == "RUNNING":
            assert time.monotonic() < give_up, f"{name} does not end"
            time.sleep(0.02)
        return self.store.operations.load(name)

    def target_cluster(self) -> dict[str, Any]:
        """Return RDS's description of the target."""
        rds = self.account.client("rds", sample.TARGET_REGION)
        cluster: dict[str, Any] = rds.describe_db_clusters(DBClusterIdentifier=sample.TARGET)["DBClusters"][0]
        return cluster

    def target_instances(self) -> list[dict[str, Any]]:
        """Return RDS's descriptions of the target's instances, by name."""
        rds = self.account.client("rds", sample.TARGET_REGION)
        by_cluster = [{"Name": "db-cluster-id", "Values": [sample.TARGET]}]
        found: list[dict[str, Any]] = rds.describe_db_instances(Filters=by_cluster)["DBInstances"]
        return sorted(found, key=lambda instance: str(instance["DBInstanceIdentifier"]))

    def secret(self, name: str) -> dict[str, Any]:
        """Return the value of a secret in the target's region."""
        secrets = self.account.client("secretsmanager", sample.TARGET_REGION)
        value: dict[str, Any] = json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])
        return value


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    """Build the account and the sample world."""
    # Not pytest's own temporary directory: the server runs as another user, who may not enter that.
    servers = PostgresServers(Path(tempfile.mkdtemp()), remove_on_death=True)
    with EmbeddedAccount(servers, VirtualClock(datetime.now(UTC)), durations=QUICK) as account:
        built = sample.build(account, sample.shop_of(ROWS), staging_rows=ROWS // 2)
        yield Pipeline(account, built, servers)
