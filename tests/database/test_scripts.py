"""Sessions in which scripts run and checks ask, on real servers: once, all or nothing, and without telling data."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from aurora_restore.database.engine import Login
from aurora_restore.database.postgresql import PostgreSQL
from aurora_restore.database.scripts import ALONE, Answer, Mark, Session, StatementError, run_script
from aurora_restore.errors import DatabaseRefusedError, DatabaseUnreachableError
from tests.database.conftest import Database, grant, login, user

NIGHTLY = "nightly"
SALARY = "4711"


@contextmanager
def session(database: Database, who: Login | None = None) -> Iterator[Session]:
    """Open a session in ``shop``, as the master if nobody is named."""
    with PostgreSQL().session(database.endpoint, who or database.master, "shop") as opened:
        yield opened


def run(database: Database, text: str, *, number: int = 0, timeout_s: float = 30, may_go_on: bool = True) -> bool:
    """Run a script as step 7 does."""
    script = PostgreSQL().read_script(text)
    assert not script.mistakes
    with session(database) as opened:
        return run_script(
            opened,
            script,
            operation_id=NIGHTLY,
            number=number,
            timeout_s=lambda: timeout_s,
            may_go_on=lambda: may_go_on,
        )


def refused(database: Database, text: str, timeout_s: float = 30) -> StatementError:
    """Run a script that is refused; return how."""
    with pytest.raises(StatementError) as failed:
        run(database, text, timeout_s=timeout_s)
    return failed.value


def rows(database: Database, table: str = "runs") -> int:
    """Count a table's rows."""
    with session(database) as opened:
        counted = opened.count_rows(f"public.{table}", 100, 10)
    assert counted is not None
    return counted


# Whoever calls one of these operators finds out: equality and order of all types, and a type named text.
_EVIL = """
    CREATE SCHEMA evil AUTHORIZATION app; GRANT USAGE ON SCHEMA evil TO PUBLIC; SET ROLE app;
    DO $do$ DECLARE type text; BEGIN
        FOREACH type IN ARRAY ARRAY['oid', 'text', 'name', 'int', 'regclass', '"char"'] LOOP
            EXECUTE format($$CREATE FUNCTION evil.seen(%1$s, %1$s) RETURNS bool LANGUAGE plpgsql
                AS 'BEGIN RAISE EXCEPTION ''as %%'', current_user; END'$$, type);
            EXECUTE format('CREATE OPERATOR evil.= (LEFTARG = %1$s, RIGHTARG = %1$s, FUNCTION = evil.seen)', type);
            EXECUTE format('CREATE OPERATOR evil.< (LEFTARG = %1$s, RIGHTARG = %1$s, FUNCTION = evil.seen)', type);
        END LOOP;
    END $do$;
    CREATE AGGREGATE evil.count(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '99');
    CREATE DOMAIN evil.text AS pg_catalog.varchar
"""
MAKE = "CREATE TABLE public.runs (at timestamptz DEFAULT now());\n"
ONE = "INSERT INTO public.runs DEFAULT VALUES"


def test_a_script_is_run_once_and_leaves_nothing_of_ours(restored: Database) -> None:
    """Another file has another mark. When all are run, schema and table go."""
    for _ in range(2):
        assert run(restored, MAKE + ONE)
        assert run(restored, ONE, number=1)
    assert rows(restored) == 2
    with session(restored) as opened:
        assert opened.marks(NIGHTLY) == {0: 2, 1: 1}
        assert opened.marks("another") == {}
        opened.forget()
        assert opened.marks(NIGHTLY) == {}
        opened.forget()
    assert restored.admin("SELECT to_regnamespace('aurora_restore')", "shop") == [(None,)]


