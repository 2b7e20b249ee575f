"""What came with production's data and acts by itself: stopped before anything else, once, unless it is kept."""

from collections.abc import Callable
from contextlib import closing
from typing import Any, LiteralString

import psycopg
import pytest

from aurora_restore.database.engine import ChangeKind, DesiredState
from aurora_restore.database.postgresql import PostgreSQL
from aurora_restore.database_request import Leftover
from aurora_restore.errors import DatabaseRefusedError, NotReadyError
from tests.database.conftest import CRON_LIBRARY, PRODUCTION_PASSWORD, Database, grant, login, user

# RDS lets rds_superuser drop slots by a change of its own to PostgreSQL, and change all jobs; here it is the attribute
# REPLICATION, and a policy.
_LIKE_RDS: LiteralString = "ALTER ROLE dba REPLICATION"
_CRON = """
    CREATE EXTENSION pg_cron;
    GRANT USAGE ON SCHEMA cron TO rds_superuser;
    GRANT SELECT, UPDATE ON cron.job TO rds_superuser;
    CREATE POLICY rds ON cron.job TO rds_superuser USING (true);
    INSERT INTO cron.job (schedule, command, nodeport, database, username) VALUES
        ('0 0 1 1 *', 'SELECT 1', 5432, 'shop', 'app'), ('0 0 1 1 *', 'SELECT 2', 5432, 'postgres', 'analyst');
"""
_PGLOGICAL: LiteralString = """
    SET allow_system_table_mods = on;
    INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    VALUES (77777, 'pglogical', 10, 'pg_catalog'::regnamespace, false, '2')
"""
_SHOP = """
    CREATE FOREIGN DATA WRAPPER nothing;
    GRANT USAGE ON FOREIGN DATA WRAPPER nothing TO app;
    SET ROLE app;
    CREATE SERVER warehouse FOREIGN DATA WRAPPER nothing;
    CREATE USER MAPPING FOR app SERVER warehouse OPTIONS (user 'app', password 'testing-SECRET-warehouse');
    CREATE USER MAPPING FOR PUBLIC SERVER warehouse OPTIONS (password 'testing-SECRET-warehouse');
    RESET ROLE;
"""
_SUBSCRIPTION: tuple[LiteralString, ...] = (
    "ALTER ROLE dba SUPERUSER",
    """CREATE SUBSCRIPTION "from Prod" CONNECTION 'host=127.0.0.1 port=1 password=testing-SECRET-publisher'
        PUBLICATION all_of_it WITH (connect = false, slot_name = 'of_staging')""",
    'ALTER SUBSCRIPTION "from Prod" OWNER TO dba',
    'ALTER SUBSCRIPTION "from Prod" ENABLE',
    "ALTER ROLE dba NOSUPERUSER",
)
_STATES: dict[Leftover, Callable[[Database], Any]] = {
    Leftover.SUBSCRIPTIONS: lambda database: database.admin(
        "SELECT subname, subenabled, subslotname FROM pg_subscription"
    ),
    Leftover.REPLICATION_SLOTS: lambda database: database.admin(
        "SELECT slot_name FROM pg_replication_slots ORDER BY slot_name"
    ),
    Leftover.CRON_JOBS: lambda database: (
        database.admin("SELECT active FROM cron.job") if _has_cron(database) else "no pg_cron"
    ),
    Leftover.USER_MAPPINGS: lambda database: database.admin("SELECT srvname FROM pg_user_mappings", "shop"),
}
_STOPPED = {
    Leftover.SUBSCRIPTIONS: [("from Prod", False, None)],
    Leftover.REPLICATION_SLOTS: [],
    Leftover.CRON_JOBS: [(False,), (False,)],
    Leftover.USER_MAPPINGS: [],
}


def _has_cron(database: Database) -> bool:
    return database.version >= 180_000 or CRON_LIBRARY.exists()


@pytest.fixture
def lively(restored: Database) -> Database:
    """A copy of a production that has everything that acts by itself."""
    restored.admin(_LIKE_RDS)
    if _has_cron(restored):
        restored.admin(_CRON)
    restored.admin(_SHOP, "shop")
    for statement in _SUBSCRIPTION:
        restored.admin(statement, "shop")
    restored.admin("SELECT pg_create_physical_replication_slot('standby')")
    restored.admin("SELECT pg_create_logical_replication_slot('to_analytics', 'pgoutput')", "shop")
    return restored


def _states(database: Database) -> dict[Leftover, Any]:
    return {leftover: state(database) for leftover, state in _STATES.items()}


def _stopped(database: Database) -> dict[Leftover, Any]:
    return _STOPPED if _has_cron(database) else {**_STOPPED, Leftover.CRON_JOBS: "no pg_cron"}


