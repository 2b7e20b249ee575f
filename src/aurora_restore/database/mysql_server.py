"""What a MySQL server has: accounts, who is in which role, who holds what, events and sessions."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aurora_restore.database.mysql_connection import MyConnection, Row, rows
from aurora_restore.database.mysql_dialect import RDS_USERS, Dialect
from aurora_restore.database.mysql_passwords import NATIVE, SHA2, is_nobodys
from aurora_restore.database.mysql_words import accounts_in, pattern_of

Name = tuple[str, str]  # of an account: user and host

_SYSTEM_DATABASES = ("mysql", "information_schema", "performance_schema", "sys")
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
# Threads that are nobody's session.
BACKGROUND = frozenset({"system user", "event_scheduler", "unauthenticated user"})
_WORDS = {
    "Grant": "GRANT OPTION",
    "Create_tmp_table": "CREATE TEMPORARY TABLES",
    "Show_db": "SHOW DATABASES",
    "Repl_slave": "REPLICATION SLAVE",
    "Repl_client": "REPLICATION CLIENT",
}


class Scope(StrEnum):
    """What a privilege can be on."""

    GLOBAL = "everything"
    DATABASE = "database"
    TABLE = "table"
    COLUMN = "column"
    ROUTINE = "routine"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One thing that privileges are on. ``database`` is the pattern that mysql.db holds if the scope is a database."""

    scope: Scope
    database: str = ""
    name: str = ""

    def __str__(self) -> str:
        """Return how a sentence calls it."""
        if self.scope is Scope.GLOBAL:
            return "everything"
        if self.scope is Scope.DATABASE:
            return f"database {self.database.replace(chr(92), '')}"
        return f"{self.scope} {self.name} of {self.database}"


