"""The statements that make a MySQL server's users what they shall be, in an order in which any of them can be the last.

MySQL has no transaction for them: each is done for good. So ways in are closed before anything else, an account is
opened only once all that production let it do is taken back, and what is granted comes last.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TypeVar

from aurora_restore.database.engine import Change, ChangeKind, DesiredState
from aurora_restore.database.mysql_accounts import IAM_STORED, Listed, closing, listed_accounts, open_users, shown
from aurora_restore.database.mysql_dialect import RDS_ROLES, Dialect, as_stored
from aurora_restore.database.mysql_passwords import SALT_BYTES, nobodys_verifier, verifier
from aurora_restore.database.mysql_privileges import wanted
from aurora_restore.database.mysql_server import BACKGROUND, Account, Event, Holdings, Name, Place, Scope, Server
from aurora_restore.database.mysql_words import account, identifier
from aurora_restore.database_request import Leftover

ACCOUNTS_A_STATEMENT = 100
_NO_LIMITS = "MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0 MAX_CONNECTIONS_PER_HOUR 0"
_Item = TypeVar("_Item")
Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Action:
    """One statement and what it changes; it is not shown, because a verifier may stand in it (I6).

    ``parts``: the same as several statements, for when one account of many lets it be refused.
    """

    statement: str = field(repr=False)
    changes: tuple[Change, ...] = ()
    parts: tuple["Action", ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: ``first``, then the sessions of everybody but ``may_stay`` end, then the rest."""

    first: tuple[Action, ...]
    may_stay: frozenset[str]
    sessions: tuple[Change, ...]
    rest: tuple[Action, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every change, in the order in which it is made."""
        before = [change for action in self.first for change in action.changes]
        after = [change for action in self.rest for change in action.changes]
        return (*before, *self.sessions, *after)


def make_plan(server: Server, desired: DesiredState, dialect: Dialect, random: Random = secrets.token_bytes) -> Plan:
    """Return what is to be done to a server. Pure but for ``random``, where the salts of verifiers come from."""
    listed = listed_accounts(server, desired, dialect)
    events = () if Leftover.EVENTS in desired.leftovers else server.events
    may_stay = open_users(server, desired, listed) | (server.reserved - RDS_ROLES) | BACKGROUND
    rest = (
        *_leaving(server, listed, dialect),
        *_stripping(server, listed),
        *opening(server, listed, dialect, random),
        *_granting(server, listed),
        *_joining(server, listed, dialect),
    )
    return Plan(
        first=(*map(_disable, events), *_closing(server, closing(server, desired, listed), random)),
        may_stay=may_stay,
        sessions=tuple(_sessions(server, may_stay)),
        rest=rest,
    )


def _disable(event: Event) -> Action:
    # Without its definer the event would become ours, and run with the master's powers should somebody enable it.
    name = f"{identifier(event.database)}.{identifier(event.name)}"
    change = Change(
        ChangeKind.STOP_LEFTOVER,
        shown(event.definer),
        event.database,
        f"the event {event.name} of {event.database} is disabled",
    )
    return Action(f"ALTER DEFINER = {account(*event.definer)} EVENT {name} DISABLE", (change,))


def _closing(server: Server, accounts: Iterable[Account], random: Random) -> Iterator[Action]:
    doomed = list(accounts)
    for batch in _batches([each.name for each in doomed if each.name[0]]):
        clauses = {name: f"{account(*name)} {_nobodys(server, random)}" for name in batch}
        parts = tuple(_locking({name: clause}) for name, clause in clauses.items())
        yield replace(_locking(clauses), parts=parts if len(parts) > 1 else ())
    yield from _forgetting(server, doomed)
    # A locked account without a name would be met before the users', by whoever comes from its host.
    for name in (each.name for each in doomed if not each.name[0]):
        sentence = f"the account without a name at {name[1]} is dropped"
        yield Action(f"DROP USER IF EXISTS {account(*name)}", (_change(ChangeKind.TAKE_LOGIN, name, sentence),))


def _locking(clauses: Mapping[Name, str]) -> Action:
    changes = (_change(ChangeKind.TAKE_LOGIN, name, f"{shown(name)} can no longer log in") for name in clauses)
    return Action(f"ALTER USER {', '.join(clauses.values())} ACCOUNT LOCK", tuple(changes))


def _nobodys(server: Server, random: Random) -> str:
    return as_stored(server.default_plugin, nobodys_verifier(server.default_plugin, random(SALT_BYTES)))


def _forgetting(server: Server, doomed: Sequence[Account]) -> Iterator[Action]:
    """Yield what ends second passwords: another password leaves them as they are, and so RDS may leave the master's."""
    master = [server.accounts[server.me]] if server.me in server.accounts else []
    for batch in _batches([each.name for each in (*doomed, *master) if each.has_old_password and each.name[0]]):
        names = ", ".join(f"{account(*name)} DISCARD OLD PASSWORD" for name in batch)
        changes = (
            _change(ChangeKind.CHANGE_USER, name, f"{shown(name)} loses its second, older password") for name in batch
        )
        yield Action(f"ALTER USER {names}", tuple(changes))


def _sessions(server: Server, may_stay: frozenset[str]) -> Iterator[Change]:
    for user, number in sorted(server.sessions.items()):
        if user not in may_stay:
            ends = "1 session of {} ends" if number == 1 else "{1} sessions of {0} end"
            yield _change(ChangeKind.END_SESSIONS, (user, "%"), ends.format(user, number))


def _stripping(server: Server, listed: Sequence[Listed]) -> Iterator[Action]:
    excess = {one.name: _excess(server, one) for one in listed}
    for batch in _batches([name for name, holdings in excess.items() if holdings]):
        changes = [
            _change(ChangeKind.REVOKE, name, f"{shown(name)} loses {_listed(privileges)} on {place}", place)
            for name in batch
            for place, privileges in sorted(excess[name].items())
        ]
        # All of it, and what the user is to have is granted anew: this form alone needs no privilege of the same kind.
        names = ", ".join(account(*name) for name in batch)
        yield Action(f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {names}", tuple(changes))


def _leaving(server: Server, listed: Sequence[Listed], dialect: Dialect) -> Iterator[Action]:
    of_all = server.roles_of_all
    for one in listed:
        # The role's host is as it was granted; MariaDB's roles have none.
        handed_on = server.handed_on.get(one.name, frozenset())
        # Who is to be in a role, but not to hand it on, leaves it and joins it anew: MySQL takes back both or nothing.
        for role in sorted((server.memberships.get(one.name, frozenset()) - _roles(one) | handed_on) - of_all):
            which = "may hand the role {} on no more" if role in _roles(one) else "leaves the role {}"
            sentence = f"{shown(one.name)} {which.format(shown(role))}"
            given = dialect.role(role[0]) if role[1] == "%" else account(*role)
            statement = f"REVOKE {given} FROM {account(*one.name)}"
            yield Action(statement, (_change(ChangeKind.LEAVE_ROLE, one.name, sentence),))


def opening(server: Server, listed: Sequence[Listed], dialect: Dialect, random: Random) -> Iterator[Action]:
    """Yield what lets users in; those who are not to open yet are made, and locked."""

    def clause(one: Listed) -> str:
        password = one.user.password
        if not one.user.opens:
            return f"{account(*one.name)} {_nobodys(server, random)}"
        if password is None:
            return f"{account(*one.name)} {as_stored(dialect.iam_plugin, IAM_STORED)}"
        stored = verifier(server.default_plugin, password, random(SALT_BYTES))
        return f"{account(*one.name)} {as_stored(server.default_plugin, stored)}"

    for verb, state, todo in _kinds_of_opening(listed):
        for limit, those in _by_limit(todo):
            for batch in _batches(those):
                clauses = ", ".join(clause(one) for one in batch)
                statement = f"{verb} {clauses} WITH {_NO_LIMITS} MAX_USER_CONNECTIONS {limit} ACCOUNT {state}"
                yield Action(statement, tuple(_opened(one) for one in batch))


def _kinds_of_opening(listed: Sequence[Listed]) -> Iterator[tuple[str, str, list[Listed]]]:
    todo = [one for one in listed if not one.is_right]
    there = [one for one in todo if one.account is not None]
    new = [one for one in todo if one.account is None]
    # One that is there and not to open yet is closed already.
    yield "ALTER USER", "UNLOCK", [one for one in there if one.user.opens]
    yield "CREATE USER IF NOT EXISTS", "UNLOCK", [one for one in new if one.user.opens]
    yield "CREATE USER IF NOT EXISTS", "LOCK", [one for one in new if not one.user.opens]


def _opened(one: Listed) -> Change:
    if not one.user.opens:
        return _change(ChangeKind.CREATE_USER, one.name, f"{shown(one.name)} is made, and cannot log in yet")
    way = "a password" if one.user.password is not None else "IAM"
    if one.account is None:
        return _change(ChangeKind.CREATE_USER, one.name, f"{shown(one.name)} is made, and logs in with {way}")
    return _change(ChangeKind.CHANGE_USER, one.name, f"{shown(one.name)} logs in with {way} of the request's")


def _granting(server: Server, listed: Sequence[Listed]) -> Iterator[Action]:
    alike: dict[tuple[Place, frozenset[str]], list[Name]] = {}
    for one in listed:
        held = {} if _excess(server, one) else server.holdings.get(one.name, {})
        for place, privileges in wanted(one.user.grants, server.databases).items():
            missing = privileges - held.get(place, frozenset())
            if missing:
                alike.setdefault((place, missing), []).append(one.name)
    for (place, privileges), names in alike.items():
        for batch in _batches(names):
            changes = (
                _change(ChangeKind.GRANT, name, f"{shown(name)} gets {_listed(privileges)} on {place}", place)
                for name in batch
            )
            to = ", ".join(account(*name) for name in batch)
            yield Action(f"GRANT {_listed(privileges)} ON {_object(place)} TO {to}", tuple(changes))


def _joining(server: Server, listed: Sequence[Listed], dialect: Dialect) -> Iterator[Action]:
    of_all = server.roles_of_all
    for one in listed:
        is_stripped = dialect.revoking_takes_roles and bool(_excess(server, one))
        handed_on = server.handed_on.get(one.name, frozenset()) - of_all
        present = frozenset() if is_stripped else server.memberships.get(one.name, frozenset()) - handed_on
        for role in one.user.roles:
            if (role, "%") not in present:
                sentence = f"{shown(one.name)} joins the role {role}"
                statement = f"GRANT {dialect.role(role)} TO {account(*one.name)}"
                yield Action(statement, (_change(ChangeKind.JOIN_ROLE, one.name, sentence),))
        active = dialect.set_default_roles(*one.name, one.user.roles)
        # MySQL forgets a default role with the membership; so without roles there is nothing to be said.
        is_active = server.default_roles.get(one.name) == dialect.active_roles(one.user.roles) and not is_stripped
        is_active &= handed_on.isdisjoint(_roles(one))
        if one.user.roles and not is_active:
            sentence = f"the roles of {shown(one.name)} are active from the login on"
            yield Action(active, (_change(ChangeKind.CHANGE_USER, one.name, sentence),))


def _roles(one: Listed) -> frozenset[Name]:
    return frozenset((role, "%") for role in one.user.roles)


def _excess(server: Server, one: Listed) -> Holdings:
    """Return what an account holds and its user is not to hold."""
    shall = wanted(one.user.grants, server.databases)
    held = server.holdings.get(one.name, {})
    excess = {place: privileges - shall.get(place, frozenset()) for place, privileges in held.items()}
    return {place: privileges for place, privileges in excess.items() if privileges}


def _object(place: Place) -> str:
    if place.scope is Scope.TABLE:
        return f"{identifier(place.database)}.{identifier(place.name)}"
    # The pattern is escaped already.
    return f"{identifier(place.database)}.*"


def _listed(privileges: frozenset[str]) -> str:
    return ", ".join(sorted(privileges))


def _change(kind: ChangeKind, name: Name, sentence: str, place: Place | None = None) -> Change:
    database = place.database.replace("\\", "") if place is not None and place.database else None
    return Change(kind, name[0], database, sentence)


def _by_limit(listed: Sequence[Listed]) -> Iterator[tuple[int, list[Listed]]]:
    def limit(one: Listed) -> int:
        return one.user.connection_limit or 0

    for number, group in groupby(sorted(listed, key=limit), key=limit):
        yield number, list(group)


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), ACCOUNTS_A_STATEMENT):
        yield items[start : start + ACCOUNTS_A_STATEMENT]
