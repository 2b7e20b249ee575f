"""Sessions with a memory: what was run in a database, and what its tables and queries answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aurora_restore.database.scripts import Answer, Mark, Statement, StatementError


@dataclass
class Contents:
    """A database: statements that were run in it, marks of scripts, and what the tests put there.

    ``watchers``: who besides the master could log in while a statement was run.
    """

    ran: list[str] = field(default_factory=list)
    marked: dict[tuple[str, int], int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    asked_by: list[str] = field(default_factory=list)
    watchers: set[str] = field(default_factory=set)
    timeouts_s: list[float] = field(default_factory=list)
    on_question: Callable[[], None] = lambda: None


@dataclass
class FakeSession:
    """Speaks as a Session: all or nothing, as in a transaction."""

    contents: Contents
    user: str
    on_statement: Callable[[str], None] = lambda _: None

    def marks(self, operation_id: str) -> Mapping[int, int]:
        return {number: done for (owner, number), done in self.contents.marked.items() if owner == operation_id}

    def run(self, statements: Sequence[Statement], mark: Mark | None, timeout_s: Callable[[], float]) -> None:
        key = (mark.operation_id, mark.number) if mark else ("", -1)
        if mark and self.contents.marked.get(key, 0) >= mark.done:
            return
        ran = []
        for statement in statements:
            self.contents.timeouts_s.append(timeout_s())
            self.on_statement(statement.text)
            if statement.text in self.contents.refused:
                raise StatementError(statement.line, self.contents.refused[statement.text])
            ran.append(statement.text)
        self.contents.ran.extend(ran)
        if mark:
            self.contents.marked[key] = mark.done

    def forget(self) -> None:
        self.contents.marked.clear()

    def answer(self, query: str, timeout_s: float) -> Answer:
        self._ask(query, timeout_s)
        return self.contents.answers.get(query, Answer(has_row=False, text=None))

    def count_rows(self, table: str, at_most: int, timeout_s: float) -> int | None:
        self._ask(table, timeout_s)
        rows = self.contents.rows.get(table)
        return None if rows is None else min(rows, at_most)

    def _ask(self, what: str, timeout_s: float) -> None:
        self.contents.timeouts_s.append(timeout_s)
        self.contents.asked_by.append(self.user)
        self.contents.on_question()
        if what in self.contents.refused:
            raise StatementError(1, self.contents.refused[what])
