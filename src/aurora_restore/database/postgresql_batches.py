"""Grants and revocations, gathered so that equal ones share a statement and one sentence a user."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import LiteralString

from psycopg import sql

from aurora_restore.database.engine import Change, ChangeKind
from aurora_restore.database.postgresql_actions import Action, Unit, identifiers
from aurora_restore.database.postgresql_objects import Kind, Thing
from aurora_restore.database.postgresql_privileges import Privileges

_WORDS: tuple[LiteralString, ...] = (
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "REFERENCES",
    "TRIGGER",
    "MAINTAIN",
    "USAGE",
    "EXECUTE",
    "CREATE",
    "CONNECT",
    "TEMPORARY",
    "SET",
    "ALTER SYSTEM",
)
_PRIVILEGES = {word: sql.SQL(word) for word in _WORDS}

# The keyword for objects that are there, and for those yet to come (None: they have no default privileges).
_KEYWORDS: dict[Kind, tuple[LiteralString, LiteralString | None]] = {
    Kind.DATABASE: ("DATABASE", None),
    Kind.SCHEMA: ("SCHEMA", "SCHEMAS"),
    Kind.TABLE: ("TABLE", "TABLES"),
    Kind.SEQUENCE: ("SEQUENCE", "SEQUENCES"),
    Kind.ROUTINE: ("ROUTINE", "ROUTINES"),
    Kind.TYPE: ("TYPE", "TYPES"),
    Kind.LANGUAGE: ("LANGUAGE", None),
    Kind.FOREIGN_DATA_WRAPPER: ("FOREIGN DATA WRAPPER", None),
    Kind.FOREIGN_SERVER: ("FOREIGN SERVER", None),
    Kind.LARGE_OBJECT: ("LARGE OBJECT", "LARGE OBJECTS"),
    Kind.TABLESPACE: ("TABLESPACE", None),
    Kind.PARAMETER: ("PARAMETER", None),
}
_THINGS_A_STATEMENT = 1_000
_THINGS_A_SENTENCE = 3


class Verb(StrEnum):
    """What happens to a privilege. Revocations come first; what they cascade to is granted again after them."""

    REVOKE = "REVOKE"
    REVOKE_OPTION = "REVOKE GRANT OPTION FOR"
    GRANT = "GRANT"


_VERBS = {
    Verb.REVOKE: (sql.SQL("REVOKE"), sql.SQL("FROM"), sql.SQL(" CASCADE")),
    Verb.REVOKE_OPTION: (sql.SQL("REVOKE GRANT OPTION FOR"), sql.SQL("FROM"), sql.SQL(" CASCADE")),
    Verb.GRANT: (sql.SQL("GRANT"), sql.SQL("TO"), sql.SQL("")),
}
_SENTENCES = {
    Verb.REVOKE: "{user} loses {privileges} on {things}",
    Verb.REVOKE_OPTION: "{user} may no longer pass on {privileges} on {things}",
    Verb.GRANT: "{user} gets {privileges} on {things}",
}


@dataclass(frozen=True, slots=True)
class _Rule:
    verb: Verb
    kind: Kind
    privileges: Privileges
    users: frozenset[str]


@dataclass(slots=True)
class Batches:
    """What is to happen to privileges in one database; grows by ``on_thing`` and ``on_future``.

    ``closed``: see ``Objects``.
    """

    database: str
    closed: Collection[tuple[str, str]] = ()
    _present: dict[tuple[str, _Rule], list[Thing]] = field(default_factory=dict)
    _future: dict[tuple[str | None, _Rule], list[str]] = field(default_factory=dict)

    def on_thing(self, verb: Verb, thing: Thing, by_user: dict[str, Privileges], *, acting_as: str = "") -> None:
        """Add what happens on an object; ``acting_as`` says as whom, if having the giver's privileges is not enough."""
        for privileges, users in _inverted(by_user):
            rule = _Rule(verb, thing.kind, privileges, users)
            self._present.setdefault((acting_as, rule), []).append(thing)

    def on_future(
        self, verb: Verb, creator: str, schema: str | None, kind: Kind, by_user: dict[str, Privileges]
    ) -> None:
        """Add what happens on objects that ``creator`` will create, in one schema or (None) in any."""
        for privileges, users in _inverted(by_user):
            self._future.setdefault((schema, _Rule(verb, kind, privileges, users)), []).append(creator)

    def units(self) -> Iterator[Unit]:
        """Return the statements in the order in which they must run; those of a unit in one transaction.

        Schemas come last: whoever grants what is in them has to be let in until then.
        """
        inside = [each for each in self._present if each[1].kind is not Kind.SCHEMA]
        for verb in Verb:
            yield from self._present_units(verb, inside)
            yield from self._future_units(verb)
        schemas = self._present.keys() - set(inside)
        for verb in Verb:
            yield from self._present_units(verb, [each for each in self._present if each in schemas])

    def _present_units(self, verb: Verb, rules: Iterable[tuple[str, _Rule]]) -> Iterator[Unit]:
        for acting_as, rule in sorted(rules, key=lambda each: not each[0]):
            things = self._present[acting_as, rule] if rule.verb is verb else []
            for start in range(0, len(things), _THINGS_A_STATEMENT):
                some = things[start : start + _THINGS_A_STATEMENT]
                changes = self._changes(rule, described(rule.kind, things, self.database)) if start == 0 else ()
                yield self._acting_as(acting_as, some, Action(_on_present(rule, some), changes, len(some)))

    def _future_units(self, verb: Verb) -> Iterator[Unit]:
        # What goes for several groups of creators, who are not all the same users, is one change to a person.
        told: set[Change] = set()
        for (schema, rule), creators in self._future.items():
            if rule.verb is verb:
                action = self._future_action(schema, rule, creators)
                yield (replace(action, changes=tuple(one for one in action.changes if one not in told)),)
                told |= set(action.changes)

    def _acting_as(self, role: str, things: Collection[Thing], action: Action) -> Unit:
        """Return a statement to be run as a role, which is let in where the things are if it is not."""
        if not role:
            return (action,)
        who = sql.Identifier(role)
        places = {place for thing in things for place in thing.places if (role, place) in self.closed}
        doors = [sql.Identifier(place) for place in sorted(places)]
        return (
            *(Action(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(door, who)) for door in doors),
            Action(sql.SQL("SET LOCAL ROLE {}").format(who)),
            action,
            Action(sql.SQL("RESET ROLE").format()),
            *(Action(sql.SQL("REVOKE USAGE ON SCHEMA {} FROM {}").format(door, who)) for door in doors),
        )

    def _future_action(self, schema: str | None, rule: _Rule, creators: list[str]) -> Action:
        keyword = _KEYWORDS[rule.kind][1]
        if keyword is None:
            raise ValueError(f"{rule.kind} has no default privileges")
        verb, to, end = _VERBS[rule.verb]
        statement = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}{} {} {} ON {} {} {}{}").format(
            identifiers(creators),
            sql.SQL("") if schema is None else sql.SQL(" IN SCHEMA {}").format(sql.Identifier(schema)),
            verb,
            _listed(rule.privileges),
            sql.SQL(keyword),
            to,
            identifiers(rule.users),
            end,
        )
        place = self.database if schema is None else f"{self.database}, schema {schema}"
        return Action(statement, self._changes(rule, f"future {rule.kind}s of {place}"))

    def _changes(self, rule: _Rule, things: str) -> tuple[Change, ...]:
        kind = ChangeKind.GRANT if rule.verb is Verb.GRANT else ChangeKind.REVOKE
        words = ", ".join(word for word in _PRIVILEGES if word in rule.privileges)
        return tuple(
            Change(kind, user, self.database, _SENTENCES[rule.verb].format(user=user, privileges=words, things=things))
            for user in sorted(rule.users)
        )


