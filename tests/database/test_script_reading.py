"""Files of SQL taken apart as psql and the mysql client do it; what cannot be run is told with its line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_restore.database import mysql_script, postgresql_script
from aurora_restore.database.scripts import ALONE

# Each is one statement for its server, with something in it that looks like the end of one.
POSTGRESQL = [
    "SELECT 'a;b'",
    "SELECT 'it''s; one'",
    r"SELECT E'a\';b'",
    "SELECT E'a'\n  '\\';b'",
    r"SELECT 'a\', ';'",
    'SELECT 1 AS "a;""b"',
    "SELECT $$ a; 'b $$",
    "DO $body$ BEGIN PERFORM 1; END; $body$",
    "SELECT $a$ $b$ ; $b$ $a$",
    "SELECT price$1, x FROM a$b$c",
    "SELECT /* a; /* nested; */ still; */ 1",
    "SELECT 1 -- not; the end\n + 1",
    "CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b)",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END",
    "CREATE OR REPLACE PROCEDURE p(a int, b int) BEGIN ATOMIC INSERT INTO t VALUES (a); END",
    "CREATE FUNCTION f(begin date, finish date) RETURNS int LANGUAGE sql AS $$ SELECT 1; SELECT 2 $$",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT (CASE WHEN true THEN 2 END); END",
    "SELECT U&'d\\0061t;', B'101', X'1F'",
    "SELECT ';'::text, ARRAY[1, 2]",
    'UPDATE "Größe" SET "wert;" = 1',
]
MYSQL = [
    "SELECT 'a;b'",
    r"SELECT 'a\';b'",
    "SELECT 'it''s; one'",
    'SELECT "a;\\"b"',
    "SELECT 1 AS `a;``b`",
    "SELECT 1 -- not; the end\n + 1",
    "SELECT 1 # not; the end\n + 1",
    "SELECT 5--3",
    "SELECT /* a; */ 1",
    "/*!40101 SET NAMES utf8; */",
    "UPDATE `Größe` SET a$b = 1",
]


@given(statements=st.lists(st.sampled_from(POSTGRESQL), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_postgresql_statements_are_told_apart(statements: list[str]) -> None:
    """Whatever stands in quotes, dollars, comments, brackets and bodies ends none; each knows its line."""
    text = "-- first\n" + ";\n/* between; */ ".join(statements) + ";\n"
    script = postgresql_script.read_script(text)
    assert [each.text for each in script.statements] == statements
    assert not script.mistakes
    for each in script.statements:
        assert each.text.splitlines()[0] in text.splitlines()[each.line - 1]


def test_a_comment_ends_where_postgresql_ends_it() -> None:
    """At a carriage return too: what stands behind it is run, and not left out in silence."""
    script = postgresql_script.read_script("UPDATE a SET b = 1; -- first\rUPDATE a SET b = 2;\r-- last")
    assert [each.text for each in script.statements] == ["UPDATE a SET b = 1", "UPDATE a SET b = 2"]
    assert not script.mistakes


@given(
    statements=st.lists(st.sampled_from(MYSQL), min_size=1, max_size=8), delimiter=st.sampled_from([";", "$$", "//"])
)
@settings(max_examples=60, deadline=None)
def test_mysql_statements_are_told_apart(statements: list[str], delimiter: str) -> None:
    """With any delimiter; the command that sets it is none."""
    text = f"# first\nDELIMITER {delimiter}\n" + f" {delimiter}\n/* between */ ".join(statements)
    script = mysql_script.read_script(text)
    assert [each.text for each in script.statements] == statements
    assert not script.mistakes


def test_a_body_between_other_delimiters_is_one_statement() -> None:
    """As everybody writes MySQL's procedures, with the delimiter at once behind the last word."""
    text = "DELIMITER $$\nCREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END$$\nDELIMITER ;\nCALL p();"
    found = mysql_script.read_script(text).statements
    assert [(each.text, each.line) for each in found] == [
        ("CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END", 2),
        ("CALL p()", 4),
    ]


