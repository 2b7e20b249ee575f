"""Decide what has to happen to a server's roles. Pure: reads the cluster's state, returns statements and sentences.

Order: ``close`` (commit), end the sessions of those ``sent_away``, ``open`` (commit), ``join``. Whoever may not log in,
or has another password from now on, loses the old way in before its sessions end, so that none can come back; and a
user's new way in opens only after that. Killed between the two, the next run finds the role closed and goes on.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg import sql

from aurora_restore.database.engine import Change, ChangeKind, DesiredState, DesiredUser
from aurora_restore.database.passwords import scram_verifier
from aurora_restore.database.postgresql_actions import Action, Unit
from aurora_restore.database.postgresql_cluster import ADMIN_OPTION_RULES, Cluster, Membership, Role
from aurora_restore.database.postgresql_memberships import IAM_ROLE, Memberships
from aurora_restore.database.postgresql_settings import settings_actions, settings_remarks
from aurora_restore.database_request import Logins

_NO_WAY_IN = sql.SQL("NOLOGIN PASSWORD NULL")


@dataclass(frozen=True, slots=True)
class RolesPlan:
    """What to run, in this order, what makes it impossible, and what is left as it is.

    ``doubts`` names the roles that PostgreSQL will probably not let the master alter. It is tried nevertheless: the
    rules of RDS's own build may be wider, and a refusal changes nothing.
    """

    close: tuple[Unit, ...]
    sent_away: frozenset[str]
    session_changes: tuple[Change, ...]
    open: tuple[Action, ...]
    join: Unit
    new_passwords: frozenset[str]
    ended: frozenset[Membership]
    problems: tuple[str, ...]
    doubts: tuple[str, ...]
    remarks: tuple[str, ...]


def plan_roles(cluster: Cluster, desired: DesiredState, proven: frozenset[str], salt: Callable[[], bytes]) -> RolesPlan:
    """Compare the roles with the desired state; ``proven`` names the users whose password is right already."""
    return _Roles(cluster, desired, proven, salt).plan()


def plan_opening(
    cluster: Cluster, users: Sequence[DesiredUser], proven: frozenset[str], salt: Callable[[], bytes]
) -> tuple[Action, ...]:
    """Return what lets users in who have all else already."""
    return tuple(_opening(user, salt) for user in users if not settled(cluster, user, proven))


def plan_closing(cluster: Cluster, users: Sequence[DesiredUser]) -> tuple[tuple[Unit, ...], tuple[Change, ...]]:
    """Return what takes the users' ways in and leaves them all else, and the sessions that are to end after it."""
    names = {user.name for user in users} & cluster.roles.keys()
    closings = (_closing(name, (_taken(name),)) for name in sorted(names) if cluster.roles[name].can_login)
    return tuple((action,) for action in closings), tuple(_session_changes(cluster, names))


def settled(cluster: Cluster, user: DesiredUser, proven: frozenset[str]) -> bool:
    """Say whether a listed user's way in is the desired one."""
    role = cluster.roles.get(user.name)
    if not user.opens:
        return role is not None and not role.can_login
    if role is None or not role.can_login or role.is_barred:
        return False
    if user.iam:
        return any(membership.role == IAM_ROLE for membership in cluster.memberships_of(user.name))
    return user.name in proven