def _on_present(rule: _Rule, things: Iterable[Thing]) -> sql.Composed:
    verb, to, end = _VERBS[rule.verb]
    return sql.SQL("{} {} ON {} {} {} {}{}").format(
        verb,
        _listed(rule.privileges),
        sql.SQL(_KEYWORDS[rule.kind][0]),
        sql.SQL(", ").join(map(_name, things)),
        to,
        identifiers(rule.users),
        end,
    )


def _inverted(by_user: dict[str, Privileges]) -> Iterator[tuple[Privileges, frozenset[str]]]:
    users: dict[Privileges, list[str]] = {}
    for user, privileges in by_user.items():
        if privileges:
            users.setdefault(privileges, []).append(user)
    for privileges, names in users.items():
        yield privileges, frozenset(names)


def _listed(privileges: Privileges) -> sql.Composed:
    return sql.SQL(", ").join(_PRIVILEGES[word] for word in sorted(privileges))


def _name(thing: Thing) -> sql.Composable:
    match thing.kind:
        case Kind.LARGE_OBJECT:
            return sql.Literal(int(thing.name))
        case Kind.PARAMETER:
            return sql.Identifier(*thing.name.split("."))
        case Kind.ROUTINE:
            # IN: without it, a procedure's types are also compared with those of others that give some of them back.
            types = sql.SQL(", ").join(sql.SQL("IN {}").format(sql.Identifier(*type_)) for type_ in thing.arguments)
            return sql.SQL("{}({})").format(sql.Identifier(thing.schema or "", thing.name), types)
        case _:
            return sql.Identifier(*([thing.schema] if thing.schema is not None else []), thing.name)


def described(kind: Kind, things: Collection[Thing], database: str) -> str:
    """Name things of one kind for a person: all of them if they are few, else their number and some."""
    if kind is Kind.DATABASE:
        return f"database {database}"
    names = sorted(map(str, things))
    shown = ", ".join(names[:_THINGS_A_SENTENCE])
    if len(names) == 1:
        return f"{kind} {shown} of {database}"
    more = f" and {len(names) - _THINGS_A_SENTENCE} more" if len(names) > _THINGS_A_SENTENCE else ""
    return f"{len(names)} {kind}s of {database} ({shown}{more})"
