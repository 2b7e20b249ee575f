"""A database engine with a memory: roles in a dictionary, as a server has them in its catalogue."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from aurora_restore.database.engine import (
    Applied,
    Change,
    ChangeKind,
    DesiredState,
    DesiredUser,
    Endpoint,
    Login,
    TimeLeft,
    endless,
)
from aurora_restore.database.postgresql_script import read_script
from aurora_restore.database.scripts import Script, Session
from aurora_restore.database_request import Leftover, Logins
from aurora_restore.errors import DatabaseRefusedError, DatabaseUnreachableError, PreflightError
from tests.steps.sessions import Contents, FakeSession

_NO_PASSWORD = ""


@dataclass
class FakeDatabase:
    """Speaks as an Engine. It comes with a login that travelled with production's data."""

    roles: dict[str, DesiredUser] = field(
        default_factory=lambda: {"legacy": DesiredUser(name="legacy", password="testing-legacy")}
    )
    silent_for: int = 0
    refuses: str = ""
    # What makes every user impossible, as a grant on a table that is not there.
    impossible: tuple[str, ...] = ()
    # Came along, and the master may not stop it.
    unstoppable: Leftover | None = None
    uncloseable: str = ""
    remarked: tuple[str, ...] = ()
    applied: int = 0
    contents: dict[str, Contents] = field(default_factory=dict)
    on_statement: Callable[[str], None] = lambda _: None
    tried: list[tuple[Endpoint, Login]] = field(default_factory=list)

    def plan(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> tuple[Change, ...]:
        self._answer(endpoint, master)
        if self.impossible and desired.users:
            raise PreflightError(self.impossible)
        wanted = {user.name: user for user in desired.users}
        missing = [
            Change(ChangeKind.CREATE_USER, name, None, f"the user {name} is made")
            for name, user in wanted.items()
            if self.roles.get(name) != _known(user)
        ]
        extra = [
            Change(ChangeKind.TAKE_LOGIN, name, None, f"{name} can no longer log in")
            for name in self.roles
            if name not in wanted and desired.logins is Logins.ONLY_LISTED
        ]
        return (*missing, *extra)

    def apply(
        self,
        endpoint: Endpoint,
        master: Login,
        desired: DesiredState,
        time_left: TimeLeft = endless,  # noqa: ARG002
    ) -> Applied:
        planned = self.plan(endpoint, master, desired)
        if self.unstoppable is not None and self.unstoppable not in desired.leftovers:
            raise DatabaseRefusedError(f"{endpoint} refused to stop production's {self.unstoppable}")
        kept = self.roles if desired.logins is Logins.KEEP else {}
        self.roles = {**kept, **{user.name: _known(user) for user in desired.users}}
        self.applied += 1
        return Applied(planned)

    def open(
        self,
        endpoint: Endpoint,
        master: Login,
        users: Sequence[DesiredUser],
        time_left: TimeLeft = endless,  # noqa: ARG002
    ) -> Applied:
        self._answer(endpoint, master)
        if gone := [user.name for user in users if user.name not in self.roles]:
            raise DatabaseRefusedError(f"{endpoint} has no user {', '.join(gone)} any more")
        closed = [user for user in users if not self._lets_in(user)]
        # Nothing but the way in: what else there is stays.
        self.roles |= {user.name: replace(self.roles[user.name], password=user.password, opens=True) for user in closed}
        changes = (Change(ChangeKind.CHANGE_USER, user.name, None, f"{user.name} logs in") for user in closed)
        return Applied(tuple(changes))

    def shut_out(self, endpoint: Endpoint, master: Login, users: Sequence[DesiredUser]) -> Applied:
        self._answer(endpoint, master)
        closed = [user for user in users if user.name != self.uncloseable]
        self.roles |= {user.name: replace(self.roles[user.name], opens=False) for user in closed}
        if len(closed) < len(users):
            raise DatabaseRefusedError(f"{endpoint} refused to close {self.uncloseable}")
        return Applied(tuple(Change(ChangeKind.TAKE_LOGIN, user.name, None, f"{user.name} is out") for user in users))

    def _lets_in(self, user: DesiredUser) -> bool:
        role = self.roles[user.name]
        return role.opens and role.password == user.password

    def remarks(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> tuple[str, ...]:  # noqa: ARG002
        self._answer(endpoint, master)
        return self.remarked

    def logins(self, endpoint: Endpoint, master: Login) -> tuple[str, ...]:
        self._answer(endpoint, master)
        return tuple(sorted({master.user, *map(_shown, self._open())}))

    def _open(self) -> Iterator[DesiredUser]:
        return (role for role in self.roles.values() if role.opens)

    def can_log_in(self, endpoint: Endpoint, login: Login, database: str) -> bool:  # noqa: ARG002
        self._answer(endpoint, login)
        role = self.roles.get(login.user)
        return role is not None and role.opens and role.password == login.password

    def read_script(self, text: str) -> Script:
        return read_script(text)

    @contextmanager
    def session(
        self,
        endpoint: Endpoint,
        login: Login,
        database: str,
        master: Login | None = None,  # noqa: ARG002
    ) -> Iterator[Session]:
        self._answer(endpoint, login)
        role = self.roles.get(login.user)
        if role is not None and (not role.opens or (not role.iam and role.password != login.password)):
            raise DatabaseRefusedError(f"{endpoint} refused to let {login.user} into database {database}")
        yield FakeSession(self.contents.setdefault(database, Contents()), login.user, self.on_statement)

    def passwords(self) -> set[str]:
        known = {login.password for _, login in self.tried}
        return known | {role.password for role in self.roles.values() if role.password}

    def _answer(self, endpoint: Endpoint, login: Login) -> None:
        if self.silent_for > 0:
            self.silent_for -= 1
            raise DatabaseUnreachableError(f"{endpoint} does not answer")
        if self.refuses:
            raise DatabaseRefusedError(self.refuses)
        self.tried.append((endpoint, login))


def _shown(role: DesiredUser) -> str:
    """Return what a login is called: in MySQL by its host too."""
    return role.name if role.host == "%" else f"{role.name}@{role.host}"


def _known(user: DesiredUser) -> DesiredUser:
    """Return what a server remembers: of one who is not to get in yet, no password."""
    return user if user.opens or user.iam else replace(user, password=_NO_PASSWORD)
