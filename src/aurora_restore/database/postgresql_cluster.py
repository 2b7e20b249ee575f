"""The roles, memberships, sessions and databases of a PostgreSQL server, as its catalogs say they are now."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import LiteralString

from psycopg import sql
from psycopg.rows import class_row

from aurora_restore.database.postgresql_connection import PgConnection

# PostgreSQL 16 made CREATEROLE mean "the roles I have ADMIN OPTION on", and memberships belong to their grantor.
ADMIN_OPTION_RULES = 160_000

# What RDS itself logs in with. Its other roles (rds_superuser, rds_iam …) cannot log in.
_RDS_LOGINS = frozenset({"rdsadmin", "rdstopmgr", "rdsrepladmin", "rdswriteforwarduser", "rdsproxyadmin"})


@dataclass(frozen=True, slots=True)
class Role:
    """A role and, in the last two fields, what the master may do about it.

    ``is_barred``: a connection limit of 0, or a password that has expired. ``valid_until``: None for a password that
    never ends. ``is_held``: the master has the role's privileges and may become it. ``is_administered``: it has ADMIN
    OPTION on it, be it only as a member of a member.
    """

    name: str
    can_login: bool
    is_superuser: bool
    creates_roles: bool
    creates_databases: bool
    inherits: bool
    replicates: bool
    bypasses_rls: bool
    is_barred: bool
    connection_limit: int | None
    valid_until: datetime | None
    is_held: bool
    is_administered: bool


@dataclass(frozen=True, slots=True)
class Membership:
    """``member`` is in ``role``, because ``grantor`` said so.

    ``is_administered``: it may make others members. ``is_inherited``: it has the role's privileges without SET ROLE.
    ``may_set``: it may SET ROLE.
    """

    role: str
    member: str
    grantor: str
    is_administered: bool = False
    is_inherited: bool = True
    may_set: bool = True


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a role's sessions: in one database or (None) in all.

    ``is_guarded``: PostgreSQL lets only superusers change it, and the master has not been given it.
    """

    role: str
    database: str | None
    name: str
    value: str
    is_guarded: bool


@dataclass(frozen=True, slots=True)
class Session:
    """How many connections a role has now."""

    user: str
    count: int


@dataclass(frozen=True, slots=True)
class DatabaseEntry:
    """A database; ``is_open``: connections are allowed, ``may_enter``: the master's are."""

    name: str
    owner: str
    is_open: bool
    may_enter: bool


@dataclass(frozen=True, slots=True)
class Cluster:
    """What all databases of a server share.

    ``databases`` are those that one can look into, ``barred`` those that let everybody but the master in, or at least
    somebody; ``shut`` let nobody in.
    """

    version: int
    master: str
    roles: dict[str, Role]
    memberships: tuple[Membership, ...]
    sessions: tuple[Session, ...]
    databases: tuple[str, ...]
    barred: tuple[DatabaseEntry, ...]
    shut: tuple[str, ...]
    settings: tuple[Setting, ...]
    now: datetime

    def belongs_to_rds(self, name: str) -> bool:
        """Say whether a login is RDS's own or PostgreSQL's.

        A name that starts with rds_ is not enough: production may have called a user rds_reader. If the master
        administers it, the master made it, and I7 holds for it.
        """
        if name in _RDS_LOGINS or name.startswith("pg_"):
            return True
        return name.startswith("rds_") and not (name in self.roles and self.roles[name].is_administered)

    def can_act_as(self, name: str) -> bool:
        """Say whether the master has the role's privileges or may give them to itself for a moment."""
        role = self.roles.get(name)
        if role is None or role.is_held:  # a role that is about to be created will be the master's
            return True
        return self.can_grant(name)

    def can_grant(self, name: str) -> bool:
        """Say whether PostgreSQL lets the master give and end memberships of the role."""
        me, role = self.roles[self.master], self.roles[name]
        if me.is_superuser:
            return True
        return not role.is_superuser and (self.version < ADMIN_OPTION_RULES or role.is_administered)

    def can_alter(self, name: str) -> bool:
        """Say whether PostgreSQL lets the master alter the role; before 16 not, if it has REPLICATION."""
        needs_superuser = self.version < ADMIN_OPTION_RULES and self.roles[name].replicates
        return self.can_grant(name) and (not needs_superuser or self.roles[self.master].is_superuser)

    def without(self, ended: frozenset[Membership]) -> "Cluster":
        """Return the cluster after the end of memberships, through which the master may have held roles until then."""
        left = tuple(membership for membership in self.memberships if membership not in ended)
        if not ended or self.roles[self.master].is_superuser:
            return replace(self, memberships=left)
        held = {self.master}
        waiting = [self.master]
        while waiting:
            member = waiting.pop()
            new = {one.role for one in left if one.member == member and one.is_inherited} - held
            if self.version >= ADMIN_OPTION_RULES or self.roles[member].inherits:
                held |= new
                waiting += new
        roles = {name: replace(role, is_held=role.is_held and name in held) for name, role in self.roles.items()}
        return replace(self, memberships=left, roles=roles)

    def groups_of(self, name: str, to_be: Mapping[str, Collection[str]] = MappingProxyType({})) -> set[str]:
        """Return the roles that a role is a member of, directly or not; ``to_be`` says it of some as it will be."""
        found: set[str] = set()
        left = [name]
        while left:
            member = left.pop()
            direct = to_be[member] if member in to_be else (one.role for one in self.memberships_of(member))
            new = set(direct) - found
            found |= new
            left += new
        return found

    def memberships_of(self, member: str) -> tuple[Membership, ...]:
        """Return the roles that a role is a direct member of."""
        return tuple(membership for membership in self.memberships if membership.member == member)


