"""The objects of one PostgreSQL database and what the listed users hold on them, as its catalogs say they are now."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, LiteralString

from psycopg import sql

from aurora_restore.database.postgresql_connection import MAINTENANCE_DATABASE, PgConnection


class Kind(StrEnum):
    """A kind of object that privileges are granted on."""

    DATABASE = "database"
    SCHEMA = "schema"
    TABLE = "table"
    SEQUENCE = "sequence"
    ROUTINE = "routine"
    TYPE = "type"
    LANGUAGE = "language"
    FOREIGN_DATA_WRAPPER = "foreign data wrapper"
    FOREIGN_SERVER = "foreign server"
    LARGE_OBJECT = "large object"
    TABLESPACE = "tablespace"
    PARAMETER = "parameter"


@dataclass(frozen=True, slots=True)
class Thing:
    """An object's identity: its name, its schema's if it has one, and the types of a routine's arguments."""

    kind: Kind
    schema: str | None
    name: str
    arguments: tuple[tuple[str, str], ...] = ()

    @property
    def places(self) -> frozenset[str]:
        """The schemas into which one must be let in to name it."""
        schemas = {self.schema, *(schema for schema, _ in self.arguments)} - {None, "pg_catalog"}
        return frozenset(str(schema) for schema in schemas)

    def __str__(self) -> str:
        """Return the name as people write it."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class Held:
    """A privilege that a listed user holds directly: given by the owner, or by one who may pass it on.

    ``is_whole`` is false for a privilege on some column only.
    """

    user: str
    grantor: str
    is_by_owner: bool
    privilege: str
    is_grantable: bool
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Object:
    """An object and the listed users' privileges on it, without those that are its owner's by nature.

    ``owner`` of a schema of pg_database_owner is the database's owner; ``owning_role`` is that role itself. ``is_ours``
    is false for what belongs to PostgreSQL or to an extension: nothing is granted on it. ``is_passed_on``: somebody
    besides the owner may grant privileges on it.
    """

    thing: Thing
    owner: str
    is_ours: bool
    held: tuple[Held, ...]
    owning_role: str
    is_passed_on: bool

    @property
    def giver(self) -> str:
        """As whom the owner's privileges are to be granted and revoked; nobody where having them is enough.

        Of several roles that may grant, and whose privileges one has, PostgreSQL takes any.
        """
        return self.owning_role if self.is_passed_on else ""

    @property
    def givers(self) -> frozenset[str]:
        """As whom anything may have to be granted or revoked."""
        return frozenset({self.giver, *(held.grantor for held in self.held if not held.is_by_owner)} - {""})


@dataclass(frozen=True, slots=True)
class FutureHeld:
    """A privilege that a listed user will get on objects that ``creator`` creates; no schema means any schema."""

    creator: str
    schema: str | None
    kind: Kind
    user: str
    privilege: str
    is_grantable: bool


@dataclass(frozen=True, slots=True)
class Objects:
    """One database. ``creators`` hold CREATE on it or on a schema of it, without owning it; so may everybody do.

    ``closed``: roles that may grant something, and schemas of such things into which nobody has let them in.
    """

    database: str
    items: tuple[Object, ...]
    future: tuple[FutureHeld, ...]
    creators: frozenset[str]
    everybody_creates: bool = False
    closed: frozenset[tuple[str, str]] = frozenset()


_THINGS = """
    WITH place AS (
        SELECT *, nspname !~ '^pg_' AND nspname <> 'information_schema' AS is_user_made, tableoid AS class
        FROM pg_namespace
    ),
    thing AS (
        SELECT 'database' AS kind, NULL::name AS schema, datname AS name, NULL::oidvector AS arguments,
               datdba AS owner, datacl AS acl, true AS is_user_made, tableoid AS class, oid
        FROM pg_database WHERE datname = current_database()
      UNION ALL
        SELECT 'schema', NULL, nspname, NULL, nspowner, nspacl, is_user_made, class, oid FROM place
      UNION ALL
        SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, n.nspname, c.relname, NULL, c.relowner,
               c.relacl, n.is_user_made, c.tableoid, c.oid
        FROM pg_class AS c JOIN place AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND (n.is_user_made OR c.relacl IS NOT NULL)
      UNION ALL
        SELECT 'routine', n.nspname, p.proname, p.proargtypes, p.proowner, p.proacl, n.is_user_made, p.tableoid, p.oid
        FROM pg_proc AS p JOIN place AS n ON n.oid = p.pronamespace
        WHERE n.is_user_made OR p.proacl IS NOT NULL
      UNION ALL
        SELECT 'type', n.nspname, t.typname, NULL, t.typowner, t.typacl, false, t.tableoid, t.oid
        FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace WHERE t.typacl IS NOT NULL
      UNION ALL
        SELECT 'language', NULL, lanname, NULL, lanowner, lanacl, false, tableoid, oid
        FROM pg_language WHERE lanacl IS NOT NULL
      UNION ALL
        SELECT 'foreign data wrapper', NULL, fdwname, NULL, fdwowner, fdwacl, false, tableoid, oid
        FROM pg_foreign_data_wrapper WHERE fdwacl IS NOT NULL
      UNION ALL
        SELECT 'foreign server', NULL, srvname, NULL, srvowner, srvacl, false, tableoid, oid
        FROM pg_foreign_server WHERE srvacl IS NOT NULL
      UNION ALL
        SELECT 'large object', NULL, oid::text::name, NULL, lomowner, lomacl, false, tableoid, oid
        FROM pg_largeobject_metadata WHERE lomacl IS NOT NULL
      UNION ALL
        SELECT 'tablespace', NULL, spcname, NULL, spcowner, spcacl, false, tableoid, oid
        FROM pg_tablespace WHERE spcacl IS NOT NULL AND current_database() = %(shared)s
      {parameters}
    ),
    listed AS (SELECT oid, rolname FROM pg_roles WHERE rolname = ANY (%(users)s)),
    known AS (
        SELECT thing.*,
            (SELECT json_agg(json_build_array(
                listed.rolname, grantor.rolname, item.grantor = thing.owner,
                item.privilege_type, item.is_grantable, true
             ))
             FROM aclexplode(thing.acl) AS item
             JOIN listed ON listed.oid = item.grantee
             JOIN pg_roles AS grantor ON grantor.oid = item.grantor
             WHERE item.grantee <> thing.owner) AS held,
            EXISTS (SELECT FROM aclexplode(thing.acl) AS item WHERE item.is_grantable AND item.grantee <> thing.owner)
            OR kind = 'table' AND EXISTS (
                SELECT FROM pg_attribute AS a CROSS JOIN aclexplode(a.attacl) AS item
                WHERE a.attrelid = thing.oid AND item.is_grantable AND item.grantee <> thing.owner
            ) AS is_passed_on
        FROM thing
    )
    SELECT kind, schema, name,
        (SELECT json_agg(json_build_array(n.nspname, t.typname) ORDER BY argument.position)
         FROM unnest(arguments) WITH ORDINALITY AS argument (oid, position)
         JOIN pg_type AS t ON t.oid = argument.oid JOIN pg_namespace AS n ON n.oid = t.typnamespace),
        CASE owner.rolname
            WHEN 'pg_database_owner'
            THEN (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database())
            ELSE owner.rolname
        END,
        is_user_made AND NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = known.class AND objid = known.oid AND deptype = 'e'
        ),
        held, owner.rolname, is_passed_on
    FROM known JOIN pg_roles AS owner ON owner.oid = known.owner
    WHERE is_user_made OR held IS NOT NULL
    ORDER BY kind, schema, name
