"""PostgreSQL's users: compares what they are with what they shall be, changes the difference, and reads it back."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from aurora_restore.database.engine import Change, ChangeKind, DesiredState, Endpoint, Login
from aurora_restore.database.postgresql_actions import Action
from aurora_restore.database.postgresql_cluster import Cluster, read_cluster
from aurora_restore.database.postgresql_connection import (
    MAINTENANCE_DATABASE,
    Connect,
    PgConnection,
    open_connection,
    our_errors,
    password_is_right,
    try_login,
)
from aurora_restore.database.postgresql_grants import GrantsPlan, plan_grants
from aurora_restore.database.postgresql_objects import Objects, public_privileges, read_objects
from aurora_restore.database.postgresql_privileges import unmatched
from aurora_restore.database.postgresql_roles import RolesPlan, plan_roles
from aurora_restore.errors import DatabaseRefusedError, NotReadyError, PreflightError

SALT_BYTES = 16
_SESSION_END_TIMEOUT_MS = 5_000

# The version with a time limit waits for the session to be gone; PostgreSQL 14 brought it.
_WAITING_TERMINATE = sql.SQL("pg_terminate_backend(pid, {})").format(sql.Literal(_SESSION_END_TIMEOUT_MS))
_TERMINATE = sql.SQL("pg_terminate_backend(pid)").format()
_END_SESSIONS = sql.SQL(
    "SELECT {} FROM pg_stat_activity WHERE usename = ANY (%(users)s) AND pid <> pg_backend_pid()"
    " AND coalesce(backend_type, 'client backend') = 'client backend'"
)


@dataclass(frozen=True, slots=True)
class _Plan:
    cluster: Cluster
    roles: RolesPlan
    grants: dict[str, GrantsPlan]

    def changes(self) -> tuple[Change, ...]:
        actions = (*self.roles.close, *self.roles.open, *(one for plan in self.grants.values() for one in plan.actions))
        return (*self.roles.session_changes, *(change for action in actions for change in action.changes))


class PostgreSQL:
    """Aurora PostgreSQL and PostgreSQL from 13 on; the master needs CREATEROLE, not superuser. See ``Engine``."""

    def __init__(
        self, connect: Connect = psycopg.Connection.connect, random_bytes: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        """Take how to connect, and where the salts of password verifiers come from."""
        self._connect = connect
        self._random_bytes = random_bytes

    def plan(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> tuple[Change, ...]:
        """See ``Engine.plan``."""
        return self._compare(endpoint, master, desired).changes()

    def apply(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> tuple[Change, ...]:
        """See ``Engine.apply``."""
        plan = self._compare(endpoint, master, desired)
        changes = plan.changes()
        if not changes:
            return ()
        self._apply_roles(endpoint, master, plan)
        for database, grants in plan.grants.items():
            if grants.actions:
                with self._open(endpoint, master, database) as connection:
                    _run(connection, endpoint, grants.actions, grants.doubts)
        self._expect_nothing_left(endpoint, master, desired)
        return changes

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

    def _apply_roles(self, endpoint: Endpoint, master: Login, plan: _Plan) -> None:
        roles = plan.roles
        if not (roles.close or roles.session_changes or roles.open):
            return
        with self._open(endpoint, master, MAINTENANCE_DATABASE) as connection:
            _run(connection, endpoint, roles.close, roles.doubts)
            if roles.close or roles.session_changes:
                _end_sessions(connection, endpoint, roles.closed)
            _run(connection, endpoint, roles.open, roles.doubts)

    def _expect_nothing_left(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> None:
        """Read everything back (I7): who can log in, with which password, and who holds what."""
        left = self._compare(endpoint, master, desired).changes()
        if not left:
            return
        sentences = "; ".join(change.sentence for change in left[:10])
        if all(change.kind is ChangeKind.END_SESSIONS for change in left):
            raise NotReadyError(f"{endpoint} is still ending sessions: {sentences}")
        raise DatabaseRefusedError(f"{endpoint} accepted the changes, but these are still to be made: {sentences}")


def _run(connection: PgConnection, endpoint: Endpoint, actions: Iterable[Action], doubts: tuple[str, ...]) -> None:
    """Run the statements in one transaction, without waiting for the answer to each."""
    advice = "; ".join(doubts)
    with our_errors(endpoint, "change its users", advice), connection.transaction(), connection.pipeline():
        for action in actions:
            connection.execute(action.statement)


def _end_sessions(connection: PgConnection, endpoint: Endpoint, users: frozenset[str]) -> None:
    waits = connection.info.server_version >= 140_000
    statement = _END_SESSIONS.format(_WAITING_TERMINATE if waits else _TERMINATE)
    with our_errors(endpoint, "end sessions"):
        connection.execute(statement, {"users": sorted(users)})
