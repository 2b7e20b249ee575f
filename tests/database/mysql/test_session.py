"""Scripts and checks on MySQL."""

from dataclasses import replace

import pytest

from aurora_restore.database import mysql_session
from aurora_restore.database.mysql import MySQL
from aurora_restore.database.mysql_session import MySQLSession
from aurora_restore.database.scripts import Mark, Script, StatementError, run_script
from aurora_restore.embedded.mariadb_dialect import MARIADB
from aurora_restore.errors import DatabaseRefusedError, DatabaseUnreachableError
from tests.database.mysql.conftest import Database, engine, grant, login, user


def a_minute() -> float:
    return 60.0


def script(text: str) -> Script:
    return engine().read_script(text)


def run(restored: Database, text: str, timeout_s: float = 60.0) -> bool:
    with engine().session(restored.endpoint, restored.master, "shop") as session:
        return run_script(
            session, script(text), operation_id="one", number=0, timeout_s=lambda: timeout_s, may_go_on=lambda: True
        )


def test_a_script_runs_once_and_leaves_nothing_behind(restored: Database) -> None:
    """The mark is there until it is forgotten, in a database that goes with it."""
    text = "UPDATE orders SET product = product + 1;\nDELETE FROM orders WHERE product = 3;"
    assert run(restored, text)
    assert run(restored, text)
    assert restored.query(restored.master, "SELECT SUM(product) FROM orders") == [(4,)]
    with engine().session(restored.endpoint, restored.master, "shop") as session:
        assert session.marks("one") == {0: 2}
        assert session.marks("another") == {}
        session.forget()
        session.forget()
    assert restored.admin("SHOW DATABASES LIKE 'aurora_restore'") == []


def test_a_script_of_data_is_all_or_nothing(restored: Database) -> None:
    """The second statement fails: the first is as if it had not been, and the error has its line."""
    with pytest.raises(StatementError, match=r"line 3: .*gone") as caught:
        run(restored, "DELETE FROM orders;\n\nDELETE FROM gone;")
    assert caught.value.line == 3
    assert restored.query(restored.master, "SELECT COUNT(*) FROM orders") == [(3,)]


def test_what_only_looks_or_is_gone_with_the_session_ends_no_transaction(restored: Database) -> None:
    """Masking by a temporary table is all or nothing: after a failure it is done anew, with that table made anew."""
    masking = (
        "CREATE TEMPORARY TABLE masked AS SELECT id, 9 AS product FROM orders;\n"
        "UPDATE orders JOIN masked USING (id) SET orders.product = masked.product;\n"
        "SHOW WARNINGS;\nEXPLAIN SELECT * FROM masked;\nSAVEPOINT here;\nRELEASE SAVEPOINT here;\n"
        "DROP TEMPORARY TABLE masked;\n"
    )
    assert not script("LOAD DATA INFILE '/a' INTO TABLE b; LOAD INDEX INTO CACHE b").as_a_whole
    assert script("LOAD DATA FROM S3 's3://a' INTO TABLE b").as_a_whole
    with pytest.raises(StatementError, match="line 8"):
        run(restored, f"{masking}DELETE FROM gone;")  # noqa: S608
    assert restored.query(restored.master, "SELECT SUM(product) FROM orders") == [(4,)]
    assert run(restored, masking)
    assert restored.query(restored.master, "SELECT SUM(product) FROM orders") == [(27,)]


def test_statements_that_commit_are_marked_one_by_one(restored: Database) -> None:
    """MySQL's DDL ends a transaction: what was done before the failure is not done again."""
    with pytest.raises(StatementError):
        run(restored, "CREATE TABLE made (id INT);\nINSERT INTO made VALUES (1);\nINSERT INTO gone VALUES (1);")
    assert run(restored, "CREATE TABLE made (id INT);\nINSERT INTO made VALUES (1);\nINSERT INTO made VALUES (2);")
    assert restored.query(restored.master, "SELECT * FROM made") == [(1,), (2,)]


def test_a_mark_that_stands_already_lets_nothing_run(restored: Database) -> None:
    """Two calls at once: the second one finds the first one's mark."""
    (delete,) = script("DELETE FROM orders").statements
    with engine().session(restored.endpoint, restored.master, "shop") as session:
        session.run(script("DO 1").statements, Mark("one", 0, 2), a_minute)
        session.run([delete], Mark("one", 0, 1), a_minute)
    assert restored.query(restored.master, "SELECT COUNT(*) FROM orders") == [(3,)]