"""
# They belong to nobody: the bootstrap superuser gives them.
_PARAMETERS: LiteralString = """
      UNION ALL
        SELECT 'parameter', NULL, parname::name, NULL, 10, paracl, false, tableoid, oid
        FROM pg_parameter_acl WHERE current_database() = %(shared)s
"""
_PARAMETERS_SINCE = 150_000
_COLUMNS = """
    SELECT n.nspname, c.relname, listed.rolname, grantor.rolname, item.grantor = c.relowner, item.privilege_type,
           item.is_grantable, false
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN aclexplode(a.attacl) AS item
    JOIN pg_roles AS listed ON listed.oid = item.grantee AND listed.rolname = ANY (%(users)s)
    JOIN pg_roles AS grantor ON grantor.oid = item.grantor
    WHERE a.attacl IS NOT NULL AND item.grantee <> c.relowner
"""
_FUTURE = """
    SELECT creator.rolname, n.nspname, d.defaclobjtype, listed.rolname, item.privilege_type, item.is_grantable
    FROM pg_default_acl AS d
    CROSS JOIN aclexplode(d.defaclacl) AS item
    JOIN pg_roles AS listed ON listed.oid = item.grantee AND listed.rolname = ANY (%(users)s)
    JOIN pg_roles AS creator ON creator.oid = d.defaclrole
    LEFT JOIN pg_namespace AS n ON n.oid = d.defaclnamespace
    WHERE item.grantee <> d.defaclrole
