"""What a listed user's sessions begin with: compares a role's settings with those of the request. Pure."""

import re
from collections.abc import Iterator, Mapping

from psycopg import sql

from aurora_restore.database.engine import Change, ChangeKind, DesiredUser
from aurora_restore.database.postgresql_actions import Action
from aurora_restore.database.postgresql_cluster import Cluster, Setting

_Value = str | int | float | bool

# PostgreSQL keeps these as lists of names: in one piece, "a, b" would be a single name with a comma in it.
_LISTS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
_ITEM = re.compile(r'\s*("(?:[^"]|"")*"|[^,"\s]+)\s*(?:,|$)')


def settings_actions(cluster: Cluster, user: DesiredUser) -> Iterator[Action]:
    """Yield what makes a user's settings those of the request, and no others."""
    wanted = {name.lower(): value for name, value in user.settings.items()}
    present = [one for one in cluster.settings if one.role == user.name]
    has = {one.name.lower(): one.value for one in present if one.database is None}
    for one in present:
        if not one.is_guarded and (one.database is not None or one.name.lower() not in wanted):
            yield _reset(user.name, one)
    for name, value in wanted.items():
        if name not in has or items(name, has[name]) != items(name, _text(value)):
            yield _set(user.name, name, value)


def settings_remarks(cluster: Cluster, users: Mapping[str, DesiredUser]) -> Iterator[str]:
    """Yield a sentence for each setting of a listed user that the master may not take away."""
    for one in cluster.settings:
        user = users.get(one.role)
        if user is not None and one.is_guarded and one.name.lower() not in user.settings:
            yield f"{one.role} keeps the setting {one.name}, which {cluster.master} may not take away"


def items(name: str, value: str) -> list[str]:
    """Return a setting's value as a list: of names for a list of names, folded as PostgreSQL folds them."""
    if name not in _LISTS:
        return [value]
    # An empty list is one empty name: PostgreSQL has no other way to say it.
    found = _ITEM.findall(value) or ['""']
    return [item[1:-1].replace('""', '"') if item.startswith('"') else item.lower() for item in found]


def _text(value: _Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _set(user: str, name: str, value: _Value) -> Action:
    parts = items(name, _text(value))
    statement = sql.SQL("ALTER ROLE {} SET {} TO {}").format(
        sql.Identifier(user), sql.Identifier(*name.split(".")), sql.SQL(", ").join(map(sql.Literal, parts))
    )
    sentence = f"{user}'s sessions begin with {name} = {_text(value)}"
    return Action(statement, (Change(ChangeKind.CHANGE_USER, user, None, sentence),))


def _reset(user: str, setting: Setting) -> Action:
    in_database = sql.SQL(" IN DATABASE {}").format(sql.Identifier(setting.database or ""))
    statement = sql.SQL("ALTER ROLE {}{} RESET {}").format(
        sql.Identifier(user),
        in_database if setting.database is not None else sql.SQL(""),
        sql.Identifier(*setting.name.split(".")),
    )
    where = "" if setting.database is None else f" in {setting.database}"
    sentence = f"{user}'s sessions no longer begin with production's {setting.name}{where}"
    return Action(statement, (Change(ChangeKind.CHANGE_USER, user, setting.database, sentence),))