class _Roles:
    def __init__(
        self, cluster: Cluster, desired: DesiredState, proven: frozenset[str], salt: Callable[[], bytes]
    ) -> None:
        self.cluster = cluster
        self.desired = desired
        self.salt = salt
        self.users = {user.name: user for user in desired.users}
        self.keep = desired.keep | {cluster.master}
        self.unsettled = frozenset(user.name for user in desired.users if not settled(cluster, user, proven))
        self.unlisted = frozenset(name for name in cluster.roles if self._is_to_be_locked_out(name))
        self.memberships = Memberships(cluster, self.users, self.unlisted, self.keep)

    def plan(self) -> RolesPlan:
        problems = tuple(self._problems())
        if problems:
            nobody = frozenset[str]()
            return RolesPlan((), nobody, (), (), (), nobody, frozenset(), problems, (), ())
        closed = (self.unlisted | self.unsettled) & self.cluster.roles.keys()
        return RolesPlan(
            close=(
                *((action,) for action in self._closings(closed)),
                *self.memberships.leavings(),
                *((action,) for action in self._forgettings(closed)),
            ),
            sent_away=frozenset(closed | self._master_before()),
            session_changes=tuple(_session_changes(self.cluster, closed)),
            open=tuple(self._openings()),
            join=self.memberships.joinings(),
            new_passwords=self.unsettled,
            ended=self.memberships.ended(),
            problems=(),
            doubts=tuple(self._doubts()),
            remarks=tuple(self._remarks()),
        )

    def _master_before(self) -> frozenset[str]:
        """Return the master, of whom a session may be by production's password: RDS replaces it only after the start.

        It is ended and not told of: nobody can tell it from those that we have just closed ourselves.
        """
        return frozenset({self.cluster.master} if self.desired.logins is Logins.ONLY_LISTED else ())

    def _is_to_be_locked_out(self, name: str) -> bool:
        listed = name in self.users or name in self.keep or self.cluster.belongs_to_rds(name)
        return self.desired.logins is Logins.ONLY_LISTED and not listed

    def _problems(self) -> Iterator[str]:
        for name in sorted(self.users.keys() & self.keep):
            yield f"{name} is the cluster's master or kept as it is, so it cannot be one of the users"
        for user in self.desired.users:
            if user.valid_until is not None and user.valid_until <= self.cluster.now:
                yield f"the password of {user.name} ended on {_day(user.valid_until)} (valid_until)"
        yield from self.memberships.problems()

    def _doubts(self) -> Iterator[str]:
        for name in sorted(self._altered()):
            if not self.cluster.can_alter(name):
                yield _unalterable(self.cluster, name)
        yield from self.memberships.doubts()

    def _altered(self) -> Iterator[str]:
        for name in (self.unlisted | self.users.keys()) & self.cluster.roles.keys():
            role = self.cluster.roles[name]
            if name in self.unsettled or (name in self.unlisted and role.can_login) or self._excess(role):
                yield name

    def _closings(self, closed: frozenset[str] | set[str]) -> Iterator[Action]:
        for name in sorted(closed):
            if self.cluster.roles[name].can_login:
                yield _closing(name, tuple(self._closed(name)))

    def _forgettings(self, closed: frozenset[str] | set[str]) -> Iterator[Action]:
        """Yield what takes the passwords of roles that cannot log in, lest somebody lets them in again by them.

        Nobody can see whether a role has one. So it is done along with other changes, and is none itself.
        """
        if not (self.unsettled or any(self.cluster.roles[name].can_login for name in closed)):
            return
        for name in sorted(self.unlisted):
            is_ours = self.cluster.can_alter(name) and not name.startswith("rds_")
            if is_ours and not self.cluster.roles[name].can_login:
                yield Action(sql.SQL("ALTER ROLE {} PASSWORD NULL").format(sql.Identifier(name)))

    def _closed(self, name: str) -> Iterator[Change]:
        user = self.users.get(name)
        if user is None:
            yield _taken(name)
        elif not user.opens:
            yield Change(ChangeKind.CHANGE_USER, name, None, f"{name} cannot log in yet")
        # Others are only closed for a moment; what a person wants to know is said when they open.

    def _openings(self) -> Iterator[Action]:
        for user in self.desired.users:
            role = self.cluster.roles.get(user.name)
            if role is None:
                # Whatever else could be dangerous about a role is off unless it is asked for.
                way_in, word = _way_in(user, self.salt) if user.opens else (_NO_WAY_IN, "cannot log in yet")
                statement = sql.SQL("CREATE ROLE {} {} {}").format(sql.Identifier(user.name), way_in, _limits(user))
                sentence = f"{user.name} is created and {word}"
                yield Action(statement, (Change(ChangeKind.CREATE_USER, user.name, None, sentence),))
            elif words := list(self._changes_of(user, role)):
                clauses = sql.SQL(" ").join(clause for clause, _ in words)
                statement = sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(user.name), clauses)
                sentence = f"{user.name} {', '.join(word for _, word in words if word)}"
                yield Action(statement, (Change(ChangeKind.CHANGE_USER, user.name, None, sentence),))
            yield from self.memberships.iam_joining(user)
            yield from settings_actions(self.cluster, user)

    def _changes_of(self, user: DesiredUser, role: Role) -> Iterator[tuple[sql.Composable, str]]:
        if user.name in self.unsettled and user.opens:
            yield _way_in(user, self.salt)
        yield from self._excess(role)

    def _excess(self, role: Role) -> list[tuple[sql.Composable, str]]:
        user = self.users.get(role.name)
        if user is None:
            return []
        me = self.cluster.roles[self.cluster.master]
        wanted: list[tuple[bool, sql.Composable, str]] = [
            (role.creates_roles, sql.SQL("NOCREATEROLE"), "cannot create roles"),
            (role.creates_databases, sql.SQL("NOCREATEDB"), "cannot create databases"),
            (not role.inherits, sql.SQL("INHERIT"), "inherits its roles' privileges"),
            (role.connection_limit != user.connection_limit, _connection_limit(user), _connections(user)),
            (role.valid_until != user.valid_until, _valid_until(user), _end_of_password(user)),
            (role.replicates and self._may_end(me.replicates), sql.SQL("NOREPLICATION"), "cannot replicate"),
            (role.bypasses_rls and self._may_end(me.bypasses_rls), sql.SQL("NOBYPASSRLS"), "obeys row security"),
            (role.is_superuser, sql.SQL("NOSUPERUSER"), "is no superuser"),
        ]
        return [(clause, word) for is_needed, clause, word in wanted if is_needed]

    def _may_end(self, master_has_it: bool) -> bool:  # noqa: FBT001 - an attribute passed on, not a switch
        """Say whether the master may take REPLICATION or BYPASSRLS away: since 16 if it has it, before as superuser."""
        me = self.cluster.roles[self.cluster.master]
        return me.is_superuser or (self.cluster.version >= ADMIN_OPTION_RULES and master_has_it)

    def _remarks(self) -> Iterator[str]:
        me = self.cluster.roles[self.cluster.master]
        yield from self.memberships.remarks()
        yield from settings_remarks(self.cluster, self.users)
        yield from self._taken_for_rds()
        for name in sorted(self.users.keys() & self.cluster.roles.keys()):
            role = self.cluster.roles[name]
            left = {"REPLICATION": role.replicates and not self._may_end(me.replicates)}
            left["BYPASSRLS"] = role.bypasses_rls and not self._may_end(me.bypasses_rls)
            for attribute in (word for word, is_left in left.items() if is_left):
                yield f"{name} keeps the attribute {attribute}, which {me.name} may not take away"

    def _taken_for_rds(self) -> Iterator[str]:
        """Yield a sentence for each login that only its name says to be RDS's: as far as is known RDS has none such."""
        if self.desired.logins is Logins.KEEP:
            return
        for name, role in sorted(self.cluster.roles.items()):
            if role.can_login and name.startswith("rds_") and self.cluster.belongs_to_rds(name):
                yield (
                    f"{name} can log in and was left alone, because its name is like those of RDS: if production made"
                    " it, close it in a file of sql (ALTER ROLE … NOLOGIN)"
                )