"""
_CREATORS = """
    SELECT holder.rolname
    FROM (
        SELECT datdba AS owner, datacl AS acl FROM pg_database WHERE datname = current_database()
        UNION ALL
        SELECT nspowner, nspacl FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    ) AS place
    CROSS JOIN aclexplode(place.acl) AS item
    LEFT JOIN pg_roles AS holder ON holder.oid = item.grantee
    WHERE item.privilege_type = 'CREATE' AND item.grantee <> place.owner
"""
# Not what PostgreSQL gives to PUBLIC by default: CONNECT and TEMPORARY on databases, EXECUTE on routines, USAGE on
# types and languages.
_PUBLIC = """
    SELECT string_agg(DISTINCT item.privilege_type, ', '), thing.kind, count(DISTINCT thing.name)
    FROM (
        SELECT 'schema' AS kind, nspname::text AS name, nspacl AS acl
        FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
      UNION ALL
        SELECT 'database', datname::text, datacl FROM pg_database WHERE datname = current_database()
      UNION ALL
        SELECT 'column', attrelid::text || attname, attacl FROM pg_attribute
        WHERE attacl IS NOT NULL AND attrelid >= 16384
      UNION ALL
        SELECT 'foreign server', srvname::text, srvacl FROM pg_foreign_server
      UNION ALL
        SELECT 'large object', oid::text, lomacl FROM pg_largeobject_metadata
      UNION ALL
        SELECT CASE defaclobjtype WHEN 'r' THEN 'future table' WHEN 'S' THEN 'future sequence'
               WHEN 'n' THEN 'future schema' ELSE 'future large object' END, oid::text, defaclacl
        FROM pg_default_acl WHERE defaclobjtype IN ('r', 'S', 'n', 'L')
      UNION ALL
        SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, c.oid::regclass::text, c.relacl
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ) AS thing
    CROSS JOIN aclexplode(thing.acl) AS item
    WHERE item.grantee = 0 AND NOT (thing.kind = 'schema' AND thing.name = 'public' AND item.privilege_type = 'USAGE')
      AND NOT (thing.kind = 'database' AND item.privilege_type IN ('CONNECT', 'TEMPORARY'))
    GROUP BY thing.kind ORDER BY thing.kind
"""
# What a role may as a member of others may end before: only what it was given itself, or everybody, counts.
_CLOSED = """
    SELECT pair.role, n.nspname, pg_get_userbyid(n.nspowner)
    FROM unnest(%s::name[], %s::name[]) AS pair (role, schema) JOIN pg_namespace AS n ON n.nspname = pair.schema
    WHERE NOT EXISTS (
        SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS item
        WHERE item.privilege_type = 'USAGE' AND (item.grantee = 0 OR pg_get_userbyid(item.grantee) = pair.role)
    )
