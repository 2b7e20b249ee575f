"""How long the database step takes for many users of MySQL, beside the statements that one would write by hand.

Prints a table and writes benchmarks/results/users-mysql.json. The README beside this file says how to read it.
"""

import itertools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from pymysql.connections import Connection

from aurora_restore.database.engine import DesiredState, DesiredUser, Endpoint, Login
from aurora_restore.database.mysql import MySQL
from aurora_restore.database.mysql_passwords import native_verifier
from aurora_restore.database_request import Grant
from aurora_restore.embedded.dataplane import MasterUser
from aurora_restore.embedded.mariadb import MariaServers
from aurora_restore.embedded.mariadb_dialect import MARIADB
from aurora_restore.errors import EnvironmentUnfitError
from benchmarks.users_report import TABLES, Measurement, counted, fresh_copy, many_users, options, report, timed

_MASTER = Login("dba", "testing")
_PLAIN, _GROUPED = "by hand: a statement a grant", "by hand: equal grants together"
_OURS, _SPLIT, _AGAIN = "ours: make and read back", "ours: in many calls", "ours: nothing to do"
_STATEMENTS_A_CALL = 30
_STATE = (
    "SELECT User, Host, plugin, authentication_string FROM mysql.user WHERE is_role = 'N' ORDER BY 1, 2",
    "SELECT * FROM mysql.db ORDER BY User, Host, Db",
    "SELECT Host, Db, User, Table_name, Table_priv FROM mysql.tables_priv ORDER BY 1, 2, 3, 4",
)


class Counting(Connection):
    """A connection that counts the statements of all its kind."""

    statements: ClassVar[int] = 0

    def query(self, sql: str | bytes, unbuffered: bool = False) -> int:  # noqa: FBT001, FBT002
        """Count, and run."""
        Counting.statements += 1
        return int(super().query(sql, unbuffered))


@dataclass(frozen=True, slots=True)
class Bench:
    """A server with ``databases`` databases and how many users are to be made."""

    servers: MariaServers
    users: int
    databases: int

    def names(self) -> list[str]:
        """Return the databases' names."""
        return [f"shop{number:02}" for number in range(self.databases)]

    def desired(self) -> DesiredState:
        """Return the users: each may read one database, and has four grants on tables of others."""
        return many_users(self.users, self.names())


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__, repeat=2)
    try:
        data_plane = MariaServers(Path(tempfile.mkdtemp()), remove_on_death=True)
    except EnvironmentUnfitError as error:
        raise SystemExit(str(error)) from error
    with data_plane as servers:
        bench = Bench(servers, chosen.users, chosen.databases)
        _fill(bench)
        measurements = _measure(bench, chosen.repeat)
    report("users-mysql", vars(chosen), measurements, measurements[2].seconds)


def _fill(bench: Bench) -> None:
    bench.servers.create("origin", MasterUser(_MASTER.user, _MASTER.password), None)
    with _connect(Endpoint("127.0.0.1", bench.servers.start("origin", None))) as connection:
        for name in bench.names():
            connection.query(f"CREATE DATABASE {name}")
            for number in range(TABLES):
                connection.query(f"CREATE TABLE {name}.table_{number:02} (id INT)")
    bench.servers.stop("origin")


def _measure(bench: Bench, repeat: int) -> list[Measurement]:
    """Run each way ``repeat`` times in turns and take the fastest: what disturbs a run only ever makes it slower."""
    desired = bench.desired()
    ways: dict[str, Callable[[Endpoint], Any]] = {
        _PLAIN: lambda endpoint: _plain(endpoint, desired),
        _GROUPED: lambda endpoint: _grouped(endpoint, desired),
        _OURS: lambda endpoint: _ours(endpoint, desired),
        _SPLIT: lambda endpoint: _split(endpoint, desired),
    }
    best = dict.fromkeys([*ways, _AGAIN], float("inf"))
    states = []
    for turn, (what, way) in itertools.product(range(repeat), ways.items()):
        if turn and what == _PLAIN:
            continue  # It takes ten times as long as any other.
        with fresh_copy(bench.servers) as endpoint:
            best[what] = min(best[what], timed(way, endpoint))
            states.append(_state(bench))
            if what == _OURS:
                best[_AGAIN] = min(best[_AGAIN], timed(way, endpoint))
    if any(state != states[0] for state in states):
        raise SystemExit("the statements by hand and ours do not end in the same state: the benchmark is wrong")
    return [
        Measurement(what, round(seconds, 2), *_sent(bench, ways, what), ratio=round(seconds / best[_PLAIN], 2))
        for what, seconds in best.items()
    ]


def _sent(bench: Bench, ways: Mapping[str, Callable[[Endpoint], Any]], what: str) -> tuple[int, int, int]:
    return counted(bench.servers, ways[_OURS if what == _AGAIN else what], Counting, is_made=what == _AGAIN)


def _ours(endpoint: Endpoint, desired: DesiredState) -> None:
    MySQL(connect=Counting, dialect=MARIADB).apply(endpoint, _MASTER, desired)


def _split(endpoint: Endpoint, desired: DesiredState) -> None:
    """Apply in many calls: in each the time is up after a few statements, as if Lambda's 15 minutes were over."""
    engine = MySQL(connect=Counting, dialect=MARIADB)
    is_whole = False
    while not is_whole:
        left = partial(_left, Counting.statements + _STATEMENTS_A_CALL)
        is_whole = engine.apply(endpoint, _MASTER, desired, left).is_whole


def _left(last: int) -> float:
    return last - Counting.statements


def _plain(endpoint: Endpoint, desired: DesiredState) -> None:
    """Make the same users and grants as a DBA's script would that knows the server is fresh: no look, no check."""
    with _connect(endpoint) as connection:
        for user in desired.users:
            connection.query(f"CREATE USER {_clause(user)}")
            for grant in user.grants:
                connection.query(f"GRANT {_what(grant)} TO {user.name}")


def _grouped(endpoint: Endpoint, desired: DesiredState) -> None:
    """Make them with as few statements as there can be: what nobody writes by hand, but somebody's program could."""
    alike: dict[str, list[str]] = {}
    for user in desired.users:
        for grant in user.grants:
            alike.setdefault(_what(grant), []).append(user.name)
    with _connect(endpoint) as connection:
        connection.query(f"CREATE USER {', '.join(map(_clause, desired.users))}")
        for what, names in alike.items():
            connection.query(f"GRANT {what} TO {', '.join(names)}")


def _clause(user: DesiredUser) -> str:
    return f"{user.name} IDENTIFIED WITH mysql_native_password AS '{native_verifier(str(user.password))}'"


def _what(grant: Grant) -> str:
    return f"{', '.join(grant.privileges or ('SELECT', 'SHOW VIEW'))} ON {grant.database}.{grant.table or '*'}"


def _state(bench: Bench) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    with bench.servers.connect_as_admin("copy") as connection, connection.cursor() as cursor:
        for query in _STATE:
            cursor.execute(query)
            rows += cursor.fetchall()
    return rows


def _connect(endpoint: Endpoint) -> Counting:
    return Counting(
        host=endpoint.host, port=endpoint.port, user=_MASTER.user, password=_MASTER.password, autocommit=True
    )


if __name__ == "__main__":
    main()
