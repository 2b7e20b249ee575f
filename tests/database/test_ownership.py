"""Whose things become whose, tried on real servers."""

import pytest

from aurora_restore.database.engine import ChangeKind, DesiredState, DesiredUser
from aurora_restore.database.postgresql import PostgreSQL
from aurora_restore.database_request import OwnershipTransfer
from aurora_restore.errors import DatabaseRefusedError, PreflightError
from tests.database.conftest import NEW_PASSWORD, Database, grant, login, user

_OWNERS = """
    SELECT n.nspname || '.' || relname, pg_get_userbyid(relowner) FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = relnamespace WHERE nspname IN ('sales', 'public') AND relkind IN ('r', 'v', 'S')
    UNION ALL SELECT proname, pg_get_userbyid(proowner) FROM pg_proc WHERE proname IN ('total', 'in_public')
    UNION ALL SELECT nspname, pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'sales'
    ORDER BY 1
"""


def transfer(old: str, new: str, database: str | None = None) -> OwnershipTransfer:
    """Return a transfer."""
    return OwnershipTransfer.model_validate({"from": old, "to": new, "database": database})


def test_everything_of_one_becomes_anothers_once(restored: Database) -> None:
    """Tables, views, sequences, functions and schemas; to a user who is only now created, and who gets no more."""
    # Where the new owner may create nothing: as production's owner once could.
    restored.admin(
        "CREATE FUNCTION public.in_public() RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "ALTER FUNCTION public.in_public() OWNER TO app; GRANT CREATE ON SCHEMA public TO app",
        "shop",
    )
    ownership = (transfer("app", "keeper"),)
    users = (user("keeper", grant("readonly")), user("analyst", grant("readwrite")))
    sentences = restored.apply(*users, ownership=ownership)
    assert "6 things of app in shop become keeper's" in sentences
    owners = dict(restored.admin(_OWNERS, "shop"))
    assert owners.pop("public.products") == "dba"
    assert set(owners.values()) == {"keeper"}
    assert len(owners) == 6
    assert restored.apply(*users, ownership=ownership) == []
    assert restored.may(login("keeper"), "ALTER TABLE sales.orders ADD COLUMN mine int")
    assert restored.may(login("analyst"), "INSERT INTO sales.orders (product) VALUES (1)")
    in_app = "SELECT pg_has_role('keeper', 'app', 'MEMBER'), pg_has_role('dba', 'keeper', 'USAGE')"
    assert restored.admin(in_app) == [(False, False)]


def test_what_is_where_neither_may_create_anything_changes_hands_too(restored: Database) -> None:
    """As after REVOKE CREATE ON SCHEMA public FROM PUBLIC: the place's owner allows it, for the moment."""
    restored.admin(
        "ALTER DATABASE shop OWNER TO migrator; ALTER SCHEMA public OWNER TO pg_database_owner;"
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC;"
        "CREATE FUNCTION public.in_public() RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "ALTER FUNCTION public.in_public() OWNER TO app;"
        "CREATE PUBLICATION changes FOR TABLE sales.orders; ALTER PUBLICATION changes OWNER TO app",
        "shop",
    )
    users, ownership = (user("keeper"),), (transfer("migrator", "reporting"), transfer("app", "keeper"))
    assert "7 things of app in shop become keeper's" in restored.apply(*users, ownership=ownership)
    assert dict(restored.admin(_OWNERS, "shop"))["in_public"] == "keeper"
    may = (
        "SELECT has_schema_privilege('keeper', 'public', 'CREATE'), has_database_privilege('keeper', 'shop', 'CREATE')"
    )
    assert restored.admin(may, "shop") == [(False, False)]
    assert restored.apply(*users, ownership=ownership) == []


