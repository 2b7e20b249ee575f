"""PostgreSQL's users: compares what they are with what they shall be, changes the difference, and reads it back."""

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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
    password_is_right,
    try_login,
)
from aurora_restore.database.postgresql_grants import GrantsPlan, plan_grants
from aurora_restore.database.postgresql_objects import Objects, public_privileges, read_objects
from aurora_restore.database.postgresql_privileges import unmatched
from aurora_restore.database.postgresql_roles import RolesPlan, plan_roles
from aurora_restore.database.postgresql_script import read_script
from aurora_restore.database.postgresql_session import PostgreSQLSession
from aurora_restore.database.postgresql_stages import Stage, run_stages
from aurora_restore.database.scripts import Script, Session
from aurora_restore.database.tls import NO_BUNDLE, Tls
from aurora_restore.errors import DatabaseRefusedError, NotReadyError, PreflightError

SALT_BYTES = 16
_USERS = "change its users"


@dataclass(frozen=True, slots=True)
class _Plan:
    cluster: Cluster
    roles: RolesPlan
    grants: dict[str, GrantsPlan]

    @property
    def changes(self) -> tuple[Change, ...]:
        return tuple(change for stage in self.stages() for change in stage.changes)

    def stages(self) -> tuple[Stage, ...]:
        """Return what is to be done, in order; nothing if nothing differs."""
        roles = self.roles
        ends_sessions = bool(roles.close or roles.session_changes)
        stages = (
            Stage(MAINTENANCE_DATABASE, _USERS, roles.close, roles.doubts),
            Stage(
                MAINTENANCE_DATABASE,
                _USERS,
                ends_sessions_of=roles.closed if ends_sessions else frozenset(),
                session_changes=roles.session_changes,
            ),
            Stage(MAINTENANCE_DATABASE, _USERS, roles.open, roles.doubts),
            *(Stage(database, _USERS, plan.actions, plan.doubts) for database, plan in self.grants.items()),
        )
        return tuple(stage for stage in stages if stage.actions or stage.ends_sessions_of)


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
        stages = self._compare(endpoint, master, desired).stages()
        done = list(run_stages(self._connect, endpoint, master, stages, time_left))
        changes = tuple(change for stage in done for change in stage.changes)
        if len(done) < len(stages) or (done and time_left() < 0):
            return Applied(changes, is_whole=False)
        if done:
            self._expect_nothing_left(endpoint, master, desired)
        return Applied(changes)

    def remarks(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> tuple[str, ...]:
        """See ``Engine.remarks``."""
        plan = self._compare(endpoint, master, desired)
        remarks = [*plan.roles.remarks]
        for database, grants in plan.grants.items():
            remarks.extend(grants.remarks)
            with self._open(endpoint, master, database) as connection, our_errors(endpoint, "show its privileges"):
                remarks.extend(public_privileges(connection))
        return tuple(remarks)

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

    def _compare(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> _Plan:
        cluster = self._read_cluster(endpoint, master)
        roles = plan_roles(cluster, desired, self._proven(endpoint, cluster, desired), self._salt)
        databases = [self._read_objects(endpoint, master, name, desired) for name in self._visited(cluster, desired)]
        problems = [*roles.problems, *unmatched(desired.users, databases)]
        if problems:
            raise PreflightError(problems)
        grants = {one.database: plan_grants(cluster, one, desired.users) for one in databases}
        return _Plan(cluster, roles, grants)

    def _visited(self, cluster: Cluster, desired: DesiredState) -> Iterable[str]:
        return cluster.databases if desired.users else ()

    def _read_objects(self, endpoint: Endpoint, master: Login, database: str, desired: DesiredState) -> Objects:
        with self._open(endpoint, master, database) as connection, our_errors(endpoint, "show its objects"):
            return read_objects(connection, [user.name for user in desired.users])

    def _proven(self, endpoint: Endpoint, cluster: Cluster, desired: DesiredState) -> frozenset[str]:
        """Return the users whose password is right already; nobody but a superuser can read verifiers."""
        proven = set[str]()
        for user in desired.users:
            role = cluster.roles.get(user.name)
            if user.password is None or role is None or not role.can_login or role.is_barred:
                continue
            if password_is_right(self._connect, endpoint, Login(user.name, user.password)):
                proven.add(user.name)
        return frozenset(proven)

    def _salt(self) -> bytes:
        return self._random_bytes(SALT_BYTES)

    def _expect_nothing_left(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> None:
        """Read everything back (I7): who can log in, with which password, and who holds what."""
        left = self._compare(endpoint, master, desired).changes
        if not left:
            return
        sentences = "; ".join(change.sentence for change in left[:10])
        if all(change.kind is ChangeKind.END_SESSIONS for change in left):
            raise NotReadyError(f"{endpoint} is still ending sessions: {sentences}")
        raise DatabaseRefusedError(f"{endpoint} accepted the changes, but these are still to be made: {sentences}")
