"""A user's roles, limits and settings: exactly those of the request, whatever production had given it."""

from datetime import UTC, datetime

import psycopg
import pytest

from aurora_restore.database.engine import DesiredState, DesiredUser
from aurora_restore.database.postgresql import PostgreSQL
from aurora_restore.errors import DatabaseRefusedError, PreflightError
from tests.database.conftest import NEW_PASSWORD, PRODUCTION_PASSWORD, Database, grant, login, user

FUTURE = datetime(2199, 12, 31, 23, 59, tzinfo=UTC)
SETTINGS: dict[str, str | int | float | bool] = {
    "statement_timeout": "30s",
    "search_path": 'sales, "Geheime Löhne", public',
    "work_mem": 4096,
    "timezone": "Europe/Berlin",
    "enable_seqscan": False,
    "application_name": "a, 'b' \\",
}


def test_limits_are_the_requests(restored: Database) -> None:
    """A new user's, and those of one who came with others; unset means none."""
    restored.admin("ALTER ROLE analyst CONNECTION LIMIT 7 VALID UNTIL '2150-01-01'")
    limited = [
        DesiredUser(name, NEW_PASSWORD, connection_limit=1, valid_until=FUTURE) for name in ("analyst", "tester")
    ]
    sentences = restored.apply(*limited)
    assert any("may have 1 connections, has a password that ends on 2199-12-31 23:59 UTC" in one for one in sentences)
    for name in ("analyst", "tester"):
        with restored.connect(login(name)), pytest.raises(psycopg.OperationalError, match="too many connections"):
            restored.connect(login(name))
    assert restored.apply(*limited) == []
    with restored.connect(login("tester")):
        # The one connection is taken: that the password is right can be told nevertheless.
        assert restored.apply(*limited) == []
    assert restored.apply(user("analyst"), user("tester")) == [
        "analyst may have any number of connections, has a password that never ends",
        "tester may have any number of connections, has a password that never ends",
    ]
    limits = (
        "SELECT DISTINCT rolconnlimit, isfinite(rolvaliduntil) FROM pg_roles WHERE rolname IN ('analyst', 'tester')"
    )
    assert restored.admin(limits) == [(-1, False)]


def test_a_password_that_has_ended_already_is_refused(restored: Database) -> None:
    """Such a user could never log in."""
    with pytest.raises(PreflightError, match="the password of tester ended on 2001-01-01"):
        restored.apply(DesiredUser("tester", NEW_PASSWORD, valid_until=datetime(2001, 1, 1, tzinfo=UTC)))


def test_settings_are_the_requests(restored: Database) -> None:
    """Lists, numbers, switches, an application's own: what a session begins with, and production's are gone."""
    restored.admin("ALTER ROLE analyst SET work_mem = '1GB'; ALTER ROLE analyst SET geqo = off")
    restored.admin("ALTER ROLE analyst IN DATABASE shop SET search_path = public")
    restored.admin("ALTER ROLE analyst IN DATABASE shop SET role = 'app'")
    users = [DesiredUser(name, NEW_PASSWORD, settings=SETTINGS) for name in ("analyst", "tester")]
    sentences = restored.apply(*users)
    assert "tester's sessions begin with statement_timeout = 30s" in sentences
    assert "analyst's sessions no longer begin with production's geqo" in sentences
    assert "analyst's sessions no longer begin with production's search_path in shop" in sentences
    assert "analyst's sessions no longer begin with production's role in shop" in sentences
    for name in ("analyst", "tester"):
        assert restored.query(
            login(name),
            "SELECT current_setting('statement_timeout'), current_schemas(false)::text, current_setting('work_mem'),"
            " current_setting('timezone'), current_setting('enable_seqscan'), current_setting('application_name'),"
            " current_setting('geqo')",
        ) == [("30s", "{public}", "4MB", "Europe/Berlin", "off", "a, 'b' \\", "on")]
    assert restored.apply(*users) == []
    restored.apply(user("analyst", grant("readonly")), DesiredUser("tester", NEW_PASSWORD, settings={"geqo": False}))
    assert restored.admin("SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting") == [
        ("tester", ["geqo=off"])
    ]


