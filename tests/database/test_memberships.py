"""Who is in which role, and as whom the master may act: chains of grantors as they grow in production."""

from typing import Any, LiteralString

import psycopg
import pytest

from aurora_restore.database.engine import DesiredUser
from aurora_restore.database_request import Logins
from aurora_restore.errors import DatabaseRefusedError
from tests.database.conftest import NEW_PASSWORD, PRODUCTION_PASSWORD, Database, grant, login, user

READER = user("tester", grant("readonly"))
_OF_MASTER = """
    SELECT roleid::regrole::text, grantor::regrole::text, to_jsonb(m) - '{oid,roleid,member,grantor}'::text[]
    FROM pg_auth_members AS m WHERE member = 'dba'::regrole AND roleid::regrole::text NOT IN ('tester', 'reporting')
    ORDER BY 1, 2
"""


def _of_master(database: Database) -> list[tuple[Any, ...]]:
    return database.admin(_OF_MASTER)


def test_roles_that_somebody_else_made_are_reached_through_whom_made_them(restored: Database) -> None:
    """Since 16 only its creator administers a role; the master, who administers that one, becomes it for a moment."""
    analyst = login("analyst", PRODUCTION_PASSWORD)
    restored.query(analyst, "CREATE ROLE team; CREATE ROLE sub LOGIN IN ROLE team", "postgres")
    restored.query(analyst, "CREATE ROLE leader IN ROLE team", "postgres")
    restored.admin("CREATE SCHEMA subs AUTHORIZATION sub; SET ROLE sub; CREATE TABLE subs.things (id int)", "shop")
    before = _of_master(restored)
    users = (READER, user("leader"), DesiredUser("member", NEW_PASSWORD, roles=("team",)))
    assert "leader leaves the role team" in restored.apply(*users)
    assert restored.apply(*users) == []
    assert restored.may(login("tester"), "TABLE subs.things")
    assert restored.admin("SELECT pg_has_role('member', 'team', 'USAGE')") == [(True,)]
    assert [row for row in _of_master(restored) if row[0] not in {"member", "leader"}] == before


def test_the_master_s_own_memberships_are_what_they_were(restored: Database) -> None:
    """Where the master may become a role and not use it, or use it and not become it, it does both for a moment."""
    if restored.version >= 160_000:
        restored.query(restored.master, "GRANT app TO dba WITH INHERIT FALSE", "postgres")
        restored.query(restored.master, "GRANT migrator TO dba WITH INHERIT TRUE, SET FALSE", "postgres")
    else:
        # Memberships have no options there: it is a member, and stays one.
        restored.query(restored.master, "GRANT app, migrator TO dba", "postgres")
    restored.admin(
        "GRANT USAGE ON SCHEMA sales TO migrator; SET ROLE app;"
        " GRANT SELECT ON sales.orders TO migrator WITH GRANT OPTION; SET ROLE migrator;"
        " GRANT SELECT ON sales.orders TO analyst",
        "shop",
    )
    before = _of_master(restored)
    users = (READER, user("analyst", grant("readonly")))
    restored.apply(*users)
    assert _of_master(restored) == before
    assert restored.apply(*users) == []


def test_whoever_joined_through_somebody_who_may_no_longer_let_others_in_stays(restored: Database) -> None:
    """With that one's right the membership goes too, and is given anew."""
    restored.query(restored.master, "GRANT reporting TO analyst WITH ADMIN OPTION", "postgres")
    restored.admin("SET ROLE analyst; GRANT reporting TO migrator, app WITH ADMIN OPTION")
    restored.admin("SET ROLE migrator; GRANT reporting TO rds_ad")
    reporters = tuple(DesiredUser(name, NEW_PASSWORD, roles=("reporting",)) for name in ("migrator", "app"))
    restored.apply(user("analyst"), *reporters)
    assert restored.apply(user("analyst"), *reporters) == []
    members = "SELECT pg_has_role(name, 'reporting', 'USAGE') FROM unnest(ARRAY['migrator', 'app', 'analyst']) AS name"
    assert restored.admin(members) == [(True,), (True,), (False,)]


def test_a_user_who_would_stay_rds_s_superuser_is_an_error(restored: Database) -> None:
    """Since 16 whoever granted it has to revoke it: after an upgrade that is RDS. A remark would not be enough."""
    restored.admin("GRANT rds_superuser TO analyst")
    if restored.version < 160_000:
        # There the grantor does not count: the master revokes it.
        assert "analyst leaves the role rds_superuser" in restored.apply(user("analyst", grant("readonly")))
        return
    with pytest.raises(DatabaseRefusedError, match="give the user another name, or leave it in rds_superuser by its"):
        restored.apply(user("analyst", grant("readonly")))
    assert restored.logins() == ("dba",)
    mighty = DesiredUser("analyst", NEW_PASSWORD, roles=("rds_superuser",))
    restored.apply(mighty)
    assert restored.apply(mighty) == []


def test_a_role_that_has_the_master_s_privileges_can_be_acted_for(restored: Database) -> None:
    """Nobody may be a member of their own member: for a moment production's role is none of the master."""
    lend: LiteralString = "GRANT dba TO reporting WITH ADMIN OPTION; GRANT reporting TO app"
    if restored.version >= 160_000:
        # There it cannot come to that: the master is a member of each role that it has made.
        with pytest.raises(psycopg.errors.InvalidGrantOperation):
            restored.admin(lend)
        return
    restored.admin(lend)
    restored.admin(
        "CREATE FOREIGN DATA WRAPPER nothing; GRANT USAGE ON FOREIGN DATA WRAPPER nothing TO app; SET ROLE app;"
        " CREATE SERVER warehouse FOREIGN DATA WRAPPER nothing; CREATE USER MAPPING FOR app SERVER warehouse",
        "shop",
    )
    restored.apply(READER, logins=Logins.KEEP)
    assert restored.admin("SELECT srvname FROM pg_user_mappings", "shop") == []
    assert restored.may(login("tester"), "TABLE sales.orders")
    lends = "SELECT member::regrole::text, admin_option FROM pg_auth_members WHERE roleid = 'dba'::regrole"
    assert restored.admin(lends) == [("reporting", True)]
    assert restored.apply(READER, logins=Logins.KEEP) == []