def test_a_statement_that_takes_too_long_is_ended_in_the_server_too(restored: Database) -> None:
    """MySQL limits nothing but SELECT; another connection ends it."""
    with pytest.raises(StatementError, match="it took longer than 0 s"):
        run(restored, "DELETE FROM orders WHERE SLEEP(60) = 0", timeout_s=0.2)
    running = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'DELETE FROM orders%'"
    assert restored.admin(running) == [(0,)]


def test_a_user_s_only_connection_is_ended_by_the_master(restored: Database) -> None:
    """connection_limit: 1 leaves the user no second one to end its statement by."""
    restored.apply(user("single", grant("readonly"), connection_limit=1))
    with (
        engine().session(restored.endpoint, login("single"), "shop", restored.master) as session,
        pytest.raises(StatementError, match="it took longer than 0 s"),
    ):
        session.answer("SELECT SLEEP(60)", 0.1)


def test_the_master_s_files_are_run_with_its_powers(restored: Database) -> None:
    """Aurora's come by a role, which the cluster may not activate by itself. A user has the roles that it has.

    Not proven here: SET ROLE ALL, for which MariaDB has no like; something else that can be seen stands for it.
    """
    restored.apply(user("reader", grant("readonly")))
    mysql = MySQL(dialect=replace(MARIADB, powers=("SET @powers = 'all'",)))
    for who, powers in ((restored.master, "all"), (login("reader"), None)):
        with mysql.session(restored.endpoint, who, "shop", restored.master) as session:
            assert session.answer("SELECT @powers", 10).text == powers


def test_a_user_whose_connections_are_all_in_use_cannot_ask(restored: Database) -> None:
    """The application was faster: the error says why, and what to do."""
    restored.apply(user("single", grant("readonly"), connection_limit=1))
    with (
        restored.connect(login("single")),
        pytest.raises(DatabaseRefusedError, match=r"max_user_connections.*let another user ask"),
        engine().session(restored.endpoint, login("single"), "shop"),
    ):
        pass


def test_the_cluster_s_settings_for_sessions_hold_for_scripts_and_checks(restored: Database) -> None:
    """But a script is marked by commits of its own, whatever init_connect says."""
    restored.apply(user("reader", grant("readonly")))
    restored.admin("SET GLOBAL init_connect = 'SET autocommit = 0', max_statement_time = 0.1")
    with engine().session(restored.endpoint, login("reader"), "shop") as session:
        assert session.answer("SELECT @@autocommit", 10).text == "1"
        with pytest.raises(StatementError, match="longer than the cluster lets a query take"):
            session.answer("SELECT SLEEP(60)", 10)


def test_what_a_cluster_s_settings_do_to_sessions_loses_no_mark_and_nobody_s_table(restored: Database) -> None:
    """A COMMIT would end the session, and the server tells of one table only."""
    restored.query(restored.master, "CREATE DATABASE aurora_restore", None)
    restored.query(restored.master, "CREATE TABLE aurora_restore.mine (id INT)", None)
    restored.admin("SET GLOBAL completion_type = 2, sql_select_limit = 1")
    with engine().session(restored.endpoint, restored.master, "shop") as session:
        session.run(script("DELETE FROM orders").statements, Mark("one", 0, 1), a_minute)
        assert session.marks("one") == {0: 1}
        session.forget()
    assert restored.query(restored.master, "SHOW TABLES", "aurora_restore") == [("mine",)]


def test_marks_are_not_written_into_somebody_else_s_table(restored: Database) -> None:
    """It came with the data, and would go with the marks."""
    restored.query(restored.master, "CREATE DATABASE aurora_restore", None)
    restored.query(restored.master, "CREATE TABLE aurora_restore.progress (step TEXT, done INT, number INT)", None)
    with pytest.raises(DatabaseRefusedError, match=r"aurora_restore\.progress already, which is not the pipeline's"):
        run(restored, "DELETE FROM orders")
    assert restored.query(restored.master, "SELECT COUNT(*) FROM orders") == [(3,)]


def test_an_interruption_that_comes_too_late_meets_no_other_statement(restored: Database) -> None:
    """The statement ends by itself while the other connection is being opened: the next one is left alone."""

    def slowly(connection_id: int) -> None:
        restored.admin("DO SLEEP(0.3)")
        restored.admin(f"KILL QUERY {connection_id}")

    with restored.connect(restored.master) as connection:
        session = MySQLSession(connection, restored.endpoint, slowly)
        session.run(script("DO SLEEP(0.2)").statements, None, lambda: 0.05)
        session.run(script("SELECT SLEEP(0.3)").statements, None, a_minute)


