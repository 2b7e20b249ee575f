"""What a user can and cannot do after step 7, tried by connecting as that user."""

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.constants import ER

from aurora_restore.database.engine import DesiredState, Login
from aurora_restore.database_request import Grant
from aurora_restore.errors import PreflightError
from tests.database.mysql.conftest import Database, engine, grant, login, user

# Each with what undoes it, done by RDS's superuser, where it could have had an effect that is not rolled back.
TRIES: dict[str, tuple[str, str]] = {
    "select": ("SELECT * FROM orders", ""),
    "select view": ("SELECT * FROM recent", ""),
    "show view": ("SHOW CREATE VIEW recent", ""),
    "insert": ("INSERT INTO orders (product) VALUES (1)", ""),
    "update": ("UPDATE orders SET product = 2", ""),
    "delete": ("DELETE FROM orders", ""),
    "execute function": ("SELECT twice(1)", ""),
    "execute procedure": ("CALL count_them()", ""),
    "temporary table": ("CREATE TEMPORARY TABLE mine_only (id INT)", ""),
    "lock": ("LOCK TABLES orders READ", ""),
    "truncate": ("TRUNCATE TABLE stock_to_lose", "CREATE OR REPLACE TABLE shop.stock_to_lose (id INT)"),
    "drop": ("DROP TABLE stock_to_lose", "CREATE OR REPLACE TABLE shop.stock_to_lose (id INT)"),
    "alter": ("ALTER TABLE products ADD COLUMN mine INT", "ALTER TABLE shop.products DROP COLUMN mine"),
    "create table": ("CREATE TABLE mine (id INT)", "DROP TABLE shop.mine"),
    "create view": ("CREATE VIEW my_view AS SELECT 1 AS one", "DROP VIEW shop.my_view"),
    "create routine": ("CREATE FUNCTION mine() RETURNS INT DETERMINISTIC RETURN 1", "DROP FUNCTION shop.mine"),
    "create trigger": (
        "CREATE TRIGGER mine BEFORE INSERT ON orders FOR EACH ROW SET NEW.product = 1", "DROP TRIGGER shop.mine",
    ),
    "create event": ("CREATE EVENT mine ON SCHEDULE EVERY 1 DAY DISABLE DO DO 1", "DROP EVENT shop.mine"),
    "create index": ("CREATE INDEX mine ON orders (product)", "DROP INDEX mine ON shop.orders"),
    "create database": ("CREATE DATABASE mine", "DROP DATABASE mine"),
    "create user": ("CREATE USER mine", "DROP USER mine"),
    "pass it on": ("GRANT SELECT ON shop.* TO rdsproxyadmin", "REVOKE SELECT ON shop.* FROM rdsproxyadmin"),
    "see password hashes": ("SELECT * FROM mysql.global_priv", ""),
    "see others' sessions": ("SHOW GRANTS FOR dba", ""),
    "write a file": ("SELECT 1 INTO OUTFILE '/tmp/aurora-restore-never'", ""),
}  # fmt: skip
READ = {"select", "select view", "show view"}
WRITE = {"insert", "update", "delete", "execute function", "execute procedure", "temporary table", "lock"}
OWN = {name for name in TRIES if name.startswith(("create", "alter", "drop", "truncate"))}
OWN -= {"create database", "create user"}
_REFUSALS = {
    ER.DBACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR, ER.PROCACCESS_DENIED_ERROR,
    ER.SPECIFIC_ACCESS_DENIED_ERROR, ER.ACCESS_DENIED_ERROR,
}  # fmt: skip


def allowed(restored: Database, name: str, *tries: str, database: str = "shop") -> set[str]:
    """Return what works for a user; what it does is undone."""
    found = set()
    for what in tries or TRIES:
        statement, undo = TRIES[what]
        with restored.connect(login(name), None) as connection:
            connection.begin()
            try:
                connection.select_db(database)
                connection.query(statement)
            except pymysql.MySQLError as error:
                if error.args[0] not in _REFUSALS:
                    raise
            else:
                found.add(what)
                connection.rollback()
        if undo and what in found:
            restored.admin(undo)
    return found


