"""What a request's grants mean in PostgreSQL: which privileges on which kind of object. Pure.

An explicit grant gives each of its privileges on the kinds that know it: CONNECT and TEMPORARY on the database, USAGE
and CREATE on schemas, SELECT to TRIGGER on tables, USAGE on sequences, EXECUTE on routines. Every grant includes
the way to its objects, CONNECT on the database and USAGE on the schema, without which it would be worth nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from aurora_restore.database.engine import DesiredUser
from aurora_restore.database.postgresql_objects import Kind, Objects, Thing
from aurora_restore.database_request import Grant, GrantPreset

Privileges = frozenset[str]
ByUser = dict[str, Privileges]

_NOTHING: Privileges = frozenset()
_TABLE = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"})
_SEQUENCE = frozenset({"USAGE", "SELECT", "UPDATE"})
_MAINTAIN_SINCE = 170_000
# What a grant's ``table`` may be.
_NAMED = frozenset({Kind.TABLE, Kind.SEQUENCE})

_PRESETS: Mapping[GrantPreset, Mapping[Kind, Privileges]] = {
    GrantPreset.READONLY: {
        Kind.DATABASE: frozenset({"CONNECT"}),
        Kind.SCHEMA: frozenset({"USAGE"}),
        Kind.TABLE: frozenset({"SELECT"}),
        Kind.SEQUENCE: frozenset({"SELECT"}),
    },
    GrantPreset.READWRITE: {
        Kind.DATABASE: frozenset({"CONNECT"}),
        Kind.SCHEMA: frozenset({"USAGE"}),
        Kind.TABLE: frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"}),
        Kind.SEQUENCE: _SEQUENCE,
        Kind.ROUTINE: frozenset({"EXECUTE"}),
    },
    GrantPreset.OWNER: {
        Kind.DATABASE: frozenset({"CONNECT", "CREATE", "TEMPORARY"}),
        Kind.SCHEMA: frozenset({"USAGE", "CREATE"}),
        Kind.TABLE: _TABLE,
        Kind.SEQUENCE: _SEQUENCE,
        Kind.ROUTINE: frozenset({"EXECUTE"}),
    },
}


class Wanted:
    """What the users shall hold in one database."""

    def __init__(self, users: Sequence[DesiredUser], objects: Objects, version: int) -> None:
        """Take the users, the database as it is, and the server's version (``server_version_num``)."""
        self.users = users
        self._version = version
        self._schemas = {item.thing.name for item in objects.items if item.thing.kind is Kind.SCHEMA and item.is_ours}
        names = {(item.thing.schema, item.thing.name) for item in objects.items if item.thing.kind in _NAMED}
        self._grants = [
            (user.name, grant)
            for user in users
            for grant in user.grants
            if _applies(grant, objects.database, self._schemas, names)
        ]
        self._on_all: dict[tuple[Kind, str | None], ByUser] = {}
        self._named: dict[tuple[str | None, str | None], list[tuple[str, Grant]]] = {}
        for name, grant in self._grants:
            if grant.table is not None:
                self._named.setdefault((grant.schema_name, grant.table), []).append((name, grant))

    def on(self, thing: Thing) -> ByUser:
        """Return what each user shall hold on an object that is there."""
        place = thing.name if thing.kind is Kind.SCHEMA else thing.schema
        key = (thing.kind, place)
        if key not in self._on_all:
            self._on_all[key] = _by_user(
                (name, _bundle(grant, self._version, thing.kind))
                for name, grant in self._grants
                if (grant.table is None or thing.kind in {Kind.DATABASE, Kind.SCHEMA})
                and (place is None or grant.schema_name in {None, place})
            )
        named = self._named.get((thing.schema, thing.name)) if thing.kind in _NAMED else None
        if named is None:
            return self._on_all[key]
        all_of_it = self._on_all[key].items()
        return _by_user((*all_of_it, *((name, _bundle(grant, self._version, thing.kind)) for name, grant in named)))

    def on_future(self) -> dict[tuple[str | None, Kind], ByUser]:
        """Return what each user shall hold on objects that are yet to come, by schema (None: any) and kind."""
        wanted: dict[tuple[str | None, Kind], ByUser] = {}
        for schema in (None, *sorted(self._schemas)):
            grants = [one for one in self._grants if one[1].schema_name == schema and one[1].table is None]
            for kind in (Kind.TABLE, Kind.SEQUENCE, Kind.ROUTINE, *([Kind.SCHEMA] if schema is None else [])):
                by_user = _by_user((name, _bundle(grant, self._version, kind)) for name, grant in grants)
                if by_user:
                    wanted[schema, kind] = by_user
        return wanted

    def creators(self) -> frozenset[str]:
        """Return the users who shall be able to create objects."""
        places = (Kind.DATABASE, Kind.SCHEMA)
        return frozenset(
            name for name, grant in self._grants for kind in places if "CREATE" in _bundle(grant, self._version, kind)
        )