"""
_FUTURE_KINDS = {
    "r": Kind.TABLE,
    "S": Kind.SEQUENCE,
    "f": Kind.ROUTINE,
    "T": Kind.TYPE,
    "n": Kind.SCHEMA,
    "L": Kind.LARGE_OBJECT,
}


def read_objects(connection: PgConnection, users: Collection[str]) -> Objects:
    """Read the connection's database, with what ``users`` hold in it."""
    parameters = {"users": sorted(users), "shared": MAINTENANCE_DATABASE}
    has_parameters = connection.info.server_version >= _PARAMETERS_SINCE
    things = sql.SQL(_THINGS).format(parameters=sql.SQL(_PARAMETERS if has_parameters else ""))
    by_column: dict[tuple[str, str], list[Held]] = {}
    for schema, table, *item in connection.execute(_COLUMNS, parameters):
        by_column.setdefault((schema, table), []).append(Held(*item))
    known: dict[Held, Held] = {}
    with connection.cursor() as cursor:
        # Row by row: the whole answer at once would be larger than what is made of it.
        items = tuple(_object(row, by_column, known) for row in cursor.stream(things, parameters))
    future = tuple(
        FutureHeld(creator, schema, _FUTURE_KINDS[kind], user, privilege, is_grantable)
        for creator, schema, kind, user, privilege, is_grantable in connection.execute(_FUTURE, parameters)
    )
    creators = frozenset(name for (name,) in connection.execute(_CREATORS))
    return Objects(connection.info.dbname, items, future, creators - {None}, everybody_creates=None in creators)


def with_closed(connection: PgConnection, objects: Objects) -> Objects:
    """Return the database with what has to be known of those as whom something may have to be granted or revoked."""
    pairs = sorted({(role, place) for item in objects.items for role in item.givers for place in item.thing.places})
    if not pairs:
        return objects
    roles, schemas = zip(*pairs, strict=True)
    owners = {item.thing.name: item.owner for item in objects.items if item.thing.kind is Kind.SCHEMA}
    # Whoever is about to take a schema over gets what its owner has given itself.
    closed = {
        (role, schema)
        for role, schema, owner in connection.execute(_CLOSED, [list(roles), list(schemas)])
        if owner == role or owners.get(schema) != role
    }
    return replace(objects, closed=frozenset(closed))


def public_privileges(connection: PgConnection) -> list[str]:
    """Return a sentence for each kind of object on which everybody holds more than PostgreSQL's defaults."""
    database = f"database {connection.info.dbname}"

    def what(kind: str, count: int) -> str:
        if kind == Kind.DATABASE:
            return database
        # What is to come cannot be counted.
        return f"{kind}s of {database}" if kind.startswith("future") else f"{count} {kind}s of {database}"

    return [
        f"everybody (PUBLIC) holds {privileges} on {what(kind, count)}"
        for privileges, kind, count in connection.execute(_PUBLIC)
    ]


def _object(row: tuple[Any, ...], by_column: dict[tuple[str, str], list[Held]], known: dict[Held, Held]) -> Object:
    kind, schema, name, arguments, owner, is_ours, held, owning_role, is_passed_on = row
    # What twenty users hold on a hundred thousand tables is the same few hundred times over.
    all_of_it = (known.setdefault(one, one) for one in (Held(*item) for item in held or ()))
    thing = Thing(Kind(kind), schema, name, tuple((namespace, type_) for namespace, type_ in arguments or ()))
    on_columns = by_column.get((schema, name), ()) if thing.kind is Kind.TABLE else ()
    return Object(thing, owner, is_ours, (*all_of_it, *on_columns), owning_role, is_passed_on)
