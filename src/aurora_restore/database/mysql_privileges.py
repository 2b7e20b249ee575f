"""What a request's grants are in MySQL."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from aurora_restore.database.engine import DesiredState
from aurora_restore.database.mysql_server import Holdings, Place, Scope
from aurora_restore.database_request import Grant, GrantPreset

_READ = frozenset({"SELECT", "SHOW VIEW"})
_WRITE = _READ | {"INSERT", "UPDATE", "DELETE", "EXECUTE", "CREATE TEMPORARY TABLES", "LOCK TABLES"}
_OWN = _WRITE | {
    "CREATE", "ALTER", "DROP", "INDEX", "REFERENCES", "TRIGGER", "CREATE VIEW", "CREATE ROUTINE", "ALTER ROUTINE",
    "EVENT",
}  # fmt: skip
PRESETS = {GrantPreset.READONLY: _READ, GrantPreset.READWRITE: _WRITE, GrantPreset.OWNER: _OWN}
# By the request's word. What is missing here MySQL does not have, and is refused long before (see unsupported).
_PRIVILEGES = {
    "SELECT": "SELECT",
    "INSERT": "INSERT",
    "UPDATE": "UPDATE",
    "DELETE": "DELETE",
    "REFERENCES": "REFERENCES",
    "TRIGGER": "TRIGGER",
    "EXECUTE": "EXECUTE",
    "CREATE": "CREATE",
    "TEMPORARY": "CREATE TEMPORARY TABLES",
}


def as_it_is_called(desired: DesiredState) -> DesiredState:
    """Return the desired state for a server that calls databases and tables in small letters only."""

    def in_small_letters(grant: Grant) -> Grant:
        names = {"database": grant.database, "table": grant.table}
        return grant.model_copy(update={key: name and name.lower() for key, name in names.items()})

    users = (replace(user, grants=tuple(map(in_small_letters, user.grants))) for user in desired.users)
    return replace(desired, users=tuple(users))


def wanted(grants: Sequence[Grant], databases: Mapping[str, str]) -> Holdings:
    """Return what a user with these grants is to hold in a server with these databases, each with its pattern."""
    holdings: Holdings = {}
    for grant in grants:
        for database in databases if grant.database is None else [grant.database]:
            place = _place(database, databases.get(database, database), grant.table)
            holdings[place] = holdings.get(place, frozenset()) | _privileges(grant)
    return holdings


def _place(database: str, pattern: str, table: str | None) -> Place:
    if table is None:
        return Place(Scope.DATABASE, pattern)
    return Place(Scope.TABLE, database, table)


def _privileges(grant: Grant) -> frozenset[str]:
    if grant.preset is not None:
        return PRESETS[grant.preset]
    return frozenset(_PRIVILEGES[word] for word in grant.privileges or () if word in _PRIVILEGES)
