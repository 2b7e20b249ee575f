"""A MySQL of production's with everything that can come along, and a server of its own copy of it for each test.

The server is MariaDB, which the embedded account stands behind Aurora MySQL with. What it cannot prove, because MySQL 8
does it in another way, is in ``aurora_restore.embedded.mariadb_dialect``, and said where a test comes near it.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from aurora_restore.database.engine import DesiredState, DesiredUser, Endpoint, Login
from aurora_restore.database.mysql import MySQL
from aurora_restore.database.mysql_words import literal
from aurora_restore.database_request import Grant
from aurora_restore.embedded.dataplane import MasterUser
from aurora_restore.embedded.mariadb import MariaServers
from aurora_restore.embedded.mariadb_dialect import MARIADB
from tests.mariadb import require_mariadb

MASTER = MasterUser("dba", "testing-dba")
PRODUCTION_PASSWORD = "testing-production"
NEW_PASSWORD = "testing-new"

_PRODUCTION = """
    CREATE DATABASE shop;
    CREATE DATABASE `Große Daten`;
    CREATE DATABASE shop_2;
    CREATE TABLE shop.orders (id INT PRIMARY KEY AUTO_INCREMENT, product INT);
    INSERT INTO shop.orders (product) VALUES (1), (1), (2);
    CREATE TABLE shop.products (id INT PRIMARY KEY, name TEXT);
    INSERT INTO shop.products VALUES (1, 'pen');
    CREATE VIEW shop.recent AS SELECT * FROM shop.orders;
    CREATE FUNCTION shop.twice(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n;
    CREATE PROCEDURE shop.count_them() SELECT COUNT(*) FROM shop.orders;
    CREATE TABLE `Große Daten`.`Löhne ``1```  (euro INT);
    CREATE TABLE shop_2.stock (id INT);
    CREATE USER app@'%' IDENTIFIED BY 'testing-production';
    CREATE USER app@'10.%' IDENTIFIED BY 'testing-production';
    CREATE USER analyst@'%' IDENTIFIED BY 'testing-production' WITH MAX_USER_CONNECTIONS 3;
    CREATE USER analyst@'localhost' IDENTIFIED BY 'testing-production';
    CREATE USER dba@'10.%' IDENTIFIED BY 'testing-production';
    CREATE USER rdsproxyadmin@'%' IDENTIFIED BY 'testing-production';
    CREATE ROLE reporting;
    GRANT SELECT ON shop.products TO reporting;
    GRANT reporting TO analyst@'%';
    GRANT RELOAD, PROCESS ON *.* TO analyst@'%' WITH GRANT OPTION;
    GRANT SELECT, DELETE ON `shop`.* TO analyst@'%';
    GRANT SELECT, DROP ON `shop%`.* TO analyst@'%';
    GRANT UPDATE (product), SELECT ON shop.orders TO analyst@'%';
    GRANT EXECUTE ON PROCEDURE shop.count_them TO analyst@'%';
    GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO app@'%';
    CREATE EVENT shop.nightly ON SCHEDULE EVERY 1 SECOND DO DELETE FROM shop.orders;
    CREATE DEFINER = app@'%' EVENT `Große Daten`.`the ``event` ON SCHEDULE EVERY 1 DAY DO DO 1;
    CREATE EVENT shop.asleep ON SCHEDULE EVERY 1 DAY DISABLE DO DO 1
"""
_ROWS_OF_PRIVILEGES = (
    "SELECT User, Host, priv FROM mysql.global_priv ORDER BY 1, 2",
    "SELECT * FROM mysql.db ORDER BY User, Host, Db",
    "SELECT Host, Db, User, Table_name, Table_priv, Column_priv FROM mysql.tables_priv ORDER BY 1, 2, 3, 4",
    "SELECT Host, Db, User, Table_name, Column_name, Column_priv FROM mysql.columns_priv ORDER BY 1, 2, 3, 4, 5",
    "SELECT Host, Db, User, Routine_name, Proc_priv FROM mysql.procs_priv ORDER BY User, Host, Db, Routine_name",
    "SELECT * FROM mysql.roles_mapping ORDER BY Host, User, Role",
    "SELECT EVENT_SCHEMA, EVENT_NAME, DEFINER, STATUS FROM information_schema.EVENTS ORDER BY 1, 2",
)


def engine(**options: Any) -> MySQL:
    """Return the engine as it is told what MariaDB does in another way."""
    return MySQL(dialect=MARIADB, **options)


@dataclass
class Database:
    """One test's server."""

    servers: MariaServers
    volume: str
    endpoint: Endpoint
    master: Login = field(default_factory=lambda: Login(MASTER.name, MASTER.password))

    def connect(self, login: Login, database: str | None = "shop") -> "Connection[Any]":
        """Connect as a user."""
        return pymysql.connect(
            host=self.endpoint.host, port=self.endpoint.port, user=login.user, password=login.password.encode(),
            database=database, autocommit=True, charset="utf8mb4",
        )  # fmt: skip

    def query(self, login: Login, statement: str, database: str | None = "shop") -> list[tuple[Any, ...]]:
        """Run a statement as a user and return its rows."""
        with self.connect(login, database) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def admin(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement as RDS's superuser."""
        with self.servers.connect_as_admin(self.volume) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def fingerprint(self) -> list[tuple[Any, ...]]:
        """Return everything about accounts, privileges and events."""
        with self.servers.connect_as_admin(self.volume) as connection, connection.cursor() as cursor:
            found: list[tuple[Any, ...]] = []
            for query in _ROWS_OF_PRIVILEGES:
                cursor.execute(query)
                found.extend(cursor.fetchall())
            return [tuple(map(_lasting, row)) for row in found]

    def log_everything(self) -> Path:
        """Let the server log every statement from now on, into the file that is returned."""
        place = self.servers.directory / "volumes" / self.volume / "all.log"
        self.admin(f"SET GLOBAL general_log_file = '{place}'")
        self.admin("SET GLOBAL general_log = ON")
        return place

    def apply(self, *users: DesiredUser, **others: Any) -> list[str]:
        """Apply a desired state and return the sentences of the changes."""
        applied = engine().apply(self.endpoint, self.master, DesiredState(users, **others))
        assert applied.is_whole
        return [change.sentence for change in applied.changes]

    def again(self) -> None:
        """Start over with a new copy of production."""
        self.servers.drop(self.volume)
        self.servers.clone("production", self.volume)
        self.endpoint = Endpoint("127.0.0.1", self.servers.start(self.volume, None))

    def logins(self) -> tuple[str, ...]:
        """Return who can log in."""
        return engine().logins(self.endpoint, self.master)

    def lets_in(self, login: Login, database: str = "shop") -> bool:
        """Say whether a login works."""
        return engine().can_log_in(self.endpoint, login, database)

    def account(self, name: str, host: str = "%") -> tuple[Any, ...]:
        """Return an account's plugin, what is stored for it, and whether it is locked."""
        columns = "u.plugin, u.authentication_string, IFNULL(JSON_VALUE(g.priv, '$.account_locked'), '0')"
        where = f"User = {literal(name)} AND Host = {literal(host)}"
        tables = "mysql.user u JOIN mysql.global_priv g USING (User, Host)"
        (row,) = self.admin(f"SELECT {columns} FROM {tables} WHERE {where}")  # noqa: S608
        return row


def _lasting(value: Any) -> Any:
    """Return a value without when it was: MariaDB keeps an account as JSON, with the time of its last password."""
    if not str(value).startswith("{"):
        return value
    return {key: each for key, each in json.loads(value).items() if key != "password_last_changed"}


def user(name: str, *grants: Grant, password: str = NEW_PASSWORD, **fields: Any) -> DesiredUser:
    """Return a user with a password."""
    return DesiredUser(name, password, grants=grants, **fields)


def login(name: str, password: str = NEW_PASSWORD) -> Login:
    """Return the login of ``user(name)``."""
    return Login(name, password)


def grant(preset: str | None = None, **fields: Any) -> Grant:
    """Return a grant."""
    return Grant.model_validate({"preset": preset, **fields})


@pytest.fixture(scope="session")
def production() -> Iterator[MariaServers]:
    """Servers with a volume ``production`` that does not run."""
    require_mariadb()
    # Not pytest's directory: as root it is closed to the user that the servers run as.
    directory = Path(tempfile.mkdtemp(prefix="aurora-users-"))
    with MariaServers(directory, remove_on_death=True) as servers:
        servers.create("production", MASTER, None)
        database = Database(servers, "production", Endpoint("127.0.0.1", servers.start("production", None)))
        with contextlib.closing(database.connect(database.master, None)) as connection:
            for statement in _PRODUCTION.split(";\n"):
                connection.query(statement)
        servers.stop("production")
        yield servers


@pytest.fixture
def restored(production: MariaServers) -> Iterator[Database]:
    """A copy of production that runs."""
    production.clone("production", "restored")
    try:
        yield Database(production, "restored", Endpoint("127.0.0.1", production.start("restored", None)))
    finally:
        production.drop("restored")