@pytest.fixture
def shop(restored: Database) -> Database:
    restored.admin("CREATE TABLE shop.stock_to_lose (id INT)")
    return restored


@pytest.mark.parametrize(
    ("preset", "expected"),
    [(None, set()), ("readonly", READ), ("readwrite", READ | WRITE), ("owner", READ | WRITE | OWN)],
)
def test_a_preset_allows_what_it_says_and_no_more(shop: Database, preset: str | None, expected: set[str]) -> None:
    """The same for a new user and for one who came with other privileges of production's."""
    grants = [grant(preset)] if preset else []
    shop.apply(user("tester", *grants), user("analyst", *grants))
    for name in ("tester", "analyst"):
        assert allowed(shop, name) == expected


def test_a_grant_for_one_database_is_for_no_other(restored: Database) -> None:
    """An underline in a database's name would stand for any character: shop_2 is not shopx2."""
    restored.admin("CREATE DATABASE shopx2")
    restored.admin("CREATE TABLE shopx2.stock (id INT)")
    restored.apply(user("tester", grant("readonly", database="shop_2")))
    assert restored.query(login("tester"), "SELECT * FROM stock", "shop_2") == []
    for other in ("shopx2", "shop", "mysql"):
        assert not restored.lets_in(login("tester"), other)


# With an escape for each of its underscores it would be longer than mysql.db's column, which cuts it off.
LONG = "customer_acme_corporation_production_region_eu_central_1_box"


def test_a_database_with_a_long_name_is_like_any_other(restored: Database) -> None:
    """Its last underscores are wildcards then, the other ones are none; a name has 64 characters at most."""
    unlike, longest = LONG.replace("customer_acme", "customer-acme"), f"{LONG}_xyz"
    for name in (LONG, unlike, longest):
        restored.query(restored.master, f"CREATE DATABASE `{name}`", None)
        restored.query(restored.master, f"CREATE TABLE `{name}`.it AS SELECT 7 AS n", None)
    users = [
        user("tester", grant("readonly", database=LONG), grant("readonly", database=longest)),
        user("other", grant("readonly")),
    ]
    restored.apply(*users)
    assert restored.apply(*users) == []
    for one in users:
        for name in (LONG, longest):
            assert restored.query(login(one.name), "SELECT n FROM it", name) == [(7,)]
    assert not restored.lets_in(login("tester"), unlike)


def test_what_no_grant_can_tell_apart_is_not_granted_by_half(restored: Database) -> None:
    """Before anything is changed; the same on both is no problem."""
    alike = LONG.replace("1_box", "1-box")
    for name in (LONG, alike):
        restored.query(restored.master, f"CREATE DATABASE `{name}`", None)
    before = restored.fingerprint()
    with pytest.raises(PreflightError, match=f"tester is to do in {LONG} it could do in {alike} too"):
        restored.apply(user("tester", grant("readonly", database=LONG)))
    assert restored.fingerprint() == before
    restored.apply(user("tester", grant("readonly")))


def test_where_the_server_knows_small_letters_only_a_name_may_have_capitals(restored: Database) -> None:
    """lower_case_table_names: what MySQL finds by any letters is no mistake. Elsewhere it is."""

    class Folding(Connection):
        def query(self, sql: str | bytes, unbuffered: bool = False) -> int:  # noqa: FBT001, FBT002
            text = sql if isinstance(sql, str) else sql.decode()
            if text.startswith("SHOW GLOBAL VARIABLES"):
                text = "SELECT 'lower_case_table_names' AS Variable_name, '1' AS Value"
            return int(super().query(text, unbuffered))

    on_table = grant(privileges=["SELECT"], database="SHOP", table="Orders")
    desired = DesiredState((user("tester", on_table, grant("readonly", database="Shop_2")),))
    folding = engine(connect=Folding)
    assert folding.apply(restored.endpoint, restored.master, desired).is_whole
    assert folding.plan(restored.endpoint, restored.master, desired) == ()
    assert restored.query(login("tester"), "SELECT COUNT(*) FROM orders") == [(3,)]
    assert restored.lets_in(login("tester"), "shop_2")
    with pytest.raises(PreflightError, match="there is no database SHOP"):
        engine().plan(restored.endpoint, restored.master, desired)


