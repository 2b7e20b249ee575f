"""What a request asks for that the source's engine has no like of: said before anything is done, all at once."""

from collections.abc import Iterator
from typing import Final

from aurora_restore.database.mysql_dialect import RESERVED
from aurora_restore.database_request import Grant, Leftover, User
from aurora_restore.request import RestoreRequest

LONGEST_MYSQL_NAME: Final = 32
# MySQL's own words for what the request's word would be, where there is one.
_INSTEAD: Final = {
    "TRUNCATE": "is DROP in MySQL, by which one drops tables too: give the preset owner, or leave it out",
    "USAGE": "is no privilege to do anything in MySQL: leave it out",
    "CONNECT": "is what every user of MySQL may: leave it out",
}
_NOT_ON_TABLES: Final = frozenset({"EXECUTE", "TEMPORARY"})
# Also in quotes: one stands for everybody, the other for nobody.
_NOBODYS_NAMES: Final = frozenset({"public", "none"})
# PostgreSQL's is CREATE in a schema. What is the database's or a sequence's may stand beside a table's.
_NOT_ON_POSTGRESQLS_TABLES: Final = {"EXECUTE": "a function", "CREATE": "a schema"}


def unsupported(request: RestoreRequest, engine: str) -> Iterator[str]:
    """Yield a sentence for each field of the request that the engine, named as RDS does, can make nothing of."""
    match engine:
        case "aurora-mysql":
            yield from _by_mysql(request)
        case "aurora-postgresql":
            yield from _by_postgresql(request)
        case _:
            return


def outdated(engine: str, version: str) -> Iterator[str]:
    """Yield a sentence if the restored cluster's version is one whose users cannot be set up."""
    if engine == "aurora-mysql" and version.startswith("5."):
        yield (
            f"the copy would be of Aurora MySQL {version}, of which no login could be closed: give an 8.0 version in"
            " target.engine_version, with parameter groups for it, and AWS upgrades it on the way"
        )


def _by_mysql(request: RestoreRequest) -> Iterator[str]:
    for user in request.users:
        yield from (f"the user {user.name}: {what}" for what in _of_user(user))
    for leftover in request.keep:
        if leftover is not Leftover.EVENTS:
            yield f"keep: MySQL has no {leftover.value}, they are PostgreSQL's: leave them out"
    if request.ownership:
        yield "ownership: nothing in MySQL has an owner: leave it out"


def _of_user(user: User) -> Iterator[str]:
    if len(user.name) > LONGEST_MYSQL_NAME:
        yield f"a name in MySQL has at most {LONGEST_MYSQL_NAME} characters, and this one {len(user.name)}"
    if user.name in RESERVED:
        yield "the name belongs to RDS or MySQL: give the user another"
    if user.name.endswith(" "):
        yield "a name in MySQL ends with no space"
    if any(character > "\uffff" for character in user.name):
        yield "a name in MySQL holds no characters beyond U+FFFF, such as emoji"
    if user.valid_until is not None:
        yield "valid_until is PostgreSQL's, a password in MySQL ends on no certain day: leave it out"
    if user.settings:
        yield "settings are PostgreSQL's, a user of MySQL has none: leave them out"
    for number, grant in enumerate(user.grants):
        yield from (f"grants[{number}]: {what}" for what in _of_grant(grant))


def _of_grant(grant: Grant) -> Iterator[str]:
    if grant.schema_name is not None:
        yield f"schema is PostgreSQL's, in MySQL it is the database: give database: {grant.schema_name}"
    for word in grant.privileges or ():
        if word in _INSTEAD:
            yield f"{word} {_INSTEAD[word]}"
        elif grant.table is not None and word in _NOT_ON_TABLES:
            yield f"{word} is a privilege on a database and not on a table: leave out table"


def _on_table(grant: Grant) -> Iterator[str]:
    if grant.table is None:
        return
    if grant.schema_name is None:
        yield "table needs schema"
    for word, place in _NOT_ON_POSTGRESQLS_TABLES.items():
        if word in (grant.privileges or ()):
            yield f"{word} is a privilege on {place} and not on a table: leave out table"


def _by_postgresql(request: RestoreRequest) -> Iterator[str]:
    for user in request.users:
        if user.name in _NOBODYS_NAMES:
            yield f"the user {user.name}: PostgreSQL keeps this word for itself, no role can be called so"
        if user.host != "%":
            yield f"the user {user.name}: host is MySQL's, PostgreSQL's roles have none: leave it out"
        for number, grant in enumerate(user.grants):
            yield from (f"the user {user.name}: grants[{number}]: {what}" for what in _on_table(grant))
    if Leftover.EVENTS in request.keep:
        yield "keep: PostgreSQL has no events, they are MySQL's: leave them out"
