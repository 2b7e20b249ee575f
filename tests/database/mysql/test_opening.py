"""Users that have everything but a way in, so that nobody sees the data before SQL has made it what it shall be."""

from contextlib import closing
from dataclasses import replace

import pytest

from aurora_restore.database.engine import DesiredState, DesiredUser
from aurora_restore.errors import DatabaseRefusedError
from tests.database.mysql.conftest import NEW_PASSWORD, PRODUCTION_PASSWORD, Database, engine, grant, login, user

USERS = (
    user("analyst", grant("readonly")),
    user("new", grant("readwrite"), connection_limit=3),
    DesiredUser("oncall", None, iam=True, grants=(grant("readonly"),)),
)
CLOSED = tuple(replace(each, opens=False) for each in USERS)


def test_nobody_but_the_master_gets_in_before_the_users_are_opened(restored: Database) -> None:
    """Not with production's password, not with the new one; a session of before has ended. Twice is once."""
    with closing(restored.connect(login("analyst", PRODUCTION_PASSWORD))):
        said = restored.apply(*CLOSED)
        assert restored.admin("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'analyst'") == []
    ended = "1 session of analyst ends"
    assert {"analyst can no longer log in", "new is made, and cannot log in yet", ended} <= set(said)
    assert restored.logins() == ("dba",)
    for name, password in (("analyst", PRODUCTION_PASSWORD), ("analyst", NEW_PASSWORD), ("new", NEW_PASSWORD)):
        assert not restored.lets_in(login(name, password))
    before = restored.fingerprint()
    assert restored.apply(*CLOSED) == []
    assert restored.fingerprint() == before


def test_opened_they_are_as_if_they_had_been_open_at_once(restored: Database) -> None:
    """All that was missing was the way in, at every host that they come from."""
    restored.apply(*CLOSED)
    opened = engine().open(restored.endpoint, restored.master, USERS)
    assert opened.is_whole
    assert restored.logins() == ("analyst", "analyst@localhost", "dba", "new", "oncall")
    assert restored.lets_in(login("new"))
    assert restored.apply(*USERS) == []
    assert engine().open(restored.endpoint, restored.master, USERS).changes == ()


def test_opening_leaves_what_sql_has_made(restored: Database) -> None:
    """What a file granted stays."""
    restored.apply(*CLOSED)
    restored.query(restored.master, "GRANT DROP ON shop.orders TO analyst")
    engine().open(restored.endpoint, restored.master, USERS)
    planned = engine().plan(restored.endpoint, restored.master, DesiredState(USERS))
    assert "analyst loses DROP on table orders of shop" in [change.sentence for change in planned]


def test_opening_stops_when_the_time_is_up_and_goes_on(restored: Database) -> None:
    """A call that has begun opens some of them; the next one the others."""
    restored.apply(*CLOSED)
    first = engine().open(restored.endpoint, restored.master, USERS, lambda: -1)
    assert first.changes
    assert not first.is_whole
    assert engine().open(restored.endpoint, restored.master, USERS).is_whole
    assert restored.apply(*USERS) == []


def test_a_user_whom_sql_has_dropped_cannot_be_opened(restored: Database) -> None:
    """It is not made again behind the file's back, without what it was granted."""
    restored.apply(*CLOSED)
    restored.admin("DROP USER new")
    with pytest.raises(DatabaseRefusedError, match="has no account new any more"):
        engine().open(restored.endpoint, restored.master, USERS)
    assert restored.logins() == ("dba",)


def test_closed_again_they_have_all_but_a_way_in(restored: Database) -> None:
    """Sessions end, neither password works; what SQL has granted stays, and opened they are as before."""
    restored.apply(*USERS)
    restored.query(restored.master, "GRANT DROP ON shop.orders TO analyst")
    before = restored.fingerprint()
    with closing(restored.connect(login("analyst"))):
        closed = engine().shut_out(restored.endpoint, restored.master, CLOSED)
        assert restored.admin("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'analyst'") == []
    assert {"analyst can no longer log in", "1 session of analyst ends"} <= {each.sentence for each in closed.changes}
    assert restored.logins() == ("dba",)
    assert not restored.lets_in(login("new"))
    assert engine().shut_out(restored.endpoint, restored.master, CLOSED).changes == ()
    engine().open(restored.endpoint, restored.master, USERS)
    assert restored.logins() == ("analyst", "analyst@localhost", "dba", "new", "oncall")
    assert restored.fingerprint() == before


def test_a_session_of_one_who_is_closed_already_ends(restored: Database) -> None:
    """Killed between the two, the next call finds the account locked and its session there."""
    restored.apply(*USERS)
    with closing(restored.connect(login("new"))):
        restored.admin("ALTER USER new ACCOUNT LOCK")
        engine().shut_out(restored.endpoint, restored.master, CLOSED)
        assert restored.admin("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'new'") == []