def unmatched(users: Iterable[DesiredUser], databases: Sequence[Objects]) -> Iterator[str]:
    """Yield a sentence for each grant that names something which no database has."""
    schemas = {one.database: set[str]() for one in databases}
    names = {one.database: set[tuple[str | None, str]]() for one in databases}
    for one in databases:
        for item in one.items:
            if item.thing.kind in _NAMED:
                names[one.database].add((item.thing.schema, item.thing.name))
            if item.thing.kind is Kind.SCHEMA and item.is_ours:
                schemas[one.database].add(item.thing.name)
    for user in users:
        for grant in user.grants:
            if not any(_applies(grant, name, schemas[name], names[name]) for name in schemas):
                yield f"a grant of {user.name} names {_place(grant)}, which the restored cluster does not have"


def _place(grant: Grant) -> str:
    parts = {"table": grant.table, "schema": grant.schema_name, "database": grant.database}
    return " of ".join(f"{kind} {name}" for kind, name in parts.items() if name is not None) or "every database"


def _applies(grant: Grant, database: str, schemas: set[str], names: set[tuple[str | None, str]]) -> bool:
    if grant.database not in {None, database}:
        return False
    if grant.table is not None:
        return (grant.schema_name, grant.table) in names
    return grant.schema_name is None or grant.schema_name in schemas


def _by_user(bundles: Iterable[tuple[str, Privileges]]) -> ByUser:
    result: ByUser = {}
    for name, privileges in bundles:
        if privileges:
            result[name] = result.get(name, _NOTHING) | privileges
    return result


def _bundle(grant: Grant, version: int, kind: Kind) -> Privileges:
    """Return the grant's privileges on an object of the kind that lies in its scope."""
    if grant.preset is None:
        return _explicit(grant, kind)
    privileges = _PRESETS[grant.preset].get(kind, _NOTHING)
    if grant.preset is GrantPreset.OWNER and kind is Kind.TABLE and version >= _MAINTAIN_SINCE:
        return privileges | {"MAINTAIN"}
    if grant.schema_name is not None and kind is Kind.DATABASE:
        return privileges - {"CREATE"}  # the owner of one schema makes no others
    return privileges


def _explicit(grant: Grant, kind: Kind) -> Privileges:
    listed = frozenset[str](grant.privileges or ())
    is_inside_schema = bool(listed & (_TABLE | {"EXECUTE", "CREATE", "USAGE"}))
    match kind:
        case Kind.DATABASE:
            return listed & {"CONNECT", "TEMPORARY"} | {"CONNECT"}
        case Kind.SCHEMA:
            way_in = frozenset({"USAGE"}) if is_inside_schema else _NOTHING
            return way_in | (listed & {"CREATE"} if grant.table is None else _NOTHING)
        case Kind.TABLE:
            return listed & _TABLE
        case Kind.SEQUENCE:
            return listed & (_SEQUENCE if grant.table is not None else {"USAGE"})
        case Kind.ROUTINE:
            return listed & {"EXECUTE"}
        case _:
            return _NOTHING
