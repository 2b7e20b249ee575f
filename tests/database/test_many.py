"""Many roles, many databases, and names that are no longer what they were."""

from psycopg import sql

from aurora_restore.database.engine import Login
from aurora_restore.database.passwords import scram_verifier
from aurora_restore.database.postgresql import PostgreSQL
from aurora_restore.database.postgresql_batches import Batches, Verb
from aurora_restore.database.postgresql_grants import GrantsPlan
from aurora_restore.database.postgresql_objects import Kind, Thing, read_objects
from aurora_restore.database.postgresql_stages import STATEMENTS_A_STAGE, THINGS_A_STAGE
from tests.database.conftest import HOSTILE, NEW_PASSWORD, PRODUCTION_PASSWORD, Database, grant, login, user

_ROLES = """
    DO $$ BEGIN
        FOR number IN 1..500 LOOP
            EXECUTE format('CREATE ROLE %I LOGIN IN ROLE reporting', 'prod ' || number);
        END LOOP;
    END $$
"""


def test_of_five_hundred_production_roles_exactly_the_listed_live_on(restored: Database) -> None:
    """I7 and I6: the three log in with new passwords, nobody with production's, and the server's log holds neither."""
    restored.query(restored.master, _ROLES, "postgres")
    # As CREATE ROLE … PASSWORD would, but that it takes its time to make sure that no password is empty.
    verifier = sql.Literal(scram_verifier(PRODUCTION_PASSWORD, b"p" * 16))
    restored.admin(sql.SQL("UPDATE pg_authid SET rolpassword = {} WHERE rolname ~ '^prod '").format(verifier))
    living = ("prod 1", "prod 250", "prod 500")
    log = restored.log_everything()
    sentences = restored.apply(*(user(name, grant("readonly")) for name in living))
    assert sum(sentence.endswith("can no longer log in") for sentence in sentences) == 500 - 3 + 3
    assert restored.logins() == ("dba", *living)
    engine = PostgreSQL()
    able = {
        name
        for name in (f"prod {number}" for number in range(1, 501))
        for password in (NEW_PASSWORD, PRODUCTION_PASSWORD)
        if (password == PRODUCTION_PASSWORD or name in living)
        and engine.can_log_in(restored.endpoint, Login(name, password), "shop")
    }
    assert able == set(living)
    assert not any(engine.can_log_in(restored.endpoint, login(name, PRODUCTION_PASSWORD), "shop") for name in living)
    written = log.read_text()
    assert 'ALTER ROLE "prod 499" NOLOGIN' in written
    assert not any(password in written for password in (NEW_PASSWORD, PRODUCTION_PASSWORD, restored.master.password))


def test_ten_databases_are_looked_after_in_one_run(restored: Database) -> None:
    """Whatever they are called: a grant on all of them, and one on a single one; the second run changes nothing."""
    names = [f"db {number} {HOSTILE}" for number in range(10)]
    for name in names:
        restored.admin(sql.SQL("CREATE DATABASE {} OWNER dba").format(sql.Identifier(name)))
        restored.query(restored.master, "CREATE TABLE public.here AS SELECT 1 AS n", name)
    users = (
        user("reader", grant("readonly")),
        user("writer", grant(privileges=["INSERT"], database=names[7], schema="public", table="here")),
    )
    restored.apply(*users)
    for name in names:
        assert restored.query(login("reader"), "SELECT n FROM here", name) == [(1,)]
        assert restored.may(login("writer"), "INSERT INTO here VALUES (1)", name) is (name == names[7])
    assert restored.apply(*users) == []


def test_however_many_tables_there_are_few_are_locked_at_once() -> None:
    """The room for locks is the server's: 20,000 tables of one transaction would take more than a small one has."""
    batches = Batches("shop")
    for number in range(9_500):
        batches.on_thing(Verb.GRANT, Thing(Kind.TABLE, "public", f"t{number}"), {"reader": frozenset({"SELECT"})})
        batches.on_thing(
            Verb.REVOKE,
            Thing(Kind.TABLE, "public", f"t{number}"),
            {"reader": frozenset({"DELETE"})},
            acting_as="app",
        )
    plan = GrantsPlan(units=tuple(batches.units()), take=(), give_back=(), doubts=(), remarks=())
    transactions = [
        " ".join(action.statement.as_string() for action in transaction).count('"public".')
        for transaction in plan.transactions(STATEMENTS_A_STAGE, THINGS_A_STAGE)
    ]
    assert sum(transactions) == 19_000
    assert max(transactions) < 3_000


def test_what_is_held_alike_is_kept_in_memory_once(restored: Database) -> None:
    """Twenty users of 20,000 tables held 400 MB, which is all that the function has."""
    restored.apply(user("reader", grant("readonly")))
    with restored.connect(restored.master) as connection:
        held = [one for item in read_objects(connection, ["reader"]).items for one in item.held]
    assert len({id(one) for one in held}) == len(set(held)) < len(held)


def test_who_and_what_was_renamed_is_what_it_is_called_now(restored: Database) -> None:
    """Names are looked up anew in each run: a renamed user is somebody else, a renamed table has the same grants."""
    users = (user("tester", grant("readonly")), user("keeper", grant(privileges=["DELETE"], schema="sales")))
    restored.apply(*users)
    restored.admin("ALTER ROLE tester RENAME TO impostor; ALTER DATABASE shop RENAME TO market")
    restored.admin("ALTER SCHEMA sales RENAME TO trade; ALTER TABLE trade.orders RENAME TO sold", "market")
    restored.admin("CREATE SCHEMA sales AUTHORIZATION app CREATE TABLE orders (id int)", "market")
    restored.apply(*users)
    assert restored.logins() == ("dba", "keeper", "tester")
    for statement, table, verdict in (
        ("SELECT id FROM trade.sold", "tester", True),
        ("DELETE FROM trade.sold", "keeper", False),
        ("DELETE FROM sales.orders", "keeper", True),
    ):
        assert restored.may(login(table), statement, "market") is verdict
    assert restored.apply(*users) == []
