"""Step 7 killed anywhere, refused, or unanswered."""

import socket
import traceback
from collections.abc import Callable
from typing import Any, ClassVar

import psycopg
import pytest
from psycopg import sql
from psycopg.pq import TransactionStatus

from aurora_restore.database.engine import Change, DesiredState, DesiredUser, Endpoint, Login
from aurora_restore.database.postgresql import PostgreSQL
from aurora_restore.database.postgresql_plan import Plan
from aurora_restore.database_request import OwnershipTransfer
from aurora_restore.errors import DatabaseRefusedError, DatabaseUnreachableError, NotReadyError
from tests.database.conftest import NEW_PASSWORD, PRODUCTION_PASSWORD, Database, grant, login, user

DESIRED = DesiredState(
    (
        user("analyst", grant("readonly")),
        DesiredUser("tester", NEW_PASSWORD, grants=(grant("owner"),), roles=("reporting",), settings={"geqo": False}),
        DesiredUser("robot", None, iam=True, grants=(grant("readwrite"),)),
    ),
    ownership=(OwnershipTransfer.model_validate({"from": "app", "to": "tester", "database": "shop"}),),
)
_LEFTOVERS = """
    CREATE FOREIGN DATA WRAPPER nothing; GRANT USAGE ON FOREIGN DATA WRAPPER nothing TO app;
    SET ROLE app; CREATE SERVER warehouse FOREIGN DATA WRAPPER nothing;
    CREATE USER MAPPING FOR app SERVER warehouse; RESET ROLE;
    ALTER ROLE dba REPLICATION; SELECT pg_create_physical_replication_slot('standby');
    ALTER ROLE analyst IN DATABASE shop SET work_mem = '1GB'
"""


class KilledError(Exception):
    """The process died here."""


def _dying(statements: int) -> Callable[..., psycopg.Connection]:
    """Return a ``connect`` whose connections die, all together, after so many statements from the first change on.

    What comes before it only reads, which a test of its own shows.
    """
    left = [statements]
    changing = [False]

    class Dying(psycopg.Connection):
        def execute(self, *arguments: Any, **options: Any) -> Any:
            changing[0] |= self.info.transaction_status is not TransactionStatus.IDLE
            left[0] -= changing[0]
            if left[0] < 0:
                raise KilledError
            return super().execute(*arguments, **options)

    return Dying.connect


class Rerun(PostgreSQL):
    """Compares only when the state has moved since the last run: else it would find the same, and take its time."""

    known: ClassVar[Plan | None] = None
    has_begun = False

    def _compare(self, *arguments: Any, **options: Any) -> Plan:
        if self.has_begun:  # this one reads back
            return super()._compare(*arguments, **options)
        self.has_begun = True
        Rerun.known = Rerun.known or super()._compare(*arguments, **options)
        return Rerun.known


def _same_salt(size: int) -> bytes:
    return b"s" * size


def test_killed_at_each_statement_the_next_run_ends_the_same(restored: Database) -> None:
    """I4: wherever a run dies, the next goes on from there to the same end.

    A killed run leaves the state of the last commit. So: kill at each statement until the state moves, then go on from
    there in the same way; every state that a kill can leave is thereby continued, and killed in, until none is left.
    """
    restored.admin(_LEFTOVERS, "shop")
    PostgreSQL(random_bytes=_same_salt).apply(restored.endpoint, restored.master, DESIRED)
    end = restored.fingerprint()
    restored.again()
    restored.admin(_LEFTOVERS, "shop")
    Rerun.known = None
    state, states, kills, statements = restored.fingerprint(), 1, 0, 0
    while state != end:
        try:
            engine = Rerun(_dying(statements), _same_salt)
            engine.apply(restored.endpoint, restored.master, DESIRED)
        except KilledError:
            kills, statements = kills + 1, statements + 1
        if restored.fingerprint() != state:
            state, states, statements = restored.fingerprint(), states + 1, 0
            Rerun.known = None
    # A slot and a user mapping stopped, roles closed, opened and joined, owners changed, and grants in three databases.
    assert states == 10
    assert kills > 80
    assert PostgreSQL().apply(restored.endpoint, restored.master, DESIRED).changes == ()


def test_out_of_time_after_each_transaction_the_next_call_goes_on(restored: Database) -> None:
    """A function has its 15 minutes: each call makes at least one of the changes, and the last one says it is whole."""
    restored.admin(_LEFTOVERS, "shop")
    planned = PostgreSQL().plan(restored.endpoint, restored.master, DESIRED)
    made: list[Change] = []
    calls = 0
    while not (applied := PostgreSQL().apply(restored.endpoint, restored.master, DESIRED, lambda: -1.0)).is_whole:
        assert applied.changes
        made += applied.changes
        calls += 1
    assert calls == 9
    assert {change.kind for change in made} == {change.kind for change in planned}
    assert PostgreSQL().plan(restored.endpoint, restored.master, DESIRED) == ()


