"""The one door to PyMySQL: how we connect, and where its errors become ours, without anything secret in them (I6)."""

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CR, ER
from pymysql.converters import conversions
from pymysql.cursors import DictCursor

from aurora_restore.database.engine import Endpoint, Login
from aurora_restore.database.tls import Tls, TlsMode
from aurora_restore.errors import AuroraRestoreError, DatabaseRefusedError, DatabaseUnreachableError, NotReadyError

# As a text: only the stubs know that the class is generic.
MyConnection: TypeAlias = "Connection[Any]"
Connect = Callable[..., MyConnection]
Row = dict[str, Any]

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 300
# A function's own end: what a user's statement may take is limited statement by statement.
USERS_TIMEOUT_S = 900
# In this mode a backslash is a character like any other, in PyMySQL's literals and in ours.
OUR_MODE = "NO_BACKSLASH_ESCAPES"

# How Python's values are written. The others, by type number, say how the server's are read.
_ENCODERS = {kind: encode for kind, encode in conversions.items() if not isinstance(kind, int)}
_UNREACHABLE = frozenset(
    {
        CR.CR_CONN_HOST_ERROR, CR.CR_CONNECTION_ERROR, CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST,
        CR.CR_SERVER_LOST_EXTENDED, CR.CR_UNKNOWN_HOST, ER.CON_COUNT_ERROR, ER.SERVER_SHUTDOWN,
        4031,  # disconnected because of inactivity
    }
)  # fmt: skip
_READS_ONLY = "an instance that only reads at the moment"
_BUSY = {
    ER.LOCK_WAIT_TIMEOUT: "a lock that somebody else holds, or a prepared transaction of production's (XA RECOVER)",
    ER.LOCK_DEADLOCK: "a deadlock",
    # Right after a failover: the endpoint still leads to what was the writer.
    ER.OPTION_PREVENTS_STATEMENT: _READS_ONLY,
    1836: _READS_ONLY,
}
# More connections than the user may have at once, by its own limit or by the server's for all.
_TOO_MANY = frozenset({ER.TOO_MANY_USER_CONNECTIONS, ER.USER_LIMIT_REACHED})
# The server repeats a part of the statement, in which a verifier may stand.
_QUOTING = frozenset({ER.PARSE_ERROR, ER.SYNTAX_ERROR})


def encrypted(connect: Connect, tls: Tls) -> Connect:
    """Return a way to connect that encrypts, and verifies the server, as ``tls`` says for its host."""

    def connect_encrypted(**parameters: Any) -> MyConnection:
        mode = tls.mode(parameters["host"])
        if mode is TlsMode.VERIFIED:
            return connect(**parameters, ssl_ca=str(tls.bundle), ssl_verify_cert=True, ssl_verify_identity=True)
        if mode is TlsMode.REQUIRED:
            return connect(**parameters, ssl=_unverified())
        # PyMySQL encrypts where the server can, unless it is told otherwise.
        return connect(**parameters)

    return connect_encrypted


def open_connection(
    connect: Connect,
    endpoint: Endpoint,
    login: Login,
    database: str | None = None,
    *,
    session: Sequence[str] = (),
    for_user: bool = False,
) -> MyConnection:
    """Connect in autocommit, with every limit set; run the statements of ``session`` first.

    ``for_user``: with the settings that the user has, for scripts and checks; values come as the server writes them.

    Raises DatabaseUnreachableError while the server does not answer, DatabaseRefusedError when it says no, or is not
    who the certificates say.
    """
    try:
        opened = _connect(connect, endpoint, login, database, for_user=for_user)
        for statement in session:
            opened.query(statement)
    except pymysql.MySQLError as error:
        failure = _connection_failure(error, endpoint, login.user)
    except RuntimeError:
        # PyMySQL asks for a package that is not needed over TLS.
        failure = DatabaseRefusedError(f"{endpoint} takes {login.user}'s password over an encrypted connection only")
    else:
        return opened
    # Outside the handler: the driver's exception is no part of ours, whatever it holds.
    raise failure