Holdings = dict[Place, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Account:
    """One account. ``has_old_password``: it takes a second one besides, that was kept when the first was changed.

    ``has_hourly_limits``: it may do and change so much in an hour, which is nothing that a request asks for.
    """

    name: Name
    plugin: str
    stored: str = field(repr=False)
    locked: bool = False
    expired: bool = False
    is_role: bool = False
    connection_limit: int = 0
    tls_demand: str = ""
    has_old_password: bool = False
    has_hourly_limits: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether nobody can log in, and nobody could if it were unlocked."""
        return self.is_role or (self.locked and is_nobodys(self.stored) and not self.has_old_password)

    @property
    def lets_in(self) -> bool:
        """Whether somebody may be able to log in."""
        return not self.is_role and not self.locked


def is_local(name: Name) -> bool:
    """Say whether by an account one logs in on the server's own machine only, as no client of RDS does."""
    return name[1] in _LOCAL_HOSTS


@dataclass(frozen=True, slots=True)
class Event:
    """An event that is enabled."""

    database: str
    name: str
    definer: Name


@dataclass(frozen=True, slots=True)
class Server:
    """Everything that was read, at one time."""

    me: Name
    default_plugin: str
    accounts: Mapping[Name, Account]
    holdings: Mapping[Name, Holdings]
    memberships: Mapping[Name, frozenset[Name]]
    # Of these roles those that a member may hand on.
    handed_on: Mapping[Name, frozenset[Name]]
    default_roles: Mapping[Name, frozenset[Name]]
    # Each with the pattern for it that mysql.db holds.
    databases: Mapping[str, str]
    events: tuple[Event, ...]
    # How many sessions each user has, besides the one that asked.
    sessions: Mapping[str, int]
    mandatory_roles: str
    reserved: frozenset[str]
    # lower_case_table_names: databases and tables are called in small letters, however they are said.
    has_small_letters_only: bool = False

    @property
    def roles_of_all(self) -> frozenset[Name]:
        """The roles that every user is in, whether it was granted them or not; MySQL lets nobody revoke them."""
        return accounts_in(self.mandatory_roles)

    def belongs_to_rds(self, name: Name) -> bool:
        """Say whether an account is RDS's or MySQL's own.

        No client of a cluster can come from its own machine. From elsewhere RDS's few users come, after whom nobody
        else is called; and it has roles, which let nobody in: one that does is what production has made of it.
        """
        user, _ = name
        if is_local(name):
            return user in self.reserved or user.startswith("rds")
        account = self.accounts.get(name)
        return user in RDS_USERS or (user in self.reserved and (account is None or not account.lets_in))


def read_server(connection: MyConnection, dialect: Dialect, users: Collection[str]) -> Server:
    """Return what there is; what accounts hold, only for those of the ``users``."""
    settings = _variables(connection)
    ((me,),) = (row.values() for row in rows(connection, "SELECT CURRENT_USER() AS me"))
    user, _, host = str(me).rpartition("@")
    found = rows(connection, dialect.accounts)
    edges = rows(connection, dialect.memberships)
    return Server(
        me=(user, host),
        default_plugin=plugin_by(settings),
        accounts={_name(row): account_in(row) for row in found},
        holdings=_holdings(connection, dialect, [row for row in found if row["User"] in users], users),
        memberships=_edges(edges),
        handed_on=_edges(edge for edge in edges if edge["WITH_ADMIN_OPTION"] == "Y"),
        default_roles=_edges(rows(connection, dialect.default_roles)),
        databases=patterns_by(settings, (row["name"] for row in rows(connection, _DATABASES))),
        events=tuple(_events(connection)),
        sessions=Counter(row["name"] for row in sessions_in(connection)),
        mandatory_roles=settings.get("mandatory_roles", ""),
        reserved=dialect.reserved,
        has_small_letters_only=settings.get("lower_case_table_names") == "1",
    )


def sessions_in(connection: MyConnection) -> list[Row]:
    """Return ``id`` and user's ``name`` of every session but this one.

    Users are told apart here and not by the server: to its list of processes app, App and äpp are one.
    """
    return rows(
        connection, "SELECT ID AS id, USER AS name FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()"
    )


def tables_of(connection: MyConnection, databases: Collection[str]) -> frozenset[tuple[str, str]]:
    """Return database and name of all tables and views of these databases."""
    if not databases:
        return frozenset()
    found = rows(connection, _TABLES, [sorted(databases)])
    return frozenset((row["place"], row["name"]) for row in found)


_DATABASES = "SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA ORDER BY SCHEMA_NAME"
_TABLES = "SELECT TABLE_SCHEMA AS place, TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA IN %s"
_EVENTS = (
    "SELECT EVENT_SCHEMA AS place, EVENT_NAME AS name, DEFINER AS definer FROM information_schema.EVENTS"
    " WHERE STATUS = 'ENABLED' ORDER BY EVENT_SCHEMA, EVENT_NAME"
)
_VARIABLES = (
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN"
    " ('authentication_policy', 'default_authentication_plugin', 'lower_case_table_names', 'mandatory_roles',"
    " 'partial_revokes')"
)


def _variables(connection: MyConnection) -> dict[str, str]:
    return {row["Variable_name"]: row["Value"] for row in rows(connection, _VARIABLES)}


def plugin_by(settings: Mapping[str, str]) -> str:
    """Return the plugin that a password's verifier is to be for: the one that the cluster's clients are ready for."""
    # Its first factor; an asterisk, or nothing, leaves it to the older variable, which MySQL 8.4 has no more.
    first = settings.get("authentication_policy", "").partition(",")[0].rpartition(":")[2].strip(" *")
    no_word = SHA2 if "authentication_policy" in settings else NATIVE
    return SHA2 if (first or settings.get("default_authentication_plugin", no_word)) == SHA2 else NATIVE


def patterns_by(settings: Mapping[str, str], databases: Iterable[str]) -> dict[str, str]:
    """Return the databases that are not the server's own, each with its pattern."""
    # With partial_revokes, MySQL compares letter by letter: an escape would be a character of another database's name.
    is_literal = settings.get("partial_revokes", "OFF") == "ON"
    return {name: name if is_literal else pattern_of(name) for name in databases if name not in _SYSTEM_DATABASES}


def _name(row: Row) -> Name:
    return _text(row["User"]), _text(row["Host"])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")


def account_in(row: Row) -> Account:
    """Return the account that a row of mysql.user is, less what it holds."""
    return Account(
        name=_name(row),
        plugin=_text(row["plugin"]),
        stored=_text(row["authentication_string"]),
        locked=row["account_locked"] == "Y",
        expired=row["password_expired"] == "Y",  # noqa: S105
        is_role=row["is_role"] in {1, "Y"},
        connection_limit=int(row["max_user_connections"]),
        tls_demand=_text(row["ssl_type"]),
        has_hourly_limits=any(row[f"max_{what}"] for what in ("questions", "updates", "connections")),
        # MySQL 8 keeps it there after ALTER USER … RETAIN CURRENT PASSWORD. MariaDB has neither.
        has_old_password="additional_password" in json.loads(_text(row.get("User_attributes")) or "{}"),
    )


def _edges(found: Iterable[Row]) -> dict[Name, frozenset[Name]]:
    edges: dict[Name, set[Name]] = {}
    for row in found:
        member = (_text(row["TO_USER"]), _text(row["TO_HOST"]))
        edges.setdefault(member, set()).add((_text(row["FROM_USER"]), _text(row["FROM_HOST"])))
    return {member: frozenset(roles) for member, roles in edges.items()}


def _events(connection: MyConnection) -> Iterator[Event]:
    for row in rows(connection, _EVENTS):
        user, _, host = _text(row["definer"]).rpartition("@")
        # RDS has some of its own in mysql, which nobody else may alter.
        if row["place"] not in _SYSTEM_DATABASES:
            yield Event(row["place"], row["name"], (user, host))


def _holdings(
    connection: MyConnection, dialect: Dialect, accounts: Iterable[Row], users: Collection[str]
) -> dict[Name, Holdings]:
    holdings: dict[Name, Holdings] = {_name(row): {} for row in accounts}
    if not holdings:
        return holdings
    for name, place, privileges in _held(connection, dialect, accounts, sorted(users)):
        if name in holdings and privileges:
            held = holdings[name]
            held[place] = held.get(place, frozenset()) | privileges
    return holdings


def _held(
    connection: MyConnection, dialect: Dialect, accounts: Iterable[Row], users: list[str]
) -> Iterator[tuple[Name, Place, frozenset[str]]]:
    for row in accounts:
        yield _name(row), Place(Scope.GLOBAL), _privileges_in(row)
    if dialect.dynamic_privileges is not None:
        for row in rows(connection, dialect.dynamic_privileges):
            yield (_text(row["USER"]), _text(row["HOST"])), Place(Scope.GLOBAL), frozenset({_text(row["PRIV"])})
    for row in rows(connection, "SELECT * FROM mysql.db WHERE User IN %s", [users]):
        yield _name(row), Place(Scope.DATABASE, _text(row["Db"])), _privileges_in(row)
    for row in rows(connection, "SELECT * FROM mysql.tables_priv WHERE User IN %s", [users]):
        table = Place(Scope.TABLE, _text(row["Db"]), _text(row["Table_name"]))
        yield _name(row), table, _privileges_of(row["Table_priv"])
    for row in rows(connection, "SELECT * FROM mysql.columns_priv WHERE User IN %s", [users]):
        column = f"{_text(row['Table_name'])}.{_text(row['Column_name'])}"
        yield _name(row), Place(Scope.COLUMN, _text(row["Db"]), column), _privileges_of(row["Column_priv"])
    for row in rows(connection, "SELECT * FROM mysql.procs_priv WHERE User IN %s", [users]):
        routine = Place(Scope.ROUTINE, _text(row["Db"]), _text(row["Routine_name"]))
        yield _name(row), routine, _privileges_of(row["Proc_priv"])


def _privileges_in(row: Row) -> frozenset[str]:
    """Return the privileges that a row has a column for and says Y to."""
    held = (column.removesuffix("_priv") for column, value in row.items() if column.endswith("_priv") and value == "Y")
    return frozenset(_WORDS.get(word, word.replace("_", " ").upper()) for word in held)


def _privileges_of(listed: Any) -> frozenset[str]:
    """Return the privileges of a column of the type SET."""
    words = (word for word in _text(listed).split(",") if word)
    return frozenset(_WORDS.get(word, word.upper()) for word in words)