def test_an_empty_list_is_a_setting_too(restored: Database) -> None:
    """As one has it who wants every name in full; in quotes or not."""
    tester = DesiredUser("tester", NEW_PASSWORD, settings={"search_path": "", "temp_tablespaces": '""'})
    restored.apply(tester)
    assert restored.query(login("tester"), "SELECT current_schemas(false)::text") == [("{}",)]
    assert restored.apply(tester) == []


def test_a_setting_that_is_none_is_refused_and_named(restored: Database) -> None:
    """With nothing of that transaction done; what PostgreSQL says is told."""
    with pytest.raises(DatabaseRefusedError, match='unrecognized configuration parameter "work_memory"'):
        restored.apply(DesiredUser("tester", NEW_PASSWORD, settings={"work_memory": "1MB"}))


def test_a_setting_that_only_superusers_change_is_remarked(restored: Database) -> None:
    """Production's administrator made it; the master can neither end it nor is it worth failing for."""
    restored.admin("ALTER ROLE analyst SET log_statement = 'all'; ALTER ROLE analyst SET shop.tenant = 'a'")
    desired = DesiredState((user("analyst"),))
    PostgreSQL().apply(restored.endpoint, restored.master, desired)
    remarks = PostgreSQL().remarks(restored.endpoint, restored.master, desired)
    for setting in ("log_statement", "shop.tenant"):
        assert f"analyst keeps the setting {setting}, which dba may not take away" in remarks


def test_roles_are_the_requests(restored: Database) -> None:
    """Members of what the request names, and of nothing else, without the right to pass it on."""
    restored.query(restored.master, "CREATE ROLE keeper; GRANT reporting TO analyst WITH ADMIN OPTION", "postgres")
    users = (
        DesiredUser("analyst", NEW_PASSWORD, roles=("reporting", "keeper", "reporting")),
        DesiredUser("tester", NEW_PASSWORD, roles=("analyst", "app")),
    )
    sentences = restored.apply(*users)
    assert "analyst may no longer pass on the role reporting" in sentences
    assert "analyst leaves the role app" in sentences
    assert "tester joins the role analyst" in sentences
    assert restored.apply(*users) == []
    memberships = (
        "SELECT DISTINCT member::regrole::text, roleid::regrole::text, admin_option FROM pg_auth_members"
        " WHERE member::regrole::text IN ('analyst', 'tester') ORDER BY 1, 2"
    )
    assert restored.admin(memberships) == [
        ("analyst", "keeper", False),
        ("analyst", "reporting", False),
        ("tester", "analyst", False),
        ("tester", "app", False),
    ]
    assert restored.may(login("tester"), "TABLE sales.orders")
    assert not PostgreSQL().can_log_in(restored.endpoint, login("app", PRODUCTION_PASSWORD), "shop")
    restored.apply(user("analyst"), user("tester"))
    assert restored.admin(memberships) == []


def test_roles_that_cannot_be_are_said_before_anything_is_changed(restored: Database) -> None:
    """One that is not there, the master, oneself, the one that iam: true stands for, and a member of oneself."""
    before = restored.fingerprint()
    with pytest.raises(PreflightError) as caught:
        restored.apply(
            DesiredUser("tester", NEW_PASSWORD, roles=("gone", "dba", "tester", "rds_iam")),
            DesiredUser("app", NEW_PASSWORD, roles=("analyst",)),
        )
    assert len(caught.value.problems) == 5
    assert caught.value.problems[-1] == "app cannot be a member of analyst, which is a member of app"
    assert restored.fingerprint() == before


def test_a_role_that_the_master_may_not_hand_out_is_named_with_what_to_do(restored: Database) -> None:
    """Since PostgreSQL 16 it takes ADMIN OPTION."""
    restored.admin("CREATE ROLE strange NOLOGIN")
    member = DesiredUser("tester", NEW_PASSWORD, roles=("strange",))
    if restored.version < 160_000:
        restored.apply(member)
        assert restored.apply(member) == []
        return
    with pytest.raises(DatabaseRefusedError, match="GRANT strange TO dba WITH ADMIN OPTION"):
        restored.apply(member)
