"""Ownership that changes hands: what moves it, and what the database looks like afterwards."""

from collections.abc import Iterator, Mapping, Sequence
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
class Place:
    """Where the giver's things are: a schema or (None) the database, whose it is, and who of the two may create there.

    ``taker_may_create`` is false for a taker who is not there yet.
    """

    giver: str
    schema: str | None
    owner: str
    giver_may_create: bool
    taker_may_create: bool

    def is_closed(self, *, lends: bool) -> bool:
        """Say whether the taker may not create there, be it as a member of the giver (``lends``)."""
        return not self.taker_may_create and not (lends and self.giver_may_create)


@dataclass(frozen=True, slots=True)
class Owned:
    """How many things of a database each role owns, itself included, and which other databases."""

    database: str
    counts: Mapping[str, int]
    other_databases: Mapping[str, tuple[str, ...]]
    places: tuple[Place, ...] = ()


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
# PostgreSQL does not ask whether a new owner may create where a table or a type is; where all else is, it does.
_PLACES = """
    WITH here AS (SELECT oid, datdba AS owner FROM pg_database WHERE datname = current_database()),
    pair AS (
        SELECT giver.oid AS giver, giver.rolname AS giver_name, taker.oid AS taker
        FROM unnest(%s::name[], %s::name[]) AS pair (giver, taker)
        JOIN pg_roles AS giver ON giver.rolname = pair.giver LEFT JOIN pg_roles AS taker ON taker.rolname = pair.taker
    ),
    thing AS (
        SELECT pair.*, d.classid, (pg_identify_object(d.classid, d.objid, d.objsubid)).schema
        FROM pg_shdepend AS d JOIN here ON here.oid = d.dbid JOIN pair ON pair.giver = d.refobjid
        WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o'
          AND d.classid NOT IN ('pg_class'::regclass, 'pg_type'::regclass)
    )
    SELECT DISTINCT giver_name, n.nspname,
           pg_get_userbyid(CASE pg_get_userbyid(nspowner) WHEN 'pg_database_owner' THEN here.owner ELSE nspowner END),
           has_schema_privilege(giver, n.oid, 'CREATE'), coalesce(has_schema_privilege(taker, n.oid, 'CREATE'), false)
    FROM thing JOIN pg_namespace AS n ON quote_ident(n.nspname) = thing.schema CROSS JOIN here
  UNION ALL
    SELECT DISTINCT giver_name, NULL::name, pg_get_userbyid(here.owner),
           has_database_privilege(giver, here.oid, 'CREATE'),
           coalesce(has_database_privilege(taker, here.oid, 'CREATE'), false)
    FROM thing CROSS JOIN here WHERE classid IN ('pg_namespace'::regclass, 'pg_publication'::regclass)
    ORDER BY 1, 2
"""


def read_owned(connection: PgConnection, transfers: Mapping[str, str]) -> Owned:
    """Read what the roles that give own in the connection's database."""
    givers, takers = list(transfers.keys()), list(transfers.values())
    counts = {role: int(count) for role, count in connection.execute(_COUNTS, [givers])}
    others = {role: tuple(databases) for role, databases in connection.execute(_OTHER_DATABASES, [givers])}
    places = tuple(Place(*row) for row in connection.execute(_PLACES, [givers, takers])) if givers else ()
    return Owned(connection.info.dbname, counts, others, places)


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
            lends = _can_lend(cluster, one, desired)
            closed = [place for place in owned.places if place.giver == one.old and place.is_closed(lends=lends)]
            actions += _transfer(cluster, owned, one, _Ways(lends, closed, transfers_in(owned.database, desired)))
            doubts += _doubts(cluster, owned, one, closed)
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


@dataclass(frozen=True, slots=True)
class _Ways:
    """How the new owner may create where the things are: as a member of the old one, or by their places' owners."""

    lends: bool
    closed: Sequence[Place]
    transfers: Mapping[str, str]

    def owners(self) -> Iterator[str]:
        """Yield whose the places are, before and after the other transfers."""
        for place in self.closed:
            yield from (place.owner, self.transfers.get(place.owner, place.owner))


