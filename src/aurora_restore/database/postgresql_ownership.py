"""Ownership that changes hands: what moves it, and what the database looks like afterwards."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from psycopg import sql

from aurora_restore.database.engine import Change, ChangeKind, DesiredState
from aurora_restore.database.postgresql_actions import Action
from aurora_restore.database.postgresql_borrowing import borrowing
from aurora_restore.database.postgresql_cluster import ADMIN_OPTION_RULES, Cluster
from aurora_restore.database.postgresql_connection import PgConnection
from aurora_restore.database.postgresql_objects import Held, Object, Objects
from aurora_restore.database_request import OwnershipTransfer


@dataclass(frozen=True, slots=True)
class Owned:
    """How many things of a database each role owns, itself included, and which other databases."""

    database: str
    counts: Mapping[str, int]
    other_databases: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class OwnershipPlan:
    """What to run in one transaction of the database, and what a person can do should it be refused."""

    actions: tuple[Action, ...]
    doubts: tuple[str, ...]


# Not what REASSIGN leaves: default privileges and user mappings are about a role, not its things.
_COUNTS = """
    SELECT r.rolname, count(*)::int
    FROM pg_shdepend AS d
    JOIN pg_roles AS r ON r.oid = d.refobjid
    JOIN pg_database AS here ON here.datname = current_database()
    WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o' AND r.rolname = ANY (%s)
      AND d.classid NOT IN ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass)
      AND (d.dbid = here.oid OR d.dbid = 0 AND d.classid = 'pg_database'::regclass AND d.objid = here.oid)
    GROUP BY r.rolname
"""
_OTHER_DATABASES = """
    SELECT r.rolname, array_agg(d.datname::text ORDER BY d.datname)
    FROM pg_database AS d JOIN pg_roles AS r ON r.oid = d.datdba
    WHERE r.rolname = ANY (%s) AND d.datname <> current_database()
    GROUP BY r.rolname
"""


def read_owned(connection: PgConnection, roles: Collection[str]) -> Owned:
    """Read what the roles own in the connection's database."""
    names = sorted(roles)
    counts = {role: int(count) for role, count in connection.execute(_COUNTS, [names])}
    others = {role: tuple(databases) for role, databases in connection.execute(_OTHER_DATABASES, [names])}
    return Owned(connection.info.dbname, counts, others)


def ownership_problems(cluster: Cluster, desired: DesiredState) -> Iterator[str]:
    """Yield a sentence for each transfer that cannot be, or would not come to an end."""
    listed = {user.name for user in desired.users}
    givers = {one.old for one in desired.ownership}
    databases = {*cluster.databases, *(one.name for one in cluster.barred)}
    for one in desired.ownership:
        for role in (one.old, one.new):
            if role not in cluster.roles and (role == one.old or role not in listed):
                yield f"ownership names the role {role}, which the restored cluster does not have"
            elif role in cluster.roles and role != cluster.master and cluster.belongs_to_rds(role):
                yield f"ownership names the role {role}, which belongs to RDS"
        if one.new in givers:
            yield f"ownership takes from {one.new} and gives to it: one of the two"
        if one.database is not None and one.database not in databases:
            yield f"ownership names database {one.database}, which the restored cluster does not have"


def transfers_in(database: str, desired: DesiredState) -> dict[str, str]:
    """Return whose things become whose in a database."""
    return {one.old: one.new for one in _in(database, desired.ownership)}


def plan_ownership(cluster: Cluster, owned: Owned, desired: DesiredState) -> OwnershipPlan:
    """Decide what has to change hands in a database."""
    actions: list[Action] = []
    doubts: list[str] = []
    for one in _in(owned.database, desired.ownership):
        if owned.counts.get(one.old):
            actions += _transfer(cluster, owned, one)
            doubts += _doubts(cluster, one)
    return OwnershipPlan(tuple(actions), tuple(doubts))


def transferred(objects: Objects, transfers: Mapping[str, str]) -> Objects:
    """Return the database as it is when the transfers are made: PostgreSQL hands an owner's privileges on, too."""
    if not transfers:
        return objects
    return replace(
        objects,
        items=tuple(_transferred(item, transfers) for item in objects.items),
    )


def _in(database: str, transfers: Sequence[OwnershipTransfer]) -> Iterator[OwnershipTransfer]:
    return (one for one in transfers if one.database in {None, database})


def _transfer(cluster: Cluster, owned: Owned, one: OwnershipTransfer) -> Iterator[Action]:
    """Yield a transfer's statements.

    It takes both roles' privileges, and the new owner must be allowed to create where the things are: it is, for the
    moment, as a member of the old one.
    """
    old, new = sql.Identifier(one.old), sql.Identifier(one.new)
    take, give_back = borrowing(cluster, {one.old, one.new})
    lends = _can_lend(cluster, one)
    inherited = sql.SQL(" WITH INHERIT TRUE" if cluster.version >= ADMIN_OPTION_RULES else "")
    yield from take
    if lends:
        yield Action(sql.SQL("GRANT {} TO {}{}").format(old, new, inherited))
    yield Action(sql.SQL("REASSIGN OWNED BY {} TO {}").format(old, new), (_change(owned, one),))
    if one.database is not None:
        # REASSIGN takes all databases along that the role owns, and the request names one.
        for database in owned.other_databases.get(one.old, ()):
            yield Action(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(database), old))
    if lends:
        yield Action(sql.SQL("REVOKE {} FROM {}").format(old, new))
    yield from give_back


def _can_lend(cluster: Cluster, one: OwnershipTransfer) -> bool:
    related = cluster.groups_of(one.old) | cluster.groups_of(one.new)
    return one.old != cluster.master and cluster.can_grant(one.old) and not related & {one.old, one.new}


def _change(owned: Owned, one: OwnershipTransfer) -> Change:
    count = owned.counts[one.old]
    things = f"{count} {'thing' if count == 1 else 'things'} of {one.old} in {owned.database}"
    sentence = f"{things} {'becomes' if count == 1 else 'become'} {one.new}'s"
    return Change(ChangeKind.CHANGE_OWNER, one.new, owned.database, sentence)


def _doubts(cluster: Cluster, one: OwnershipTransfer) -> Iterator[str]:
    me = cluster.master
    for name in (one.old, one.new):
        if name != me and not cluster.can_act_as(name):
            yield f"{me} may not act for {name}: run GRANT {name} TO {me} WITH ADMIN OPTION as the role that created it"


def _transferred(item: Object, transfers: Mapping[str, str]) -> Object:
    new = transfers.get(item.owner)
    if new is None:
        return item
    renamed = (
        replace(
            held,
            user=new if held.user == item.owner else held.user,
            grantor=new if held.grantor == item.owner else held.grantor,
            is_by_owner=held.is_by_owner or held.grantor == new,
        )
        for held in item.held
    )
    return replace(item, owner=new, held=tuple(_once(held for held in renamed if held.user != new)))


def _once(held: Iterator[Held]) -> Iterator[Held]:
    return iter(dict.fromkeys(held))
