"""One restore of Aurora MySQL, whole: the request through the state machine and the nine handlers to a real MariaDB."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymysql
import pytest

from aurora_restore.embedded import sample, shop
from aurora_restore.embedded.account import EmbeddedAccount
from aurora_restore.embedded.clock import VirtualClock
from aurora_restore.embedded.engines import DatabaseServers
from aurora_restore.embedded.sample_kinds import MYSQL, kind_of
from aurora_restore.operation import Operation, OperationStatus, Step, StepStatus
from aurora_restore.store.audit import verify
from tests.mariadb import require_mariadb
from tests.pipeline.conftest import QUICK, ROWS, Pipeline
from tests.pipeline.test_restore import settled

MASTER = kind_of(MYSQL).master
SCRIPT = """\
-- Nobody in staging gets mail.
CREATE TABLE masked (customer_id BIGINT PRIMARY KEY);
INSERT INTO masked SELECT id FROM customers;
UPDATE customers SET email = CONCAT(id, '@staging.example.com');
"""
USERS = [
    {"name": "staging_app", "secret": "orders-staging/app", "grants": ["readwrite"], "connection_limit": 20},
    {"name": "staging_report", "secret": "orders-staging/report", "grants": ["readonly"]},
    {"name": "analyst", "secret": "orders-staging/analyst", "grants": [
        {"privileges": ["SELECT"], "database": "orders", "table": "products"}]},
]  # fmt: skip
CHECKS = [
    {"query": "SELECT COUNT(*) FROM customers WHERE email NOT LIKE '%@staging.example.com'", "returns": 0},
    {"table": "orders.payments", "rows_at_least": ROWS // 4},
]


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    """Build the account and the sample world of MySQL."""
    require_mariadb()
    servers = DatabaseServers(Path(tempfile.mkdtemp()), remove_on_death=True)
    with EmbeddedAccount(servers, VirtualClock(datetime.now(UTC)), durations=QUICK) as account:
        built = sample.build(account, sample.shop_of(ROWS), staging_rows=ROWS // 2, engine=MYSQL)
        with opened(built.source.endpoint.port, MASTER.name, MASTER.password) as cursor:
            cursor.execute("CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM payments")
        account.aurora.take_automated_snapshot(sample.SOURCE_REGION, sample.SOURCE)
        yield Pipeline(account, built)


@pytest.fixture(scope="module")
def before(pipeline: Pipeline) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the target and its instances as they were."""
    return pipeline.target_cluster(), pipeline.target_instances()


@pytest.fixture(scope="module")
def done(pipeline: Pipeline, before: object) -> Operation:
    """Run the sample's request once, with a script and checks."""
    return pipeline.restore(users=USERS, sql=[{"file": "mask.sql", "text": SCRIPT}], verify=CHECKS)


def opened(port: int, user: str, password: str) -> Any:
    """Return a cursor of a user's on the shop."""
    connection = pymysql.connect(
        host="127.0.0.1", port=port, user=user, password=password, database=sample.DATABASE, autocommit=True
    )
    return connection.cursor()


