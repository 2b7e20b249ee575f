"""How the master takes other roles' privileges on for the length of a transaction. Pure.

Only an owner's privileges let one grant, only a grantor's let one revoke, and the master of RDS is no superuser.
"""

from collections.abc import Collection, Iterator
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from psycopg import sql

from aurora_restore.database.postgresql_actions import Action, identifiers
from aurora_restore.database.postgresql_cluster import ADMIN_OPTION_RULES, Cluster, Membership


class _Loan(NamedTuple):
    role: str
    grantor: str


def borrowing(cluster: Cluster, roles: Collection[str]) -> tuple[list[Action], list[Action]]:
    """Return how the master takes roles' privileges on, and how it puts them down again.

    Both belong into one transaction: nobody else ever sees the memberships, and a killed run leaves none. For a role
    that the master holds anyhow nothing is done; one that is not there yet is taken for the master's to be.
    """
    wanted = [name for name in sorted(roles) if name not in cluster.roles or not cluster.roles[name].is_held]
    if not wanted:
        return [], []
    if cluster.version >= ADMIN_OPTION_RULES:
        return _as_administrator(cluster, wanted)
    return _as_creator_of_roles(cluster, wanted)


def grantor_of(cluster: Cluster, role: str) -> str:
    """Return as whom the master makes others members of a role: itself if it may, or else the nearest who may.

    From PostgreSQL 16 on that takes ADMIN OPTION, which whoever made the role has; the master may have it on that one
    only. Where it has it on nobody, its own name is returned, because that is tried nevertheless.
    """
    able = sorted(one.member for one in cluster.memberships if one.role == role and one.is_administered)
    if cluster.version < ADMIN_OPTION_RULES or cluster.master in able:
        return cluster.master
    held = [name for name in able if cluster.roles[name].is_held]
    return next(iter([*held, *(name for name in able if cluster.can_grant(name))]), cluster.master)


def _as_administrator(cluster: Cluster, wanted: Collection[str]) -> tuple[list[Action], list[Action]]:
    me = sql.Identifier(cluster.master)
    take: list[Action] = []
    give_back: list[Action] = []
    loans = list(dict.fromkeys(loan for role in wanted for loan in _loans(cluster, role)))
    for grantor, group in groupby(loans, key=attrgetter("grantor")):
        names = [loan.role for loan in group]
        by = sql.SQL(" GRANTED BY {}").format(sql.Identifier(grantor))
        more = sql.SQL("") if grantor == cluster.master else by
        statement = sql.SQL("GRANT {} TO {} WITH INHERIT TRUE, SET TRUE{}").format(identifiers(names), me, more)
        take.append(Action(statement))
        there = {one.role: one for one in cluster.memberships_of(cluster.master) if one.grantor == grantor}
        new = [name for name in names if name not in there]
        as_it_was = [_as_it_was(there[name]) for name in names if name in there]
        revoke = sql.SQL("REVOKE {} FROM {}{}").format(identifiers(new), me, by)
        give_back = [*as_it_was, *([Action(revoke)] if new else []), *give_back]
    return take, give_back


def _loans(cluster: Cluster, role: str) -> Iterator[_Loan]:
    """Yield what has to be borrowed, in this order: before the role, perhaps, who may lend it.

    It has an end, because PostgreSQL lets nobody be a member of their own member.
    """
    grantor = grantor_of(cluster, role)
    if not cluster.roles[grantor].is_held:
        yield from _loans(cluster, grantor)
    yield _Loan(role, grantor)


def _as_it_was(one: Membership) -> Action:
    """Return what gives the master's own membership the options back that it had."""
    options = (sql.SQL("TRUE" if is_on else "FALSE") for is_on in (one.is_inherited, one.may_set))
    names = (sql.Identifier(name) for name in (one.role, one.member))
    statement = sql.SQL("GRANT {} TO {} WITH INHERIT {}, SET {} GRANTED BY {}")
    return Action(statement.format(*names, *options, sql.Identifier(one.grantor)))


def _as_creator_of_roles(cluster: Cluster, wanted: Collection[str]) -> tuple[list[Action], list[Action]]:
    me, names = sql.Identifier(cluster.master), identifiers(wanted)
    take, give_back = sql.SQL("GRANT {} TO {}").format(names, me), sql.SQL("REVOKE {} FROM {}").format(names, me)
    # Nobody can be a member of their own member, so where the master lends its own privileges it takes them back first.
    circle = [one for one in cluster.memberships if one.role == cluster.master and _leads_to(cluster, one, wanted)]
    cut = [sql.SQL("REVOKE {} FROM {}").format(me, sql.Identifier(one.member)) for one in circle]
    mend = [
        sql.SQL("GRANT {} TO {}{}").format(
            me, sql.Identifier(one.member), sql.SQL(" WITH ADMIN OPTION" if one.is_administered else "")
        )
        for one in circle
    ]
    return [*map(Action, cut), Action(take)], [Action(give_back), *map(Action, mend)]


def _leads_to(cluster: Cluster, one: Membership, roles: Collection[str]) -> bool:
    return any(one.member in {role, *cluster.groups_of(role)} for role in roles)