def test_locked_out_sessions_end_in_the_next_run_if_the_first_was_killed_before(restored: Database) -> None:
    """Between the commit that takes the login and the end of the sessions, nothing is forgotten."""
    restored.admin("ALTER ROLE app NOLOGIN PASSWORD NULL")
    session = restored.session_of("app")
    assert "1 session of app ends" in restored.apply(user("tester"))
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")


def test_a_role_that_the_master_may_not_alter_is_named(restored: Database) -> None:
    """A superuser that can log in: the step fails (I7) and says who; all others are closed, and nobody is let in."""
    restored.admin("CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'testing-boss'")
    with restored.connect(login("app", PRODUCTION_PASSWORD)) as session:
        with pytest.raises(DatabaseRefusedError, match="boss is a superuser"):
            restored.apply(user("tester"))
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert restored.logins() == ("boss", "dba")


def test_a_role_made_by_somebody_else_is_named_with_what_to_do(restored: Database) -> None:
    """Since PostgreSQL 16 the master alters only what it has ADMIN OPTION on; before, any role that is no superuser."""
    restored.admin("CREATE ROLE strange LOGIN PASSWORD 'testing-strange'")
    if restored.version < 160_000:
        restored.apply(user("tester"))
        assert restored.logins() == ("dba", "tester")
        return
    with pytest.raises(DatabaseRefusedError, match="GRANT strange TO dba WITH ADMIN OPTION"):
        restored.apply(user("tester"))
    assert restored.logins() == ("dba", "strange")


def test_an_owner_that_the_master_may_not_act_for_is_named_with_what_to_do(restored: Database) -> None:
    """Grants are the owner's to give; who cannot be it for a moment needs help."""
    restored.admin("CREATE ROLE strange NOLOGIN")
    restored.admin("CREATE TABLE public.foreign_one (id int); ALTER TABLE public.foreign_one OWNER TO strange", "shop")
    if restored.version < 160_000:
        restored.apply(user("tester", grant("readonly")))
        assert restored.may(login("tester"), "SELECT * FROM public.foreign_one")
        return
    with pytest.raises(DatabaseRefusedError, match=r"strange, who owns objects in shop: run GRANT strange TO dba"):
        restored.apply(user("tester", grant("readonly")))


def test_a_login_that_is_only_named_like_rds_is_locked_out(restored: Database) -> None:
    """The master made it, so it is production's. Before 16 nothing tells whose it is: it is left, and that is told."""
    restored.query(restored.master, "CREATE ROLE rds_reader LOGIN PASSWORD 'testing-reader'", "postgres")
    restored.apply(user("tester"))
    able = restored.admin("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'rds_reader'")
    assert able == [(restored.version < 160_000,)]
    remarks = PostgreSQL().remarks(restored.endpoint, restored.master, DesiredState((user("tester"),)))
    assert any("rds_reader can log in and was left alone" in remark for remark in remarks) is able[0][0]


def test_an_endpoint_without_a_server_is_unreachable() -> None:
    """Transient: the state machine tries again."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        nobody = Endpoint("127.0.0.1", listener.getsockname()[1])
    with pytest.raises(DatabaseUnreachableError, match="does not answer"):
        PostgreSQL().apply(nobody, Login("dba", "testing"), DESIRED)
    with pytest.raises(DatabaseUnreachableError):
        PostgreSQL().can_log_in(nobody, Login("dba", "testing"), "shop")


def test_a_refused_master_is_for_a_person_and_no_error_shows_its_password(restored: Database) -> None:
    """I6: neither message nor traceback holds a password."""
    wrong = Login("dba", "testing-" + "wrong")
    with pytest.raises(DatabaseRefusedError, match="refused to let dba into database postgres") as caught:
        PostgreSQL().plan(restored.endpoint, wrong, DESIRED)
    shown = "".join(traceback.format_exception(caught.value)) + repr((DESIRED, wrong))
    assert wrong.password not in shown
    assert "testing-new" not in shown


def test_a_refusal_in_another_language_is_no_silence() -> None:
    """The cluster's parameters say in which (lc_messages). For silence, the step would wait."""

    def german(**_: Any) -> psycopg.Connection:
        said = "Passwort-Authentifizierung für Benutzer »dba« fehlgeschlagen"
        raise psycopg.OperationalError(
            f'connection failed: connection to server at "127.0.0.1", port 5432 failed: SCHWERWIEGEND:  {said}'
        )

    here = Endpoint("127.0.0.1", 5432)
    assert not PostgreSQL(german).can_log_in(here, Login("dba", "testing"), "shop")
    with pytest.raises(DatabaseRefusedError, match="refused to let dba into database postgres: Passwort"):
        PostgreSQL(german).logins(here, Login("dba", "testing"))


