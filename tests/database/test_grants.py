"""What a user can and cannot do after step 7, tried by connecting as that user."""

from typing import LiteralString

import pytest
from psycopg import sql

from aurora_restore.database.engine import DesiredState, DesiredUser, Login
from aurora_restore.database.postgresql import PostgreSQL
from aurora_restore.database_request import Grant
from aurora_restore.errors import PreflightError
from tests.database.conftest import NEW_PASSWORD, PRODUCTION_PASSWORD, Database, grant, login, user

TRIES: dict[str, LiteralString] = {
    "select": "SELECT * FROM sales.orders",
    "select view": "SELECT * FROM sales.recent",
    "select odd name": 'SELECT * FROM "Geheime Löhne"."Löhne"',
    "insert": "INSERT INTO sales.orders (product) VALUES (1)",  # takes a number from the sequence, too
    "update": "UPDATE sales.orders SET product = 2",
    "delete": "DELETE FROM sales.orders",
    "truncate": "TRUNCATE sales.orders",
    "read sequence": "SELECT last_value FROM sales.orders_id_seq",
    "next in sequence": "SELECT nextval('sales.orders_id_seq')",
    "execute": "SELECT sales.total(1)",
    "create table": "CREATE TABLE sales.mine (id int)",
    "create schema": "CREATE SCHEMA mine",
    "drop": "DROP TABLE sales.orders CASCADE",
    "alter": "ALTER TABLE sales.orders ADD COLUMN mine int",
}
READ = {"select", "select view", "select odd name", "read sequence"}
# sales.total reads sales.orders with the caller's privileges.
WRITE = {"insert", "update", "delete", "next in sequence", "execute"}

# What is tried in the matrix besides: every kind of object, and what no preset may ever give.
MORE_OBJECTS = """
    CREATE MATERIALIZED VIEW sales.summary AS SELECT count(*) FROM sales.orders;
    CREATE TABLE sales.parts (id int) PARTITION BY RANGE (id);
    CREATE TABLE sales.part_1 PARTITION OF sales.parts FOR VALUES FROM (0) TO (10);
    CREATE PROCEDURE sales.tidy() LANGUAGE sql AS 'SELECT 1';
    CREATE PROCEDURE sales.tidy(a int, b int) LANGUAGE sql AS 'SELECT 1';
    CREATE PROCEDURE sales.tidy(a int, OUT b int) LANGUAGE sql AS 'SELECT 1';
    REVOKE EXECUTE ON PROCEDURE sales.tidy(), sales.tidy(IN int, IN int), sales.tidy(IN int, OUT int) FROM PUBLIC;
    CREATE AGGREGATE sales.most(int) (SFUNC = int4larger, STYPE = int);
    REVOKE EXECUTE ON FUNCTION sales.most(int) FROM PUBLIC;
    SELECT lo_create(4711)
"""
MORE_TRIES: dict[str, LiteralString] = {
    "select materialized view": "SELECT * FROM sales.summary",
    "select partitioned": "SELECT * FROM sales.parts",
    "select partition": "SELECT * FROM sales.part_1",
    "insert partitioned": "INSERT INTO sales.parts VALUES (1)",
    "set sequence": "SELECT setval('sales.orders_id_seq', 99)",
    "lock": "LOCK TABLE sales.orders IN ACCESS EXCLUSIVE MODE",
    "refer": "CREATE TABLE sales.mine (id int REFERENCES sales.orders)",
    "call": "CALL sales.tidy()",
    "call with types": "CALL sales.tidy(1, NULL::int)",
    "aggregate": "SELECT sales.most(1)",
    "refresh": "REFRESH MATERIALIZED VIEW sales.summary",
    "read large object": "SELECT lo_get(4711)",
    "create role": "CREATE ROLE mine",
    "create extension": "CREATE EXTENSION pg_stat_statements",
    "become the owner": "SET ROLE app",
    "read verifiers": "SELECT * FROM pg_authid",
    "read the server's files": "SELECT pg_read_file('PG_VERSION')",
    "checkpoint": "CHECKPOINT",
}
MORE_READ = READ | {"select materialized view", "select partitioned", "select partition"}
MORE_WRITE = WRITE | {"insert partitioned", "set sequence", "lock", "call", "call with types", "aggregate"}
MATRIX: dict[str | None, set[str]] = {
    None: set(),
    "readonly": MORE_READ,
    "readwrite": MORE_READ | MORE_WRITE,
    "owner": MORE_READ | MORE_WRITE | {"truncate", "create table", "create schema", "refer"},
}


