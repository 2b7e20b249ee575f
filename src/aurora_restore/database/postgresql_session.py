"""A session in which scripts run and checks ask, on PostgreSQL: see ``Session``."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import LiteralString, NoReturn

import psycopg
from psycopg import errors, sql
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

from aurora_restore.database.engine import Endpoint
from aurora_restore.database.postgresql_connection import PgConnection, our_errors
from aurora_restore.database.scripts import ALONE, Answer, Mark, Statement, StatementError
from aurora_restore.errors import DatabaseRefusedError, DatabaseUnreachableError, NotReadyError

_SCHEMA = sql.Identifier("aurora_restore")
_PROGRESS = sql.Identifier("aurora_restore", "progress")
# All statements of our own are told where each type, function and operator is: the session has the search path of the
# database, and an operator of production's owner on it would do whatever that one likes, as the master.
_MAKE_TABLE = sql.SQL(
    "CREATE TABLE IF NOT EXISTS {} (operation_id pg_catalog.text, number integer, done integer,"
    " PRIMARY KEY (operation_id, number))"
).format(_PROGRESS)
# Two calls at once wait for each other here: the one that comes second finds the first one's mark.
_MARK = sql.SQL(
    "INSERT INTO {} AS p VALUES (%s, %s, %s)"
    " ON CONFLICT (operation_id, number) DO UPDATE SET done = excluded.done"
    " WHERE p.done OPERATOR(pg_catalog.<) excluded.done"
).format(_PROGRESS)
_MARKS = sql.SQL("SELECT number, done FROM {} WHERE operation_id OPERATOR(pg_catalog.=) %s").format(_PROGRESS)
_OWNER = """
    SELECT pg_catalog.pg_get_userbyid(c.relowner), current_user FROM pg_catalog.pg_class AS c
    WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('aurora_restore.progress')
"""
_HAS_OTHER_THINGS = """
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS d
        JOIN pg_catalog.pg_namespace AS n ON d.refobjid OPERATOR(pg_catalog.=) n.oid
        WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
          AND n.nspname OPERATOR(pg_catalog.=) 'aurora_restore'
    )
"""
_TABLE = """
    SELECT n.nspname, c.relname FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(%s)
      AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}'::pg_catalog."char"[])
