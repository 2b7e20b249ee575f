"""Statements that wait to be run, each with the changes that it makes."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from psycopg import sql

from aurora_restore.database.engine import Change


@dataclass(frozen=True, slots=True)
class Action:
    """One statement and what it changes; it is not shown, because a verifier may stand in it (I6)."""

    statement: sql.Composed = field(repr=False)
    changes: tuple[Change, ...] = ()


def identifiers(names: Iterable[str]) -> sql.Composed:
    """Return role names for a list in a statement, in a stable order."""
    return sql.SQL(", ").join(sql.Identifier(name) for name in sorted(names))


def borrowing(roles: Collection[str], master: str, *, grantors_exist: bool) -> tuple[list[Action], list[Action]]:
    """Return how the master takes roles' privileges on, and how it puts them down again.

    Both belong into one transaction: nobody else ever sees the membership, and a killed run leaves none. Needs that the
    master is no member of any of the roles yet. ``grantors_exist``: PostgreSQL 16 or later.
    """
    names, me = identifiers(roles), sql.Identifier(master)
    if not roles:
        return [], []
    if grantors_exist:
        take = sql.SQL("GRANT {} TO {} WITH INHERIT TRUE, SET TRUE").format(names, me)
        give_back = sql.SQL("REVOKE {} FROM {} GRANTED BY {}").format(names, me, me)
    else:
        take = sql.SQL("GRANT {} TO {}").format(names, me)
        give_back = sql.SQL("REVOKE {} FROM {}").format(names, me)
    return [Action(take)], [Action(give_back)]