def test_a_preset_allows_what_it_says_and_no_more(restored: Database) -> None:
    """Every preset, every kind of object: for a new user, and for one who came with more than that."""
    restored.admin("SET ROLE app;" + MORE_OBJECTS, "shop")
    for preset in MATRIX:
        old = sql.Identifier(f"old {preset}")
        make = sql.SQL("CREATE ROLE {0} LOGIN CREATEROLE; GRANT app TO {0}").format(old)
        restored.query(restored.master, make, "postgres")
        restored.admin(
            sql.SQL(
                "GRANT USAGE, CREATE ON SCHEMA sales TO {0}; GRANT ALL ON ALL TABLES IN SCHEMA sales TO {0};"
                "GRANT ALL ON LARGE OBJECT 4711 TO {0}; GRANT UPDATE (product) ON sales.orders TO {0}"
            ).format(old),
            "shop",
        )
    grants = {preset: [grant(preset)] if preset else [] for preset in MATRIX}
    restored.apply(*(user(f"{age} {preset}", *grants[preset]) for preset in MATRIX for age in ("new", "old")))
    tries = {**TRIES, **MORE_TRIES}
    # MAINTAIN came with PostgreSQL 17.
    maintain = {"refresh"} if restored.version >= 170_000 else set()
    for preset, allowed in MATRIX.items():
        for age in ("new", "old"):
            who = login(f"{age} {preset}")
            may = {what for what, statement in tries.items() if restored.may(who, statement)}
            assert may == (allowed | maintain if preset == "owner" else allowed), who.user


def test_future_objects_are_granted_alike(restored: Database) -> None:
    """Whoever creates a table after the step, in an old schema or a new one: the users may do with it what they may."""
    users = (
        *(user("reader", grant("readonly")), user("writer", grant("readwrite")), user("maker", grant("owner"))),
        DesiredUser("deputy", NEW_PASSWORD, roles=("maker",)),
    )
    sentences = restored.apply(*users)
    assert len(sentences) == len(set(sentences))
    restored.query(restored.master, "CREATE SCHEMA later")
    restored.query(restored.master, "CREATE TABLE later.by_master (id serial)")
    restored.query(login("maker"), "CREATE TABLE later.by_maker (id serial)")
    restored.query(login("maker"), "CREATE SCHEMA latest CREATE TABLE by_maker (id serial)")
    restored.admin("SET ROLE app; CREATE TABLE sales.by_owner (id serial)", "shop")
    restored.query(login("deputy"), "CREATE TABLE later.by_deputy (id serial)")
    tables: tuple[LiteralString, ...] = ("later.by_master", "later.by_maker", "latest.by_maker", "sales.by_owner")
    tables += ("later.by_deputy",)
    for table in tables:
        for name, verdict in {"reader": False, "writer": True, "maker": True}.items():
            assert restored.may(login(name), "TABLE " + table)
            assert restored.may(login(name), "INSERT INTO " + table + " DEFAULT VALUES") is verdict


