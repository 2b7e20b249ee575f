"""How long the database step takes for many users of PostgreSQL, beside one DO block a database written by hand.

Prints a table and writes benchmarks/results/users.json. The README beside this file says how to read it.
"""

import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, LiteralString

import psycopg
from psycopg import sql

from aurora_restore.database.engine import DesiredState, DesiredUser, Endpoint, Login
from aurora_restore.database.passwords import scram_verifier
from aurora_restore.database.postgresql import PostgreSQL
from aurora_restore.embedded.dataplane import MasterUser
from aurora_restore.embedded.postgres import PostgresServers
from benchmarks.users_report import TABLES, Measurement, counted, fresh_copy, many_users, options, report, timed

_MASTER = MasterUser("dba", "testing")
_OURS, _AGAIN = "ours: make and read back", "ours: nothing to do"

_STATE = """
    SELECT 'acl', oid::regclass::text, item::text FROM pg_class, unnest(relacl) AS item
    UNION ALL SELECT 'schema', nspname, item::text FROM pg_namespace, unnest(nspacl) AS item
    UNION ALL SELECT 'database', datname, item::text FROM pg_database, unnest(datacl) AS item
      WHERE datname = current_database()
    UNION ALL SELECT 'future', concat_ws(' ', defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype),
      item::text FROM pg_default_acl, unnest(defaclacl) AS item
    UNION ALL SELECT 'role', rolname, rolcanlogin::text FROM pg_roles
    ORDER BY 1, 2, 3
"""


class Counting(psycopg.Connection):
    """A connection that counts the statements of all its kind."""

    statements: ClassVar[int] = 0

    def execute(self, *arguments: Any, **options: Any) -> Any:
        """Count, and run."""
        Counting.statements += 1
        return super().execute(*arguments, **options)


@dataclass(frozen=True, slots=True)
class Bench:
    """A server with ``databases`` databases and how many users are to be made."""

    servers: PostgresServers
    users: int
    databases: int

    def names(self) -> list[str]:
        """Return the databases' names."""
        return [f"shop_{number:02}" for number in range(self.databases)]

    def desired(self) -> DesiredState:
        """Return the users: each may read one schema and what comes into it, and has four grants on tables."""
        return many_users(self.users, self.names(), schema="sales")


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__, repeat=3)
    with PostgresServers(Path(tempfile.mkdtemp()), remove_on_death=True) as servers:
        bench = Bench(servers, chosen.users, chosen.databases)
        _fill(bench)
        measurements = _measure(bench, chosen.repeat)
    report("users", vars(chosen), measurements, measurements[1].seconds)


def _fill(bench: Bench) -> None:
    bench.servers.create("origin", _MASTER, None)
    endpoint = Endpoint("127.0.0.1", bench.servers.start("origin", None))
    with _connect(endpoint, "postgres") as connection:
        for name in bench.names():
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    for name in bench.names():
        with _connect(endpoint, name) as connection:
            connection.execute("CREATE SCHEMA sales")
            for number in range(TABLES):
                table = sql.Identifier("sales", f"table_{number:02}")
                connection.execute(sql.SQL("CREATE TABLE {} (id int)").format(table))
    bench.servers.stop("origin")


def _measure(bench: Bench, repeat: int) -> list[Measurement]:
    """Run each way ``repeat`` times in turns and take the fastest: what disturbs a run only ever makes it slower."""
    desired, master = bench.desired(), Login(_MASTER.name, _MASTER.password)
    ways: dict[str, Callable[[Endpoint], Any]] = {
        "DO blocks by hand": lambda endpoint: _by_hand(bench, endpoint, desired),
        _OURS: lambda endpoint: PostgreSQL(Counting.connect).apply(endpoint, master, desired),
    }
    best = dict.fromkeys([*ways, _AGAIN], float("inf"))
    states = []
    for _ in range(repeat):
        for what, way in ways.items():
            with fresh_copy(bench.servers) as endpoint:
                best[what] = min(best[what], timed(way, endpoint))
                states.append(_state(bench, endpoint))
                if what == _OURS:
                    best[_AGAIN] = min(best[_AGAIN], timed(way, endpoint))
    if any(state != states[0] for state in states):
        raise SystemExit("the DO blocks and ours do not end in the same state: the benchmark is wrong")
    floor_s = best["DO blocks by hand"]
    return [
        Measurement(what, round(seconds, 2), *_sent(bench, ways, what), ratio=round(seconds / floor_s, 2))
        for what, seconds in best.items()
    ]


def _sent(bench: Bench, ways: Mapping[str, Callable[[Endpoint], Any]], what: str) -> tuple[int, int, int]:
    return counted(bench.servers, ways[_OURS if what == _AGAIN else what], Counting, is_made=what == _AGAIN)


def _by_hand(bench: Bench, endpoint: Endpoint, desired: DesiredState) -> None:
    """Make the same users and grants as a DBA's script would that knows the database is fresh: no look, no check."""
    with _connect(endpoint, "postgres", Counting) as connection:
        words = [
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(user.name), sql.Literal(scram_verifier(str(user.password), secrets.token_bytes(16)))
            )
            for user in desired.users
        ]
        connection.execute(_do(words))
    for name in bench.names():
        with _connect(endpoint, name, Counting) as connection:
            connection.execute(_do([words for user in desired.users for words in _by_hand_in(name, user)]))


def _by_hand_in(database: str, user: DesiredUser) -> Iterator[sql.Composed]:
    for grant in user.grants:
        if grant.database != database:
            continue
        names = {"user": sql.Identifier(user.name), "database": sql.Identifier(database)}
        statements: tuple[LiteralString, ...] = (
            "GRANT CONNECT ON DATABASE {database} TO {user}",
            "GRANT USAGE ON SCHEMA sales TO {user}",
        )
        if grant.table is None:
            statements += (
                "GRANT SELECT ON ALL TABLES IN SCHEMA sales TO {user}",
                "ALTER DEFAULT PRIVILEGES IN SCHEMA sales GRANT SELECT ON TABLES TO {user}",
                "ALTER DEFAULT PRIVILEGES IN SCHEMA sales GRANT SELECT ON SEQUENCES TO {user}",
            )
        else:
            statements += ("GRANT {privileges} ON {table} TO {user}",)
        words = sql.SQL(", ").join(sql.SQL(word) for word in grant.privileges or ())
        table = sql.Identifier("sales", grant.table or "")
        yield from (sql.SQL(text).format(**names, privileges=words, table=table) for text in statements)


def _do(statements: list[sql.Composed]) -> sql.Composed:
    body = sql.SQL("BEGIN {}; END").format(sql.SQL("; ").join(statements)).as_string(None)
    return sql.SQL("DO {}").format(sql.Literal(body))


def _state(bench: Bench, endpoint: Endpoint) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for name in bench.names():
        with _connect(endpoint, name) as connection:
            rows += connection.execute(_STATE).fetchall()
    return rows


def _connect(
    endpoint: Endpoint, database: str, kind: type[psycopg.Connection] = psycopg.Connection
) -> psycopg.Connection:
    return kind.connect(
        host=endpoint.host, port=endpoint.port, user=_MASTER.name, password=_MASTER.password, dbname=database,
        autocommit=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
