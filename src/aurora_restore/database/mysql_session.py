"""A session in which scripts run and checks ask, on MySQL: see ``Session``."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import Event, Thread

import pymysql
from pymysql.constants import ER, FIELD_TYPE
from pymysql.cursors import SSCursor

from aurora_restore.database.engine import Endpoint
from aurora_restore.database.mysql_connection import MyConnection, code_and_words, our_errors, rows, statement_failure
from aurora_restore.database.mysql_words import identifier
from aurora_restore.database.scripts import Answer, Mark, Statement, StatementError
from aurora_restore.errors import AuroraRestoreError, DatabaseRefusedError

# Between two tries to end a statement.
_INTERRUPT_AGAIN_S = 2.0
_MAKE_ROOM = (
    "CREATE DATABASE IF NOT EXISTS aurora_restore",
    (
        "CREATE TABLE IF NOT EXISTS aurora_restore.progress"
        " (operation_id VARCHAR(128), number INT, done INT, PRIMARY KEY (operation_id, number)) ENGINE = InnoDB"
    ),
)
# Two calls at once wait for each other here: the second finds the first one's mark, and changes nothing.
_MARK = (
    "INSERT INTO aurora_restore.progress VALUES (%s, %s, %s)"
    " ON DUPLICATE KEY UPDATE done = GREATEST(done, VALUES(done))"
)
_IS_DONE = "SELECT 1 FROM aurora_restore.progress WHERE operation_id = %s AND number = %s AND done >= %s"
# With limits of their own: the server's, sql_select_limit, may be one row.
_PLACES = "SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'aurora_restore' LIMIT 2"
_COLUMNS = (
    "SELECT COLUMN_NAME AS name FROM information_schema.COLUMNS"
    " WHERE TABLE_SCHEMA = 'aurora_restore' AND TABLE_NAME = 'progress' LIMIT 10"
)
_OURS = {"operation_id", "number", "done"}
_TABLE = (
    "SELECT TABLE_SCHEMA AS place, TABLE_NAME AS name FROM information_schema.TABLES"
    " WHERE TABLE_SCHEMA = COALESCE(%s, DATABASE()) AND TABLE_NAME = %s"
)
_NAME = re.compile(r"`((?:[^`]|``)+)`|([^`.\s]+)")
_SYNTAX = frozenset({ER.PARSE_ERROR, ER.SYNTAX_ERROR})
_INTERRUPTED = 1317
_OUT_OF_TIME = frozenset({1969, 3024})  # by a limit of the server's own, in MariaDB and in MySQL
# Errors whose sentence names things only. That of others may quote a value (I6).
_NAMING = frozenset(
    {
        1007, 1008, 1044, 1046, 1048, 1049, 1050, 1051, 1054, 1060, 1061, 1065, 1068, 1072, 1091, 1101, 1109, 1136,
        1142, 1143, 1146, 1193, 1215, 1222, 1227, 1264, 1265, 1304, 1305, 1318, 1356, 1360, 1364, 1370, 1396, 1406,
        1419, 1442, 1451, 1452, 1539, 1786, 1787, 1792, 1822, 3780, 3819,
    }
)  # fmt: skip


class MySQLSession:
    """See ``Session``. Its marks are in a database of its own, which ``forget`` removes."""

    def __init__(self, connection: MyConnection, endpoint: Endpoint, interrupt: Callable[[int], None]) -> None:
        """Take a connection in autocommit, where it leads, and what ends the statement of a connection by its id."""
        self._connection = connection
        self._endpoint = endpoint
        self._interrupt = interrupt
        self._id = int(connection.thread_id())  # type: ignore[no-untyped-call]

    def marks(self, operation_id: str) -> Mapping[int, int]:
        """See ``Session.marks``."""
        with self._marking():
            if not self._is_marked():
                return {}
            query = "SELECT number, done FROM aurora_restore.progress WHERE operation_id = %s"
            return {int(row["number"]): int(row["done"]) for row in rows(self._connection, query, [operation_id])}

    def run(self, statements: Sequence[Statement], mark: Mark | None, timeout_s: Callable[[], float]) -> None:
        """See ``Session.run``."""
        if mark is None:
            self._execute_all(statements, timeout_s)
            return
        self._make_room()
        if any(statement.commits for statement in statements):
            if not self._is_done(mark):
                self._execute_all(statements, timeout_s)
                self._mark(mark)
            return
        with self._transaction():
            if self._mark(mark):
                self._execute_all(statements, timeout_s)
            self._tell("COMMIT")

    def forget(self) -> None:
        """See ``Session.forget``."""
        with self._marking():
            if not self._is_marked():
                return
            # The database may hold what somebody else has put there.
            alone = len(rows(self._connection, _PLACES)) == 1
            doomed = "DATABASE aurora_restore" if alone else "TABLE aurora_restore.progress"
            self._connection.query(f"DROP {doomed}")

    def answer(self, query: str, timeout_s: float) -> Answer:
        """See ``Session.answer``."""
        with self._only_reading():
            return self._ask(Statement(query.strip().rstrip(";"), 1), timeout_s)

    def count_rows(self, table: str, at_most: int, timeout_s: float) -> int | None:
        """See ``Session.count_rows``; schema is the database here."""
        with self._only_reading():
            with self._marking():
                found = rows(self._connection, _TABLE, _parts(table))
            if not found:
                return None
            name = f"{identifier(found[0]['place'])}.{identifier(found[0]['name'])}"
            query = f"SELECT COUNT(*) FROM (SELECT 1 FROM {name} LIMIT {at_most:d}) AS counted"  # noqa: S608
            return int(self._ask(Statement(query, 1), timeout_s).text or 0)

    def _make_room(self) -> None:
        with self._marking():
            if not self._is_marked():
                for statement in _MAKE_ROOM:
                    self._connection.query(statement)

    def _is_marked(self) -> bool:
        columns = {row["name"] for row in rows(self._connection, _COLUMNS)}
        if columns and columns != _OURS:
            raise DatabaseRefusedError(
                f"{self._endpoint} has a table aurora_restore.progress already, which is not the pipeline's",
                advice="The pipeline needs the name for its marks: rename the table in the source",
            )
        return bool(columns)

    def _is_done(self, mark: Mark) -> bool:
        with self._marking():
            return bool(rows(self._connection, _IS_DONE, [mark.operation_id, mark.number, mark.done]))

    def _mark(self, mark: Mark) -> bool:
        """Write the mark; return False if it, or a later one, stands already."""
        with self._marking(), self._connection.cursor() as cursor:
            return bool(cursor.execute(_MARK, [mark.operation_id, mark.number, mark.done]))

    def _execute_all(self, statements: Sequence[Statement], timeout_s: Callable[[], float]) -> None:
        for statement in statements:
            self._ask(statement, timeout_s())

    def _ask(self, statement: Statement, timeout_s: float) -> Answer:
        """Run one statement and return its first row's first column; all else is dropped, as it comes."""
        with self._limited(statement, timeout_s), self._connection.cursor(SSCursor) as cursor:
            cursor.execute(statement.text)
            kind = int(cursor.description[0][1]) if cursor.description else None
            row: tuple[object, ...] | None = None if kind is None else cursor.fetchone()
            while cursor.nextset():
                pass
            return Answer(row is not None, None if row is None else _shown(row[0], kind))

    @contextmanager
    def _limited(self, statement: Statement, timeout_s: float) -> Iterator[None]:
        """Interrupt what takes too long from another connection: MySQL itself limits nothing but SELECT."""
        over = Event()
        watch = Thread(target=self._interrupt_after, args=[timeout_s, over], daemon=True)
        watch.start()
        try:
            yield
        except pymysql.MySQLError as error:
            failure = self._failure(error, statement, timeout_s)
        else:
            return
        finally:
            over.set()
            # An interruption that is under way already must not come to meet the next statement.
            watch.join()
        raise failure

    def _interrupt_after(self, timeout_s: float, over: Event) -> None:
        wait_s = max(timeout_s, 0.001)
        while not over.wait(wait_s):
            wait_s = _INTERRUPT_AGAIN_S
            # Where there is no connection left at the moment, there will be one; without an end it would run for hours.
            with suppress(AuroraRestoreError):
                self._interrupt(self._id)

    def _failure(self, error: pymysql.MySQLError, statement: Statement, timeout_s: float) -> Exception:
        code, said = code_and_words(error)
        if code == _INTERRUPTED:
            return StatementError(statement.line, f"it took longer than {timeout_s:.0f} s")
        if code in _OUT_OF_TIME:
            return StatementError(
                statement.line, "it took longer than the cluster lets a query take (max_execution_time)"
            )
        if code in _SYNTAX:
            place = re.search(r"at line (\d+)$", said)
            return StatementError(
                statement.line + (int(place[1]) - 1 if place else 0), f"a syntax error (error {code})"
            )
        ours = statement_failure(error, self._endpoint, f"run line {statement.line}")
        if not isinstance(ours, DatabaseRefusedError):
            return ours
        if code in _NAMING:
            return StatementError(statement.line, f"{said} (error {code})")
        told = f"error {code}; what the server said is not repeated, because it may hold data"
        return StatementError(statement.line, told)

    def _tell(self, statement: str) -> None:
        with self._marking():
            self._connection.query(statement)

    @contextmanager
    def _only_reading(self) -> Iterator[None]:
        """Let what follows read only. Not just its transaction: what ends that would be free to write."""
        self._tell("SET SESSION TRANSACTION READ ONLY")
        try:
            with self._transaction():
                yield
        finally:
            with suppress(pymysql.MySQLError):
                self._connection.query("SET SESSION TRANSACTION READ WRITE")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Let what follows be as if it had not been, unless it commits."""
        self._tell("START TRANSACTION")
        try:
            yield
        finally:
            # A connection that is lost has nothing to roll back.
            with suppress(pymysql.MySQLError):
                self._connection.rollback()

    @contextmanager
    def _marking(self) -> Iterator[None]:
        with our_errors(self._endpoint, "keep marks of the scripts"):
            yield


def _parts(table: str) -> list[str | None]:
    """Return database and name, as one writes them in SQL; the database is None where it is not said."""
    names = [quoted.replace("``", "`") or plain for quoted, plain in _NAME.findall(table)]
    return [names[0], names[1]] if len(names) == 2 else [None, table if len(names) != 1 else names[0]]


def _shown(value: object, kind: int | None) -> str | None:
    """Return a value as the server wrote it; the session's connection converts none.

    Bits alone it writes in no characters, but in digits where an aggregate has found them: they are a number.
    """
    if isinstance(value, bytes) and kind == FIELD_TYPE.BIT and not value.isdigit():
        return str(int.from_bytes(value))
    return value.decode(errors="replace") if isinstance(value, bytes) else None if value is None else str(value)
