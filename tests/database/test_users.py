"""Who can log in after step 7, and what becomes of the logins that came with production's data."""

from contextlib import closing

import psycopg
import pytest

from aurora_restore.database.engine import DesiredState, DesiredUser
from aurora_restore.database.postgresql import PostgreSQL
from aurora_restore.database_request import Logins
from aurora_restore.errors import DatabaseRefusedError, PreflightError
from tests.database.conftest import HOSTILE, PRODUCTION_PASSWORD, Database, grant, login, user


def test_exactly_the_listed_users_can_log_in(restored: Database) -> None:
    """I7: the listed users and the master can log in with their passwords, production's logins and passwords cannot."""
    restored.apply(user("analyst", grant("readonly")), user("tester", grant("readwrite")))
    assert restored.logins() == ("analyst", "dba", "tester")
    engine = PostgreSQL()
    for name in ("analyst", "tester"):
        assert engine.can_log_in(restored.endpoint, login(name), "shop")
    for name in ("analyst", "app", "migrator"):
        assert not engine.can_log_in(restored.endpoint, login(name, PRODUCTION_PASSWORD), "shop")


def test_the_plan_says_what_apply_does_and_changes_nothing(restored: Database) -> None:
    """``plan`` reads only, and tells in the same sentences what ``apply`` then reports."""
    desired = DesiredState((user("analyst", grant("readonly")), user("tester", grant("owner"))))
    before = restored.fingerprint()
    planned = PostgreSQL().plan(restored.endpoint, restored.master, desired)
    assert restored.fingerprint() == before
    assert planned == PostgreSQL().apply(restored.endpoint, restored.master, desired).changes
    sentences = [change.sentence for change in planned]
    assert "app can no longer log in" in sentences
    assert "tester is created and logs in with the password of its secret" in sentences


def test_the_second_run_changes_nothing(restored: Database) -> None:
    """Run twice: no change is reported and no statement that changes anything reaches the server."""
    users = (user("analyst", grant("readonly"), grant("owner", schema="sales")), user("tester", grant("readwrite")))
    assert restored.apply(*users)
    after = restored.fingerprint()
    log = restored.log_everything()
    assert restored.apply(*users) == []
    assert restored.fingerprint() == after
    written = log.read_text().upper()
    assert "FROM PG_ROLES" in written
    assert not any(word in written for word in ("ALTER ROLE", "CREATE ROLE", "GRANT ", "REVOKE ", "TERMINATE"))


def test_no_password_reaches_the_servers_log(restored: Database) -> None:
    """I6: with every statement logged, the log holds verifiers, never a password."""
    log = restored.log_everything()
    restored.apply(user("analyst", password="testing-SECRET-1"), user("tester", password="testing-SECRET-2"))
    written = log.read_text()
    assert "SCRAM-SHA-256$4096:" in written
    assert "testing-SECRET" not in written


def test_sessions_of_the_locked_out_end(restored: Database) -> None:
    """A session that production's login, or a listed user's old password, opened before does not outlive the step."""
    old = [restored.connect(login(name, PRODUCTION_PASSWORD)) for name in ("app", "app", "analyst")]
    sentences = restored.apply(user("analyst"))
    assert "2 sessions of app end" in sentences
    assert "1 session of analyst ends" in sentences
    for connection in old:
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()
    assert restored.apply(user("analyst")) == []


def test_sessions_of_the_master_that_were_there_before_end(restored: Database) -> None:
    """They may be by production's password, which RDS has replaced since; whoever comes after the change stays."""
    with closing(restored.connect(restored.master)) as before:
        restored.apply(user("tester"), logins=Logins.KEEP)
        assert before.execute("SELECT 1").fetchone() == (1,)
        restored.apply(user("tester"))
        with pytest.raises(psycopg.OperationalError):
            before.execute("SELECT 1")
    with closing(restored.connect(restored.master)) as after:
        assert restored.apply(user("tester")) == []
        assert after.execute("SELECT 1").fetchone() == (1,)


