"""The sample world's MySQL: the same shop as PostgreSQL's, what is counted in it, and how one looks into it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import pymysql
from pymysql.cursors import Cursor

from aurora_restore.database.engine import Engine
from aurora_restore.database.mysql_passwords import NATIVE, native_verifier
from aurora_restore.database.mysql_words import account, identifier
from aurora_restore.embedded import shop, shop_mysql
from aurora_restore.embedded.dataplane import MasterUser
from aurora_restore.embedded.engines import engine_of_account
from aurora_restore.embedded.sample_kinds import MYSQL, Database

_TABLES: Final = (
    "SELECT TABLE_NAME FROM information_schema.TABLES"
    " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME"
)
# What a user of the request's holds is on whole databases here. Without DROP no table can be truncated.
_GRANTED: Final = (
    "SELECT Select_priv, Insert_priv, Update_priv, Delete_priv, Drop_priv FROM mysql.db WHERE User = %s AND %s LIKE Db"
)
_PRIVILEGES: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
_CREATE_USER: Final = f"CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED WITH {NATIVE} AS %s"
# In the order of shop.LOGINS.
_GRANTS: Final = ("SELECT", "SELECT", "SELECT, INSERT, UPDATE, DELETE")


class MySQLKind:
    """See ``Kind``."""

    engine = MYSQL
    version = "8.0.mysql_aurora.3.10.1"
    family = "aurora-mysql8.0"
    log_exports: tuple[str, ...] = ("audit", "error")
    master = MasterUser("admin", "testing-testing")

    def load_shop(self, place: Database, rows: int) -> None:
        """See ``Kind.load_shop``."""
        with _opened(place) as cursor:
            shop_mysql.load(cursor, shop.shares(rows))

    def create_logins(self, place: Database) -> None:
        """See ``Kind.create_logins``."""
        with _opened(place) as cursor:
            for name, privileges in zip(shop.LOGINS, _GRANTS, strict=True):
                cursor.execute(_CREATE_USER, (name, native_verifier(shop.LOGIN_PASSWORD)))
                # MySQL takes no parameter in a name's place: these are quoted, and the privileges our own words.
                cursor.execute(f"GRANT {privileges} ON {identifier(place.name)}.* TO {account(name, '%')}")

    def count_rows(self, place: Database) -> Mapping[str, int]:
        """See ``Kind.count_rows``."""
        with _opened(place) as cursor:
            cursor.execute(_TABLES)
            counts = {}
            for (table,) in cursor.fetchall():
                cursor.execute(f"SELECT COUNT(*) FROM {identifier(table)}")  # noqa: S608  a quoted name, as above
                ((counts[table],),) = cursor.fetchall()
            return counts

    def grants(self, place: Database, user: str) -> str:
        """See ``Kind.grants``."""
        with _opened(place) as cursor:
            cursor.execute(_GRANTED, [user, place.name])
            held = cursor.fetchall()
            cursor.execute(_TABLES)
            tables = len(cursor.fetchall())
        allowed = [name for place, name in enumerate(_PRIVILEGES) if any(row[place] == "Y" for row in held)]
        return shop.in_words({tables: allowed} if allowed else {})

    def users(self) -> Engine:
        """See ``Kind.users``."""
        return engine_of_account(MYSQL)

    def shell(self, host: str, port: str, user: str, database: str, password: str = "") -> str:
        """See ``Kind.shell``."""
        given = f"MYSQL_PWD={password} " if password else ""
        asks = "" if password else " -p"
        return f"{given}mysql -h {host} -P {port} -u {user}{asks} {database}".rstrip()


@contextmanager
def _opened(place: Database) -> Iterator[Cursor]:
    connection = pymysql.connect(
        host=place.endpoint.host,
        port=place.endpoint.port,
        user=place.login.user,
        password=place.login.password,
        database=place.name,
        connect_timeout=10,
        autocommit=True,
        charset="utf8mb4",
    )
    with connection, connection.cursor() as cursor:
        yield cursor