"""
_COUNT = sql.SQL("SELECT pg_catalog.count(*) FROM (SELECT FROM {} LIMIT {}) AS counted")
_CHECK = b"DECLARE aurora_restore_check NO SCROLL CURSOR FOR "
_FIRST_ROW = b"FETCH FORWARD 1 FROM aurora_restore_check"

# A statement that no transaction takes is refused before it has done anything.
_ALONE = frozenset({"25001", "2D000"})
_CANCELLED = "57014"
_PARAMETERS = "08P01"
_LOST = ("08", "57P")
_PASSES = {"40001": "a concurrent change", "40P01": "a deadlock", "55P03": "a lock that somebody else holds"}
# Classes of errors whose first sentence names things only. That of others (22, P0 …) may quote a value (I6).
_NAMING = frozenset("0A 0L 23 25 28 2B 2D 34 3B 3D 3F 42 44 53 54 55".split())
# Of things that are not there: a row's text that was taken for a name (``name::regclass``) is named in them, too.
_MISSING = frozenset("34 3D 3F 42".split())
_NAMED = re.compile(r'"([^"]*)"|: (.*)')
_SYNTAX = "42601"
# Where in PostgreSQL's sources the errors come from that a function makes up itself, message and code.
_LANGUAGES = ("pl_exec", "plperl", "pltcl", "plpy", "plv8", "plrust")


class PostgreSQLSession:
    """See ``Session``."""

    def __init__(self, connection: PgConnection, endpoint: Endpoint) -> None:
        """Take a connection in autocommit, and where it leads."""
        self._connection = connection
        self._endpoint = endpoint
        self._timeout_ms = 0

    def marks(self, operation_id: str) -> Mapping[int, int]:
        """See ``Session.marks``."""
        with self._marking():
            if not self._is_marked():
                return {}
            return dict(self._connection.execute(_MARKS, [operation_id]).fetchall())

    def run(self, statements: Sequence[Statement], mark: Mark | None, timeout_s: Callable[[], float]) -> None:
        """See ``Session.run``."""
        if mark is None:
            self._execute_all(statements, timeout_s)
            return
        self._make_room()
        try:
            with self._transaction(statements[-1].line):
                if self._mark(mark):
                    self._execute_all(statements, timeout_s)
        except _NeedsToBeAloneError as refusal:
            if len(statements) > 1:
                said = f"{refusal.said}: if it runs by itself, say so in the file's first line: {ALONE}"
                raise StatementError(refusal.line, said) from None
            self._execute_all(statements, timeout_s)
            with self._marking():
                self._mark(mark)

    def forget(self) -> None:
        """See ``Session.forget``."""
        with self._marking(), self._connection.transaction():
            if not self._is_marked():
                return
            self._connection.execute(sql.SQL("DROP TABLE {}").format(_PROGRESS))
            if not self._holds(_HAS_OTHER_THINGS):
                self._connection.execute(sql.SQL("DROP SCHEMA {}").format(_SCHEMA))

    def answer(self, query: str, timeout_s: float) -> Answer:
        """See ``Session.answer``."""
        with self._undone():
            self._limit(timeout_s)
            # A cursor is of one query only, and of one that reads; and just one row comes over the network.
            self._send(_CHECK + query.strip().rstrip(";").encode(), 1, len(_CHECK))
            found = self._send(_FIRST_ROW, 1)
            return Answer(has_row=bool(found), text=found[0] if found else None)

    def count_rows(self, table: str, at_most: int, timeout_s: float) -> int | None:
        """See ``Session.count_rows``."""
        with self._undone():
            self._limit(timeout_s)
            found = self._connection.execute(_TABLE, [table]).fetchone()
            if found is None:
                return None
            counted = self._connection.execute(_COUNT.format(sql.Identifier(*found), at_most)).fetchone()
            return int(counted[0]) if counted else 0

    def _make_room(self) -> None:
        with self._marking():
            if self._is_marked():
                return
            try:
                with self._connection.transaction():
                    self._connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(_SCHEMA))
                    self._connection.execute(_MAKE_TABLE)
            except (errors.UniqueViolation, errors.DuplicateObject):
                # Two calls at once make the same thing: "if not exists" does not help them.
                raise NotReadyError(f"{self._endpoint} is being prepared for the scripts by another call") from None

    def _mark(self, mark: Mark) -> bool:
        """Write the mark; return False if it, or a later one, stands already."""
        with self._marking():
            return self._connection.execute(_MARK, [mark.operation_id, mark.number, mark.done]).rowcount == 1

    def _is_marked(self) -> bool:
        """Say whether there are marks. Another's table could bring triggers, which would run as the master."""
        owner, me = self._connection.execute(_OWNER).fetchone() or (None, None)
        if owner != me:
            raise DatabaseRefusedError(
                f"{self._endpoint} has a table aurora_restore.progress already, which is {owner}'s",
                advice="The pipeline needs the name for its marks: rename the schema in the source",
            )
        return owner is not None

    def _holds(self, query: LiteralString) -> bool:
        return self._connection.execute(query).fetchone() == (True,)

    def _execute_all(self, statements: Sequence[Statement], timeout_s: Callable[[], float]) -> None:
        for statement in statements:
            self._limit(timeout_s())
            self._send(statement.text.encode(), statement.line)

    def _limit(self, timeout_s: float) -> None:
        timeout_ms = max(round(timeout_s * 1000), 1)
        self._timeout_ms = timeout_ms
        self._send(b"SET statement_timeout = %d" % timeout_ms, 1)

    def _send(self, statement: bytes, line: int, offset: int = 0) -> list[str | None]:
        """Run one statement; return its last row's first column in a list, or nothing. All other rows are dropped."""
        server = self._connection.pgconn
        # The protocol that takes one statement only: should the script have been taken apart wrongly, it is refused.
        server.send_query_params(statement, None)
        server.set_single_row_mode()
        found: list[str | None] = []
        failure: PGresult | None = None
        while (result := server.get_result()) is not None:
            if result.status in {ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH}:
                self._connection.close()
                raise StatementError(line, "COPY from STDIN or to STDOUT needs psql")
            if result.status == ExecStatus.FATAL_ERROR:
                failure = result
            elif result.ntuples and result.nfields:
                value = result.get_value(0, 0)
                found = [None if value is None else value.decode()]
        if failure is not None:
            self._refuse(failure, statement, line, offset)
        return found

    def _refuse(self, failure: PGresult, statement: bytes, line: int, offset: int) -> NoReturn:
        """Raise our error for the server's."""
        state = (failure.error_field(DiagnosticField.SQLSTATE) or b"").decode()
        place = int(failure.error_field(DiagnosticField.STATEMENT_POSITION) or 0)
        if place:
            line += statement.decode()[offset : place - 1].count("\n")
        said = (failure.error_field(DiagnosticField.MESSAGE_PRIMARY) or b"").decode(errors="replace")
        is_inner = failure.error_field(DiagnosticField.INTERNAL_QUERY) is not None
        raised_in = (failure.error_field(DiagnosticField.SOURCE_FILE) or b"").decode(errors="replace")
        if is_inner or _is_a_functions(raised_in) or (not place and _names_others(state, said, statement.decode())):
            said = ""
        raise self._failure(state, said, line)

    def _failure(self, state: str, said: str, line: int) -> Exception:
        if state in _ALONE:
            return _NeedsToBeAloneError(line, _told(state, said))
        if state == _PARAMETERS:
            return StatementError(line, "it has a parameter ($1), for which nobody has a value")
        if not state or state.startswith(_LOST):
            return DatabaseUnreachableError(f"{self._endpoint} went away during line {line}")
        if state in _PASSES:
            return NotReadyError(f"{self._endpoint} could not run line {line} because of {_PASSES[state]}")
        if state == _CANCELLED:
            return StatementError(line, f"it took longer than {self._timeout_ms / 1000:g} s")
        return StatementError(line, _told(state, said))

    @contextmanager
    def _marking(self) -> Iterator[None]:
        with our_errors(self._endpoint, "keep marks of the scripts"):
            # As the login itself: the role that its sessions begin with (ALTER ROLE … SET role) may do less.
            self._connection.execute("SET ROLE NONE")
            yield
            self._connection.execute("RESET ROLE")

    @contextmanager
    def _transaction(self, line: int) -> Iterator[None]:
        """Make one transaction; what is refused at its end, a deferred constraint, is told with ``line``."""
        try:
            with self._connection.transaction():
                yield
        except psycopg.Error as error:
            said = "" if _is_a_functions(error.diag.source_file or "") else error.diag.message_primary or ""
            failure = self._failure(error.sqlstate or "", said, line)
        else:
            return
        if isinstance(failure, StatementError):
            failure = StatementError(line, f"at the end of the transaction: {failure.said}")
        raise failure

    @contextmanager
    def _undone(self) -> Iterator[None]:
        """Let what follows read only, and be as if it had not been."""
        self._connection.read_only = True
        try:
            with self._connection.transaction(force_rollback=True):
                yield
        except psycopg.Error as error:
            failure = self._failure(error.sqlstate or "", error.diag.message_primary or "", 1)
        else:
            return
        finally:
            if not self._connection.closed:
                self._connection.read_only = None
        raise failure


class _NeedsToBeAloneError(StatementError):
    pass


def _is_a_functions(source_file: str) -> bool:
    """Say whether a function's own words are the error (RAISE), which under any code may be data."""
    return source_file.rpartition("/")[2].startswith(_LANGUAGES)


def _names_others(state: str, said: str, statement: str) -> bool:
    """Say whether a refusal without a place in the statement names something that does not stand in it."""
    if state[:2] not in _MISSING:
        return False
    written = _bare(statement)
    return any(_bare(quoted or last) not in written for quoted, last in _NAMED.findall(said))


def _bare(text: str) -> str:
    return "".join(text.replace('"', "").split()).lower()


def _told(state: str, said: str) -> str:
    """Return what may be told of a refusal: what it names, but no value that may be data (I6)."""
    if state == _SYNTAX:
        return f"a syntax error (SQLSTATE {state})"
    if state[:2] in _NAMING and said:
        return f"{said} (SQLSTATE {state})"
    try:
        kind = errors.lookup(state).__name__
    except KeyError:
        kind = "an error"
    return f"{kind} (SQLSTATE {state}); what the server said is not repeated, because it may hold data"
