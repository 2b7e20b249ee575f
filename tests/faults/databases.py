"""Databases without servers: each volume has its logins, as a server has in its catalogue, and knows its data."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count

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
from aurora_restore.database_request import Logins
from aurora_restore.embedded.dataplane import MasterUser
from aurora_restore.errors import DatabaseRefusedError, DatabaseUnreachableError, PreflightError
from tests.steps.sessions import Contents, FakeSession

# RDS's own logins, of which no engine speaks.
IAM_LOGIN = "(IAM)"


@dataclass
class Volume:
    """What a cluster or a snapshot holds: whose data it is, who is the master, and each login with its password."""

    data: str
    master: str
    logins: dict[str, str]
    port: int | None = None
    contents: dict[str, Contents] = field(default_factory=dict)


@dataclass
class Databases:
    """A DataPlane and an Engine at once: what the emulated Aurora does to a volume, the steps find on its port."""

    volumes: dict[str, Volume] = field(default_factory=dict)
    silent_for: int = 0
    refuses: str = ""
    # What the request wants of a database that has no such thing, what cannot be stopped, and a statement of its SQL.
    impossible: str = ""
    unstoppable: str = ""
    refused_sql: str = ""
    tried: set[str] = field(default_factory=set)

    # What the emulated Aurora asks

    def create(self, volume: str, master: MasterUser, database: str | None, engine: str = "") -> None:  # noqa: ARG002
        self.volumes[volume] = Volume(database or volume, master.name, {master.name: master.password})

    def clone(self, origin: str, volume: str) -> None:
        known = self.volumes[origin]
        self.volumes[volume] = Volume(known.data, known.master, dict(known.logins), contents=deepcopy(known.contents))

    def start(self, volume: str, port: int | None) -> int:
        taken = {each.port for each in self.volumes.values()}
        free = (number for number in count(port or 5432) if number not in taken)
        self.volumes[volume].port = self.volumes[volume].port or next(free)
        return self.volumes[volume].port or 0

    def stop(self, volume: str) -> None:
        self.volumes[volume].port = None

    def set_password(self, volume: str, master: MasterUser) -> None:
        self.volumes[volume].logins[master.name] = master.password

    def drop(self, volume: str) -> None:
        self.volumes.pop(volume, None)

    def size_bytes(self, volume: str) -> int:  # noqa: ARG002
        return 0

    def close(self) -> None:
        self.volumes.clear()

    # What the steps ask

    def plan(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> tuple[Change, ...]:
        volume = self._enter(endpoint, master)
        if self.impossible and desired.users:
            raise PreflightError([self.impossible])
        wanted = _logins(desired)
        made = [
            Change(ChangeKind.CREATE_USER, name, None, f"the user {name} is made")
            for name, password in wanted.items()
            if volume.logins.get(name) != password
        ]
        taken = [
            Change(ChangeKind.TAKE_LOGIN, name, None, f"{name} can no longer log in")
            for name in volume.logins
            if name not in wanted and name not in desired.keep and desired.logins is Logins.ONLY_LISTED
        ]
        return (*made, *taken)

    def apply(
        self,
        endpoint: Endpoint,
        master: Login,
        desired: DesiredState,
        time_left: TimeLeft = endless,  # noqa: ARG002
    ) -> Applied:
        planned = self.plan(endpoint, master, desired)
        volume = self._enter(endpoint, master)
        if self.unstoppable and not desired.leftovers:
            raise DatabaseRefusedError(self.unstoppable)
        staying = {
            name: password
            for name, password in volume.logins.items()
            if name in desired.keep or desired.logins is Logins.KEEP
        }
        volume.logins = {**staying, **_logins(desired)}
        return Applied(planned)

    def open(
        self,
        endpoint: Endpoint,
        master: Login,
        users: Sequence[DesiredUser],
        time_left: TimeLeft = endless,  # noqa: ARG002
    ) -> Applied:
        volume = self._enter(endpoint, master)
        closed = [user.name for user in users if volume.logins.get(user.name) != _password(user)]
        volume.logins |= {user.name: _password(user) for user in users}
        return Applied(tuple(Change(ChangeKind.CHANGE_USER, name, None, f"{name} logs in") for name in closed))

    def shut_out(self, endpoint: Endpoint, master: Login, users: Sequence[DesiredUser]) -> Applied:
        volume = self._enter(endpoint, master)
        closed = [user.name for user in users if volume.logins.pop(user.name, None) is not None]
        return Applied(tuple(Change(ChangeKind.TAKE_LOGIN, name, None, f"{name} is out") for name in closed))

    def remarks(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> tuple[str, ...]:  # noqa: ARG002
        self._enter(endpoint, master)
        return ()

    def logins(self, endpoint: Endpoint, master: Login) -> tuple[str, ...]:
        return tuple(sorted(self._enter(endpoint, master).logins))

    def can_log_in(self, endpoint: Endpoint, login: Login, database: str) -> bool:  # noqa: ARG002
        volume = self._listening(endpoint)
        return volume.logins.get(login.user) == login.password

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
        volume = self._enter(endpoint, login)
        contents = volume.contents.setdefault(database, Contents())
        contents.refused = {self.refused_sql: "permission denied (SQLSTATE 42501)"} if self.refused_sql else {}

        def look(_: str) -> None:
            contents.watchers |= volume.logins.keys() - {volume.master}

        yield FakeSession(contents, login.user, look)

    def mend(self) -> None:
        """Let everything go well from now on."""
        self.silent_for, self.refuses, self.impossible, self.unstoppable, self.refused_sql = 0, "", "", "", ""

    def passwords(self) -> set[str]:
        """Return every password that was tried or is set."""
        there = {password for volume in self.volumes.values() for password in volume.logins.values()}
        return (there | self.tried) - {IAM_LOGIN}

    def _enter(self, endpoint: Endpoint, login: Login) -> Volume:
        volume = self._listening(endpoint)
        self.tried.add(login.password)
        if self.refuses or volume.logins.get(login.user) != login.password:
            raise DatabaseRefusedError(self.refuses or f"the server refused the login of {login.user}")
        return volume

    def _listening(self, endpoint: Endpoint) -> Volume:
        if self.silent_for > 0:
            self.silent_for -= 1
            raise DatabaseUnreachableError(f"{endpoint} does not answer")
        for volume in self.volumes.values():
            if volume.port == endpoint.port:
                return volume
        raise DatabaseUnreachableError(f"nothing listens on {endpoint}")


def _logins(desired: DesiredState) -> Mapping[str, str]:
    return {user.name: _password(user) for user in desired.users if user.opens}


def _password(user: DesiredUser) -> str:
    return IAM_LOGIN if user.password is None else user.password
