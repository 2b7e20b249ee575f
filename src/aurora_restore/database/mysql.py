"""MySQL's users: compares what they are with what they shall be, changes the difference, and reads it back."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pymysql
from pymysql.connections import Connection
from pymysql.constants import ER

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
from aurora_restore.database.mysql_accounts import listed_accounts, problems, shown
from aurora_restore.database.mysql_connection import (
    Connect,
    MyConnection,
    encrypted,
    open_connection,
    our_errors,
    statement_failure,
    try_login,
)
from aurora_restore.database.mysql_dialect import MYSQL, Dialect
from aurora_restore.database.mysql_plan import Action, Plan, make_plan, opening
from aurora_restore.database.mysql_privileges import as_it_is_called
from aurora_restore.database.mysql_remarks import remarks
from aurora_restore.database.mysql_script import read_script
from aurora_restore.database.mysql_server import Server, read_server, sessions_in, tables_of
from aurora_restore.database.mysql_session import MySQLSession
from aurora_restore.database.scripts import Script
from aurora_restore.database.tls import NO_BUNDLE, Tls
from aurora_restore.database_request import Leftover, Logins
from aurora_restore.errors import DatabaseRefusedError, PreflightError

# A killed session takes a moment to go.
_LOOKS_AT_SESSIONS = 100


class MySQL:
    """Aurora MySQL 3, which is MySQL 8; the master is no superuser, but has rds_superuser_role. See ``Engine``."""

    def __init__(
        self,
        *,
        tls: Tls = NO_BUNDLE,
        connect: Connect = Connection,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        dialect: Dialect = MYSQL,
    ) -> None:
        """Take how servers prove who they are, how to connect, whence salts come, and what kind of MySQL it is."""
        self._connect = encrypted(connect, tls)
        self._random_bytes = random_bytes
        self._dialect = dialect

    def plan(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> tuple[Change, ...]:
        """See ``Engine.plan``."""
        with self._open(endpoint, master) as connection:
            return self._compare(connection, endpoint, desired).changes

    def apply(self, endpoint: Endpoint, master: Login, desired: DesiredState, time_left: TimeLeft = endless) -> Applied:
        """See ``Engine.apply``. Stops between two statements: each of them is done for good."""
        with self._open(endpoint, master) as connection:
            plan = self._compare(connection, endpoint, desired)
            if not plan.changes:
                return Applied(())
            self._send_away(connection, endpoint, plan, desired, master)
            made: list[Change] = []
            for changes in self._carry_out(connection, endpoint, plan):
                made.extend(changes)
                if made and time_left() < 0:
                    return Applied(tuple(made), is_whole=False)
            self._expect_nothing_left(connection, endpoint, desired)
            return Applied(tuple(made))

    def open(
        self, endpoint: Endpoint, master: Login, users: Sequence[DesiredUser], time_left: TimeLeft = endless
    ) -> Applied:
        """See ``Engine.open``. Stops between two statements: each of them is done for good."""
        made: list[Change] = []
        with self._open(endpoint, master) as connection:
            for changes in _run(connection, endpoint, self._openings(connection, endpoint, users)):
                made.extend(changes)
                if time_left() < 0:
                    return Applied(tuple(made), is_whole=False)
            if made:
                left = self._openings(connection, endpoint, users)
                expect_nothing_left(endpoint, [change for action in left for change in action.changes])
        return Applied(tuple(made))

    def shut_out(self, endpoint: Endpoint, master: Login, users: Sequence[DesiredUser]) -> Applied:
        """See ``Engine.shut_out``."""
        with self._open(endpoint, master) as connection:
            plan = self._closings(connection, endpoint, users)
            made = [change for changes in self._carry_out(connection, endpoint, plan) for change in changes]
            expect_nothing_left(endpoint, self._closings(connection, endpoint, users).changes)
        return Applied(tuple(made))

    def remarks(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> tuple[str, ...]:
        """See ``Engine.remarks``."""
        with self._open(endpoint, master) as connection:
            server = self._read(connection, endpoint, desired)
            return tuple(remarks(connection, endpoint, server, desired, self._dialect))

    def logins(self, endpoint: Endpoint, master: Login) -> tuple[str, ...]:
        """See ``Engine.logins``. An account at another host than ``%`` has that in its name."""
        with self._open(endpoint, master) as connection:
            server = self._read(connection, endpoint, DesiredState(()))
        able = (name for name, account in server.accounts.items() if account.lets_in)
        return tuple(sorted(shown(name) for name in able if not server.belongs_to_rds(name)))

    def can_log_in(self, endpoint: Endpoint, login: Login, database: str) -> bool:
        """See ``Engine.can_log_in``."""
        return try_login(self._connect, endpoint, login, database)

    def read_script(self, text: str) -> Script:
        """See ``Engine.read_script``."""
        return read_script(text)

    @contextmanager
    def session(
        self, endpoint: Endpoint, login: Login, database: str, master: Login | None = None
    ) -> Iterator[MySQLSession]:
        """See ``Engine.session``."""

        def interrupt(connection_id: int) -> None:
            # A user may end statements of its own, but with connection_limit: 1 has no connection left for it.
            # With its roles: the right to end others' is one of the master's.
            with self._open(endpoint, master or login) as other, our_errors(endpoint, "end a statement"):
                other.query(f"KILL QUERY {connection_id:d}")

        powers = self._dialect.powers if login == master else ()
        with open_connection(
            self._connect, endpoint, login, database or None, session=powers, for_user=True
        ) as connection:
            yield MySQLSession(connection, endpoint, interrupt)

    def _open(self, endpoint: Endpoint, login: Login) -> MyConnection:
        session = (*self._dialect.powers, *self._dialect.session)
        return open_connection(self._connect, endpoint, login, session=session)

    def _read(self, connection: MyConnection, endpoint: Endpoint, desired: DesiredState) -> Server:
        with our_errors(endpoint, "show its users"):
            return read_server(connection, self._dialect, {user.name for user in desired.users})

    def _compare(self, connection: MyConnection, endpoint: Endpoint, desired: DesiredState) -> Plan:
        server = self._read(connection, endpoint, desired)
        if server.has_small_letters_only:
            desired = as_it_is_called(desired)
        found = [*problems(server, desired), *self._unmatched(connection, endpoint, server, desired)]
        if found:
            raise PreflightError(found)
        return make_plan(server, desired, self._dialect, self._random_bytes)

    def _openings(
        self, connection: MyConnection, endpoint: Endpoint, users: Sequence[DesiredUser]
    ) -> tuple[Action, ...]:
        desired = DesiredState(tuple(users))
        server = self._read(connection, endpoint, desired)
        listed = listed_accounts(server, desired, self._dialect)
        gone = [shown(one.name) for one in listed if one.account is None]
        if gone:
            raise DatabaseRefusedError(
                f"{endpoint} has no account {', '.join(gone)} any more",
                advice="It was there before the files of sql were run: let them leave it as it is",
            )
        return tuple(opening(server, listed, self._dialect, self._random_bytes))

    def _closings(self, connection: MyConnection, endpoint: Endpoint, users: Sequence[DesiredUser]) -> Plan:
        closed = DesiredState(
            tuple(replace(user, opens=False) for user in users), Logins.KEEP, leftovers=frozenset(Leftover)
        )
        plan = make_plan(self._read(connection, endpoint, closed), closed, self._dialect, self._random_bytes)
        # What they may do stays.
        return replace(plan, rest=())

    def _unmatched(
        self, connection: MyConnection, endpoint: Endpoint, server: Server, desired: DesiredState
    ) -> Iterator[str]:
        """Yield the databases and tables that grants name and that are not there."""
        grants = [(user.name, grant) for user in desired.users for grant in user.grants]
        named = {grant.database for _, grant in grants if grant.table and grant.database in server.databases}
        with our_errors(endpoint, "show its tables"):
            tables = tables_of(connection, {database for database in named if database})
        for user, grant in grants:
            if grant.database is not None and grant.database not in server.databases:
                yield f"there is no database {grant.database} for {user} to get privileges on"
            elif grant.table is not None and (grant.database, grant.table) not in tables:
                yield f"there is no table {grant.table} in database {grant.database} for {user} to get privileges on"

    def _carry_out(self, connection: MyConnection, endpoint: Endpoint, plan: Plan) -> Iterator[Sequence[Change]]:
        """Run one statement after the other, and yield the changes that each has made.

        What closes something goes on where a part of it is refused (I7), and the refusal is raised after it.
        """
        refusals: list[DatabaseRefusedError] = []
        yield from _run_all(connection, endpoint, plan.first, refusals)
        if plan.first or plan.sessions:
            # Whoever came in while the accounts were being closed is counted too.
            self._end_sessions(connection, endpoint, plan.may_stay)
            yield plan.sessions
        if refusals:
            raise refusals[0]
        yield from _run(connection, endpoint, plan.rest)

    def _send_away(
        self, connection: MyConnection, endpoint: Endpoint, plan: Plan, desired: DesiredState, master: Login
    ) -> None:
        """End sessions before anything is changed, the master's included: it may be one by production's password (I7).

        RDS replaces that password when one could log in by it already. And any of them may hold a lock that the changes
        would wait for. Who may come in again is back in no time, but without it.
        """
        may_stay = plan.may_stay
        if desired.logins is Logins.ONLY_LISTED:
            may_stay -= {master.user}
        # What is refused here is asked for again, and told, when the accounts are closed: first the ways in (I7).
        _kill_all(connection, endpoint, self._strangers(connection, endpoint, may_stay))

    def _strangers(self, connection: MyConnection, endpoint: Endpoint, may_stay: frozenset[str]) -> list[int]:
        with our_errors(endpoint, "show its sessions"):
            return [int(row["id"]) for row in sessions_in(connection) if row["name"] not in may_stay]

    def _end_sessions(self, connection: MyConnection, endpoint: Endpoint, may_stay: frozenset[str]) -> None:
        for _ in range(_LOOKS_AT_SESSIONS):
            found = self._strangers(connection, endpoint, may_stay)
            if not found:
                return
            refusals = _kill_all(connection, endpoint, found)
            if refusals:
                raise refusals[0]
            with our_errors(endpoint, "end sessions"):
                connection.query("DO SLEEP(0.05)")

    def _expect_nothing_left(self, connection: MyConnection, endpoint: Endpoint, desired: DesiredState) -> None:
        """Read everything back (I7): who can log in, with which password, and who holds what."""
        expect_nothing_left(endpoint, self._compare(connection, endpoint, desired).changes)


def _run(connection: MyConnection, endpoint: Endpoint, actions: Sequence[Action]) -> Iterator[Sequence[Change]]:
    for action in actions:
        with our_errors(endpoint, "change its users"):
            connection.query(action.statement)
        yield action.changes


def _run_all(
    connection: MyConnection, endpoint: Endpoint, actions: Sequence[Action], refusals: list[DatabaseRefusedError]
) -> Iterator[Sequence[Change]]:
    """Run each, and those that are refused part by part; what is refused then is put into ``refusals``."""
    for action in actions:
        try:
            yield from _run(connection, endpoint, [action])
        except DatabaseRefusedError as refusal:
            if not action.parts:
                refusals.append(refusal)
            yield from _run_all(connection, endpoint, action.parts, refusals)


def _kill_all(connection: MyConnection, endpoint: Endpoint, sessions: Sequence[int]) -> list[DatabaseRefusedError]:
    """End sessions as RDS lets its master do it, and return what was refused; that one has ended already is as good."""
    refusals = []
    for number in sessions:
        refusal = _refused(connection, endpoint, f"CALL mysql.rds_kill({number:d})")
        # In some versions the procedure knows users' names of 16 characters at most. The master may do it itself, too.
        if refusal is not None and _refused(connection, endpoint, f"KILL CONNECTION {number:d}") is not None:
            refusals.append(refusal)
    return refusals


def _refused(connection: MyConnection, endpoint: Endpoint, kill: str) -> DatabaseRefusedError | None:
    try:
        connection.query(kill)
    except pymysql.MySQLError as error:
        if error.args[0] == ER.NO_SUCH_THREAD:
            return None
        failure = statement_failure(error, endpoint, "end a session")
    else:
        return None
    if isinstance(failure, DatabaseRefusedError):
        return failure
    raise failure