def test_a_statement_s_line_is_where_it_begins() -> None:
    """Not where the comment above it does. A byte order mark and Windows' ends of lines change nothing."""
    found = postgresql_script.read_script("\ufeff-- about\r\n\r\nSELECT 1;\r\n/* x\r\n */ SELECT\r\n2").statements
    assert [each.line for each in found] == [3, 5]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("\\connect shop\nSELECT 1", r"line 1: \connect is a command of psql and no SQL"),
        ("SELECT 1;\nCOPY t FROM stdin;\n1\n\\.\n", "line 2: COPY from STDIN or to STDOUT needs psql"),
        ("SELECT 1;\n\n BEGIN;", "line 3: BEGIN begins or ends a transaction"),
        ("START TRANSACTION", "line 1: START begins or ends"),
        ("COMMIT", "line 1: COMMIT begins or ends"),
        ("SAVEPOINT a; ROLLBACK TO a; ROLLBACK", "line 1: ROLLBACK begins or ends"),
        ("SELECT 'abc\n;", "line 1: what is opened here is never closed"),
        ('SELECT 1;\nSELECT "abc', "line 2: what is opened here is never closed"),
        ("SELECT $a$ x $b$", "line 1: what is opened here is never closed"),
        ("/* /* */", "line 1: what is opened here is never closed"),
        ("VACUUM t", f"line 1: this statement cannot run in a transaction: say so in the file's first line: {ALONE}"),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", "line 1: this statement cannot run in a transaction"),
        ("ALTER SYSTEM SET a = 1", "line 1: this statement cannot run in a transaction"),
        (f"{ALONE}\nSET ROLE app;\nVACUUM", "line 2: a file without a transaction cannot go on as another role"),
        ("-- aurora-restore: no transactions\nVACUUM", "line 1: this word to the pipeline is not known"),
        ("-- nothing\n;;", "line 1: there is no statement in it"),
    ],
)
def test_what_postgresql_could_not_run_is_told_with_its_line(text: str, mistake: str) -> None:
    """Before anything is changed."""
    found = postgresql_script.read_script(text).mistakes
    assert [each for each in found if each.startswith(mistake)], found


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("/*!40101 COMMIT */", "line 1: COMMIT begins or ends a transaction"),
        ("\\. other.sql", r"line 1: \. is a command of the mysql client and no SQL"),
        ("SELECT 1;\nsource other.sql", "line 2: SOURCE with this needs the mysql client"),
        ("LOAD DATA LOCAL INFILE 'x' INTO TABLE t", "line 1: LOAD with this needs the mysql client"),
        ("SELECT 1;\nCOMMIT", "line 2: COMMIT begins or ends a transaction"),
        ("SET autocommit = 0", "line 1: SET begins or ends a transaction"),
        ("SELECT `abc", "line 1: what is opened here is never closed"),
        ("SELECT 1 /* x", "line 1: what is opened here is never closed"),
        ("# nothing", "line 1: there is no statement in it"),
    ],
)
def test_what_mysql_could_not_run_is_told_with_its_line(text: str, mistake: str) -> None:
    """Before anything is changed."""
    found = mysql_script.read_script(text).mistakes
    assert [each for each in found if each.startswith(mistake)], found


def test_a_file_is_one_transaction_where_the_engine_has_one_for_it() -> None:
    """PostgreSQL's unless the file says otherwise; MySQL's as long as nothing in it commits by itself."""
    assert postgresql_script.read_script("CREATE TABLE t (a int); ROLLBACK TO SAVEPOINT x").as_a_whole
    assert not postgresql_script.read_script(f"{ALONE}\nVACUUM").as_a_whole
    assert mysql_script.read_script("USE shop; SET @a = 1; UPDATE t SET a = @a; SELECT 1").as_a_whole
    mixed = mysql_script.read_script("UPDATE t SET a = 1; CREATE TABLE u (a int); CALL p(); SET GLOBAL x = 1")
    assert not mixed.as_a_whole
    assert [each.commits for each in mixed.statements] == [False, True, True, True]


def test_what_only_sets_the_session_is_known() -> None:
    """It is said again when a script goes on in a new session."""
    ours = postgresql_script.read_script(
        "SET search_path = a; RESET ALL; SET LOCAL x = 1; SET CONSTRAINTS ALL DEFERRED"
    )
    assert [each.only_sets for each in ours.statements] == [True, True, False, False]
    theirs = mysql_script.read_script("USE shop; SET @a = 1; SET SESSION x = 1; SET GLOBAL y = 1; SELECT 1")
    assert [each.only_sets for each in theirs.statements] == [True, True, True, False, False]
    dumped = mysql_script.read_script("/*!40103 SET TIME_ZONE='+00:00' */; /*!40000 ALTER TABLE t ENABLE KEYS */;")
    assert [each.only_sets for each in dumped.statements] == [True, False]
