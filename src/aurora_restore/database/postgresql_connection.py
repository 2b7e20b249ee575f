"""The one door to psycopg: how we connect, and where its errors become ours, without anything secret in them (I6)."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from aurora_restore.database.engine import Endpoint, Login
from aurora_restore.database.tls import Tls, TlsMode
from aurora_restore.errors import AuroraRestoreError, DatabaseRefusedError, DatabaseUnreachableError, NotReadyError

PgConnection = psycopg.Connection[tuple[Any, ...]]
Connect = Callable[..., PgConnection]
Settings = Mapping[str, str | int]

# Every Aurora PostgreSQL cluster has it. Roles are the cluster's, so any database would do for them.
MAINTENANCE_DATABASE = "postgres"
CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_MS = 300_000
LOCK_TIMEOUT_MS = 30_000
IDLE_TIMEOUT_MS = 120_000

# A setting of the master or of the database that came with the data must not change what our statements do, nor how
# their answers are written, so what matters is set at connection, which wins over both.
_LIMITS = {
    "statement_timeout": STATEMENT_TIMEOUT_MS,
    "lock_timeout": LOCK_TIMEOUT_MS,
    "idle_in_transaction_session_timeout": IDLE_TIMEOUT_MS,
}
OUR_SETTINGS: Settings = {
    **_LIMITS,
    "default_transaction_read_only": "off",
    "role": "none",
    "row_security": "on",
    "standard_conforming_strings": "on",
    "datestyle": "ISO",
    "timezone": "UTC",
}
# For scripts and checks of the user's, which were written for the settings that a user has.
USERS_SETTINGS: Settings = {**_LIMITS, "standard_conforming_strings": "on", "default_transaction_read_only": "off"}

# Afterwards come those that a server knows only from some version on (0: each): the others would let nobody in. And the
# search path: a trigger of production's on the login finds its tables where it finds them at any other login.
_OUR_PATH: tuple[tuple[int, LiteralString], ...] = ((0, "SET search_path = pg_catalog"),)
_NO_LIMITS: tuple[tuple[int, LiteralString], ...] = (
    (140_000, "SET idle_session_timeout = 0"),
    (170_000, "SET transaction_timeout = 0"),
)

# libpq gives no SQLSTATE for a connection that failed, so the server's words must do. RDS speaks English unless its
# parameter group says otherwise (lc_messages); then what would pass by itself is a refusal, which somebody can read.
_PASSES_BY_ITSELF = (
    "starting up",
    "shutting down",
    "in recovery mode",
    "not yet accepting connections",
    "too many clients",
    "too many connections",
    "remaining connection slots",
)
# What the server says follows its severity, which it says in its own language, and two spaces; libpq puts one.
_ANSWER = re.compile(r"(?:^|failed: )[^:\n]+:  (.*)", re.MULTILINE)
# libpq's own words, before the server has said any.
_TLS_FAILURES = (
    "certificate verify failed",
    "does not match host name",
    "server does not support SSL",
    "root certificate file",
    "could not read root certificate",
)
_SSL_MODES = {TlsMode.VERIFIED: "verify-full", TlsMode.REQUIRED: "require", TlsMode.OFFERED: "prefer"}
# What the server says only to one whose password it has taken.
_PAST_THE_PASSWORD = ("permission denied for database", "too many connections for role")

_LOST = ("08", "57P")
_BUSY = {
    "40001": "a concurrent change",
    "40P01": "a deadlock",
    "55006": "something that is in use",  # a slot, whose reader has come back before it could be dropped
    "55P03": "a lock that somebody else holds",
    "57014": "the statement timeout",
}
_OTHER_ENCODING = (
    "A name in it is not in UTF-8, which the pipeline speaks: rename what has it, in the source, in a session with the"
    " client_encoding that it was made in"
)
_ADVICE = {
    "22021": _OTHER_ENCODING,
    "22P05": _OTHER_ENCODING,
    "53200": "Where it is room for locks, raise max_locks_per_transaction in the target's cluster parameter group",
    "55P03": "It is tried again. Where it does not pass, pg_locks shows who holds it. One in pg_prepared_xacts holds it"
    " for ever, because nobody finishes production's transactions in a copy: ROLLBACK PREPARED as its owner",
}
# Two GRANTs on one object at once: "tuple concurrently updated". Other errors of this code do not pass.
_INTERNAL, _CONCURRENTLY = "XX000", "concurrently"


def encrypted(connect: Connect, tls: Tls) -> Connect:
    """Return a way to connect that encrypts, and verifies the server, as ``tls`` says for its host."""

    def connect_encrypted(**parameters: Any) -> PgConnection:
        mode = tls.mode(parameters["host"])
        roots = {"sslrootcert": str(tls.bundle)} if mode is TlsMode.VERIFIED else {}
        return connect(**parameters, **roots, sslmode=_SSL_MODES[mode])

    return connect_encrypted


def open_connection(
    connect: Connect, endpoint: Endpoint, login: Login, database: str, settings: Settings = OUR_SETTINGS
) -> PgConnection:
    """Connect in autocommit, with every limit set.

    Raises DatabaseUnreachableError while the server does not answer, DatabaseRefusedError when it says no, or is not
    who the certificates say.
    """
    try:
        connection = _connect(connect, endpoint, login, database, settings)
    except psycopg.OperationalError as error:
        failure = _connection_failure(str(error), endpoint, login.user, database)
    else:
        _settle(connection, endpoint, () if settings is USERS_SETTINGS else _OUR_PATH)
        return connection
    # Outside the handler: the driver's exception is no part of ours, whatever it holds.
    raise failure


def password_is_right(connect: Connect, endpoint: Endpoint, login: Login) -> bool:
    """Say whether the server lets the user in for this password. It is the only way to know: verifiers are unreadable.

    Raises DatabaseRefusedError if the server asks for no password at all, as then no answer means anything.
    """
    try:
        with _connect(connect, endpoint, login, MAINTENANCE_DATABASE, OUR_SETTINGS) as connection:
            asked = connection.pgconn.used_password
    except psycopg.OperationalError as error:
        if any(words in str(error) for words in _PAST_THE_PASSWORD):
            return True
        failure = _connection_failure(str(error), endpoint, login.user, MAINTENANCE_DATABASE)
    else:
        if asked:
            return True
        raise DatabaseRefusedError(
            f"{endpoint} lets {login.user} in without asking for a password",
            advice="Its pg_hba.conf must ask for scram-sha-256",
        )
    if isinstance(failure, DatabaseUnreachableError):
        raise failure
    return False


def try_login(connect: Connect, endpoint: Endpoint, login: Login, database: str) -> bool:
    """Say whether the user can log in to the database. Raises DatabaseUnreachableError while nobody could."""
    try:
        open_connection(connect, endpoint, login, database).close()
    except DatabaseRefusedError:
        return False
    return True


@contextmanager
def our_errors(endpoint: Endpoint, doing: str, advice: str = "") -> Iterator[None]:
    """Turn psycopg's errors into ours; ``doing`` completes "… refused to …"."""
    try:
        yield
    except psycopg.Error as error:
        failure = _statement_failure(error, endpoint, doing, advice)
    else:
        return
    # The driver's exception shows the statement's context, in which a verifier may stand (I6).
    raise failure from None


