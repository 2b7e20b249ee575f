"""The command serve, as a user runs it, and what reaches it from other processes."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest

from tests.cli.processes import COMMAND, TIMEOUT_S, environment, interrupt, left_by, run, scratch, start
from tests.cli.terminal import aurora_restore

ROWS = 500


@dataclass(frozen=True)
class Served:
    """A running serve and what it printed."""

    temporary: Path
    process: subprocess.Popen[str]
    text: str
    exports: dict[str, str]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours against it."""
        return subprocess.run(
            [*COMMAND, *arguments],
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
            env=environment(self.temporary, **self.exports),
        )  # fmt: skip

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a client with nothing but the exports."""
        return boto3.session.Session().client(
            service,  # type: ignore[call-overload]
            region_name=region or self.exports["AWS_REGION"],
            endpoint_url=self.exports["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.exports["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.exports["AWS_SECRET_ACCESS_KEY"],
        )

    @property
    def request(self) -> str:
        """Return the path of the request that it wrote."""
        found = re.search(r"aurora-restore run (\S+)", self.text)
        assert found
        return found[1]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with scratch() as temporary:
        process = start(temporary, "serve", "--rows", str(ROWS))
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("Ready"):
            lines.append(process.stdout.readline())
            assert lines[-1], process.communicate()[1]
        text = "".join(lines)
        yield Served(temporary, process, text, dict(re.findall(r"export (\w+)=(\S*)", text)))
        if process.poll() is None:
            interrupt(process)


def rows_of(host: str, port: int, user: str, password: str) -> int:
    with psycopg.connect(host=host, port=port, user=user, password=password, dbname="orders") as connection:
        row = connection.execute("SELECT count(*) FROM customers").fetchone()
    assert row
    return int(row[0])


def test_exports_name_the_account_and_nobody_else(served: Served) -> None:
    """The lines to export point every tool at loopback, with the pair of keys that is nobody's."""
    assert served.exports["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert served.exports["AWS_ACCESS_KEY_ID"] == served.exports["AWS_SECRET_ACCESS_KEY"] == "testing"
    assert served.exports["AWS_REGION"] == served.exports["AWS_DEFAULT_REGION"] == "us-west-2"


def test_both_clusters_are_there(served: Served) -> None:
    """Production stands in one region with a snapshot, staging with two instances in the other."""
    production = served.client("rds", "us-east-1")
    assert production.describe_db_clusters()["DBClusters"][0]["DBClusterIdentifier"] == "orders-prod"
    assert len(production.describe_db_cluster_snapshots(SnapshotType="automated")["DBClusterSnapshots"]) == 1
    assert len(served.client("rds").describe_db_instances()["DBInstances"]) == 2


def test_operations_run_twice_in_a_row(served: Served) -> None:
    """The same request works again on the target that the pipeline itself has made, by every way in."""
    first = served.command("run", served.request, "--json")
    assert (first.returncode, first.stderr) == (0, "")
    machine = served.client("stepfunctions")
    arn = machine.list_state_machines()["stateMachines"][0]["stateMachineArn"]
    machine.start_execution(stateMachineArn=arn, name="by-hand", input=Path(served.request).read_text(encoding="utf-8"))
    second = served.command("watch", "by-hand", "--json")
    assert (second.returncode, json.loads(second.stdout)["status"]) == (0, "succeeded")
    assert served.command("audit", "by-hand", "--verify").returncode == 0
    assert "by-hand" in served.command("history").stdout
    tables = served.client("dynamodb").list_tables()["TableNames"]
    assert len(tables) == 2
    assert all(served.client("dynamodb").scan(TableName=table)["Count"] > 0 for table in tables)


def test_restored_database_answers_the_requests_user(served: Served) -> None:
    """The password in the secret opens the target; the sample's opens the source only."""
    secret = served.client("secretsmanager").get_secret_value(SecretId="orders-staging/app")
    login = json.loads(secret["SecretString"])
    assert rows_of(login["host"], login["port"], login["username"], login["password"]) == ROWS // 10
    source = served.client("rds", "us-east-1").describe_db_clusters()["DBClusters"][0]
    assert rows_of(source["Endpoint"], source["Port"], "orders_app", "testing") == ROWS // 10
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        rows_of(login["host"], login["port"], "orders_app", "testing")


def test_ctrl_c_is_a_good_end_that_leaves_nothing(served: Served) -> None:
    """Exit 0, no complaint, no process, no directory."""
    _, complaint = interrupt(served.process)
    assert (served.process.returncode, complaint) == (0, "")
    assert left_by(served.temporary) == []


def test_used_directory_is_refused() -> None:
    """An account that ended before it was ready has databases and no clusters: exit 2, and what to do."""
    with scratch() as temporary:
        used = temporary / "used"
        (used / "volumes" / "one").mkdir(parents=True)
        done = run(temporary, "serve", "--dir", str(used))
    assert done.returncode == 2
    assert "earlier account" in done.stderr


def test_a_directory_that_cannot_be_used_is_said_before_anything_starts(tmp_path: Path) -> None:
    """Beneath a file, or where one may not write: exit 2, and the system's word for it."""
    (tmp_path / "file").touch()
    answer = aurora_restore("serve", "--dir", str(tmp_path / "file" / "inside"))
    assert (answer.code, answer.out) == (2, "")
    assert "cannot be used: Not a directory" in answer.err


def test_another_versions_account_is_refused_and_left_alone() -> None:
    """Exit 3 and a sentence; nothing in the directory is touched."""
    with scratch() as temporary:
        kept = temporary / "kept"
        kept.mkdir()
        (kept / "account.state").write_text('{"format": 99, "made_with": {}, "port": 1}\n')
        done = run(temporary, "serve", "--dir", str(kept))
        assert [path.name for path in kept.iterdir()] == ["account.state"]
    assert done.returncode == 3
    assert "format 99" in done.stderr


def test_named_directory_keeps_the_databases() -> None:
    """With --dir the account's files stay, and SIGTERM is as good an end as Ctrl-C."""
    with scratch() as temporary:
        process = start(temporary, "serve", "--rows", str(ROWS), "--dir", str(temporary / "kept"))
        assert process.stdout is not None
        while not (line := process.stdout.readline()).startswith("Ready"):
            assert line, process.communicate()[1]
        process.terminate()
        _, complaint = process.communicate(timeout=TIMEOUT_S)
        assert (process.returncode, complaint) == (0, "")
        assert list((temporary / "kept" / "volumes").iterdir())
        assert (temporary / "kept" / "request.json").is_file()
