"""Which of MySQL's accounts are whose: the users', those that are closed, and those that nobody touches."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from aurora_restore.database.engine import DesiredState, DesiredUser
from aurora_restore.database.mysql_dialect import Dialect
from aurora_restore.database.mysql_passwords import is_for
from aurora_restore.database.mysql_privileges import wanted
from aurora_restore.database.mysql_server import Account, Name, Place, Scope, Server, is_local
from aurora_restore.database.mysql_words import LONGEST_PATTERN, matches
from aurora_restore.database_request import Logins

IAM_STORED = "RDS"
_Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Listed:
    """An account by which a user of the request logs in; ``account`` is None while there is none."""

    name: Name
    user: DesiredUser
    account: Account | None
    is_right: bool


def shown(name: Name) -> str:
    """Return how a sentence calls an account."""
    user, host = name
    return user if host == "%" else f"{user}@{host}"


def listed_accounts(server: Server, desired: DesiredState, dialect: Dialect) -> list[Listed]:
    """Return the users' accounts: those of the request, and those that would stand before one of these.

    MySQL looks for an account by host, the narrowest first. Production's app@10.% would be met before the request's
    app@% by whoever comes from there: so it is the request's too, and gets the same password and privileges.
    """
    hosts: dict[str, list[str]] = {}
    for user_name, host in sorted(server.accounts):
        hosts.setdefault(user_name, []).append(host)
    found = []
    for user in desired.users:
        # MySQL writes an account's host in small letters, however it was said.
        names = [(user.name, user.host.lower())]
        names += [(user.name, host) for host in hosts.get(user.name, ()) if _is_within(host, user.host.lower())]
        for name in names:
            account = server.accounts.get(name)
            is_right = account is not None and _is_right(account, user, dialect)
            found.append(Listed(name, user, account, is_right))
    return found


def closing(server: Server, desired: DesiredState, listed: list[Listed]) -> Iterator[Account]:
    """Yield the accounts that nobody may log in by, and somebody could, or could once it were unlocked.

    A user's account with production's password is one of them: it is closed, its sessions end, and it is opened again.
    """
    listed_names = {one.name for one in listed}
    for one in listed:
        if one.account is not None and not one.is_right and not one.account.is_closed:
            yield one.account
    if desired.logins is Logins.KEEP:
        return
    for name, account in sorted(server.accounts.items()):
        if name not in listed_names and not account.is_closed and not _stays(server, desired, name):
            yield account


def open_users(server: Server, desired: DesiredState, listed: list[Listed]) -> frozenset[str]:
    """Return the users of whom sessions may be: the protocol shows a session's user, and not by which account it came.

    Before an account is opened no session of its user's may be left that came by it when it was production's.
    """
    stay = {name[0] for name in server.accounts if server.belongs_to_rds(name) or _stays(server, desired, name)}
    if desired.logins is Logins.KEEP:
        stay |= {name[0] for name, account in server.accounts.items() if account.lets_in}
        stay -= {one.user.name for one in listed if not one.is_right and one.account is not None}
    return frozenset(stay | {one.user.name for one in listed if one.is_right and one.user.opens})


def problems(server: Server, desired: DesiredState) -> Iterator[str]:
    """Yield what makes the desired state impossible, so far as accounts go."""
    own = {role for role, _ in _own(server)}
    for user in desired.users:
        if user.name == server.me[0]:
            yield f"the user {user.name} is the master user, whose password RDS manages: leave it out"
        elif server.belongs_to_rds((user.name, user.host)):
            yield f"the name {user.name} belongs to RDS or MySQL: give the user another"
        for role in user.roles:
            # MariaDB's roles have no host.
            if server.accounts.keys().isdisjoint({(role, "%"), (role, "")}):
                yield f"there is no role {role} for {user.name} to be in"
            elif server.belongs_to_rds((role, "%")) and role not in own:
                yield f"the role {role} is RDS's, and {server.me[0]} may not grant it"
    yield from _told_apart(server, desired)


def taken_for_rds(server: Server, desired: DesiredState) -> Iterator[str]:
    """Yield a sentence for each account that only its name says to be RDS's, and by which one could log in."""
    if desired.logins is Logins.KEEP:
        return
    for name, account in sorted(server.accounts.items()):
        if account.lets_in and server.belongs_to_rds(name) and not is_local(name):
            yield (
                f"{shown(name)} can log in and was left alone, because its name is one of RDS's: if production made"
                " it, close it in a file of sql (ALTER USER … ACCOUNT LOCK)"
            )


def _told_apart(server: Server, desired: DesiredState) -> Iterator[str]:
    """Yield a sentence for each user who could do in one database what it is to do in another only."""
    alike = [
        (one, other)
        for one, pattern in server.databases.items()
        for other in server.databases
        if len(pattern) == LONGEST_PATTERN and other != one and matches(pattern, other)
    ]
    for user in desired.users if alike else ():
        shall = wanted(user.grants, server.databases)
        for one, other in alike:
            here, there = (shall.get(Place(Scope.DATABASE, server.databases[name])) for name in (one, other))
            if here and here != there:
                yield (
                    f"what {user.name} is to do in {one} it could do in {other} too, because MySQL has no room for the"
                    " underscores of names as long as these: give it the same on both"
                )


def _own(server: Server) -> set[Name]:
    """Return the roles that the master is in, also by others: those for S3 and Lambda are rds_superuser_role's."""
    own: set[Name] = set()
    unseen = {server.me}
    while unseen:
        found = {role for member in unseen for role in server.memberships.get(member, frozenset())}
        unseen = found - own
        own |= found
    return own


def _stays(server: Server, desired: DesiredState, name: Name) -> bool:
    # Of the master's accounts only the one that we have come by: another one would have production's password.
    if name[0] == server.me[0]:
        return name == server.me
    return server.belongs_to_rds(name) or name[0] in desired.keep


def _is_right(account: Account, user: DesiredUser, dialect: Dialect) -> bool:
    if not user.opens:
        return account.is_closed
    if account.locked or account.expired or account.is_role or account.has_old_password or account.has_hourly_limits:
        return False
    if (user.connection_limit or 0) != account.connection_limit:
        return False
    if user.password is None:
        return account.plugin == dialect.iam_plugin and account.stored == IAM_STORED
    return is_for(account.plugin, account.stored, user.password)


def _is_within(host: str, pattern: str) -> bool:
    """Say whether a narrower host is one of those that a pattern stands for; its own wildcards are characters here.

    No host at all stands for all hosts too, and MySQL looks there last of all.
    """
    if host in {"", pattern}:
        return False
    network, narrower = _network(pattern), _network(host)
    if isinstance(network, IPv4Network) and isinstance(narrower, IPv4Network):
        return narrower.subnet_of(network)
    parts = {"%": ".*", "_": "."}
    expression = "".join(parts.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, host, re.IGNORECASE) is not None


def _network(host: str) -> _Network | None:
    """Return what a host stands for, if that is one address, an address with its netmask, or 10.1.%."""
    octets = host.removesuffix("%").rstrip(".").split(".")
    if re.fullmatch(r"(\d+\.){1,3}%", host):
        host = f"{'.'.join([*octets, *['0'] * (4 - len(octets))])}/{8 * len(octets)}"
    try:
        return ip_network(host, strict=False)
    except ValueError:
        return None
