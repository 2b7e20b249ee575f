"""PostgreSQL's users: compares what they are with what they shall be, changes the difference, and reads it back."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from aurora_restore.database.engine import (
    Applied,
    Change,
    ChangeKind,
    DesiredState,
    Endpoint,
    Login,
    TimeLeft,
    endless,
)
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
from aurora_restore.database.postgresql_plan import DatabaseState, Plan, compare, read_database
from aurora_restore.database.postgresql_proofs import proven
from aurora_restore.database.postgresql_script import read_script
from aurora_restore.database.postgresql_session import PostgreSQLSession
from aurora_restore.database.postgresql_stages import run_stages
from aurora_restore.database.scripts import Script, Session
from aurora_restore.database.tls import NO_BUNDLE, Tls
from aurora_restore.errors import DatabaseRefusedError, NotReadyError

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
        stages = plan.stages()
        done = list(run_stages(self._connect, endpoint, master, stages, time_left))
        changes = tuple(change for stage in done for change in stage.changes)
        if len(done) < len(stages) or (done and time_left() < 0):
            return Applied(changes, is_whole=False)
        if done:
            self._expect_nothing_left(endpoint, master, desired, plan.roles.new_passwords)
        return Applied(changes)

    def remarks(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> tuple[str, ...]:
        """See ``Engine.remarks``."""
        cluster = self._read_cluster(endpoint, master)
        databases: list[DatabaseState] = []
        everybody: list[str] = []
        for name in cluster.databases:
            with self._open(endpoint, master, name) as connection, our_errors(endpoint, "show its privileges"):
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
    def session(self, endpoint: Endpoint, login: Login, database: str) -> Iterator[Session]:
        """See ``Engine.session``."""
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
        users = proven(self._connect, endpoint, cluster, desired.users, written)
        databases = [self._read_database(endpoint, master, name, desired) for name in cluster.databases]
        return compare(cluster, databases, desired, users, self._salt)

    def _read_database(self, endpoint: Endpoint, master: Login, database: str, desired: DesiredState) -> DatabaseState:
        with self._open(endpoint, master, database) as connection, our_errors(endpoint, "show its objects"):
            return read_database(connection, desired)

    def _salt(self) -> bytes:
        return self._random_bytes(SALT_BYTES)

    def _expect_nothing_left(
        self, endpoint: Endpoint, master: Login, desired: DesiredState, written: frozenset[str]
    ) -> None:
        """Read everything back (I7): who can log in, with which password, and who holds what."""
        left = self._compare(endpoint, master, desired, written).changes
        if not left:
            return
        sentences = "; ".join(change.sentence for change in left[:10])
        if all(change.kind is ChangeKind.END_SESSIONS for change in left):
            raise NotReadyError(f"{endpoint} is still ending sessions: {sentences}")
        raise DatabaseRefusedError(f"{endpoint} accepted the changes, but these are still to be made: {sentences}")
