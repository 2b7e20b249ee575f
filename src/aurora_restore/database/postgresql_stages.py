"""The work of one call as stages, each one transaction of one database, between which it may end (I4)."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import LiteralString

from psycopg import sql

from aurora_restore.database.engine import Change, Endpoint, Login, TimeLeft
from aurora_restore.database.postgresql_actions import Action, Unit
from aurora_restore.database.postgresql_connection import Connect, PgConnection, open_connection, our_errors
from aurora_restore.errors import DatabaseRefusedError, NotReadyError

_Failure = DatabaseRefusedError | NotReadyError

# Also where each statement takes fifty times as long as on a laptop.
STATEMENTS_A_STAGE = 500
# Since 18 a GRANT holds a lock on each table; the smallest server has room for 64 times its 100 connections.
THINGS_A_STAGE = 2_000
_SESSION_END_TIMEOUT_MS = 5_000
# The version with a time limit waits for the session to be gone; PostgreSQL 14 brought it.
_WAITING_TERMINATE = sql.SQL("pg_terminate_backend(pid, {})").format(sql.Literal(_SESSION_END_TIMEOUT_MS))
_TERMINATE = sql.SQL("pg_terminate_backend(pid)").format()
_END_SESSIONS = sql.SQL(
    "SELECT {} FROM pg_stat_activity WHERE usename = ANY (%(users)s) AND pid <> pg_backend_pid()"
    " AND coalesce(backend_type, 'client backend') IN ('client backend', 'walsender')"
)
# Production's event triggers look for their tables where they find them when anybody else changes something. So no
# statement of a stage may need a search path of its own.
_THEIR_SEARCH_PATH: LiteralString = "SET LOCAL search_path TO DEFAULT"


@dataclass(frozen=True, slots=True)
class Stage:
    """Statements of one transaction; or, with ``ends_sessions_of``, the end of those roles' sessions.

    ``doing`` completes "… refused to …"; ``doubts`` says what a person can do should PostgreSQL refuse. ``closes``: it
    stops something or takes a way in; so where a part of it is refused, what can be done of it is done, unit by unit.
    """

    database: str
    doing: str
    units: tuple[Unit, ...] = ()
    doubts: tuple[str, ...] = ()
    ends_sessions_of: frozenset[str] = frozenset()
    session_changes: tuple[Change, ...] = ()
    closes: bool = False

    @property
    def changes(self) -> tuple[Change, ...]:
        """The differences that the stage removes."""
        return (*self.session_changes, *(change for unit in self.units for action in unit for change in action.changes))


def stages_of(database: str, doing: str, actions: Sequence[Action], doubts: tuple[str, ...] = ()) -> Iterator[Stage]:
    """Yield stages that run these statements, so few in each that its transaction takes seconds only."""
    for start in range(0, len(actions), STATEMENTS_A_STAGE):
        yield Stage(database, doing, (tuple(actions[start : start + STATEMENTS_A_STAGE]),), doubts)


def run_stages(
    connect: Connect, endpoint: Endpoint, master: Login, stages: Sequence[Stage], time_left: TimeLeft
) -> Iterator[Stage]:
    """Run the stages and yield each that is done: all of them, or until the time is up, but never none that changes.

    A failure ends it, but only after all those that close something: whoever holds the lock that one of them waits for
    may be somebody whose sessions another one ends.
    """
    failures: list[_Failure] = []
    changes: list[Change] = []

    def goes_on(stage: Stage) -> bool:
        if failures and not stage.closes:
            return False
        refused = any(isinstance(one, DatabaseRefusedError) for one in failures)
        return refused or not changes or time_left() >= 0

    for database, group in groupby(stages, key=attrgetter("database")):
        of_database = list(group)
        if not goes_on(of_database[0]):
            break
        with closing(open_connection(connect, endpoint, master, database)) as connection:
            for stage in of_database:
                if not goes_on(stage):
                    break
                try:
                    _run(connection, endpoint, stage)
                except (DatabaseRefusedError, NotReadyError) as failure:
                    failures.append(failure)
                else:
                    changes += stage.changes
                    yield stage
    if failures:
        raise _gravest(failures)


def _gravest(failures: Sequence[_Failure]) -> _Failure:
    return next((one for one in failures if isinstance(one, DatabaseRefusedError)), failures[0])


def _run(connection: PgConnection, endpoint: Endpoint, stage: Stage) -> None:
    if stage.ends_sessions_of:
        _end_sessions(connection, endpoint, stage.ends_sessions_of)
    if not stage.units:
        return
    try:
        _run_units(connection, endpoint, stage, stage.units)
    except DatabaseRefusedError:
        if not stage.closes or len(stage.units) == 1:
            raise
    else:
        return
    _run_apart(connection, endpoint, stage)


def _run_apart(connection: PgConnection, endpoint: Endpoint, stage: Stage) -> None:
    """Run each unit in a transaction of its own; what is refused keeps none of the others from being done."""
    refusals: list[DatabaseRefusedError] = []
    for unit in stage.units:
        try:
            _run_units(connection, endpoint, stage, [unit])
        except DatabaseRefusedError as refusal:
            refusals.append(refusal)
    if refusals:
        raise refusals[0]


def _run_units(connection: PgConnection, endpoint: Endpoint, stage: Stage, units: Iterable[Unit]) -> None:
    """Run the statements in one transaction, without waiting for the answer to each."""
    advice = "; ".join(stage.doubts)
    with our_errors(endpoint, stage.doing, advice), connection.transaction(), connection.pipeline():
        connection.execute(_THEIR_SEARCH_PATH)
        for unit in units:
            for action in unit:
                connection.execute(action.statement)


def _end_sessions(connection: PgConnection, endpoint: Endpoint, users: Iterable[str]) -> None:
    waits = connection.info.server_version >= 140_000
    statement = _END_SESSIONS.format(_WAITING_TERMINATE if waits else _TERMINATE)
    with our_errors(endpoint, "end sessions"):
        connection.execute(statement, {"users": sorted(users)})
