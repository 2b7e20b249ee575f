"""Users that have everything but a way in, so that nobody sees the data before SQL has made it what it shall be."""

from contextlib import closing
from dataclasses import replace

import pytest

from aurora_restore.database.engine import DesiredState, DesiredUser, Login
from aurora_restore.database.postgresql import PostgreSQL
from aurora_restore.errors import DatabaseRefusedError
from tests.database.conftest import NEW_PASSWORD, PRODUCTION_PASSWORD, Database, grant, login, user

ANALYST = user("analyst", grant("readonly"))
NEW = user("new", grant("readwrite"))
TOKEN = DesiredUser("oncall", None, iam=True, grants=(grant("readonly"),))
USERS = (ANALYST, NEW, TOKEN)
CLOSED = tuple(replace(each, opens=False) for each in USERS)


def test_nobody_but_the_master_gets_in_before_the_users_are_opened(restored: Database) -> None:
    """Not with production's password, not with the new one; a session of before has ended. Twice is once."""
    with closing(restored.connect(login("analyst", PRODUCTION_PASSWORD))):
        said = restored.apply(*CLOSED)
        assert restored.admin("SELECT pid FROM pg_stat_activity WHERE usename = 'analyst'") == []
    ended = "1 session of analyst ends"
    assert {"analyst cannot log in yet", "new is created and cannot log in yet", ended} <= set(said)
    assert restored.logins() == ("dba",)
    for name, password in (("analyst", PRODUCTION_PASSWORD), ("analyst", NEW_PASSWORD), ("new", NEW_PASSWORD)):
        assert not PostgreSQL().can_log_in(restored.endpoint, Login(name, password), "shop")
    before = restored.fingerprint()
    assert restored.apply(*CLOSED) == []
    assert restored.fingerprint() == before


def test_opened_they_are_as_if_they_had_been_open_at_once(restored: Database) -> None:
    """All that was missing was the way in."""
    restored.apply(*CLOSED)
    opened = PostgreSQL().open(restored.endpoint, restored.master, USERS)
    assert [change.sentence for change in opened.changes] == [
        "analyst logs in with the password of its secret",
        "new logs in with the password of its secret",
        "oncall logs in with an IAM token",
    ]
    assert restored.logins() == ("analyst", "dba", "new", "oncall")
    assert restored.apply(*USERS) == []
    assert PostgreSQL().open(restored.endpoint, restored.master, USERS).changes == ()


def test_opening_leaves_what_sql_has_made(restored: Database) -> None:
    """What a file granted or took away stays."""
    restored.apply(*CLOSED)
    restored.query(restored.master, "CREATE TABLE masked (id int); GRANT SELECT ON masked TO new")
    restored.query(restored.master, "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM analyst")
    before = PostgreSQL().plan(restored.endpoint, restored.master, DesiredState(CLOSED))
    PostgreSQL().open(restored.endpoint, restored.master, USERS)
    after = [change.sentence for change in PostgreSQL().plan(restored.endpoint, restored.master, DesiredState(USERS))]
    assert after == [change.sentence for change in before] != []


def test_opening_stops_when_the_time_is_up_and_goes_on(restored: Database) -> None:
    """A call that has begun opens some of them; the next one the others."""
    restored.apply(*CLOSED)
    first = PostgreSQL().open(restored.endpoint, restored.master, USERS, lambda: -1)
    assert (len(first.changes), first.is_whole) == (3, False)
    again = PostgreSQL().open(restored.endpoint, restored.master, USERS)
    assert (again.changes, again.is_whole) == ((), True)


def test_a_user_whom_sql_has_renamed_cannot_be_opened(restored: Database) -> None:
    """It is not made again behind the file's back."""
    restored.apply(*CLOSED)
    restored.admin("ALTER ROLE new RENAME TO newer")
    with pytest.raises(DatabaseRefusedError, match='role "new" does not exist'):
        PostgreSQL().open(restored.endpoint, restored.master, USERS)
    assert restored.logins() == ("dba",)


def test_closed_again_they_have_all_but_a_way_in(restored: Database) -> None:
    """Sessions end, neither password works; what SQL has made of them stays, and opened they are as before."""
    restored.apply(*USERS)
    restored.query(restored.master, "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM analyst")
    before = PostgreSQL().plan(restored.endpoint, restored.master, DesiredState(USERS))
    with closing(restored.connect(login("analyst"))):
        closed = PostgreSQL().shut_out(restored.endpoint, restored.master, CLOSED)
        assert restored.admin("SELECT pid FROM pg_stat_activity WHERE usename = 'analyst'") == []
    assert [change.sentence for change in closed.changes] == [
        "analyst can no longer log in",
        "new can no longer log in",
        "oncall can no longer log in",
        "1 session of analyst ends",
    ]
    assert restored.logins() == ("dba",)
    assert restored.admin("SELECT rolname FROM pg_authid WHERE rolname = 'new' AND rolpassword IS NOT NULL") == []
    assert PostgreSQL().shut_out(restored.endpoint, restored.master, CLOSED).changes == ()
    PostgreSQL().open(restored.endpoint, restored.master, USERS)
    assert restored.logins() == ("analyst", "dba", "new", "oncall")
    assert PostgreSQL().plan(restored.endpoint, restored.master, DesiredState(USERS)) == before != ()


def test_a_session_of_one_who_is_closed_already_ends(restored: Database) -> None:
    """Killed between the two, the next call finds the role closed and its session there."""
    restored.apply(*USERS)
    with closing(restored.connect(login("analyst"))):
        restored.admin("ALTER ROLE analyst NOLOGIN")
        closed = PostgreSQL().shut_out(restored.endpoint, restored.master, CLOSED)
        assert restored.admin("SELECT pid FROM pg_stat_activity WHERE usename = 'analyst'") == []
    assert "1 session of analyst ends" in [change.sentence for change in closed.changes]


def test_one_who_cannot_be_closed_keeps_none_of_the_others_open(restored: Database) -> None:
    """A file of SQL has made a superuser of it, whom only a superuser may alter."""
    restored.apply(*USERS)
    restored.admin("ALTER ROLE analyst SUPERUSER")
    with pytest.raises(DatabaseRefusedError):
        PostgreSQL().shut_out(restored.endpoint, restored.master, CLOSED)
    assert restored.logins() == ("analyst", "dba")