def test_whoever_may_create_something_is_a_creator_of_future_objects(restored: Database) -> None:
    """Because everybody may, as in clusters from before 15; as a member; or under a name that is only like RDS's."""
    restored.query(restored.master, "CREATE ROLE rdsteam; GRANT CREATE ON SCHEMA public TO rdsteam, PUBLIC")
    users = (
        user("reader", grant("readonly")),
        user("writer", grant("readwrite")),
        DesiredUser("maker", NEW_PASSWORD, roles=("app",)),
    )
    restored.apply(*users)
    restored.query(login("writer"), "CREATE TABLE public.by_writer (id int)")
    restored.query(login("maker"), "CREATE TABLE sales.by_maker (id int)")
    restored.admin("SET ROLE rdsteam; CREATE TABLE public.by_team (id int)", "shop")
    assert restored.apply(*users) == []
    for table in ("public.by_writer", "sales.by_maker", "public.by_team"):
        assert restored.may(login("reader"), "TABLE " + table), table


def test_whoever_may_create_nothing_any_more_is_no_change_for_the_next_run(restored: Database) -> None:
    """Its right hung on that of a user who may no longer pass it on: the run that took it back has reckoned with it."""
    restored.admin("CREATE SCHEMA lab; GRANT CREATE, USAGE ON SCHEMA lab TO analyst WITH GRANT OPTION", "shop")
    restored.admin("ALTER SCHEMA lab OWNER TO app; SET ROLE analyst; GRANT CREATE ON SCHEMA lab TO reporting", "shop")
    users = (user("analyst", grant("readonly")),)
    restored.apply(*users)
    assert restored.admin("SELECT has_schema_privilege('reporting', 'lab', 'CREATE')", "shop") == [(False,)]
    assert restored.apply(*users) == []


def test_a_users_default_privileges_from_production_are_gone(restored: Database) -> None:
    """Analyst would have got DELETE on every new table of app in schema sales."""
    restored.apply(user("analyst", grant("readonly")))
    restored.admin("SET ROLE app; CREATE TABLE sales.later (id int)", "shop")
    assert restored.may(login("analyst"), "SELECT * FROM sales.later")
    assert not restored.may(login("analyst"), "DELETE FROM sales.later")


def _tried(restored: Database, *grants: Grant) -> set[str]:
    restored.apply(user("tester", *grants))
    assert restored.apply(user("tester", *grants)) == []
    return {what for what, statement in TRIES.items() if restored.may(login("tester"), statement)}


def test_an_explicit_grant_holds_where_it_says(restored: Database) -> None:
    """On one table, on a schema, on everything; each time the earlier ones are taken back."""
    on_table = grant(privileges=["SELECT", "DELETE"], schema="sales", table="orders")
    assert _tried(restored, on_table) == {"select", "delete"}
    on_sequence = grant(privileges=["USAGE"], schema="sales", table="orders_id_seq")
    assert _tried(restored, on_sequence) == {"next in sequence"}
    on_schema = grant(privileges=["SELECT", "CREATE", "EXECUTE"], schema="sales")
    assert _tried(restored, on_schema) == {"select", "select view", "create table", "execute"}
    assert _tried(restored, grant("owner", schema="Geheime Löhne")) == {"select odd name"}
    assert _tried(restored, grant(privileges=["SELECT"])) == {"select", "select view", "select odd name"}
    assert _tried(restored, grant(privileges=["CONNECT", "TEMPORARY"])) == set()


def test_a_grant_on_a_table_needs_a_table(restored: Database) -> None:
    """A function or a type of that name is none: the user would get nothing, and nobody would know."""
    with pytest.raises(PreflightError, match="a grant of tester names table total of schema sales"):
        restored.apply(user("tester", grant(privileges=["SELECT"], schema="sales", table="total")))


def test_a_grant_for_one_database_is_for_no_other(restored: Database) -> None:
    """The user gets nothing in the databases that the grant does not name."""
    restored.query(restored.master, "CREATE TABLE public.there (id int)", "Große Daten")
    restored.apply(user("tester", grant("readonly", database="shop")))
    assert restored.may(login("tester"), "SELECT * FROM sales.orders")
    assert not restored.may(login("tester"), "SELECT * FROM public.there", "Große Daten")


