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

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        more = dict(re.findall(r"export (\w+)=(\S*)", self.text))
        return subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment(self.directory.parent, **more),
        )  # fmt: skip

    def command(self, *arguments: str) -> tuple[int, str, str]:
        process = self.begin(*arguments)
        out, err = process.communicate(timeout=TIMEOUT_S)
        return process.returncode, out, err

    def snapshots(self) -> list[str]:
        found = self.client("rds").describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"]
        return [each["DBClusterSnapshotIdentifier"] for each in found]

    def clusters(self) -> dict[str, str]:
        found = self.client("rds").describe_db_clusters()["DBClusters"]
        return {each["DBClusterIdentifier"]: each["DbClusterResourceId"] for each in found}

    def kill_once_saved(self, name: str) -> None:
        """Kill it when the state that it has saved knows of something."""
        awaited(lambda: name.encode() in (self.directory / "account.state").read_bytes())
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


def start_restore(served: Served) -> str:
    """Start the request of serve under the id "night", at once; return the execution's ARN."""
    states = served.client("stepfunctions")
    machine = states.list_state_machines()["stateMachines"][0]["stateMachineArn"]
    request = (served.directory / "request.json").read_text(encoding="utf-8")
    execution: str = states.start_execution(stateMachineArn=machine, name="night", input=request)["executionArn"]
    return execution


def intents(served: Served) -> list[str]:
    code, out, err = served.command("audit", "night", "--verify", "--json")
    assert code == 0, err
    return [event["action"] for event in json.loads(out)["events"] if event["kind"] == "intent"]


def assert_same_rows(served: Served) -> None:
    secret = served.client("secretsmanager").get_secret_value(SecretId="orders-staging/app")["SecretString"]
    login = json.loads(secret)
    source = served.client("rds", "us-east-1").describe_db_clusters()["DBClusters"][0]
    rows = count(source["Endpoint"], source["Port"], "orders_app", "testing")
    assert count(login["host"], login["port"], login["username"], login["password"]) == rows == ROWS // 10


@pytest.mark.timeout(300)
def test_a_restore_survives_two_kills_of_the_account() -> None:
    """I4: killed after the copy has begun and after the restore has, it is resumed to its end; nothing is doubled."""
    with scratch() as temporary:
        directory = temporary / "kept"
        with serving(directory) as first:
            old = first.clusters()["orders-staging"]
            execution = start_restore(first)
            awaited(first.snapshots)
            first.kill_once_saved(first.snapshots()[0])
        with serving(directory) as second:
            assert second.url == first.url
            assert "aurora-restore resume night\n" in second.text
            ended = second.client("stepfunctions").describe_execution(executionArn=execution)
            assert ended["status"] == "ABORTED"
            resuming = second.begin("resume", "night", "--no-watch")
            awaited(lambda: second.clusters().get("orders-staging", old) != old)
            second.kill_once_saved(second.clusters()["orders-staging"])
            assert resuming.communicate(timeout=TIMEOUT_S)[1] == ""
        with serving(directory) as third:
            code, out, err = third.command("resume", "night", "--json")
            assert code == 0, err
            assert json.loads(out)["status"] == "succeeded"
            assert list(third.clusters()) == ["orders-staging"]
            done = intents(third)
            for once in ("CopyDBClusterSnapshot", "DeleteDBCluster", "RestoreDBClusterFromSnapshot", "Publish"):
                assert done.count(once) == 1, done
            assert_same_rows(third)
