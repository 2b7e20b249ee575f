"""One restore, whole: the request through the state machine and the nine handlers to a real database."""

import json
import subprocess
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest
from psycopg import sql

from aurora_restore.embedded import sample, shop
from aurora_restore.operation import Operation, OperationStatus, Step, StepStatus
from aurora_restore.store.audit import EventKind, verify
from tests.pipeline.conftest import Pipeline

# What a cluster that takes another's place has anew, in the nature of things.
NEW_EVERY_TIME = {
    "ClusterCreateTime",
    "DbClusterResourceId",
    "EarliestRestorableTime",
    "LatestRestorableTime",
    "MasterUserSecret",
    "TagList",
    "DbiResourceId",
    "InstanceCreateTime",
    "DBClusterMembers",
    "StatusInfos",
}


@pytest.fixture(scope="module")
def before(pipeline: Pipeline) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the target and its instances as they were."""
    return pipeline.target_cluster(), pipeline.target_instances()


# Fails where anybody is let in before it has run: who can log in is told in its error.
MARK = """
COMMENT ON TABLE customers IS 'a copy';
DO $$ DECLARE able text; BEGIN
    SELECT string_agg(rolname, ', ') INTO able FROM pg_roles WHERE rolcanlogin AND rolname ~ '^(staging|shop|app)';
    IF able IS NOT NULL THEN RAISE EXCEPTION '% can log in', able; END IF;
END $$
"""
SQL = [{"file": "mark.sql", "text": MARK}]
CHECKS = [
    {"table": "public.customers", "rows_at_least": 10},
    {"name": "there are orders", "query": "SELECT count(*) > 0 FROM orders", "returns": True, "user": "staging_report"},
]


@pytest.fixture(scope="module")
def done(pipeline: Pipeline, before: object) -> Operation:
    """Run the sample's request once, with SQL and checks."""
    return pipeline.restore(sql=SQL, verify=CHECKS)