def try_login(connect: Connect, endpoint: Endpoint, login: Login, database: str | None) -> bool:
    """Say whether the user can log in to the database. Raises DatabaseUnreachableError while nobody could."""
    try:
        open_connection(connect, endpoint, login, database, for_user=True).close()
    except DatabaseRefusedError:
        return False
    return True


def rows(connection: MyConnection, query: str, parameters: Sequence[Any] = ()) -> list[Row]:
    """Return all rows of a query, each by its columns' names."""
    with connection.cursor(DictCursor) as cursor:
        cursor.execute(query, parameters or None)
        return list(cursor.fetchall())


@contextmanager
def our_errors(endpoint: Endpoint, doing: str) -> Iterator[None]:
    """Turn PyMySQL's errors into ours; ``doing`` completes "… refused to …"."""
    try:
        yield
    except pymysql.MySQLError as error:
        failure = statement_failure(error, endpoint, doing)
    else:
        return
    raise failure


def statement_failure(error: pymysql.MySQLError, endpoint: Endpoint, doing: str) -> AuroraRestoreError:
    """Return our error for one of PyMySQL's in the middle of a session."""
    code, said = code_and_words(error)
    if code in _UNREACHABLE or code == 0:
        return DatabaseUnreachableError(f"{endpoint} went away while it was to {doing}")
    if code in _BUSY:
        return NotReadyError(f"{endpoint} could not {doing} because of {_BUSY[code]}")
    shown = "a syntax error" if code in _QUOTING else said
    return DatabaseRefusedError(f"{endpoint} refused to {doing}: {shown} (error {code})")


def code_and_words(error: pymysql.MySQLError) -> tuple[int, str]:
    """Return the server's number and sentence; 0 for what did not come from it."""
    code, said = (*error.args, None, None)[:2]
    return (code if isinstance(code, int) else 0), str(said)


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _connect(
    connect: Connect, endpoint: Endpoint, login: Login, database: str | None, *, for_user: bool
) -> MyConnection:
    timeout_s = USERS_TIMEOUT_S if for_user else READ_TIMEOUT_S
    return connect(
        host=endpoint.host,
        port=endpoint.port,
        user=login.user,
        # As bytes: PyMySQL would take a text for Latin-1.
        password=login.password.encode(),
        database=database,
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=timeout_s,
        write_timeout=timeout_s,
        charset="utf8mb4",
        program_name="aurora-restore",
        sql_mode=None if for_user else OUR_MODE,
        conv=_ENCODERS if for_user else None,
        # PyMySQL would not see that init_connect, the cluster's parameter, has switched it off before. And no COMMIT is
        # to end the session.
        init_command="SET SESSION autocommit = 1, completion_type = 0" if for_user else None,
        autocommit=True,
    )


def _connection_failure(error: pymysql.MySQLError, endpoint: Endpoint, user: str) -> AuroraRestoreError:
    code, said = code_and_words(error)
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return DatabaseRefusedError(f"{endpoint} could not prove who it is: its certificate was not verified")
    if code == CR.CR_SSL_CONNECTION_ERROR:
        return DatabaseRefusedError(f"{endpoint} offers no encrypted connection")
    if code == ER.CON_COUNT_ERROR:
        return DatabaseUnreachableError(f"{endpoint} has no connection left: all of its max_connections are in use")
    if code in _UNREACHABLE or code == 0:
        return DatabaseUnreachableError(f"{endpoint} does not answer")
    advice = ""
    if code == ER.ACCESS_DENIED_ERROR:
        advice = f"If the password is right, look in mysql.user: {user} at a narrower host would stand before this one"
    elif code in _TOO_MANY:
        advice = "Others use all of its connections: let another user ask, or raise its connection_limit"
    return DatabaseRefusedError(f"{endpoint} refused to let {user} in: {said} (error {code})", advice=advice)
