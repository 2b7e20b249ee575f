"""The SQL files of a request: read beside it, and their text travels with it."""

import json
from pathlib import Path

import pytest

from aurora_restore.request import LARGEST_BYTES
from tests.cli.terminal import Answer, aurora_restore

REQUEST = """
name: a
source: {cluster: prod, region: us-east-1}
target: {cluster: staging, region: us-west-2}
sql:
  - file: sql/mask.sql
  - file: sql/more.sql
"""


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    """A request in a folder, with one of its files beside it."""
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "mask.sql").write_bytes(b"\xef\xbb\xbfSELECT 'Gr\xc3\xb6\xc3\x9fe';\r\n")
    (tmp_path / "sql" / "more.sql").write_text("SELECT 2")
    file = tmp_path / "nightly.yaml"
    file.write_text(REQUEST)
    return file


def validate(file: Path) -> Answer:
    return aurora_restore("validate", str(file), "--json")


def test_the_files_are_read_from_the_request_s_folder(request_file: Path) -> None:
    """Wherever the command runs."""
    answer = validate(request_file)
    scripts = json.loads(answer.out)["request"]["sql"]
    assert [script["text"] for script in scripts] == ["SELECT 'Größe';\r\n", "SELECT 2"]


def test_a_text_that_is_given_is_left_alone(request_file: Path) -> None:
    """Its file need not be there: it is what reports call it."""
    request_file.write_text(REQUEST.replace("file: sql/more.sql", "{file: gone.sql, text: SELECT 3}"))
    assert json.loads(validate(request_file).out)["request"]["sql"][1]["text"] == "SELECT 3"


def test_what_is_wrong_with_files_is_said_beside_all_else(request_file: Path) -> None:
    """With the line in the request, and where it lies in the file, the line there."""
    (request_file.parent / "sql" / "more.sql").write_bytes(b"SELECT 1;\n\xff")
    request_file.write_text(REQUEST.replace("sql/mask", "sql/gone").replace("name: a", "name: 7"))
    answer = aurora_restore("validate", str(request_file))
    assert answer.code == 2
    said = " ".join(answer.err.split())
    assert "line 2, name: found 7" in said
    assert "line 6, sql[0].file: found sql/gone.sql, which cannot be read: No such file or directory" in said
    assert "line 7, sql[1].file: found sql/more.sql, whose line 2 is not UTF-8" in said


def test_a_file_that_could_not_travel_is_refused(request_file: Path) -> None:
    """One that is too large by itself, and many that are together."""
    more = request_file.parent / "sql" / "more.sql"
    more.write_text("-" * (LARGEST_BYTES + 1))
    assert f"which is larger than {LARGEST_BYTES:,} bytes" in " ".join(
        aurora_restore("validate", str(request_file)).err.split()
    )
    more.write_text("-" * (LARGEST_BYTES - 100))
    said = " ".join(aurora_restore("validate", str(request_file)).err.split())
    assert f"bytes as JSON, the texts of SQL files included; expected {LARGEST_BYTES:,} at most" in said


QUERIES = """
name: a
source: {cluster: prod, region: us-east-1}
target: {cluster: staging, region: us-west-2}
users: [{name: app, secret: staging/app}]
verify:
"""


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("select 1; drop table x", "2 statements"),
        ("delete from x returning 1", "DELETE, which is no question"),
        ("select 'a", "SQL that cannot be run, line 1: "),
        (";", "SQL that cannot be run, line 1: there is no statement in it"),
    ],
)
def test_a_check_that_could_never_hold_is_refused_before_anything_is_deleted(query: str, found: str) -> None:
    """Whichever engine it is for; else it is found when the old target is gone."""
    answer = aurora_restore("validate", "-", stdin=f"{QUERIES}  - {{query: {json.dumps(query)}, returns: 1}}".encode())
    assert answer.code == 2
    assert f"line 7, verify[0].query: found {found}" in answer.err
    assert "expected one SELECT" in answer.err


