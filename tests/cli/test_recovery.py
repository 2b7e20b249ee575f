"""resume and abort, on an embedded account, as a user calls them."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aurora_restore.aws.executions import Executions
from aurora_restore.cli.exits import ExitCode
from aurora_restore.embedded import sample
from aurora_restore.errors import AwsUnavailableError, RestoreFailedError
from aurora_restore.operation import Step
from tests.cli.conftest import World
from tests.cli.terminal import aurora_restore


@contextmanager
def before(world: World, step: Step, do: Callable[[], None]) -> Iterator[None]:
    """Do something before each call of a step's function."""

    def intercept(function: str, event: dict[str, Any]) -> None:
        if function.endswith(f"-{step.function_name}"):
            do()

    world.account.functions.before.append(intercept)
    try:
        yield
    finally:
        world.account.functions.before.remove(intercept)


def break_down() -> None:
    raise RestoreFailedError("the test wants it")


def unanswered(*_: object, **__: object) -> str:
    raise AwsUnavailableError("no answer")


def test_a_failed_operation_is_resumed_to_its_end(world: World, tmp_path: Path) -> None:
    """I4: exit 0, the same operation, and nothing is restored a second time."""
    with before(world, Step.ARCHIVE_SNAPSHOT, break_down):
        failed = aurora_restore("run", world.request(tmp_path, name="broken"), "--json")
    assert failed.code == ExitCode.FAILED
    operation = failed.document["operation_id"]
    with pytest.MonkeyPatch.context() as cut_off:
        cut_off.setattr(Executions, "start", unanswered)
        answer = aurora_restore("resume", "broken")
    assert answer.code == ExitCode.ENVIRONMENT
    assert f"It may have started. Look whether it has: aurora-restore status {operation}" in answer.err
    answer = aurora_restore("resume", "broken", "--json")
    assert answer.code == ExitCode.DONE, answer.err
    assert answer.document["operation_id"] == operation
    assert answer.document["status"] == "succeeded"
    events = aurora_restore("audit", operation, "--verify", "--json").document["events"]
    assert [event["action"] for event in events].count("RestoreDBClusterFromSnapshot") == 1
    again = aurora_restore("resume", operation)
    assert again.code == ExitCode.USAGE
    assert "has succeeded: there is nothing left to do" in again.err


def test_where_a_check_does_not_hold_nobody_gets_in_until_it_is_resumed(world: World, tmp_path: Path) -> None:
    """On a real server, by the password that consumers read: out at first, and in when the data is mended."""
    check = {"query": "SELECT count(*) FROM pg_class WHERE relname = 'mended'", "returns": 1}
    failed = aurora_restore("run", world.request(tmp_path, name="checked", verify=[check]), "--json")
    assert (failed.code, failed.document["failure"]["error"]) == (ExitCode.FAILED, "VerificationFailedError")
    assert failed.document["target"]["logins"] == ["postgres"]
    app = f"{sample.TARGET}/app"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        log_in(world, app)
    with log_in(world, failed.document["target"]["master_secret"]) as master:
        master.execute("CREATE TABLE mended ()")
    assert aurora_restore("resume", "checked", "--json").document["status"] == "succeeded"
    with log_in(world, app) as user:
        assert user.execute("SELECT count(*) FROM customers").fetchone()


def log_in(world: World, secret: str) -> psycopg.Connection:
    """Log in to the target as whoever reads a secret."""
    read = world.account.client("secretsmanager", sample.TARGET_REGION).get_secret_value(SecretId=secret)
    rds = world.account.client("rds", sample.TARGET_REGION)
    (cluster,) = rds.describe_db_clusters(DBClusterIdentifier=sample.TARGET)["DBClusters"]
    login = json.loads(read["SecretString"])
    return psycopg.connect(
        host=cluster["Endpoint"], port=cluster["Port"], dbname=sample.DATABASE,
        user=login["username"], password=login["password"], autocommit=True,
    )  # fmt: skip


def test_an_aborted_operation_is_ended_told_and_can_be_resumed(world: World, tmp_path: Path) -> None:
    """I3, I8: the lock is free, what is left is named, and resume finishes what was begun."""
    arrived, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        assert go_on.wait(60)

    with before(world, Step.RESTORE_SNAPSHOT, hold):
        started = aurora_restore("run", world.request(tmp_path, name="halted"), "--no-watch", "--json")
        assert arrived.wait(60)
        answer = aurora_restore("abort", started.document["operation_id"])
        go_on.set()
    assert answer.code == ExitCode.DONE, answer.err
    assert "aborted it with aurora-restore abort" in answer.out
    assert "delete-db-cluster-snapshot" in answer.out
    status = aurora_restore("status", "halted", "--json").document
    assert status["status"] == "aborted"
    audit = aurora_restore("audit", status["operation_id"], "--verify", "--json")
    assert audit.code == ExitCode.DONE
    assert [event["action"] for event in audit.document["events"]].count("EndOperation") == 1

    twice = aurora_restore("abort", "halted")
    assert twice.code == ExitCode.USAGE
    assert "has ended already (aborted): there is nothing to stop" in twice.err

    finished = aurora_restore("resume", "halted", "--json")
    assert finished.code == ExitCode.DONE, finished.err
    assert finished.document["target"]["cluster"] == sample.TARGET


def test_an_abort_that_comes_too_late_says_so(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who meant to stop it must not take exit 0 for that."""
    arrived, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        assert go_on.wait(60)

    def too_late(executions: Executions, execution_arn: str, *, cause: str) -> None:
        go_on.set()
        while not executions.has_ended(execution_arn):
            pass

    monkeypatch.setattr(Executions, "stop", too_late)
    with before(world, Step.SNS_NOTIFICATION, hold):
        source = {**sample.request()["source"], "snapshot": "no-such-snapshot"}
        aurora_restore("run", world.request(tmp_path, name="late", source=source), "--no-watch")
        assert arrived.wait(60)
        answer = aurora_restore("abort", "late", "--json")
    assert answer.code == ExitCode.USAGE
    assert "has ended already (failed)" in answer.document["error"]["message"]


@pytest.mark.parametrize("command", ["resume", "abort"])
def test_an_unknown_operation_is_refused(world: World, command: str) -> None:
    answer = aurora_restore(command, "no-such-operation")
    assert answer.code == ExitCode.USAGE
    assert "there is no operation no-such-operation" in answer.err