def test_a_session_with_the_right_password_lives_on(restored: Database) -> None:
    """Run again, the step does not disturb those who work already."""
    restored.apply(user("analyst"))
    with restored.connect(login("analyst")) as connection:
        restored.apply(user("analyst"), user("tester"))
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_user_who_came_with_the_data_keeps_no_power(restored: Database) -> None:
    """Memberships and role attributes from production are gone: they would be more than the request grants."""
    restored.apply(user("analyst", grant("readonly")), user("migrator"))
    assert restored.admin("SELECT rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = 'analyst'") == [
        (False, False)
    ]
    memberships = "SELECT m.roleid FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname IN "
    assert restored.admin(memberships + "('analyst', 'migrator')") == []


def test_a_role_that_could_not_log_in_has_no_password_of_production_s_either(restored: Database) -> None:
    """Should somebody give it a login, production's password is not the way in."""
    restored.query(restored.master, "CREATE ROLE dormant PASSWORD 'testing-production'", "postgres")
    assert not any("dormant" in sentence for sentence in restored.apply(user("tester")))
    assert restored.admin("SELECT rolpassword FROM pg_authid WHERE rolname = 'dormant'") == [(None,)]
    assert restored.apply(user("tester")) == []


def test_a_locked_out_login_leaves_the_dangerous_roles(restored: Database) -> None:
    """Should somebody give migrator its login back, it is no superuser of RDS."""
    sentences = restored.apply(user("tester"))
    assert "migrator leaves the role rds_superuser" in sentences
    assert "analyst leaves the role rds_replication" in sentences


def test_logins_keep_leaves_everybody_else_alone(restored: Database) -> None:
    """``logins: keep``: the listed users are set up, production's logins and sessions stay."""
    with restored.connect(login("app", PRODUCTION_PASSWORD)) as connection:
        restored.apply(user("tester", grant("readonly")), logins=Logins.KEEP)
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert restored.logins() == ("analyst", "app", "dba", "migrator", "tester")


def test_names_to_keep_keep_their_login(restored: Database) -> None:
    """Whoever the step names besides the users is left alone."""
    restored.apply(user("tester"), keep=frozenset({"app"}))
    assert restored.logins() == ("app", "dba", "tester")


def test_any_name_is_only_a_name(restored: Database) -> None:
    """Names are identifiers whatever they contain: made, granted, found again, locked out."""
    names = [HOSTILE, "Ünïcode Größe", "'; SELECT 1 --", "%s {} $1", "a.b", "ж" * 31, "SELECT", " "]
    restored.query(restored.master, 'CREATE SCHEMA "a\'; b""c"')
    restored.query(restored.master, 'CREATE TABLE "a\'; b""c"."%s; DROP" AS SELECT 7 AS n')
    users = [user(name, grant("readonly"), grant(privileges=["DELETE"], schema="a'; b\"c")) for name in names]
    assert restored.apply(*users)
    assert restored.apply(*users) == []
    for name in names:
        assert restored.query(login(name), 'SELECT n FROM "a\'; b""c"."%s; DROP"') == [(7,)]
    restored.apply(user("other"))
    assert restored.logins() == ("dba", "other")


def test_an_iam_user_has_no_password(restored: Database) -> None:
    """An IAM user is in rds_iam and has no password; one that becomes a password user leaves rds_iam."""
    restored.apply(DesiredUser("analyst", None, iam=True), DesiredUser("robot", None, iam=True))
    in_iam = "SELECT pg_has_role('analyst', 'rds_iam', 'MEMBER'), pg_has_role('robot', 'rds_iam', 'MEMBER')"
    assert restored.admin(in_iam) == [(True, True)]
    passwords = "SELECT rolpassword FROM pg_authid WHERE rolname IN ('analyst', 'robot')"
    assert restored.admin(passwords) == [(None,), (None,)]
    assert restored.apply(DesiredUser("analyst", None, iam=True), DesiredUser("robot", None, iam=True)) == []
    restored.apply(user("analyst"), DesiredUser("robot", None, iam=True))
    assert restored.admin(in_iam) == [(False, True)]
    assert PostgreSQL().can_log_in(restored.endpoint, login("analyst"), "shop")