def _connect(connect: Connect, endpoint: Endpoint, login: Login, database: str, settings: Settings) -> PgConnection:
    return connect(
        host=endpoint.host,
        port=endpoint.port,
        user=login.user,
        password=login.password,
        dbname=database,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name="aurora-restore",
        client_encoding="UTF8",
        options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        autocommit=True,
        prepare_threshold=None,
    )


def _settle(connection: PgConnection, endpoint: Endpoint, more: Sequence[tuple[int, LiteralString]]) -> None:
    """Set in one round trip what could not be set at connection."""
    version = connection.info.server_version
    statements = [sql.SQL(statement) for since, statement in (*more, *_NO_LIMITS) if version >= since]
    try:
        if statements:
            with our_errors(endpoint, "take our settings"):
                connection.execute(sql.SQL("; ").join(statements))
    except AuroraRestoreError:
        connection.close()
        raise


def _connection_failure(text: str, endpoint: Endpoint, user: str, database: str) -> AuroraRestoreError:
    answers = _ANSWER.findall(text)
    refused = next((words for words in _TLS_FAILURES if words in text), None)
    if refused is not None:
        return DatabaseRefusedError(
            f"no encrypted connection to {endpoint}: {refused}",
            advice="The certificates that AURORA_RESTORE_CA_BUNDLE names must be RDS's, and today's",
        )
    if not answers:
        return DatabaseUnreachableError(f"{endpoint} does not answer")
    if any(words in text for words in _PASSES_BY_ITSELF):
        return DatabaseUnreachableError(f"{endpoint} takes no connections now: {answers[-1]}")
    return DatabaseRefusedError(f"{endpoint} refused to let {user} into database {database}: {answers[-1]}")


def _statement_failure(error: psycopg.Error, endpoint: Endpoint, doing: str, advice: str) -> AuroraRestoreError:
    state = error.sqlstate
    if state is None or state.startswith(_LOST):
        return DatabaseUnreachableError(f"{endpoint} went away while it was to {doing}")
    if state in _BUSY:
        return NotReadyError(f"{endpoint} could not {doing} because of {_BUSY[state]}", advice=_ADVICE.get(state, ""))
    said = error.diag.message_primary or ""
    if state == _INTERNAL and _CONCURRENTLY in said:
        return NotReadyError(f"{endpoint} could not {doing} because of a concurrent change")
    advice = _ADVICE.get(state, advice)
    return DatabaseRefusedError(f"{endpoint} refused to {doing}: {said} (SQLSTATE {state})", advice=advice)
