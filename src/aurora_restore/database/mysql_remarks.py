"""What step 7 leaves as it is on MySQL, and a person is to know of: a sentence each."""

from collections.abc import Iterator
from typing import NamedTuple

from aurora_restore.database.engine import DesiredState, Endpoint
from aurora_restore.database.mysql_accounts import Listed, listed_accounts, shown, taken_for_rds
from aurora_restore.database.mysql_connection import MyConnection, Row, our_errors, rows
from aurora_restore.database.mysql_dialect import Dialect
from aurora_restore.database.mysql_server import Name, Place, Scope, Server
from aurora_restore.errors import DatabaseRefusedError

_PROXIES = "SELECT User AS name, Proxied_user AS other FROM mysql.proxies_priv"
# What acts in its definer's name, by the one privilege without which it never does. The table is the trigger's.
_ACTING = {
    "TRIGGER": (
        "SELECT TRIGGER_SCHEMA AS place, TRIGGER_NAME AS name, EVENT_OBJECT_TABLE AS on_table, DEFINER AS definer"
        " FROM information_schema.TRIGGERS"
    ),
    "EXECUTE": (
        "SELECT ROUTINE_SCHEMA AS place, ROUTINE_NAME AS name, '' AS on_table, DEFINER AS definer"
        " FROM information_schema.ROUTINES WHERE SECURITY_TYPE = 'DEFINER'"
    ),
    "SELECT": (
        "SELECT TABLE_SCHEMA AS place, TABLE_NAME AS name, '' AS on_table, DEFINER AS definer"
        " FROM information_schema.VIEWS WHERE SECURITY_TYPE = 'DEFINER'"
    ),
}
_MOST_NAMES = 5


class _Acting(NamedTuple):
    """Something that acts in its definer's name."""

    definer: Name
    database: str
    name: str
    on_table: str
    needed: str


def remarks(
    connection: MyConnection, endpoint: Endpoint, server: Server, desired: DesiredState, dialect: Dialect
) -> Iterator[str]:
    """Yield a sentence for each thing that is left alone and lets somebody do more, or less, than they expect."""
    if server.mandatory_roles:
        yield f"every user is in the roles of the cluster's mandatory_roles: {server.mandatory_roles}"
    listed = listed_accounts(server, desired, dialect)
    for one in listed:
        if one.account is not None and one.account.tls_demand in {"X509", "SPECIFIED"}:
            yield f"{shown(one.name)} keeps production's demand for a client certificate"
    yield from taken_for_rds(server, desired)
    names = {user.name for user in desired.users}
    with our_errors(endpoint, "show its proxies"):
        proxies = rows(connection, _PROXIES)
    yield from (
        f"{row['name']} may still act as {row['other']} (PROXY)"
        for row in proxies
        if row["name"] in names and row["other"]
    )
    acting = [_acting(row, needed) for needed, query in _ACTING.items() for row in _asked(connection, endpoint, query)]
    yield from _powerless(server, listed, acting)
    yield from _replicating(_asked(connection, endpoint, "SHOW REPLICA STATUS"))
    yield from _prepared(_asked(connection, endpoint, "XA RECOVER"))


def _powerless(server: Server, listed: list[Listed], acting: list[_Acting]) -> Iterator[str]:
    """Yield a sentence for each user in whose name something is to act that the user is not granted now.

    In production it was; whoever reads such a view, or writes to a table with such a trigger, gets an error. A role of
    the user's may have what is missing: of users with roles nothing is said.
    """
    for one in listed:
        found = [each for each in acting if each.definer == one.name and not _may(server, each)]
        if found and not one.user.roles:
            names = ", ".join(f"{each.database}.{each.name}" for each in found[:_MOST_NAMES])
            more = f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else ""
            needed = ", ".join(sorted({each.needed for each in found}))
            yield (
                f"{shown(one.name)} is the definer of {names}{more}, and is not granted {needed} there: each of them"
                " fails, whoever uses it"
            )


def _may(server: Server, acting: _Acting) -> bool:
    held = server.holdings.get(acting.definer, {})
    places = (
        Place(Scope.GLOBAL),
        Place(Scope.DATABASE, server.databases.get(acting.database, acting.database)),
        Place(Scope.TABLE, acting.database, acting.on_table),
        Place(Scope.ROUTINE, acting.database, acting.name),
    )
    return any(acting.needed in held.get(place, frozenset()) for place in places)


def _acting(row: Row, needed: str) -> _Acting:
    user, _, host = str(row["definer"]).rpartition("@")
    return _Acting((user, host), row["place"], row["name"], row["on_table"], needed)


def _asked(connection: MyConnection, endpoint: Endpoint, statement: str) -> list[Row]:
    """Return what the server shows of itself; nothing where it does not show it to us, which must not end the step."""
    try:
        with our_errors(endpoint, "show it"):
            return rows(connection, statement)
    except DatabaseRefusedError:
        return []


def _replicating(sources: list[Row]) -> Iterator[str]:
    for row in sources:
        # The word before MySQL 8.0.22 is MariaDB's still.
        host = row.get("Source_Host") or row.get("Master_Host")
        running = "Yes" in {row.get("Replica_IO_Running"), row.get("Slave_IO_Running")}
        yield (
            f"it is set up as a replica of {host}, and {'takes' if running else 'once started would take'} changes from"
            " there: stop it by CALL mysql.rds_stop_replication, and reset it by CALL mysql.rds_reset_external_source"
        )


def _prepared(transactions: list[Row]) -> Iterator[str]:
    if transactions:
        count = "1 transaction" if len(transactions) == 1 else f"{len(transactions)} transactions"
        yield f"production left {count} prepared: the locks stay until XA ROLLBACK ends what XA RECOVER shows"