def settled(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must be as it was; the order of security groups says nothing."""
    groups = sorted(group["VpcSecurityGroupId"] for group in description["VpcSecurityGroups"])
    kept = {name: value for name, value in description.items() if name not in NEW_EVERY_TIME}
    return {**kept, "VpcSecurityGroups": groups}


def psql(pipeline: Pipeline, login: tuple[str, str], statement: str) -> subprocess.CompletedProcess[str]:
    """Run a statement on the target as a user would, with psql."""
    assert pipeline.servers is not None
    program = pipeline.servers.binaries.client("psql")
    assert program is not None
    cluster = pipeline.target_cluster()
    where = f"host={cluster['Endpoint']} port={cluster['Port']} dbname={sample.DATABASE} user={login[0]}"
    return subprocess.run(
        [str(program), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", statement, where],
        env={"PGPASSWORD": login[1], "PGCONNECT_TIMEOUT": "10"},
        capture_output=True,
        text=True,
        check=False,
    )


def user(pipeline: Pipeline, name: str) -> tuple[str, str]:
    secret = pipeline.secret(f"{sample.TARGET}/{name}")
    return secret["username"], secret["password"]


def test_the_operation_succeeds_and_every_step_says_why(done: Operation) -> None:
    assert done.status is OperationStatus.SUCCEEDED, done.failure
    verdicts = [done.finished(step) for step in Step]
    assert all(verdict and verdict.reason for verdict in verdicts)
    assert {verdict.status for verdict in verdicts if verdict} <= {StepStatus.DONE, StepStatus.SKIP}


def test_the_sql_was_run_and_the_checks_were_made(pipeline: Pipeline, done: Operation) -> None:
    """On the real database, as master while nobody else can log in, and as listed users; no mark is left in it."""
    work = done.database_work
    assert [script.file for script in work.scripts] == ["mark.sql"]
    assert work.checks == (
        "table public.customers: it has at least 10 rows",
        "there are orders: the query returned what it must",
    )
    app = user(pipeline, "app")
    assert psql(pipeline, app, "SELECT obj_description('customers'::regclass)").stdout.strip() == "a copy"
    assert psql(pipeline, app, "SELECT to_regnamespace('aurora_restore')").stdout.strip() == ""


def test_the_target_has_the_rows_of_the_source(pipeline: Pipeline, done: Operation) -> None:
    with pipeline.sample.source.open() as source:
        expected = {
            table: source.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
            for table in ("customers", "products", "orders", "items", "payments")
        }
    report = user(pipeline, "report")
    for table, row in expected.items():
        shown = psql(pipeline, report, f"TABLE {table}")
        assert row is not None
        assert len(shown.stdout.splitlines()) == row[0], shown.stderr


def test_the_target_has_the_shape_of_the_one_it_replaces(
    pipeline: Pipeline, before: tuple[dict[str, Any], list[dict[str, Any]]], done: Operation
) -> None:
    """I9: groups, network, exports, windows, retention, instances with class and tier: all as before."""
    cluster, instances = before
    assert settled(pipeline.target_cluster()) == settled(cluster)
    assert [settled(each) for each in pipeline.target_instances()] == [settled(each) for each in instances]
    roles = {member["DBInstanceIdentifier"]: member["IsClusterWriter"] for member in cluster["DBClusterMembers"]}
    now = pipeline.target_cluster()["DBClusterMembers"]
    assert {member["DBInstanceIdentifier"]: member["IsClusterWriter"] for member in now} == roles
    assert done.not_restored == ()


def test_the_target_keeps_its_tags_and_says_which_operation_made_it(
    pipeline: Pipeline, before: tuple[dict[str, Any], list[dict[str, Any]]], done: Operation
) -> None:
    """I9: tags are part of the shape; the pipeline's own and the request's come on top."""
    old = {tag["Key"]: tag["Value"] for tag in before[0]["TagList"]}
    new = {tag["Key"]: tag["Value"] for tag in pipeline.target_cluster()["TagList"]}
    assert old.items() <= new.items()
    assert new["aurora-restore:operation"] == done.operation_id
    assert new["purpose"] == "rehearsal"


@pytest.mark.parametrize("name", [*shop.LOGINS, sample.MASTER.name])
def test_no_login_of_production_works_on_the_target(pipeline: Pipeline, done: Operation, name: str) -> None:
    """I7: neither an application's password nor the master's."""
    password = sample.MASTER.password if name == sample.MASTER.name else shop.LOGIN_PASSWORD
    refused = psql(pipeline, (name, password), "SELECT 1")
    assert refused.returncode != 0
    assert "authentication failed" in refused.stderr or "not permitted to log in" in refused.stderr


def test_production_s_logins_still_work_on_production(pipeline: Pipeline, done: Operation) -> None:
    """I1: the source is as it was."""
    place = pipeline.sample.source.endpoint
    for name in shop.LOGINS:
        with psycopg.connect(
            host=place.host, port=place.port, dbname=sample.DATABASE, user=name, password=shop.LOGIN_PASSWORD
        ) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_request_s_users_have_their_grants_and_no_more(pipeline: Pipeline, done: Operation) -> None:
    """I7: tried as the user, statement by statement."""
    app, report = user(pipeline, "app"), user(pipeline, "report")
    change = "UPDATE customers SET name = name WHERE id = 1"
    assert psql(pipeline, app, change).returncode == 0
    assert psql(pipeline, report, "SELECT count(*) FROM orders").returncode == 0
    for login, statement in (
        (report, change),
        (report, "DELETE FROM payments"),
        (app, "DROP TABLE payments"),
        (app, "CREATE ROLE intruder LOGIN"),
        (app, "TRUNCATE payments"),
    ):
        refused = psql(pipeline, login, statement)
        assert refused.returncode != 0, statement
        assert "permission denied" in refused.stderr or "must be owner" in refused.stderr


def test_a_table_made_later_is_granted_too(pipeline: Pipeline, done: Operation) -> None:
    """Grants hold for future objects: what a migration creates after the restore can be read."""
    arn = done.master_secret_arn
    assert arn is not None
    master = pipeline.secret(arn)
    made = psql(pipeline, (master["username"], master["password"]), "CREATE TABLE later (id int)")
    assert made.returncode == 0, made.stderr
    assert psql(pipeline, user(pipeline, "report"), "SELECT count(*) FROM later").stdout.strip() == "0"


def test_the_secret_has_the_form_that_rotation_reads(pipeline: Pipeline, done: Operation) -> None:
    secret, cluster = pipeline.secret(f"{sample.TARGET}/app"), pipeline.target_cluster()
    assert {name: value for name, value in secret.items() if name != "password"} == {
        "engine": "postgres",
        "host": cluster["Endpoint"],
        "port": cluster["Port"],
        "username": "staging_app",
        "dbname": sample.DATABASE,
        "dbClusterIdentifier": sample.TARGET,
    }


def test_every_change_was_announced_and_the_chain_verifies(pipeline: Pipeline, done: Operation) -> None:
    """I5: the audit is whole, and what it announces comes in the order of the steps."""
    events = pipeline.store.audit.events(done.operation_id)
    assert verify(events, head=done.audit_hash) == len(events)
    announced = [event.action for event in events if event.kind is EventKind.INTENT]
    assert announced.index("CopyDBClusterSnapshot") < announced.index("DeleteDBInstance")
    assert announced.index("DeleteDBCluster") < announced.index("RestoreDBClusterFromSnapshot")
    assert announced.count("CreateDBInstance") == 2


def test_no_password_is_anywhere_but_in_its_secret(pipeline: Pipeline, done: Operation) -> None:
    """I6: not in a log, the state, the audit, the notification or the execution's history."""
    arn = done.master_secret_arn
    assert arn is not None
    assert pipeline.servers is not None
    passwords = [pipeline.secret(arn)["password"], *(user(pipeline, name)[1] for name in ("app", "report"))]
    places = {
        "log": pipeline.account.functions.log.text(),
        "state": str(pipeline.store.state.scan()),
        "audit": "".join(event.model_dump_json() for event in pipeline.store.audit.events(done.operation_id)),
        "history": history(pipeline, done),
        "server log": "".join(path.read_text(errors="replace") for path in pipeline.servers.directory.rglob("*.log")),
    }
    assert all(places.values())
    for place, text in places.items():
        for password in [*passwords, sample.MASTER.password]:
            assert password not in text, place
            assert json.dumps(password)[1:-1] not in text, place


def history(pipeline: Pipeline, done: Operation) -> str:
    states = pipeline.account.client("stepfunctions")
    return str(states.get_execution_history(executionArn=done.execution_arn, maxResults=1000)["events"])


def test_the_lock_is_free_and_the_snapshots_are_where_they_should_be(pipeline: Pipeline, done: Operation) -> None:
    """I3, I2: nobody holds the target; its final snapshot and the archive stand, tagged."""
    assert pipeline.store.locks.held(sample.TARGET_REGION, sample.TARGET) is None
    rds = pipeline.account.client("rds", sample.TARGET_REGION)
    found = rds.describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"]
    roles = {
        tag["Value"]: snapshot["DBClusterSnapshotArn"]
        for snapshot in found
        for tag in snapshot["TagList"]
        if tag["Key"] == "aurora-restore:role"
    }
    assert roles == {"archive": done.archive_arn, "final": done.final_snapshot_arn}
