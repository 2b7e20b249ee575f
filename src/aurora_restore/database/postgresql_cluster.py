"""The roles, memberships, sessions and databases of a PostgreSQL server, as its catalogs say they are now."""

from dataclasses import dataclass

from psycopg.rows import class_row

from aurora_restore.database.postgresql_connection import PgConnection

# PostgreSQL 16 made CREATEROLE mean "the roles I have ADMIN OPTION on", and memberships belong to their grantor.
ADMIN_OPTION_RULES = 160_000

# What RDS itself logs in with. Its other roles (rds_superuser, rds_iam …) cannot log in.
_RDS_LOGINS = frozenset({"rdsadmin", "rdstopmgr", "rdsrepladmin", "rdswriteforwarduser", "rdsproxyadmin"})


@dataclass(frozen=True, slots=True)
class Role:
    """A role and, in the last two fields, what the master may do about it.

    ``is_barred``: a connection limit of 0, or a password that has expired. ``is_held``: the master has the role's
    privileges. ``is_administered``: it has ADMIN OPTION on it.
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
    is_held: bool
    is_administered: bool


@dataclass(frozen=True, slots=True)
class Membership:
    """``member`` is in ``role``, because ``grantor`` said so."""

    role: str
    member: str
    grantor: str


@dataclass(frozen=True, slots=True)
class Session:
    """How many connections a role has now."""

    user: str
    count: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """What all databases of a server share."""

    version: int
    master: str
    roles: dict[str, Role]
    memberships: tuple[Membership, ...]
    sessions: tuple[Session, ...]
    databases: tuple[str, ...]

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

    def memberships_of(self, member: str) -> tuple[Membership, ...]:
        """Return the roles that a role is a direct member of."""
        return tuple(membership for membership in self.memberships if membership.member == member)


_ROLES = """
    SELECT r.rolname AS name, r.rolcanlogin AS can_login, r.rolsuper AS is_superuser,
           r.rolcreaterole AS creates_roles, r.rolcreatedb AS creates_databases, r.rolinherit AS inherits,
           r.rolreplication AS replicates, r.rolbypassrls AS bypasses_rls,
           r.rolconnlimit = 0 OR coalesce(r.rolvaliduntil < now(), false) AS is_barred,
           pg_has_role(r.oid, 'USAGE') AS is_held,
           pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION') AS is_administered
    FROM pg_roles AS r
"""
_MEMBERSHIPS = """
    SELECT r.rolname AS role, m.rolname AS member, coalesce(g.rolname, '') AS grantor
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
      AND coalesce(backend_type, 'client backend') = 'client backend'
    GROUP BY usename ORDER BY usename
"""
_DATABASES = """
    SELECT datname FROM pg_database
    WHERE datallowconn AND NOT datistemplate AND datname <> 'rdsadmin'
    ORDER BY datname
"""


def read_cluster(connection: PgConnection) -> Cluster:
    """Read everything about roles that the catalogs tell a user who is no superuser."""
    with connection.cursor(row_factory=class_row(Role)) as cursor:
        roles = {role.name: role for role in cursor.execute(_ROLES)}
    with connection.cursor(row_factory=class_row(Membership)) as cursor:
        memberships = tuple(cursor.execute(_MEMBERSHIPS))
    with connection.cursor(row_factory=class_row(Session)) as cursor:
        sessions = tuple(cursor.execute(_SESSIONS))
    databases = tuple(name for (name,) in connection.execute(_DATABASES))
    return Cluster(connection.info.server_version, connection.info.user, roles, memberships, sessions, databases)
