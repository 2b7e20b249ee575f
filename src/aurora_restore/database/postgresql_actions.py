"""Statements that wait to be run, each with the changes that it makes."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from psycopg import sql

from aurora_restore.database.engine import Change


@dataclass(frozen=True, slots=True)
class Action:
    """One statement and what it changes; it is not shown, because a verifier may stand in it (I6).

    ``things``: how many it names, each of which PostgreSQL may keep locked until the transaction ends.
    """

    statement: sql.Composed = field(repr=False)
    changes: tuple[Change, ...] = ()
    things: int = 1


# Statements that belong into one transaction.
Unit = tuple[Action, ...]


def identifiers(names: Iterable[str]) -> sql.Composed:
    """Return role names for a list in a statement, in a stable order."""
    return sql.SQL(", ").join(sql.Identifier(name) for name in sorted(names))