@pytest.mark.parametrize(
    "query", ["(select 1);", "-- why\nWITH a AS (SELECT ';') TABLE a", "SHOW x", 'select "a;b" as `c`']
)
def test_a_question_of_any_form_is_asked(query: str) -> None:
    """What is in quotes and comments counts for nothing; what one engine alone understands is for that one to say."""
    answer = aurora_restore("validate", "-", stdin=f"{QUERIES}  - {{query: {json.dumps(query)}, returns: 1}}".encode())
    assert (answer.code, answer.err) == (0, "")


def test_what_step_7_could_not_run_is_said_before_anything_starts(request_file: Path) -> None:
    """Whichever engine it is for: each thing with the file's line, and with the line in the request."""
    folder = request_file.parent / "sql"
    (folder / "mask.sql").write_bytes(b"\xef\xbb\xbfSELECT 1;\r\n\\set x 1\r\nBEGIN;\r\nSELECT 2;\r\nCOMMIT;\r\n")
    (folder / "more.sql").write_text("-- nothing yet\n")
    request_file.write_text(REQUEST.replace("name: a", "name: 7"))
    answer = aurora_restore("validate", str(request_file), "--json")
    told = [(each["line"], each["path"], each["found"]) for each in json.loads(answer.out)["error"]["problems"]]
    transaction = "begins or ends a transaction, which the pipeline does itself: leave it out"
    assert answer.code == 2
    assert told == [
        (2, "name", "7"),
        (6, "sql[0].file", r"sql/mask.sql, line 2: \set is a command of psql and no SQL"),
        (6, "sql[0].file", f"sql/mask.sql, line 3: BEGIN {transaction}"),
        (6, "sql[0].file", f"sql/mask.sql, line 5: COMMIT {transaction}"),
        (7, "sql[1].file", "sql/more.sql, line 1: there is no statement in it"),
    ]


@pytest.mark.parametrize(
    ("addition", "said"),
    [
        ("", []),
        ("log_exports: [postgresql]", ["sql/mask.sql, line 1: this statement cannot run in a transaction"]),
        ('engine_version: "16.4"', ["sql/mask.sql, line 1: this statement cannot run in a transaction"]),
        ("log_exports: [slowquery]", ["sql/more.sql, line 1: LOAD with this needs the mysql client"]),
        ('engine_version: "8.0.mysql_aurora.3.08.0"', ["sql/more.sql, line 1: LOAD with this needs the mysql client"]),
    ],
)
def test_what_one_engine_alone_refuses_is_said_where_the_request_is_meant_for_it(
    request_file: Path, addition: str, said: list[str]
) -> None:
    """Else the file may be right: only step 1 knows the source's engine, and refuses it then."""
    folder = request_file.parent / "sql"
    (folder / "mask.sql").write_text("VACUUM orders")
    (folder / "more.sql").write_text("LOAD DATA LOCAL INFILE 'x' INTO TABLE orders")
    request_file.write_text(REQUEST.replace("region: us-west-2", f"region: us-west-2, {addition}"))
    answer = validate(request_file)
    problems = json.loads(answer.out).get("error", {"problems": []})["problems"]
    assert answer.code == (2 if said else 0)
    assert [each["found"].partition(": say so")[0] for each in problems] == said


def test_a_user_s_field_shows_the_engine_too(request_file: Path) -> None:
    """What MySQL has no like of is PostgreSQL's request, and the other way round."""
    (request_file.parent / "sql" / "mask.sql").write_text("VACUUM orders")
    users = "users: [{name: u, secret: s, settings: {work_mem: 1}}]"
    request_file.write_text(f"{REQUEST}{users}\n")
    assert validate(request_file).code == 2
    request_file.write_text(f"{REQUEST}{users.replace('settings: {work_mem: 1}', 'host: 10.%')}\n")
    assert validate(request_file).code == 0
