"""Checks of the restored data: what is asked, and whether the answer is the one that was wanted.

A value that a query finds is a piece of a row, and a check's result goes into state, audit and message. So none is ever
told, numbers included: whether one is a count or a salary, nobody can see. Only ``rows_at_least`` tells a number, which
is a count by its making (I6).
"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from aurora_restore.database.scripts import Answer, Session, StatementError
from aurora_restore.database_request import Verification

_TRUE, _FALSE = frozenset({"t", "true", "1"}), frozenset({"f", "false", "0"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check came to, as a sentence for people."""

    holds: bool
    sentence: str


def verify(session: Session, check: Verification, name: str, timeout_s: float) -> Finding:
    """Ask what a check asks, as the session's user. Raises what ``Session`` raises but StatementError."""
    try:
        if check.table is not None:
            return _about_table(
                name, check.rows_at_least, session.count_rows(check.table, check.rows_at_least, timeout_s)
            )
        fault = _fault(check, session.answer(str(check.query), timeout_s))
    except StatementError as error:
        where = f", line {error.line}" if check.query and "\n" in check.query.strip() else ""
        return Finding(holds=False, sentence=f"{name}{where}: {error.said}")
    return Finding(holds=fault is None, sentence=f"{name}: {fault or 'the query returned what it must'}")


def _about_table(name: str, wanted: int, counted: int | None) -> Finding:
    if counted is None:
        return Finding(holds=False, sentence=f"{name}: it does not exist")
    if counted < wanted:
        return Finding(holds=False, sentence=f"{name}: it has {_rows(counted)}, and {wanted:,} must be there at least")
    return Finding(holds=True, sentence=f"{name}: it has at least {_rows(wanted)}" if wanted else f"{name}: it exists")


def _rows(count: int) -> str:
    return f"{count:,} {'row' if count == 1 else 'rows'}"


def _fault(check: Verification, answer: Answer) -> str | None:
    if not answer.has_row:
        return "the query returned no row"
    if answer.text is None:
        return "the query returned NULL"
    return None if means(answer.text, check.returns) else "the query returned another value"


def means(found: str, wanted: object) -> bool:
    """Say whether the text in which a server writes a value means the value that was wanted.

    Numbers are compared as numbers (1.50 is 1.5), truth in the words of both engines, all else letter by letter.
    """
    match wanted:
        case bool():
            return found.lower() in (_TRUE if wanted else _FALSE)
        case int() | float():
            try:
                return Decimal(found) == Decimal(str(wanted))
            except InvalidOperation:
                return False
        case _:
            return found == wanted