def test_all_of_it_is_stopped_once_and_first(lively: Database) -> None:
    """Subscription, slots, cron jobs and user mappings, before any user is touched; the second run finds nothing."""
    changes = PostgreSQL().apply(lively.endpoint, lively.master, DesiredState((user("tester", grant("readonly")),)))
    stopped = [change.sentence for change in changes.changes if change.kind is ChangeKind.STOP_LEFTOVER]
    assert [change.kind for change in changes.changes[: len(stopped)]] == [ChangeKind.STOP_LEFTOVER] * len(stopped)
    assert [sentence for sentence in stopped if "cron job" not in sentence] == [
        "the replication slot standby of postgres is dropped",
        "the subscription from Prod of shop is disabled and detached from its publisher's slot",
        "the replication slot to_analytics of shop is dropped",
        "the user mapping of app for the foreign server warehouse of shop is removed",
        "the user mapping of everybody for the foreign server warehouse of shop is removed",
    ]
    if _has_cron(lively):
        assert "the cron job 1 of app in shop is switched off" in stopped
    assert _states(lively) == _stopped(lively)
    assert lively.apply(user("tester", grant("readonly"))) == []


def test_what_is_kept_stays_as_it_came(lively: Database) -> None:
    """Each kind by itself; a person is told of what stays."""
    before = _states(lively)
    desired = DesiredState((user("tester"),), leftovers=frozenset(Leftover))
    PostgreSQL().apply(lively.endpoint, lively.master, desired)
    assert _states(lively) == before
    remarks = PostgreSQL().remarks(lively.endpoint, lively.master, desired)
    assert "2 of production's user-mappings in database shop stay as they came" in remarks
    lively.apply(user("tester"), leftovers=frozenset({Leftover.USER_MAPPINGS}))
    after = {leftover: _stopped(lively)[leftover] for leftover in _STATES}
    assert _states(lively) == {**after, Leftover.USER_MAPPINGS: before[Leftover.USER_MAPPINGS]}


def test_one_that_the_master_may_not_stop_is_an_error_that_names_keep(lively: Database) -> None:
    """A superuser's subscription goes on pulling: a failure, but nothing else goes on, and nobody can log in (I7)."""
    lively.admin('ALTER SUBSCRIPTION "from Prod" OWNER TO rdsadmin', "shop")
    with pytest.raises(DatabaseRefusedError, match=r"stop what came along .* can be named in the request's keep"):
        lively.apply(user("tester"))
    assert lively.logins() == (lively.master.user,)
    assert _states(lively) == {**_stopped(lively), Leftover.SUBSCRIPTIONS: [("from Prod", True, "of_staging")]}
    lively.apply(user("tester"), leftovers=frozenset({Leftover.SUBSCRIPTIONS}))


def test_a_lock_of_production_s_keeps_no_login_open(lively: Database) -> None:
    """The session that holds it ends with its login, so that the next call goes on; the first one only says so."""

    def impatient(**parameters: Any) -> psycopg.Connection:
        options = parameters["options"].replace("lock_timeout=30000", "lock_timeout=1")
        return psycopg.Connection.connect(**{**parameters, "options": options})

    with closing(lively.connect(login("app", PRODUCTION_PASSWORD))) as session:
        session.autocommit = False
        session.execute("DROP USER MAPPING FOR app SERVER warehouse")
        with pytest.raises(NotReadyError, match="a lock that somebody else holds"):
            PostgreSQL(impatient).apply(lively.endpoint, lively.master, DesiredState((user("tester"),)))
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert lively.logins() == (lively.master.user,)
    lively.apply(user("tester"))
    assert _states(lively) == _stopped(lively)


def test_a_slot_that_somebody_reads_from_is_dropped_too(lively: Database) -> None:
    """A consumer that found the copy is sent away."""
    reading = lively.stream("to_analytics")
    try:
        lively.apply(user("tester"))
    finally:
        reading.kill()
        reading.wait()
    assert _states(lively)[Leftover.REPLICATION_SLOTS] == []


def test_an_extension_that_replicates_in_its_own_way_is_remarked(restored: Database) -> None:
    """Nobody may think that it was stopped."""
    # As if it were installed: before PostgreSQL 18 an extension's files have one place, where a test may not write.
    restored.admin(_PGLOGICAL, "shop")
    remarks = PostgreSQL().remarks(restored.endpoint, restored.master, DesiredState(()))
    assert any(one.startswith("the extension pglogical of database shop may replicate from") for one in remarks)


def test_jobs_that_pg_cron_hides_are_remarked(lively: Database) -> None:
    """As it comes, pg_cron shows each its own jobs only; those of the locked out cannot run anyway."""
    if not _has_cron(lively):
        pytest.skip("pg_cron is not installed: on Debian it is the package postgresql-15-cron")
    lively.admin("DROP POLICY rds ON cron.job")
    desired = DesiredState((user("tester"),))
    PostgreSQL().apply(lively.endpoint, lively.master, desired)
    (remark,) = (one for one in PostgreSQL().remarks(lively.endpoint, lively.master, desired) if "pg_cron" in one)
    assert remark.startswith("pg_cron of database postgres shows dba none but its own jobs")
    lively.admin("REVOKE USAGE ON SCHEMA cron FROM rds_superuser")
    assert remark in PostgreSQL().remarks(lively.endpoint, lively.master, desired)