def test_what_a_third_party_granted_is_taken_back_as_the_third_party(restored: Database) -> None:
    """A privilege belongs to whoever granted it; the owner's REVOKE would not touch it."""
    restored.admin("GRANT SELECT ON sales.orders TO reporting WITH GRANT OPTION", "shop")
    restored.admin("SET ROLE reporting; GRANT SELECT ON sales.orders TO migrator", "shop")
    restored.admin("SET ROLE analyst; GRANT DELETE ON sales.orders TO migrator", "shop")
    restored.apply(user("migrator"), user("analyst", grant("readonly")))
    assert not restored.admin("SELECT 1 FROM pg_class WHERE relacl::text LIKE '%migrator%'", "shop")
    restored.apply(user("migrator", grant("readonly")), user("analyst"))
    assert restored.may(login("migrator"), "SELECT * FROM sales.orders")


_SHARED: LiteralString = """
    CREATE TABLE sales.shared (id int, price int); ALTER TABLE sales.shared OWNER TO reporting;
    ALTER ROLE reporting NOINHERIT; ALTER DATABASE shop OWNER TO reporting;
    ALTER SCHEMA public OWNER TO pg_database_owner;
    GRANT ALL ON sales.shared TO app WITH GRANT OPTION; GRANT ALL ON DATABASE shop TO app WITH GRANT OPTION;
    GRANT UPDATE (price) ON sales.shared TO analyst; GRANT USAGE ON SCHEMA public TO analyst WITH GRANT OPTION;
    REVOKE USAGE ON SCHEMA sales FROM reporting
"""


def test_the_owner_gives_also_where_others_may(restored: Database) -> None:
    """Of all whose privileges the master has, PostgreSQL would take any; and that would be a third party's grant."""
    restored.admin(_SHARED, "shop")
    users = (user("tester", grant("readwrite")), user("analyst", grant("readonly")))
    restored.apply(*users)
    assert restored.apply(*users) == []
    assert restored.may(login("tester"), "INSERT INTO sales.shared VALUES (1)")
    assert not restored.may(login("analyst"), "UPDATE sales.shared SET price = 1")
    assert restored.admin("SELECT has_schema_privilege('reporting', 'sales', 'USAGE')", "shop") == [(False,)]
    passed_on = "SELECT has_table_privilege('app', 'sales.shared', 'SELECT WITH GRANT OPTION')"
    assert restored.admin(passed_on, "shop") == [(True,)]


def test_what_the_master_holds_through_a_user_only_is_lent_to_it(restored: Database) -> None:
    """The same run ends the user's membership in the owner, by which the master had its privileges until then."""
    restored.query(restored.master, "GRANT analyst TO dba", "postgres")
    restored.apply(user("analyst"), user("tester", grant("readonly")))
    assert restored.may(login("tester"), "SELECT * FROM sales.orders")


def test_types_servers_and_large_objects_are_taken_back_too(restored: Database) -> None:
    """Rare kinds of privileges are privileges: no more means none of them."""
    restored.query(restored.master, "CREATE TYPE public.mood AS ENUM ('fine'); GRANT USAGE ON TYPE mood TO analyst")
    restored.query(restored.master, "SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO analyst")
    restored.query(restored.master, "ALTER DEFAULT PRIVILEGES GRANT USAGE ON TYPES TO analyst")
    restored.apply(user("analyst", grant("readonly")))
    assert restored.apply(user("analyst", grant("readonly"))) == []
    assert not restored.admin("SELECT 1 FROM pg_type WHERE typacl::text LIKE '%analyst%'", "shop")
    assert not restored.admin("SELECT 1 FROM pg_largeobject_metadata WHERE lomacl::text LIKE '%analyst%'", "shop")


def test_a_right_to_pass_on_one_column_is_taken_back_too(restored: Database) -> None:
    """Also where the user may do the thing itself with the whole table."""
    restored.admin("GRANT SELECT (product) ON sales.orders TO migrator WITH GRANT OPTION", "shop")
    restored.apply(user("migrator", grant("readonly")))
    passes_on = "SELECT has_column_privilege('migrator', 'sales.orders', 'product', 'SELECT WITH GRANT OPTION')"
    assert restored.admin(passes_on, "shop") == [(False,)]
    assert restored.may(login("migrator"), "TABLE sales.orders")