def test_an_interruption_that_fails_is_tried_again(restored: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be no connection left just then: the statement has an end all the same."""
    monkeypatch.setattr(mysql_session, "_INTERRUPT_AGAIN_S", 0.01)
    tries: list[int] = []

    def at_the_third_try(connection_id: int) -> None:
        tries.append(connection_id)
        if len(tries) < 3:
            raise DatabaseUnreachableError("all of its max_connections are in use")
        restored.admin(f"KILL QUERY {connection_id}")

    with restored.connect(restored.master) as connection:
        session = MySQLSession(connection, restored.endpoint, at_the_third_try)
        with pytest.raises(StatementError, match="it took longer than 0 s"):
            session.answer("SELECT COUNT(*) FROM orders WHERE SLEEP(60) = 0", 0.01)


def test_an_error_shows_no_data(restored: Database) -> None:
    """I6: "Duplicate entry" quotes a value. What names columns and constraints only is told."""
    with pytest.raises(StatementError) as caught:
        run(restored, "INSERT INTO products VALUES (1, 'secret'), (1, 'secret');")
    assert "what the server said is not repeated" in str(caught.value)
    restored.admin("ALTER TABLE shop.products MODIFY name VARCHAR(4) NOT NULL, ADD CHECK (id < 9)")
    for statement, said in (
        ("UPDATE products SET name = 'secret'", "Data too long for column 'name'"),
        ("UPDATE products SET name = NULL", "Column 'name' cannot be null"),
        # Of MySQL's own number for it, 3819, the sentence would be told; this is MariaDB's.
        ("UPDATE products SET id = 10", "error 4025; what the server said is not repeated"),
    ):
        with pytest.raises(StatementError, match=said) as caught:
            run(restored, statement)
        assert "secret" not in str(caught.value)
    with pytest.raises(StatementError, match="line 2: a syntax error"):
        run(restored, "SELECT 1,\n FROM secret;")


def test_a_check_reads_as_its_user_and_cannot_write(restored: Database) -> None:
    """Values come as the server writes them; NULL and no row are told apart."""
    restored.apply(user("reader", grant("readonly")), user("owner", grant("owner")))
    with engine().session(restored.endpoint, login("reader"), "shop") as session:
        assert session.answer("SELECT COUNT(*) FROM orders;", 10).text == "3"
        assert session.answer("SELECT 1.50 + 1", 10).text == "2.50"
        assert session.answer("SELECT NULL", 10).text is None
        assert not session.answer("SELECT id FROM orders WHERE id = 99", 10).has_row
        assert session.count_rows("shop.orders", 2, 10) == 2
        assert session.count_rows("`Große Daten`.`Löhne ``1```", 5, 10) == 0
        assert session.count_rows("orders", 100, 10) == 3
        assert session.count_rows("gone", 100, 10) is None
        with pytest.raises(StatementError):
            session.answer("SELECT 1; DELETE FROM orders", 10)
    with engine().session(restored.endpoint, login("owner"), "shop") as session:
        for statement in ("DELETE FROM orders", "DROP TABLE orders"):
            with pytest.raises(StatementError, match="READ ONLY"):
                session.answer(statement, 10)
        # The session goes on.
        assert session.count_rows("orders", 100, 10) == 3


def test_bits_are_a_number(restored: Database) -> None:
    """Many applications' true and false are BIT(1), which the server sends as it is stored."""
    restored.admin("CREATE TABLE shop.flags (yes BIT, no BIT, many BIT(12))")
    restored.admin("INSERT INTO shop.flags VALUES (1, 0, 258)")
    with engine().session(restored.endpoint, restored.master, "shop") as session:
        queries = (
            "SELECT yes FROM flags",
            "SELECT no FROM flags",
            "SELECT many FROM flags",
            "SELECT MAX(yes) FROM flags",
        )
        assert [session.answer(query, 10).text for query in queries] == ["1", "0", "258", "1"]


def test_a_session_of_a_wrong_login_is_refused(restored: Database) -> None:
    """No password of the two is told."""
    with (
        pytest.raises(DatabaseRefusedError, match="refused to let nobody in"),
        engine().session(restored.endpoint, login("nobody"), "shop"),
    ):
        pass
