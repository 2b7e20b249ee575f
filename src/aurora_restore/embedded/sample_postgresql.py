"""The sample world's PostgreSQL: its shop, what is counted in it, and how one looks into it."""

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import sql

from aurora_restore.database.engine import Engine
from aurora_restore.embedded import shop
from aurora_restore.embedded.engines import engine_of_account
from aurora_restore.embedded.sample_kinds import MASTER, POSTGRESQL, Database

_TABLES: Final = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname
"""
_GRANTS: Final = """
SELECT privilege, count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
       unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) WITH ORDINALITY AS p (privilege, place)
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
      AND has_table_privilege(%s, c.oid, privilege)
GROUP BY privilege, place ORDER BY place
"""


class PostgreSQLKind:
    """See ``Kind``."""

    engine = POSTGRESQL
    version = "17.7"
    family = "aurora-postgresql17"
    log_exports: tuple[str, ...] = ("postgresql",)
    master = MASTER

    def load_shop(self, place: Database, rows: int) -> None:
        """See ``Kind.load_shop``."""
        with place.open() as connection:
            shop.load(connection, rows)

    def create_logins(self, place: Database) -> None:
        """See ``Kind.create_logins``."""
        with place.open() as connection:
            shop.create_logins(connection)

    def count_rows(self, place: Database) -> Mapping[str, int]:
        """See ``Kind.count_rows``. Tables outside of the schema public have its name before theirs."""
        with place.open() as connection:
            counts = {}
            for schema, table in connection.execute(_TABLES).fetchall():
                count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
                row = connection.execute(count).fetchone()
                counts[table if schema == "public" else f"{schema}.{table}"] = int(row[0]) if row else 0
            return counts

    def grants(self, place: Database, user: str) -> str:
        """See ``Kind.grants``."""
        with place.open() as connection:
            return _in_words(connection, user)

    def users(self) -> Engine:
        """See ``Kind.users``."""
        return engine_of_account(POSTGRESQL)

    def shell(self, host: str, port: str, user: str, database: str, password: str = "") -> str:
        """See ``Kind.shell``."""
        given = f"PGPASSWORD={password} " if password else ""
        return f"{given}psql -h {host} -p {port} -U {user} {database}".rstrip()


def _in_words(connection: psycopg.Connection[Any], user: str) -> str:
    tables: dict[int, list[str]] = {}
    for privilege, count in connection.execute(_GRANTS, [user]):
        tables.setdefault(count, []).append(privilege)
    return shop.in_words(tables)
