"""serve --dir, killed in the middle of a restore and started again on the same directory."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest

from tests.cli.processes import COMMAND, TIMEOUT_S, environment, interrupt, scratch, start

ROWS = 500
_WITHIN_S = 60
_SESSION: Any = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")


@dataclass(frozen=True)
class Served:
    """A running serve and what it printed."""

    directory: Path
    process: subprocess.Popen[str]
    text: str

    @property
    def url(self) -> str:
        found = re.search(r"export AWS_ENDPOINT_URL=(\S+)", self.text)
        assert found
        return found[1]

    def client(self, service: str, region: str = "us-west-2") -> Any:
        return _SESSION.client(service, region_name=region, endpoint_url=self.url)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        more = dict(re.findall(r"export (\w+)=(\S*)", self.text))
        return subprocess.run(
            [*COMMAND, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
            env=environment(self.directory.parent, **more),
        )  # fmt: skip

    def snapshots(self, status: str) -> list[str]:
        found = self.client("rds").describe_db_cluster_snapshots()["DBClusterSnapshots"]
        return [each["DBClusterSnapshotIdentifier"] for each in found if each["Status"] == status]

    def clusters(self) -> dict[str, str]:
        found = self.client("rds").describe_db_clusters()["DBClusters"]
        return {each["DBClusterIdentifier"]: each["Status"] for each in found}

    def kill_once_saved(self) -> None:
        """Kill it when it has saved its state once more."""
        state = self.directory / "account.state"
        before = state.stat().st_mtime_ns
        awaited(lambda: state.stat().st_mtime_ns != before)
        self.process.kill()
        self.process.communicate(timeout=TIMEOUT_S)


def awaited(is_so: Callable[[], object]) -> None:
    give_up = time.monotonic() + _WITHIN_S
    while not is_so():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.01)


@contextmanager
def serving(directory: Path, *more: str) -> Iterator[Served]:
    process = start(directory.parent, "serve", "--dir", str(directory), "--rows", str(ROWS), *more)
    assert process.stdout is not None
    lines: list[str] = []
    try:
        while not lines or not lines[-1].startswith("Ready"):
            lines.append(process.stdout.readline())
            assert lines[-1], process.communicate()[1]
        yield Served(directory, process, "".join(lines))
    finally:
        if process.poll() is None:
            interrupt(process)


def count(host: str, port: int, user: str, password: str) -> int:
    with psycopg.connect(host=host, port=port, user=user, password=password, dbname="orders") as connection:
        row = connection.execute("SELECT count(*) FROM customers").fetchone()
    assert row
    return int(row[0])


def actions(served: Served, operation: str) -> list[str]:
    audit = served.command("audit", operation, "--verify", "--json")
    assert audit.returncode == 0, audit.stderr
    return [event["action"] for event in json.loads(audit.stdout)["events"] if event["kind"] == "intent"]


@pytest.mark.timeout(300)
def test_a_restore_survives_two_kills_of_the_account() -> None:
    """I4: killed while it copies and while it restores, the operation is resumed to its end, and nothing is doubled."""
    with scratch() as temporary:
        directory = temporary / "kept"
        with serving(directory) as first:
            request = str(directory / "request.json")
            started = first.command("run", request, "--no-watch", "--json")
            operation = json.loads(started.stdout)["operation_id"]
            awaited(lambda: first.snapshots("copying"))
            first.kill_once_saved()
        with serving(directory) as second:
            assert second.url == first.url
            assert f"aurora-restore resume {operation}" in second.text
            ended = second.client("stepfunctions").describe_execution(
                executionArn=json.loads(started.stdout)["execution_arn"]
            )
            assert ended["status"] == "ABORTED"
            assert second.command("resume", operation, "--no-watch").returncode == 0
            awaited(lambda: second.clusters().get("orders-staging") == "creating")
            second.kill_once_saved()
        with serving(directory) as third:
            resumed = third.command("resume", operation, "--json")
            assert resumed.returncode == 0, resumed.stderr
            assert json.loads(resumed.stdout)["status"] == "succeeded"
            done = actions(third, operation)
            assert list(third.clusters()) == ["orders-staging"]
            for once in ("CopyDBClusterSnapshot", "DeleteDBCluster", "RestoreDBClusterFromSnapshot", "Publish"):
                assert done.count(once) == 1, done
            login = json.loads(
                third.client("secretsmanager").get_secret_value(SecretId="orders-staging/app")["SecretString"]
            )
            source = third.client("rds", "us-east-1").describe_db_clusters()["DBClusters"][0]
            rows = count(source["Endpoint"], source["Port"], "orders_app", "testing")
            assert count(login["host"], login["port"], login["username"], login["password"]) == rows == ROWS // 10
