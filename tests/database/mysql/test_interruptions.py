"""Step 7 killed anywhere, refused, or unanswered."""

import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from aurora_restore.database.engine import DesiredState, DesiredUser, Endpoint, Login
from aurora_restore.database.mysql_connection import statement_failure
from aurora_restore.database.tls import Tls
from aurora_restore.embedded.certificates import certificates_in
from aurora_restore.errors import DatabaseRefusedError, DatabaseUnreachableError, NotReadyError
from tests.database.mysql.conftest import Database, engine, grant, login, user

DESIRED = DesiredState(
    (
        user("analyst", grant("readonly"), roles=("reporting",)),
        user("tester", grant("owner", database="shop")),
        DesiredUser("robot", None, iam=True, grants=(grant("readwrite"),)),
    )
)
# What changes something; the rest reads, or sets the session.
_CHANGES = ("ALTER", "CREATE", "DROP", "GRANT", "REVOKE", "SET DEFAULT", "CALL")


class KilledError(Exception):
    """The process died here."""


def _dying(statements: int) -> Callable[..., "Connection[Any]"]:
    """Return a ``connect`` whose connections die, all together, before the statement after so many changes."""
    left = [statements]

    class Dying(Connection):
        def query(self, sql: str | bytes, unbuffered: bool = False) -> int:  # noqa: FBT001, FBT002
            text = sql if isinstance(sql, str) else sql.decode()
            if text.startswith(_CHANGES):
                left[0] -= 1
                if left[0] < 0:
                    raise KilledError
            return int(super().query(sql, unbuffered))

    return Dying


def test_killed_at_each_statement_the_next_run_ends_the_same(restored: Database) -> None:
    """I4: each statement is done for good, so a kill before each leaves every state that there can be.

    From each of them the next run goes on to the same end; and once production's password is refused it stays so.
    """
    engine(random_bytes=bytes).apply(restored.endpoint, restored.master, DESIRED)
    end, kills, was_shut = restored.fingerprint(), 0, False
    restored.again()
    while True:
        try:
            engine(connect=_dying(1), random_bytes=bytes).apply(restored.endpoint, restored.master, DESIRED)
        except KilledError:
            kills += 1
        else:
            break
        is_open = restored.lets_in(Login("analyst", "testing-production"), "information_schema")
        assert not (was_shut and is_open)
        was_shut = was_shut or not is_open
    assert restored.fingerprint() == end
    # Two events, one statement that locks, a role, a revocation, two that open, the grants, and two for the role.
    assert kills >= 12
    assert engine(random_bytes=bytes).apply(restored.endpoint, restored.master, DESIRED).changes == ()


def test_when_the_time_is_up_it_stops_and_goes_on_in_the_next_call(restored: Database) -> None:
    """Lambda ends at 15 minutes: each call makes at least one change, and the last has read everything back."""
    engine(random_bytes=bytes).apply(restored.endpoint, restored.master, DESIRED)
    end = restored.fingerprint()
    restored.again()
    calls, is_whole = 0, False
    while not is_whole:
        applied = engine(random_bytes=bytes).apply(restored.endpoint, restored.master, DESIRED, time_left=lambda: -1.0)
        assert applied.changes or applied.is_whole
        calls, is_whole = calls + 1, applied.is_whole
    assert calls > 10
    assert restored.fingerprint() == end


def test_an_endpoint_without_a_server_is_unreachable() -> None:
    """Transient: the state machine tries again."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        nobody = Endpoint("127.0.0.1", listener.getsockname()[1])
    with pytest.raises(DatabaseUnreachableError, match="does not answer"):
        engine().plan(nobody, Login("dba", "testing"), DESIRED)


def test_a_server_without_a_connection_left_is_waited_for(restored: Database) -> None:
    """And it is said: it does answer, others have them all."""
    restored.apply(user("tester", grant("readonly")))
    restored.admin("SET GLOBAL max_connections = 10")
    held = [restored.connect(login("tester")) for _ in range(10)]
    with (
        pytest.raises(DatabaseUnreachableError, match="all of its max_connections are in use"),
        engine().session(restored.endpoint, login("tester"), "shop"),
    ):
        pass
    for each in held:
        each.close()


@pytest.mark.parametrize(
    ("code", "kind"), [(4031, DatabaseUnreachableError), (1290, NotReadyError), (1836, NotReadyError)]
)
def test_what_passes_by_itself_is_tried_again(code: int, kind: type[Exception]) -> None:
    """Aurora's: sent away while nothing was asked, and an endpoint that leads to a reader right after a failover."""
    said = statement_failure(pymysql.OperationalError(code, "said"), Endpoint("127.0.0.1", 1), "change its users")
    assert isinstance(said, kind)


def test_a_server_that_proves_who_it_is_is_spoken_to(restored: Database) -> None:
    """TLS verified against the account's own authority, by name and by address."""
    tls = Tls(restored.servers.certificate_authority)
    for host in ("127.0.0.1", "localhost"):
        place = Endpoint(host, restored.endpoint.port)
        assert engine(tls=tls).logins(place, restored.master)


def test_a_server_that_another_authority_vouches_for_is_not_spoken_to(restored: Database, tmp_path: Path) -> None:
    """No password goes to it: the login has not begun yet."""
    with pytest.raises(DatabaseRefusedError, match="its certificate was not verified"):
        engine(tls=Tls(certificates_in(tmp_path).authority)).logins(restored.endpoint, restored.master)


def test_an_error_in_the_middle_shows_no_verifier(restored: Database) -> None:
    """I6: not in the message, and not in what an error handler may print of it."""
    for whose in ("rds_superuser_role", "dba@'%'"):
        restored.admin(f"REVOKE CREATE USER, INSERT, UPDATE, DELETE ON *.* FROM {whose}")
    with pytest.raises(DatabaseRefusedError) as caught:
        engine().apply(restored.endpoint, restored.master, DESIRED)
    printed = "".join(traceback.format_exception(caught.value))
    assert "refused to change its users" in printed
    assert not any(part in printed for part in ("IDENTIFIED", "testing-new", "*0000"))
    assert login("x").password not in printed