def test_marks_are_not_written_into_somebody_else_s_table(restored: Database) -> None:
    """It came with the data, and so may a trigger on it: that would do as the master whatever its owner likes."""
    restored.admin(
        "CREATE SCHEMA aurora_restore AUTHORIZATION app; SET ROLE app;"
        " CREATE TABLE aurora_restore.progress"
        " (operation_id text, number int, done int, PRIMARY KEY (operation_id, number))",
        "shop",
    )
    with pytest.raises(DatabaseRefusedError, match=r"aurora_restore\.progress already, which is app's"):
        run(restored, MAKE)
    assert restored.admin("SELECT to_regclass('public.runs')", "shop") == [(None,)]


def test_the_database_s_search_path_gives_nobody_the_master_s_rights(restored: Database) -> None:
    """Operators of production's owner stand before PostgreSQL's: none of our own statements takes them."""
    restored.admin(_EVIL, "shop")
    restored.admin("ALTER DATABASE shop SET search_path = evil, public, pg_catalog")
    for _ in range(2):
        assert run(restored, MAKE + ONE)
        assert rows(restored) == 1
    with session(restored) as opened:
        assert opened.marks(NIGHTLY) == {0: 2}
        opened.forget()


def test_a_script_is_all_or_nothing(restored: Database) -> None:
    """What is refused in its last line undoes the first, and it can be run again."""
    error = refused(restored, MAKE + ONE + ";\n\nINSERT INTO public.gone VALUES (1)")
    assert (error.line, error.said) == (4, 'relation "public.gone" does not exist (SQLSTATE 42P01)')
    assert restored.admin("SELECT to_regclass('public.runs')", "shop") == [(None,)]
    assert run(restored, MAKE + ONE)
    assert rows(restored) == 1


def test_what_no_transaction_takes_is_run_by_itself(restored: Database) -> None:
    """VACUUM, an index made concurrently, a procedure that commits: each statement is marked at once."""
    text = (
        f"{ALONE}\n{MAKE};VACUUM public.runs;\nCREATE INDEX CONCURRENTLY i ON public.runs (at);\n"
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO runs DEFAULT VALUES; COMMIT; END $$;\nCALL p()"
    )
    assert run(restored, text)
    with session(restored) as opened:
        assert opened.marks(NIGHTLY) == {0: 5}
    assert run(restored, text)
    assert rows(restored) == 1


def test_a_statement_that_needs_to_be_alone_is_refused_among_others(restored: Database) -> None:
    """Where only the server could know; the message says what to do, and nothing is done."""
    text = f"{MAKE}DO $$ BEGIN COMMIT; END $$"
    said = refused(restored, text).said
    assert said.startswith("invalid transaction termination (SQLSTATE 2D000)")
    assert said.endswith(f"say so in the file's first line: {ALONE}")
    assert restored.admin("SELECT to_regclass('public.runs')", "shop") == [(None,)]


def test_what_cannot_be_run_by_itself_either_is_the_script_s_mistake(restored: Database) -> None:
    """A function must not commit, in a transaction or alone; a check must not try to."""
    function = "CREATE FUNCTION ends() RETURNS int LANGUAGE plpgsql AS $$ BEGIN COMMIT; RETURN 1; END $$"
    restored.query(restored.master, function)
    for text in ("SELECT ends()", f"{ALONE}\nSELECT ends()"):
        assert refused(restored, text).said == "invalid transaction termination (SQLSTATE 2D000)"
    with session(restored) as opened, pytest.raises(StatementError, match="invalid transaction termination"):
        opened.answer("SELECT ends()", 5)


def test_a_script_goes_on_where_it_stopped_with_what_was_set(restored: Database) -> None:
    """The second call's session is told again what the first one's was."""
    one = 'INSERT INTO "Löhne" VALUES (1, 2)'
    text = f'{ALONE}\nSET search_path = "Geheime Löhne";\n{one};\n{one}'
    calls = 0
    while not run(restored, text, may_go_on=False):
        calls += 1
    assert calls == 2
    with session(restored) as opened:
        assert opened.count_rows('"Geheime Löhne"."Löhne"', 10, 5) == 2