def test_without_a_database_it_is_every_one_and_none_of_the_servers_own(restored: Database) -> None:
    """mysql holds the password's verifiers."""
    restored.apply(user("tester", grant("readonly")))
    for database in ("shop", "shop_2", "Große Daten"):
        assert restored.lets_in(login("tester"), database)
    assert not restored.lets_in(login("tester"), "mysql")


def test_future_tables_are_granted_alike(restored: Database) -> None:
    """A grant on a database is on what it will hold."""
    restored.apply(user("reader", grant("readonly")), user("maker", grant("owner")))
    restored.query(login("maker"), "CREATE TABLE later (id INT)")
    assert restored.query(login("reader"), "SELECT * FROM later") == []


def _tried(shop: Database, *grants: Grant) -> set[str]:
    shop.apply(user("tester", *grants))
    assert shop.apply(user("tester", *grants)) == []
    return allowed(shop, "tester")


def test_an_explicit_grant_holds_where_it_says(shop: Database) -> None:
    """On one table, on a database, on everything; each time the earlier ones are taken back."""
    on_table = grant(privileges=["SELECT", "DELETE"], database="shop", table="orders")
    assert _tried(shop, on_table) == {"select", "delete"}
    assert _tried(shop, grant(privileges=["INSERT", "TEMPORARY"])) == {"insert", "temporary table"}
    assert _tried(shop, grant(privileges=["SELECT", "EXECUTE"], database="shop")) == {
        "select", "select view", "execute function", "execute procedure",
    }  # fmt: skip
    assert _tried(shop, grant("owner", database="shop_2")) == set()
    assert _tried(shop, grant(privileges=["CREATE"], database="shop")) == {"create table"}


def test_grants_of_all_kinds_are_taken_back(restored: Database) -> None:
    """Everything, patterns, tables, columns, routines, the right to pass on, roles: no more means none of them."""
    said = restored.apply(user("analyst"))
    assert restored.admin("SHOW GRANTS FOR analyst@'%'")[0][0].startswith("GRANT USAGE ON *.* TO `analyst`@`%`")
    assert len(restored.admin("SHOW GRANTS FOR analyst@'%'")) == 1
    assert "analyst loses GRANT OPTION, PROCESS, RELOAD on everything" in said
    assert "analyst loses DROP, SELECT on database shop%" in said
    assert "analyst loses UPDATE on column orders.product of shop" in said
    assert "analyst loses EXECUTE on routine count_them of shop" in said
    assert "analyst leaves the role reporting" in said


def test_what_fits_stays_and_only_the_missing_is_granted(restored: Database) -> None:
    """A user who has less than asked for is not stripped first."""
    restored.apply(user("tester", grant("readonly", database="shop")))
    more = user("tester", grant("readonly", database="shop"), grant("readwrite", database="shop_2"))
    all_of_it = "CREATE TEMPORARY TABLES, DELETE, EXECUTE, INSERT, LOCK TABLES, SELECT, SHOW VIEW, UPDATE"
    assert restored.apply(more) == [f"tester gets {all_of_it} on database shop_2"]


def test_ten_databases_and_thirty_users_share_statements(restored: Database) -> None:
    """Equal grants of several users are one statement: here one a database, and one for all accounts."""
    for number in range(10):
        restored.admin(f"CREATE DATABASE many_{number}")
    users = [user(f"user_{number}", grant("readwrite")) for number in range(30)]
    log = restored.log_everything()
    restored.apply(*users)
    restored.admin("SET GLOBAL general_log = OFF")
    said = log.read_text(errors="replace")
    assert said.count("GRANT ") - said.count("SHOW GRANT") == 13
    assert said.count("CREATE USER ") == 1
    assert restored.lets_in(login("user_29"), "many_9")


def test_others_privileges_are_not_touched(restored: Database) -> None:
    """Only listed users' privileges are compared; a locked account keeps its own, for what it is the definer of."""
    before = restored.admin("SHOW GRANTS FOR app@'%'")[1:]
    restored.apply(user("tester", grant("owner")))
    assert restored.admin("SHOW GRANTS FOR app@'%'")[1:] == before
    assert not restored.lets_in(Login("app", "testing-production"))