def _session_changes(cluster: Cluster, closed: Collection[str]) -> Iterator[Change]:
    for session in cluster.sessions:
        if session.user in closed:
            one = session.count == 1
            sentence = (
                f"{session.count} {'session' if one else 'sessions'} of {session.user} {'ends' if one else 'end'}"
            )
            yield Change(ChangeKind.END_SESSIONS, session.user, None, sentence)


def _closing(name: str, changes: tuple[Change, ...]) -> Action:
    return Action(sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(name), _NO_WAY_IN), changes)


def _taken(name: str) -> Change:
    return Change(ChangeKind.TAKE_LOGIN, name, None, f"{name} can no longer log in")


def _opening(user: DesiredUser, salt: Callable[[], bytes]) -> Action:
    way_in, word = _way_in(user, salt)
    statement = sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(user.name), way_in)
    return Action(statement, (Change(ChangeKind.CHANGE_USER, user.name, None, f"{user.name} {word}"),))


def _way_in(user: DesiredUser, salt: Callable[[], bytes]) -> tuple[sql.Composable, str]:
    if user.password is None:
        return sql.SQL("LOGIN PASSWORD NULL"), "logs in with an IAM token"
    verifier = scram_verifier(user.password, salt())
    return sql.SQL("LOGIN PASSWORD {}").format(sql.Literal(verifier)), "logs in with the password of its secret"


def _limits(user: DesiredUser) -> sql.Composed:
    clauses = [_connection_limit(user)] if user.connection_limit is not None else []
    clauses += [_valid_until(user)] if user.valid_until is not None else []
    return sql.SQL(" ").join(clauses)


def _connection_limit(user: DesiredUser) -> sql.Composed:
    limit = -1 if user.connection_limit is None else user.connection_limit
    return sql.SQL("CONNECTION LIMIT {}").format(sql.Literal(limit))


def _connections(user: DesiredUser) -> str:
    return f"may have {'any number of' if user.connection_limit is None else user.connection_limit} connections"


def _valid_until(user: DesiredUser) -> sql.Composed:
    end = "infinity" if user.valid_until is None else user.valid_until.isoformat()
    return sql.SQL("VALID UNTIL {}").format(sql.Literal(end))


def _end_of_password(user: DesiredUser) -> str:
    return f"has a password that {'never ends' if user.valid_until is None else f'ends on {_day(user.valid_until)}'}"


def _day(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _unalterable(cluster: Cluster, name: str) -> str:
    if cluster.roles[name].is_superuser:
        return f"{name} is a superuser, which only a superuser can change"
    if cluster.can_grant(name):
        return f"{name} has the attribute REPLICATION: run ALTER ROLE {name} NOREPLICATION in the source as a superuser"
    return (
        f"{cluster.master} may not alter the role {name}: run GRANT {name} TO {cluster.master} WITH ADMIN OPTION as the"
        " role that created it, in the source before its next snapshot or in the target"
    )