def _transfer(cluster: Cluster, owned: Owned, one: OwnershipTransfer, ways: _Ways) -> Iterator[Action]:
    """Yield a transfer's statements.

    It takes both roles' privileges, and the new owner must be allowed to create where the things are: it is, for the
    moment, as a member of the old one; and where that one may not either (any more), by a grant of the place's owner.
    """
    old, new = sql.Identifier(one.old), sql.Identifier(one.new)
    reachable = [place for place in ways.closed if cluster.can_act_as(place.owner)]
    take, give_back = borrowing(cluster, {one.old, one.new, *replace(ways, closed=reachable).owners()})
    inherited = sql.SQL(" WITH INHERIT TRUE" if cluster.version >= ADMIN_OPTION_RULES else "")
    yield from take
    if ways.lends:
        yield Action(sql.SQL("GRANT {} TO {}{}").format(old, new, inherited))
    for place in reachable:
        yield Action(sql.SQL("GRANT CREATE ON {} TO {}").format(_name(place, owned), new))
    yield Action(sql.SQL("REASSIGN OWNED BY {} TO {}").format(old, new), (_change(owned, one),))
    if one.database is not None:
        # REASSIGN takes all databases along that the role owns, and the request names one.
        for database in owned.other_databases.get(one.old, ()):
            yield Action(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(database), old))
    for place in reachable:
        yield Action(sql.SQL("REVOKE CREATE ON {} FROM {}").format(_name(place, owned), new))
    if ways.lends:
        yield Action(sql.SQL("REVOKE {} FROM {}").format(old, new))
    yield from give_back


def _name(place: Place, owned: Owned) -> sql.Composed:
    if place.schema is None:
        return sql.SQL("DATABASE {}").format(sql.Identifier(owned.database))
    return sql.SQL("SCHEMA {}").format(sql.Identifier(place.schema))


def _can_lend(cluster: Cluster, one: OwnershipTransfer, desired: DesiredState) -> bool:
    """Say whether the new owner can be made a member of the old one, and no longer be one afterwards."""
    to_be = {user.name: user.roles for user in desired.users}
    related = cluster.groups_of(one.old, to_be) | cluster.groups_of(one.new, to_be)
    return one.old != cluster.master and cluster.can_grant(one.old) and not related & {one.old, one.new}


def _change(owned: Owned, one: OwnershipTransfer) -> Change:
    count = owned.counts[one.old]
    things = f"{count} {'thing' if count == 1 else 'things'} of {one.old} in {owned.database}"
    sentence = f"{things} {'becomes' if count == 1 else 'become'} {one.new}'s"
    return Change(ChangeKind.CHANGE_OWNER, one.new, owned.database, sentence)


def _doubts(cluster: Cluster, owned: Owned, one: OwnershipTransfer, closed: Sequence[Place]) -> Iterator[str]:
    me = cluster.master
    for name in (one.old, one.new):
        if name != me and not cluster.can_act_as(name):
            yield f"{me} may not act for {name}: run GRANT {name} TO {me} WITH ADMIN OPTION as the role that created it"
    for place in closed:
        if not cluster.can_act_as(place.owner):
            where = f"database {owned.database}" if place.schema is None else f"schema {place.schema}"
            yield f"{one.new} may create nothing in {where}, which is {place.owner}'s: grant {one.old} CREATE there"
    yield ("what only a superuser may own, such as an event trigger, has to be dropped or given to another role before")


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
    owning_role = new if item.owning_role == item.owner else item.owning_role
    held = tuple(_once(held for held in renamed if held.user != new))
    return replace(item, owner=new, owning_role=owning_role, held=held)


def _once(held: Iterator[Held]) -> Iterator[Held]:
    return iter(dict.fromkeys(held))