def test_a_place_whose_owner_is_out_of_reach_is_named(restored: Database) -> None:
    """Its owner has to let one of the two create there."""
    restored.admin(
        "CREATE SCHEMA rds; CREATE FUNCTION rds.one() RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "ALTER FUNCTION rds.one() OWNER TO app",
        "shop",
    )
    with pytest.raises(
        DatabaseRefusedError, match="create nothing in schema rds, which is rdsadmin's: grant app CREATE"
    ):
        restored.apply(user("keeper"), ownership=(transfer("app", "keeper"),))


def test_what_the_users_held_they_hold_of_the_new_owner(restored: Database) -> None:
    """What is compared is the database as it will be: what the old owner gave counts as the new one's."""
    ownership = (transfer("app", "migrator"),)
    users = (user("analyst", grant(privileges=["SELECT", "DELETE"], schema="sales", table="orders")), user("migrator"))
    restored.apply(*users, ownership=ownership)
    assert restored.apply(*users, ownership=ownership) == []
    assert restored.may(login("analyst"), "DELETE FROM sales.orders")
    assert not restored.may(login("analyst"), "UPDATE sales.orders SET product = 1")
    assert not restored.admin("SELECT 1 FROM pg_class WHERE relacl::text ~ '[=/]app\\M'", "shop")


def test_whoever_takes_all_and_stays_a_member_is_one(restored: Database) -> None:
    """What is lent for the moment is not taken back where it is to stay."""
    users = (DesiredUser("keeper", NEW_PASSWORD, roles=("app",)),)
    ownership = (transfer("app", "keeper"),)
    restored.apply(*users, ownership=ownership)
    assert restored.apply(*users, ownership=ownership) == []
    assert restored.admin("SELECT pg_has_role('keeper', 'app', 'MEMBER')") == [(True,)]


def test_a_transfer_in_one_database_is_for_no_other(restored: Database) -> None:
    """Nor do the databases themselves go along, all of which PostgreSQL's REASSIGN would take."""
    restored.admin('ALTER DATABASE shop OWNER TO app; ALTER DATABASE "Große Daten" OWNER TO app')
    restored.admin("CREATE TABLE public.there (id int); ALTER TABLE public.there OWNER TO app", "Große Daten")
    restored.apply(user("keeper"), ownership=(transfer("app", "keeper", "shop"),))
    owners = "SELECT datname::text, pg_get_userbyid(datdba) FROM pg_database WHERE datname IN ('shop', 'Große Daten')"
    assert dict(restored.admin(owners)) == {"shop": "keeper", "Große Daten": "app"}
    there = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'there'"
    assert restored.admin(there, "Große Daten") == [("app",)]
    restored.apply(user("keeper"), ownership=(transfer("app", "keeper"),))
    assert dict(restored.admin(owners)) == {"shop": "keeper", "Große Daten": "keeper"}
    assert restored.admin(there, "Große Daten") == [("keeper",)]


def test_the_master_gives_and_takes_too(restored: Database) -> None:
    """It owns what was made as the master in production; here, a table and two databases."""
    restored.apply(user("tester", grant("readonly")), ownership=(transfer("dba", "app", "shop"),))
    owner = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'products'"
    assert restored.admin(owner, "shop") == [("app",)]
    desired = DesiredState((user("tester", grant("readonly")),), ownership=(transfer("app", "dba", "shop"),))
    changes = PostgreSQL().apply(restored.endpoint, restored.master, desired).changes
    assert changes[0].kind is ChangeKind.CHANGE_OWNER
    assert restored.admin(owner, "shop") == [("dba",)]


def test_impossible_transfers_are_said_at_once_and_nothing_is_changed(restored: Database) -> None:
    """Roles and databases that are not there, RDS's own, and one who would give and take for ever."""
    before = restored.fingerprint()
    with pytest.raises(PreflightError) as caught:
        restored.apply(
            ownership=(
                transfer("nobody", "app"),
                transfer("app", "nowhere"),
                transfer("rdsadmin", "migrator"),
                transfer("migrator", "analyst", "gone"),
            )
        )
    assert len(caught.value.problems) == 6
    assert "takes from app and gives to it" in str(caught.value)
    assert restored.fingerprint() == before