def asked(pipeline: Pipeline, user: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement on the target as a user of the request's."""
    secret = pipeline.secret(f"orders-staging/{user}")
    with opened(pipeline.target_cluster()["Port"], secret["username"], secret["password"]) as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def test_the_operation_succeeds_and_every_step_says_why(done: Operation) -> None:
    assert done.status is OperationStatus.SUCCEEDED, done.failure
    verdicts = [done.finished(step) for step in Step]
    assert all(verdict and verdict.reason for verdict in verdicts)
    assert {verdict.status for verdict in verdicts if verdict} <= {StepStatus.DONE, StepStatus.SKIP}


def test_the_target_has_the_rows_of_the_source_and_the_script_s(pipeline: Pipeline, done: Operation) -> None:
    """The script ran once, and the checks that it is for held."""
    for table, rows in shop.shares(ROWS).items():
        assert asked(pipeline, "report", f"SELECT COUNT(*) FROM {table}") == [(rows,)]  # noqa: S608
    assert asked(pipeline, "report", "SELECT COUNT(*) FROM masked") == [(ROWS // 10,)]
    assert asked(pipeline, "report", "SHOW DATABASES LIKE 'aurora%'") == []


def test_the_target_has_the_shape_of_the_one_it_replaces(
    pipeline: Pipeline, before: tuple[dict[str, Any], list[dict[str, Any]]], done: Operation
) -> None:
    """I9: groups of the family aurora-mysql8.0, network, MySQL's log exports, windows, instances: all as before."""
    cluster, instances = before
    assert settled(pipeline.target_cluster()) == settled(cluster)
    assert [settled(each) for each in pipeline.target_instances()] == [settled(each) for each in instances]
    assert cluster["EnabledCloudwatchLogsExports"] == ["audit", "error"]
    assert cluster["EngineVersion"].startswith("8.0.mysql_aurora.3.")


@pytest.mark.parametrize("name", [*shop.LOGINS, MASTER.name])
def test_production_s_password_works_on_the_source_and_not_on_the_target(
    pipeline: Pipeline, done: Operation, name: str
) -> None:
    """I7: the master's included; and analyst's, who is listed and has a new one."""
    password = MASTER.password if name == MASTER.name else shop.LOGIN_PASSWORD
    opened(pipeline.sample.source.endpoint.port, name, password).close()
    with pytest.raises(pymysql.OperationalError):
        opened(pipeline.target_cluster()["Port"], name, password)


def test_users_may_do_what_the_request_says(pipeline: Pipeline, done: Operation) -> None:
    asked(pipeline, "app", "INSERT INTO orders (customer_id, status, placed_at) VALUES (1, 'open', '2026-01-01')")
    assert asked(pipeline, "analyst", "SELECT COUNT(*) FROM products") == [(ROWS // 100,)]
    for user, statement in (("report", "DELETE FROM orders"), ("analyst", "SELECT * FROM customers")):
        with pytest.raises(pymysql.OperationalError, match="denied"):
            asked(pipeline, user, statement)


def test_a_secret_is_what_rotation_reads(pipeline: Pipeline, done: Operation) -> None:
    secret = pipeline.secret("orders-staging/app")
    cluster = pipeline.target_cluster()
    assert len(secret.pop("password")) == 32
    assert secret == {
        "engine": "mysql",
        "host": cluster["Endpoint"],
        "port": cluster["Port"],
        "username": "staging_app",
        "dbname": sample.DATABASE,
        "dbClusterIdentifier": sample.TARGET,
    }


def test_production_s_event_is_disabled_in_the_copy_and_not_in_production(pipeline: Pipeline, done: Operation) -> None:
    """I1 for the one; the other would delete payments every night."""
    query = "SELECT STATUS FROM information_schema.EVENTS"
    with opened(pipeline.sample.source.endpoint.port, MASTER.name, MASTER.password) as cursor:
        cursor.execute(query)
        assert cursor.fetchall() == (("ENABLED",),)
    master = pipeline.secret(str(done.master_secret_arn))
    with opened(pipeline.target_cluster()["Port"], master["username"], master["password"]) as cursor:
        cursor.execute(query)
        assert cursor.fetchall() == (("DISABLED",),)


def test_the_audit_tells_each_change_and_no_password(pipeline: Pipeline, done: Operation) -> None:
    """I5, I6."""
    events = pipeline.store.audit.events(done.operation_id)
    verify(events, head=done.audit_hash)
    told = "".join(map(str, events))
    assert "batch can no longer log in" in told
    assert "the event nightly of orders is disabled" in told
    passwords = [pipeline.secret(f"orders-staging/{user}")["password"] for user in ("app", "report", "analyst")]
    assert not any(password in told for password in (*passwords, "IDENTIFIED"))


def test_what_mysql_has_no_like_of_is_refused_before_anything_is_done(pipeline: Pipeline, done: Operation) -> None:
    """All at once, in the first step; the target stands as it stood."""
    reader = {"name": "reader", "secret": "reader", "settings": {"work_mem": "4MB"}, "grants": [
        {"privileges": ["TRUNCATE"], "schema": "public"}]}  # fmt: skip
    arn = pipeline.target_cluster()["DbClusterResourceId"]
    refused = pipeline.restore(users=[reader], ownership=[{"from": "a", "to": "b"}])
    assert refused.status is OperationStatus.FAILED
    assert refused.failure is not None
    said = refused.failure.message
    for words in (
        "settings are PostgreSQL's",
        "TRUNCATE is DROP",
        "give database: public",
        "nothing in MySQL has an owner",
    ):
        assert words in said
    assert pipeline.target_cluster()["DbClusterResourceId"] == arn