def test_what_all_databases_share_is_taken_back_too(restored: Database) -> None:
    """Tablespaces, and the parameters that a user may set: in the one database in which roles are looked after."""
    restored.admin("GRANT CREATE ON TABLESPACE pg_default TO analyst")
    restored.admin("GRANT CREATE ON TABLESPACE pg_default TO rds_superuser WITH GRANT OPTION")
    restored.query(restored.master, "GRANT CREATE ON TABLESPACE pg_default TO migrator")
    if restored.version >= 150_000:
        restored.admin("GRANT SET ON PARAMETER log_statement TO rds_superuser WITH GRANT OPTION")
        restored.query(restored.master, "GRANT SET ON PARAMETER log_statement TO migrator")
    desired = DesiredState((user("analyst"), user("migrator")))
    restored.apply(*desired.users)
    held = "SELECT spcacl::text FROM pg_tablespace WHERE spcacl IS NOT NULL"
    assert "migrator" not in str(restored.admin(held))
    if restored.version >= 150_000:
        assert "migrator" not in str(restored.admin("SELECT paracl::text FROM pg_parameter_acl"))
    remarks = PostgreSQL().remarks(restored.endpoint, restored.master, desired)
    kept = "the users' privileges on tablespace pg_default of postgres stay as they are: only rdsadmin can change them"
    assert kept in remarks


def test_an_extensions_own_objects_are_left_to_it(restored: Database) -> None:
    """An extension decides who may use its objects: readwrite must not hand out what it hides from everybody."""
    restored.admin("CREATE EXTENSION pg_stat_statements", "shop")
    restored.apply(user("tester", grant("readwrite")))
    assert not restored.admin(
        "SELECT 1 FROM pg_proc WHERE proacl::text LIKE '%tester%' AND proname LIKE 'pg_stat%'", "shop"
    )


def test_what_is_left_alone_is_remarked(restored: Database) -> None:
    """PUBLIC's grants, a user's own objects and RDS's own ones are no part of the request; a person should know."""
    restored.admin("CREATE TABLE public.of_rds (id int); GRANT SELECT ON public.products TO PUBLIC", "shop")
    restored.admin("GRANT INSERT ON public.of_rds TO app WITH GRANT OPTION", "shop")
    restored.admin(
        "GRANT CREATE ON DATABASE shop TO PUBLIC; GRANT UPDATE (product) ON sales.orders TO PUBLIC;"
        " ALTER DEFAULT PRIVILEGES FOR ROLE app GRANT SELECT ON TABLES TO PUBLIC",
        "shop",
    )
    desired = DesiredState((user("app", grant("readonly")),))
    PostgreSQL().apply(restored.endpoint, restored.master, desired)
    remarks = " / ".join(PostgreSQL().remarks(restored.endpoint, restored.master, desired))
    assert "everybody (PUBLIC) holds SELECT on 1 tables of database shop" in remarks
    assert "everybody (PUBLIC) holds CREATE on database shop" in remarks
    assert "everybody (PUBLIC) holds SELECT on future tables of database shop" in remarks
    assert "everybody (PUBLIC) holds UPDATE on 1 columns of database shop" in remarks
    assert "of database postgres" not in remarks
    assert "app owns 5 objects in database shop" in remarks
    assert "the users' privileges on table public.of_rds of shop stay as they are: only rdsadmin can change" in remarks


def test_others_privileges_are_not_touched(restored: Database) -> None:
    """Only listed users' privileges are compared; a role of production's that cannot log in keeps its own."""
    restored.apply(user("tester", grant("owner")))
    assert restored.admin("SELECT has_schema_privilege('reporting', 'sales', 'USAGE')", "shop") == [(True,)]
    production = Login("app", PRODUCTION_PASSWORD)
    assert not PostgreSQL().can_log_in(restored.endpoint, production, "shop")
