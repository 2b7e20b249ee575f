"""What a restored database's users shall be, and the Protocol of an engine that makes them so."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from aurora_restore.database.scripts import Script, Session
from aurora_restore.database.tls import NO_BUNDLE, Tls
from aurora_restore.database_request import Grant, Leftover, Logins, OwnershipTransfer
from aurora_restore.errors import ConfigurationError, DatabaseRefusedError, NotReadyError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a database server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return host and port as people write them."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Login:
    """A name and its password; the password is never shown (I6)."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DesiredUser:
    """A user who shall be able to log in: with a password or, when ``iam`` is true, with an IAM token.

    ``opens``: false for one who is to have everything but a way in, until ``Engine.open``.
    """

    name: str
    password: str | None = field(repr=False)
    iam: bool = False
    grants: tuple[Grant, ...] = ()
    host: str = "%"
    roles: tuple[str, ...] = ()
    connection_limit: int | None = None
    valid_until: datetime | None = None
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    opens: bool = True

    def __post_init__(self) -> None:
        """Refuse a user with two ways in, or none."""
        if self.iam == (self.password is not None):
            raise ConfigurationError(f"user {self.name} must have either a password or IAM authentication")


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The users, what happens to everybody else's login, and who besides the users keeps theirs (the master).

    ``leftovers`` are what of production's stays as it came; ``ownership`` is whose objects become whose.
    """

    users: tuple[DesiredUser, ...]
    logins: Logins = Logins.ONLY_LISTED
    keep: frozenset[str] = frozenset()
    leftovers: frozenset[Leftover] = frozenset()
    ownership: tuple[OwnershipTransfer, ...] = ()


class ChangeKind(StrEnum):
    """What kind of difference between the desired and the actual state a change removes."""

    CREATE_USER = "create-user"
    CHANGE_USER = "change-user"
    TAKE_LOGIN = "take-login"
    END_SESSIONS = "end-sessions"
    JOIN_ROLE = "join-role"
    LEAVE_ROLE = "leave-role"
    GRANT = "grant"
    REVOKE = "revoke"
    STOP_LEFTOVER = "stop-leftover"
    CHANGE_OWNER = "change-owner"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, as ``sentence`` tells a person. Never holds a secret (I6)."""

    kind: ChangeKind
    user: str
    database: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Applied:
    """What ``apply`` did. ``is_whole`` is false when its time was up first: then it is to be called again."""

    changes: tuple[Change, ...]
    is_whole: bool = True


def expect_nothing_left(endpoint: Endpoint, left: Sequence[Change]) -> None:
    """Judge what is still to be made after all changes: DatabaseRefusedError, but sessions take a moment to end."""
    sentences = "; ".join(change.sentence for change in left[:10])
    if any(change.kind is not ChangeKind.END_SESSIONS for change in left):
        raise DatabaseRefusedError(f"{endpoint} accepted the changes, but these are still to be made: {sentences}")
    if left:
        raise NotReadyError(f"{endpoint} is still ending sessions: {sentences}")


# How many seconds an engine may still begin something in: below zero it stops after what it is doing.
TimeLeft = Callable[[], float]


def endless() -> float:
    """Return the time left to one who is not pressed for it."""
    return math.inf


class Engine(Protocol):
    """Makes a database's users what they shall be.

    Every method raises DatabaseUnreachableError while the server does not answer and DatabaseRefusedError when it
    answers with a refusal; no error ever holds a password.
    """

    def plan(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> tuple[Change, ...]:
        """Return what ``apply`` would change. Reads only.

        Raises PreflightError with everything that makes the desired state impossible.
        """
        ...

    def apply(self, endpoint: Endpoint, master: Login, desired: DesiredState, time_left: TimeLeft = endless) -> Applied:
        """Make the desired state real, read it back, and return the changes made; nothing the second time.

        Safe to kill anywhere and run again. Raises what ``plan`` raises, then with nothing changed. When ``time_left``
        falls below zero it stops between two transactions, and has made at least one of the changes. One that is whole
        has read everything back. After SQL of the user's has run it must not be called again: that SQL may have made
        what it would take for production's.
        """
        ...

    def open(
        self, endpoint: Endpoint, master: Login, users: Sequence[DesiredUser], time_left: TimeLeft = endless
    ) -> Applied:
        """Let users in who have all else already, and read that back; nothing but their ways in is changed.

        Unlike ``apply`` it may be called after SQL of the user's has run.
        """
        ...

    def shut_out(self, endpoint: Endpoint, master: Login, users: Sequence[DesiredUser]) -> Applied:
        """Take the users' ways in, end their sessions, and read that back; ``open`` lets them in again.

        What else they have stays: it too may be called after SQL of the user's has run.
        """
        ...

    def remarks(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> tuple[str, ...]:
        """Return a sentence for each thing that lets users do more than they were granted and is left alone."""
        ...

    def logins(self, endpoint: Endpoint, master: Login) -> tuple[str, ...]:
        """Return the names that can log in now, sorted; RDS's own are left out, the master is not."""
        ...

    def can_log_in(self, endpoint: Endpoint, login: Login, database: str) -> bool:
        """Try to log in. False when the server says no."""
        ...

    def read_script(self, text: str) -> Script:
        """Return a file of SQL taken apart into its statements. Asks no server."""
        ...

    def session(
        self, endpoint: Endpoint, login: Login, database: str, master: Login | None = None
    ) -> AbstractContextManager[Session]:
        """Open a session with the user's own settings, for scripts and checks; it is closed at the end of the block.

        ``master``: who ends a statement that takes too long, where that needs a connection of its own, and the user may
        have no second one. Unset: the user. The master's own session has all its powers.
        """
        ...


def engine_for(engine: str, tls: Tls = NO_BUNDLE) -> Engine:
    """Return the engine for a cluster's ``Engine`` as RDS names it; ConfigurationError if there is none."""
    # The drivers take up to 150 ms to import: only the step that needs one pays (cold start of eight other functions).
    match engine:
        case "aurora-postgresql":
            from aurora_restore.database.postgresql import PostgreSQL  # noqa: PLC0415

            return PostgreSQL(tls=tls)
        case "aurora-mysql":
            from aurora_restore.database.mysql import MySQL  # noqa: PLC0415

            return MySQL(tls=tls)
        case _:
            raise ConfigurationError(
                f"the users of a database of engine {engine} cannot be set up",
                advice="Supported are aurora-postgresql and aurora-mysql",
            )
