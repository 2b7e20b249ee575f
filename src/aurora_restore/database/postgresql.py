"""PostgreSQL's users: compares what they are with what they shall be, changes the difference, and reads it back."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import psycopg

from aurora_restore.database.engine import (
    Applied,
    Change,
    DesiredState,
    DesiredUser,
    Endpoint,
    Login,
    TimeLeft,
    endless,
    expect_nothing_left,
)
from aurora_restore.database.postgresql_actions import Action
from aurora_restore.database.postgresql_cluster import Cluster, read_cluster
from aurora_restore.database.postgresql_connection import (
    MAINTENANCE_DATABASE,
    USERS_SETTINGS,
    Connect,
    PgConnection,
    encrypted,
    open_connection,
    our_errors,
    try_login,
)
from aurora_restore.database.postgresql_objects import public_privileges
from aurora_restore.database.postgresql_plan import (
    CHANGE_USERS,
    DatabaseState,
    Plan,
    compare,
    looks_inside,
    read_database,
)
from aurora_restore.database.postgresql_proofs import proven
from aurora_restore.database.postgresql_roles import plan_closing, plan_opening
from aurora_restore.database.postgresql_script import read_script
from aurora_restore.database.postgresql_session import PostgreSQLSession
from aurora_restore.database.postgresql_stages import Stage, run_stages, stages_of
from aurora_restore.database.scripts import Script, Session
from aurora_restore.database.tls import NO_BUNDLE, Tls

SALT_BYTES = 16


class PostgreSQL:
    """Aurora PostgreSQL and PostgreSQL from 13 on; the master needs CREATEROLE, not superuser. See ``Engine``."""

    def __init__(
        self,
        connect: Connect = psycopg.Connection.connect,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        tls: Tls = NO_BUNDLE,
    ) -> None:
        """Take how to connect, where the salts of password verifiers come from, and how connections are encrypted."""
        self._connect = encrypted(connect, tls)
        self._random_bytes = random_bytes

    def plan(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> tuple[Change, ...]:
        """See ``Engine.plan``."""
        return self._compare(endpoint, master, desired).changes

    def apply(self, endpoint: Endpoint, master: Login, desired: DesiredState, time_left: TimeLeft = endless) -> Applied:
        """See ``Engine.apply``."""
        plan = self._compare(endpoint, master, desired)
        applied = self._run(endpoint, master, plan.stages(), time_left)
        if plan.entering.units:
            return replace(applied, is_whole=False)
        if applied.is_whole and applied.changes:
            # Everything (I7): who can log in, with which password, and who holds what.
            left = self._compare(endpoint, master, desired, plan.roles.new_passwords)
            expect_nothing_left(endpoint, left.changes)
        return applied

    def open(
        self, endpoint: Endpoint, master: Login, users: Sequence[DesiredUser], time_left: TimeLeft = endless
    ) -> Applied:
        """See ``Engine.open``."""
        openings = self._openings(endpoint, master, users)
        stages = tuple(stages_of(MAINTENANCE_DATABASE, CHANGE_USERS, openings))
        applied = self._run(endpoint, master, stages, time_left)
        if applied.is_whole and applied.changes:
            written = frozenset(change.user for change in applied.changes)
            left = self._openings(endpoint, master, users, written)
            expect_nothing_left(endpoint, [change for action in left for change in action.changes])
        return applied

    def shut_out(self, endpoint: Endpoint, master: Login, users: Sequence[DesiredUser]) -> Applied:
        """See ``Engine.shut_out``."""
        applied = self._run(endpoint, master, self._closings(endpoint, master, users), endless)
        left = self._closings(endpoint, master, users)
        expect_nothing_left(endpoint, [change for stage in left for change in stage.changes])
        return applied

    def remarks(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> tuple[str, ...]:
        """See ``Engine.remarks``."""
        cluster = self._read_cluster(endpoint, master)
        databases: list[DatabaseState] = []
        everybody: list[str] = []
        for name in cluster.databases:
            with self._open(endpoint, master, name) as connection, our_errors(endpoint, _looking_into(name)):
                databases.append(read_database(connection, desired))
                everybody += public_privileges(connection)
        # Passwords say nothing about what is left: nobody has to prove one.
        users = frozenset(user.name for user in desired.users)
        return (*compare(cluster, databases, desired, users, self._salt).remarks, *everybody)

    def logins(self, endpoint: Endpoint, master: Login) -> tuple[str, ...]:
        """See ``Engine.logins``."""
        cluster = self._read_cluster(endpoint, master)
        able = (role.name for role in cluster.roles.values() if role.can_login)
        return tuple(sorted(name for name in able if not cluster.belongs_to_rds(name)))

    def can_log_in(self, endpoint: Endpoint, login: Login, database: str) -> bool:
        """See ``Engine.can_log_in``."""
        return try_login(self._connect, endpoint, login, database)

    def read_script(self, text: str) -> Script:
        """See ``Engine.read_script``."""
        return read_script(text)

    @contextmanager
    def session(
        self,
        endpoint: Endpoint,
        login: Login,
        database: str,
        master: Login | None = None,  # noqa: ARG002
    ) -> Iterator[Session]:
        """See ``Engine.session``. The server itself ends what takes too long."""
        with open_connection(self._connect, endpoint, login, database, USERS_SETTINGS) as connection:
            yield PostgreSQLSession(connection, endpoint)

    def _open(self, endpoint: Endpoint, login: Login, database: str) -> PgConnection:
        return open_connection(self._connect, endpoint, login, database)

    def _read_cluster(self, endpoint: Endpoint, master: Login) -> Cluster:
        with self._open(endpoint, master, MAINTENANCE_DATABASE) as connection, our_errors(endpoint, "show its roles"):
            return read_cluster(connection)

    def _compare(
        self, endpoint: Endpoint, master: Login, desired: DesiredState, written: frozenset[str] = frozenset()
    ) -> Plan:
        cluster = self._read_cluster(endpoint, master)
        if not looks_inside(desired):
            # None of them may keep logins open by keeping the master out.
            cluster = replace(cluster, databases=(), barred=())
        users = proven(self._connect, endpoint, cluster, desired.users, written)
        databases = [self._read_database(endpoint, master, name, desired) for name in cluster.databases]
        return compare(cluster, databases, desired, users, self._salt)

    def _read_database(self, endpoint: Endpoint, master: Login, database: str, desired: DesiredState) -> DatabaseState:
        with self._open(endpoint, master, database) as connection, our_errors(endpoint, _looking_into(database)):
            return read_database(connection, desired)

    def _openings(
        self, endpoint: Endpoint, master: Login, users: Sequence[DesiredUser], written: frozenset[str] = frozenset()
    ) -> tuple[Action, ...]:
        cluster = self._read_cluster(endpoint, master)
        return plan_opening(cluster, users, proven(self._connect, endpoint, cluster, users, written), self._salt)

    def _closings(self, endpoint: Endpoint, master: Login, users: Sequence[DesiredUser]) -> tuple[Stage, ...]:
        units, sessions = plan_closing(self._read_cluster(endpoint, master), users)
        if not (units or sessions):
            return ()
        names = frozenset(user.name for user in users)
        return (
            Stage(MAINTENANCE_DATABASE, CHANGE_USERS, units, closes=True),
            Stage(MAINTENANCE_DATABASE, CHANGE_USERS, ends_sessions_of=names, session_changes=sessions, closes=True),
        )

    def _run(self, endpoint: Endpoint, master: Login, stages: Sequence[Stage], time_left: TimeLeft) -> Applied:
        done = list(run_stages(self._connect, endpoint, master, stages, time_left))
        changes = tuple(change for stage in done for change in stage.changes)
        is_cut_short = len(done) < len(stages) or (bool(done) and time_left() < 0)
        return Applied(changes, is_whole=not is_cut_short)

    def _salt(self) -> bytes:
        return self._random_bytes(SALT_BYTES)


def _looking_into(database: str) -> str:
    return f"show what is in its database {database}"
