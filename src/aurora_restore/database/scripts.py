"""SQL files as an engine runs them, and the session in which it does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

# The first line of a file that is not to be one transaction.
DIRECTIVE = "-- aurora-restore:"
ALONE = f"{DIRECTIVE} no transaction"
# Enough of a statement's words to tell what it is.
MOST_WORDS = 60
# No check can begin so: it is asked in a transaction that can only read.
_CHANGES = frozenset(
    "ALTER CREATE DELETE DO DROP GRANT INSERT LOCK MERGE REPLACE RESET REVOKE SET TRUNCATE UPDATE USE".split()
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a script, and the line of the file on which it begins.

    ``only_sets``: it changes nothing but the session (SET, RESET, USE), so that it is run again whenever a script is
    gone on with in a new session. ``commits``: the engine ends the transaction for it (MySQL's DDL), so that its mark
    comes after it and not with it.
    """

    text: str
    line: int
    only_sets: bool = False
    commits: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """A file's statements. ``as_a_whole``: in one transaction, all or nothing; else one by one.

    ``mistakes``: a sentence with its line for each thing that cannot be run; then there is nothing to run.
    """

    statements: tuple[Statement, ...]
    as_a_whole: bool = True
    mistakes: tuple[str, ...] = ()

    @property
    def no_question(self) -> str | None:
        """Say what it is instead of one query that a check could ask; None if it may be one."""
        if self.mistakes:
            return f"SQL that cannot be run, {self.mistakes[0]}"
        if len(self.statements) > 1:
            return f"{len(self.statements)} statements"
        word = self.statements[0].text.split(maxsplit=1)[0].upper()
        return f"{word}, which is no question" if word in _CHANGES else None


@dataclass(frozen=True, slots=True)
class Mark:
    """How far an operation is with a script: the first ``done`` statements of the request's ``number``-th one."""

    operation_id: str
    number: int
    done: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A query's first row: its first column as the server writes it, None for NULL or where there was no row.

    What was found is data: it is compared and never told (I6).
    """

    has_row: bool
    text: str | None


class StatementError(Exception):
    """The server refused a statement for good. ``said`` holds no data of a row, no statement and no password (I6)."""

    def __init__(self, line: int, said: str) -> None:
        """Take the line of the file on which the mistake is, and what the server said of it."""
        self.line = line
        self.said = said
        super().__init__(f"line {line}: {said}")


class Session(Protocol):
    """A user's connection to one database, with the user's own settings.

    Raises DatabaseUnreachableError when the server goes away, NotReadyError for a lock or a deadlock that passes, and
    StatementError when the server refuses what it was asked, or takes longer than it may.
    """

    def marks(self, operation_id: str) -> Mapping[int, int]:
        """Return how many statements of each script this database has seen, by the script's number. Reads only."""
        ...

    def run(self, statements: Sequence[Statement], mark: Mark | None, timeout_s: Callable[[], float]) -> None:
        """Run statements and write ``mark`` into the database, in one transaction if the engine has one for them.

        Where it has none (MySQL's DDL, PostgreSQL's VACUUM) the mark follows the statement at once. A mark that
        stands already means that another call did it: then nothing is done. ``timeout_s`` says before each statement
        how long it may take. Rows that a statement returns are thrown away. Without a mark they are run as they are:
        they only set the session.
        """
        ...

    def forget(self) -> None:
        """Remove every mark that ``run`` has written, so that nothing of the pipeline's stays in the database."""
        ...

    def answer(self, query: str, timeout_s: float) -> Answer:
        """Return the first row of one query; in a transaction that cannot write, and rolled back."""
        ...

    def count_rows(self, table: str, at_most: int, timeout_s: float) -> int | None:
        """Return how many rows a table has, counted up to ``at_most``; None where there is no such table.

        ``table`` is schema.table as one writes it in SQL. Raises StatementError where the user may not read it.
        """
        ...


def run_script(
    session: Session,
    script: Script,
    *,
    operation_id: str,
    number: int,
    timeout_s: Callable[[], float],
    may_go_on: Callable[[], bool],
) -> bool:
    """Run what is not yet done of the request's ``number``-th script; return False when the time was up first.

    ``timeout_s`` says how long the next statement may take, ``may_go_on``, asked after each that was run by itself,
    whether the next may be begun. Raises what ``Session`` raises.
    """
    done = session.marks(operation_id).get(number, 0)
    left = script.statements[done:]
    if not left:
        return True
    if script.as_a_whole:
        session.run(left, Mark(operation_id, number, len(script.statements)), timeout_s)
        return True
    # What an earlier session was told by SET is gone with it.
    session.run([each for each in script.statements[:done] if each.only_sets], None, timeout_s)
    for place, statement in enumerate(left, start=done):
        if place > done and not may_go_on():
            return False
        session.run([statement], Mark(operation_id, number, place + 1), timeout_s)
    return True