_ROLES = """
    SELECT r.rolname AS name, r.rolcanlogin AS can_login, r.rolsuper AS is_superuser,
           r.rolcreaterole AS creates_roles, r.rolcreatedb AS creates_databases, r.rolinherit AS inherits,
           r.rolreplication AS replicates, r.rolbypassrls AS bypasses_rls,
           r.rolconnlimit = 0 OR coalesce(r.rolvaliduntil < now(), false) AS is_barred,
           nullif(r.rolconnlimit, -1) AS connection_limit,
           CASE WHEN r.rolvaliduntil < '9999-01-01' THEN greatest(r.rolvaliduntil, '0001-01-02 00:00+00') END
               AS valid_until,
           pg_has_role(r.oid, 'USAGE') AND {may_become} AS is_held,
           pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION') AS is_administered
    FROM pg_roles AS r
"""
_MAY_BECOME: LiteralString = "pg_has_role(r.oid, 'SET')"  # before PostgreSQL 16 whoever is a member may
_MEMBERSHIPS = """
    SELECT r.rolname AS role, m.rolname AS member, coalesce(g.rolname, '') AS grantor,
           a.admin_option AS is_administered, coalesce((to_jsonb(a) ->> 'inherit_option')::bool, true) AS is_inherited,
           coalesce((to_jsonb(a) ->> 'set_option')::bool, true) AS may_set
    FROM pg_auth_members AS a
    JOIN pg_roles AS r ON r.oid = a.roleid
    JOIN pg_roles AS m ON m.oid = a.member
    LEFT JOIN pg_roles AS g ON g.oid = a.grantor
    ORDER BY role, member, grantor
"""
# A session's owner and database are visible to everybody, the kind of its backend only to monitors.
_SESSIONS = """
    SELECT usename AS user, count(*)::int AS count
    FROM pg_stat_activity
    WHERE usename IS NOT NULL AND pid <> pg_backend_pid()
      AND coalesce(backend_type, 'client backend') IN ('client backend', 'walsender')
    GROUP BY usename ORDER BY usename
"""
# Names differ in case only by accident: TimeZone is what SET timezone becomes. One with a dot that PostgreSQL does not
# know is an application's own, which it treats like a superuser's; one without is not shown (role), and anybody's.
_SETTINGS = """
    SELECT r.rolname AS role, d.datname AS database, split_part(item, '=', 1) AS name,
           substr(item, strpos(item, '=') + 1) AS value,
           coalesce(s.context LIKE 'superuser%', split_part(item, '=', 1) LIKE '%.%') AND {is_refused} AS is_guarded
    FROM pg_db_role_setting AS setting
    JOIN pg_roles AS r ON r.oid = setting.setrole
    LEFT JOIN pg_database AS d ON d.oid = setting.setdatabase
    CROSS JOIN unnest(setting.setconfig) AS item
    LEFT JOIN pg_settings AS s ON lower(s.name) = lower(split_part(item, '=', 1))
    ORDER BY role, database NULLS FIRST, name
"""
# What a superuser may hand out one by one since PostgreSQL 15.
_HANDED_OUT_SETTINGS = 150_000
_DATABASES = """
    SELECT datname AS name, pg_get_userbyid(datdba) AS owner,
           datallowconn AND datconnlimit NOT IN (0, -2) AS is_open, has_database_privilege(oid, 'CONNECT') AS may_enter
    FROM pg_database
    WHERE datname NOT IN ('rdsadmin', 'template0', 'template1')
    ORDER BY datname
"""


def read_cluster(connection: PgConnection) -> Cluster:
    """Read everything about roles that the catalogs tell a user who is no superuser."""
    version, master = connection.info.server_version, connection.info.user
    may_become = sql.SQL(_MAY_BECOME if version >= ADMIN_OPTION_RULES else "true")
    with connection.cursor(row_factory=class_row(Role)) as cursor:
        roles = {role.name: role for role in cursor.execute(sql.SQL(_ROLES).format(may_become=may_become))}
    with connection.cursor(row_factory=class_row(Membership)) as cursor:
        memberships = tuple(cursor.execute(_MEMBERSHIPS))
    with connection.cursor(row_factory=class_row(Session)) as cursor:
        sessions = tuple(cursor.execute(_SESSIONS))
    with connection.cursor(row_factory=class_row(DatabaseEntry)) as entries:
        databases = tuple(entries.execute(_DATABASES))
    ((now,),) = connection.execute("SELECT now()")
    return Cluster(
        version=version,
        master=master,
        roles=roles,
        memberships=memberships,
        sessions=sessions,
        databases=tuple(one.name for one in databases if one.is_open and one.may_enter),
        barred=tuple(one for one in databases if one.is_open and not one.may_enter),
        shut=tuple(one.name for one in databases if not one.is_open),
        settings=_read_settings(connection),
        now=now,
    )


def _read_settings(connection: PgConnection) -> tuple[Setting, ...]:
    is_superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    handed_out = connection.info.server_version >= _HANDED_OUT_SETTINGS
    is_refused = sql.SQL("NOT ({})").format(sql.SQL(is_superuser))
    if handed_out:
        is_refused += sql.SQL(" AND NOT has_parameter_privilege(split_part(item, '=', 1), 'SET')")
    with connection.cursor(row_factory=class_row(Setting)) as cursor:
        return tuple(cursor.execute(sql.SQL(_SETTINGS).format(is_refused=is_refused)))