def test_two_calls_at_once_run_a_script_once(restored: Database) -> None:
    """The second one waits for the first one's mark. A function may be called again while its former call lives."""
    run(restored, MAKE)
    text = "SELECT pg_sleep(0.2); " + ONE
    callers = [threading.Thread(target=run, args=(restored, text), kwargs={"number": 1}) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert rows(restored) == 1


def test_a_statement_has_its_time(restored: Database) -> None:
    """The timeout of the request, however short what a SET of the script says."""
    error = refused(restored, "SET statement_timeout = 0;\nSELECT pg_sleep(30)", timeout_s=0.2)
    assert (error.line, error.said) == (2, "it took longer than 0.2 s")


_SPEAKS_LATE = """
    CREATE TABLE t (id int);
    CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE unique_violation USING MESSAGE = 'the salary is 4711'; END $$;
    CREATE CONSTRAINT TRIGGER no AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION no();
    INSERT INTO t VALUES (1)
"""
TELLING = (
    f"SELECT CAST('{SALARY} euro' AS int)",
    f"DO $$ BEGIN RAISE EXCEPTION 'the salary is {SALARY}'; END $$",
    f"DO $$ BEGIN RAISE insufficient_privilege USING MESSAGE = 'the salary is {SALARY}'; END $$",
    f"DO $$ BEGIN RAISE active_sql_transaction USING MESSAGE = 'the salary is {SALARY}'; END $$",
    f"DO $$ BEGIN EXECUTE format('SELECT %I', '{SALARY}'); END $$",
    f"SELECT 'x' '{SALARY}'",
    "CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (4711), (4711)",
    f"SELECT concat({SALARY[:2]}, {SALARY[2:]}, 'x')::regclass",
    f"SELECT concat('@', {SALARY[:2]}, {SALARY[2:]})::regoper",
    _SPEAKS_LATE,
)


def test_a_refusal_tells_no_value(restored: Database) -> None:
    """I6: what the server says may quote a row. It is told by its code; names of tables and constraints are told."""
    for statement in TELLING:
        error = refused(restored, statement)
        assert SALARY not in str(error), statement
        assert "SQLSTATE" in error.said, statement


REFUSED_LATE = """CREATE TABLE a (id int PRIMARY KEY);
CREATE TABLE b (id int REFERENCES a DEFERRABLE INITIALLY DEFERRED);
INSERT INTO b VALUES (1);
SELECT 1"""


def test_what_is_refused_at_the_end_of_the_transaction_is_the_script_s_mistake(restored: Database) -> None:
    """A deferred constraint speaks at COMMIT: told with the last statement's line, and nothing is left."""
    error = refused(restored, REFUSED_LATE)
    assert error.line == 4
    assert error.said.startswith('at the end of the transaction: insert or update on table "b" violates foreign key')
    assert restored.admin("SELECT to_regclass('public.a')", "shop") == [(None,)]


def test_a_thing_that_is_not_there_is_named_as_the_script_names_it(restored: Database) -> None:
    """Also where PostgreSQL tells no place in the statement, and where it is a value: that is no lost connection."""
    for statement, said in {
        'ALTER TABLE "public" . "Gone" ADD x int': 'relation "public.Gone" does not exist',
        "DROP ROLE gone": 'role "gone" does not exist',
        "SET work_memory = 1": 'unrecognized configuration parameter "work_memory"',
        "DROP FUNCTION gone(int)": "function gone(integer) does not exist",
        "SELECT $1": "it has a parameter ($1), for which nobody has a value",
    }.items():
        assert refused(restored, statement).said.startswith(said)


def test_a_lost_connection_is_no_refusal(restored: Database) -> None:
    """The state machine tries again."""
    script = PostgreSQL().read_script("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(DatabaseUnreachableError), session(restored) as opened:
        opened.run(script.statements, Mark(NIGHTLY, 0, 1), lambda: 30)


def test_a_script_has_the_settings_that_a_user_has(restored: Database) -> None:
    """Not ours: it was written for the search path that psql finds."""
    run(restored, "CREATE TABLE runs (at timestamptz); INSERT INTO products VALUES (2, 'ink')")
    assert rows(restored) == 0


def test_a_role_that_the_master_s_sessions_begin_with_makes_what_a_script_makes(restored: Database) -> None:
    """As it does in psql; the marks are the master's own, whatever that role may do."""
    grant_it = "GRANT reporting TO dba; GRANT CREATE ON SCHEMA public TO reporting"
    restored.query(restored.master, grant_it)
    restored.admin("ALTER ROLE dba IN DATABASE shop SET role = 'reporting'")
    assert run(restored, MAKE + ONE)
    assert run(restored, f"{ALONE}\n{ONE};\n{ONE}", number=1)
    assert restored.admin("SELECT tableowner FROM pg_tables WHERE tablename = 'runs'", "shop") == [("reporting",)]
    with session(restored) as opened:
        assert opened.marks(NIGHTLY) == {0: 2, 1: 2}
        opened.forget()
    assert restored.admin("SELECT to_regnamespace('aurora_restore')", "shop") == [(None,)]


def test_rows_that_a_script_selects_are_dropped(restored: Database) -> None:
    """As they come: a table of any size may be selected from without filling the function's memory."""
    assert run(restored, "SELECT repeat('x', 1000) FROM generate_series(1, 20000)")


def ask(database: Database, query: str, who: str = "report") -> Answer:
    """Ask as a listed user."""
    with session(database, login(who)) as opened:
        return opened.answer(query, 5)


def test_a_check_gets_the_first_row_s_first_column(restored: Database) -> None:
    """In the words of the server, NULL and no row told apart."""
    restored.apply(user("report", grant("readonly")))
    assert ask(restored, "SELECT true, 1") == Answer(has_row=True, text="t")
    assert ask(restored, "SELECT id FROM sales.orders ORDER BY id DESC;") == Answer(has_row=True, text="3")
    assert ask(restored, "SELECT 1.50 FROM products") == Answer(has_row=True, text="1.50")
    assert ask(restored, "SELECT NULL") == Answer(has_row=True, text=None)
    assert ask(restored, "SELECT 1 WHERE false") == Answer(has_row=False, text=None)


FORBIDDEN = (
    "DELETE FROM products",
    "SELECT 1; DELETE FROM products",
    "WITH gone AS (DELETE FROM products RETURNING id) SELECT id FROM gone",
    "SELECT setval('sales.orders_id_seq', 99)",
    "SELECT pg_sleep(30)",
    "SELECT * FROM pg_authid",
    "SELECT 1 +\n\n",
)


def test_a_check_changes_nothing_and_has_an_end(restored: Database) -> None:
    """One query, which reads, in its time, with the rights of the user that asks."""
    restored.apply(user("report", grant("owner")))
    with session(restored, login("report")) as opened:
        for query in FORBIDDEN:
            with pytest.raises(StatementError, match=r"SQLSTATE|took longer"):
                opened.answer(query, 0.3)
            assert opened.count_rows("products", 10, 5) == 1, query
    assert restored.query(restored.master, "SELECT last_value FROM sales.orders_id_seq") == [(3,)]


def test_rows_are_counted_as_far_as_needed(restored: Database) -> None:
    """By the name that one writes in SQL; a table that is not there is no error, one that may not be read is."""
    restored.apply(user("report", grant(privileges=["SELECT"], database="shop", schema="sales")))
    with session(restored, login("report")) as opened:
        assert opened.count_rows("sales.orders", 100, 5) == 3
        assert opened.count_rows('"sales".ORDERS', 2, 5) == 2
        assert opened.count_rows("sales.orders", 0, 5) == 0
        assert opened.count_rows("sales.gone", 1, 5) is None
        with pytest.raises(StatementError, match="permission denied"):
            opened.count_rows('"Geheime Löhne"."Löhne"', 1, 5)