def test_a_barred_or_expired_user_can_log_in_again(restored: Database) -> None:
    """A connection limit of 0 and a password of the past are production's, not the request's."""
    restored.admin("ALTER ROLE analyst CONNECTION LIMIT 0; ALTER ROLE app VALID UNTIL '2001-01-01'")
    restored.admin("CREATE ROLE ancient LOGIN VALID UNTIL '0044-03-15 BC'; GRANT ancient TO dba WITH ADMIN OPTION")
    restored.admin("ALTER ROLE migrator VALID UNTIL '-infinity'")
    names = ("analyst", "ancient", "app", "migrator")
    restored.apply(*map(user, names))
    for name in names:
        assert PostgreSQL().can_log_in(restored.endpoint, login(name), "shop")


def test_a_listed_user_without_connect_is_proven_too(restored: Database) -> None:
    """The password is tried in a database that the user may not enter: that is no wrong password."""
    restored.admin("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
    only_shop = user("tester", grant("readonly", database="shop"))
    restored.apply(only_shop)
    assert restored.apply(only_shop) == []
    assert not PostgreSQL().can_log_in(restored.endpoint, login("tester"), "postgres")


def test_settings_that_came_with_the_data_do_not_matter(restored: Database) -> None:
    """Production's read-only default, search path and timeouts hold for its roles and databases, not for the step."""
    restored.admin(
        "ALTER DATABASE shop SET default_transaction_read_only = on; ALTER ROLE dba SET statement_timeout = 1"
    )
    restored.admin(
        "ALTER ROLE dba SET search_path = sales; ALTER ROLE dba SET role = reporting; GRANT reporting TO dba"
    )
    restored.apply(user("tester", grant("readwrite")))
    assert restored.may(login("tester"), "SET transaction_read_only = off; INSERT INTO sales.orders VALUES (9, 9)")


def test_everything_impossible_is_said_at_once_and_nothing_is_changed(restored: Database) -> None:
    """The master as a user, a table and a database that are not there: one error, no change."""
    before = restored.fingerprint()
    with pytest.raises(PreflightError) as caught:
        restored.apply(
            user("dba"),
            user("tester", grant(privileges=["SELECT"], schema="sales", table="gone"), grant("owner", database="none")),
        )
    assert len(caught.value.problems) == 3
    assert "table gone of schema sales" in str(caught.value)
    assert restored.fingerprint() == before


def test_what_the_master_may_not_take_away_is_remarked(restored: Database) -> None:
    """Attributes that only a superuser can end, and memberships that RDS granted: left, and said."""
    restored.admin("ALTER ROLE analyst BYPASSRLS; GRANT reporting TO analyst")
    desired = DesiredState((user("analyst"),))
    PostgreSQL().apply(restored.endpoint, restored.master, desired)
    remarks = " / ".join(PostgreSQL().remarks(restored.endpoint, restored.master, desired))
    assert "analyst keeps the attribute BYPASSRLS, which dba may not take away" in remarks
    stays = "analyst stays in the role reporting: rdsadmin granted it, and dba may not revoke it"
    assert (stays in remarks) is (restored.version >= 160_000)


def test_a_user_with_replication_is_remarked_or_refused(restored: Database) -> None:
    """Before PostgreSQL 16 nobody but a superuser may touch such a role at all: the error names it."""
    restored.admin("ALTER ROLE analyst REPLICATION")
    desired = DesiredState((user("analyst"),))
    if restored.version < 160_000:
        with pytest.raises(DatabaseRefusedError, match="analyst has the attribute REPLICATION"):
            PostgreSQL().apply(restored.endpoint, restored.master, desired)
        return
    PostgreSQL().apply(restored.endpoint, restored.master, desired)
    remarks = PostgreSQL().remarks(restored.endpoint, restored.master, desired)
    assert "analyst keeps the attribute REPLICATION, which dba may not take away" in remarks


def test_iam_users_need_a_cluster_that_knows_iam(restored: Database) -> None:
    """Said before anything is changed."""
    restored.admin("DROP ROLE rds_iam")
    with pytest.raises(PreflightError, match="the cluster has no role rds_iam"):
        restored.apply(DesiredUser("robot", None, iam=True))


def test_without_users_only_logins_are_looked_after(restored: Database) -> None:
    """A request may list nobody: then only the master is left."""
    restored.apply()
    assert restored.logins() == ("dba",)