def test_a_connection_that_is_lost_is_transient(restored: Database) -> None:
    """A failover in the middle of the step: the state machine calls it again."""

    class Lost(psycopg.Connection):
        def execute(self, *arguments: Any, **options: Any) -> Any:
            restored.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'dba'")
            return super().execute(*arguments, **options)

    with pytest.raises(DatabaseUnreachableError):
        PostgreSQL(Lost.connect).apply(restored.endpoint, restored.master, DESIRED)


def test_a_server_that_asks_for_no_password_is_refused(restored: Database) -> None:
    """Where everybody is let in, a password proves nothing and I7 cannot hold."""
    restored.apply(user("tester"))
    with restored.trusting_everybody(), pytest.raises(DatabaseRefusedError, match="without asking for a password"):
        restored.apply(user("tester"))


def test_too_many_connections_pass_by_themselves(restored: Database) -> None:
    """Transient: not the request's fault, and not for ever."""
    restored.admin("ALTER DATABASE postgres CONNECTION LIMIT 0")
    with pytest.raises(DatabaseUnreachableError, match="takes no connections now: too many connections"):
        restored.logins()


def test_a_statement_that_takes_too_long_is_transient(restored: Database) -> None:
    """A lock or a busy server: the state machine calls the step again."""

    class Slow(psycopg.Connection):
        def execute(self, *_: Any, **__: Any) -> Any:
            super().execute("SET statement_timeout = 1")
            return super().execute("SELECT pg_sleep(10)")

    with pytest.raises(NotReadyError, match="the statement timeout"):
        PostgreSQL(Slow.connect).logins(restored.endpoint, restored.master)


def test_a_lock_that_is_held_passes_and_says_where_to_look(restored: Database) -> None:
    """Somebody works, or, in a copy, a prepared transaction that nobody will finish."""

    class Waiting(psycopg.Connection):
        def execute(self, *_: Any, **__: Any) -> Any:
            return super().execute("SET lock_timeout = 1; LOCK TABLE sales.orders")

    restored.admin("GRANT app TO dba")
    with restored.connect(restored.master) as other, other.transaction():
        other.execute("LOCK TABLE sales.orders")
        waiting = PostgreSQL(Waiting.connect)
        said = r"a lock that somebody else holds.*pg_prepared_xacts"
        with pytest.raises(NotReadyError, match=said), waiting.session(restored.endpoint, restored.master, "shop"):
            pass


def test_an_internal_error_passes_only_if_it_is_a_concurrent_change(restored: Database) -> None:
    """PostgreSQL has one code for both; the other kind would be tried again until the time is up."""
    said = ["tuple concurrently updated"]

    class Ailing(psycopg.Connection):
        def execute(self, *_: Any, **__: Any) -> Any:
            raised = sql.SQL("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = {}; END $$")
            return super().execute(raised.format(sql.Literal(said[0])))

    with pytest.raises(NotReadyError, match="a concurrent change"):
        PostgreSQL(Ailing.connect).logins(restored.endpoint, restored.master)
    said[0] = "no possible grantors"
    with pytest.raises(DatabaseRefusedError, match=r"no possible grantors \(SQLSTATE XX000\)"):
        PostgreSQL(Ailing.connect).logins(restored.endpoint, restored.master)


def test_what_did_not_take_hold_is_an_error(restored: Database) -> None:
    """I7 is read back: a server that accepts a statement and does not follow it is found out."""

    class Deaf(psycopg.Connection):
        def execute(self, *arguments: Any, **options: Any) -> Any:
            is_lock = isinstance(arguments[0], sql.Composed) and "NOLOGIN" in arguments[0].as_string(self)
            return super().execute(*(["SELECT 1"] if is_lock else arguments), **options)

    with pytest.raises(DatabaseRefusedError, match=r"still to be made: .*app can no longer log in"):
        PostgreSQL(Deaf.connect).apply(restored.endpoint, restored.master, DesiredState((user("tester"),)))


def test_passwords_that_did_not_take_hold_are_an_error_however_many_there_are(restored: Database) -> None:
    """Not all new passwords are tried, but enough: here nobody's is what the server was told."""

    class Forgetful(psycopg.Connection):
        def execute(self, *arguments: Any, **options: Any) -> Any:
            statement = arguments[0].as_string(self) if isinstance(arguments[0], sql.Composed) else ""
            is_password = statement.startswith("CREATE ROLE")
            return super().execute(*([statement.partition(" PASSWORD")[0]] if is_password else arguments), **options)

    users = tuple(user(f"user {number}") for number in range(30))
    with pytest.raises(DatabaseRefusedError, match=r"still to be made: .*logs in with the password of its secret"):
        PostgreSQL(Forgetful.connect).apply(restored.endpoint, restored.master, DesiredState(users))
