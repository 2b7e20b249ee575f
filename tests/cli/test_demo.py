"""The command demo, as a user runs it: a process of its own, judged by what it prints and what it leaves."""

import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from rich.console import Console

from aurora_restore.cli.demo_report import rows_table
from aurora_restore.embedded.binaries import find_binaries
from aurora_restore.embedded.dataplane import MasterUser
from aurora_restore.embedded.postgres import PostgresServers
from aurora_restore.operation import Step
from tests.cli.processes import interrupt, left_by, run, scratch, start

ROWS = 500
SHOP = """
CREATE TABLE crew (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE trips (id int PRIMARY KEY, captain int REFERENCES crew);
INSERT INTO crew SELECT g, 'sailor ' || g FROM generate_series(1, 7) AS g;
INSERT INTO trips SELECT g, 1 FROM generate_series(1, 3) AS g;
CREATE SCHEMA harbour;
CREATE TABLE harbour.berths (id int);
"""
COUNTS = {"crew": 7, "trips": 3, "harbour.berths": 0}


@pytest.fixture
def temporary() -> Iterator[Path]:
    with scratch() as directory:
        yield directory


def document_of(output: str) -> dict[str, Any]:
    """Return the one JSON object that ``output`` is; anything beside it fails here."""
    document = json.loads(output)
    assert isinstance(document, dict)
    return document


def test_json_is_one_object_that_says_everything(temporary: Path) -> None:
    """stdout is one JSON object with the documented fields, stderr is empty, and nothing is left behind."""
    done = run(temporary, "demo", "--json", "--rows", str(ROWS))
    assert (done.returncode, done.stderr) == (0, "")
    document = document_of(done.stdout)
    assert document["status"] == "succeeded"
    assert [step["name"] for step in document["steps"]] == [step.value for step in Step]
    for step in document["steps"]:
        assert step["status"] in {"DONE", "SKIP"}
        assert step["reason"]
        assert step["started_at"] <= step["ended_at"]
    source, target = document["source"], document["target"]
    assert source["cluster"] == "orders-prod"
    assert target["cluster"] == "orders-staging"
    assert source["rows"] == target["rows"]
    assert sum(target["rows"].values()) == ROWS
    assert (target["endpoint"], len(target["instances"])) == ("127.0.0.1", 2)
    assert target["port"] > 0
    assert target["logins"] == ["postgres", "staging_app", "staging_report"]
    assert target["refused"] == ["analyst", "batch", "orders_app", "postgres"]
    assert document["audit"]["verified"] is True
    assert document["audit"]["events"] > len(Step)
    assert document["operation_id"] in document["notification"]["subject"]
    assert "127.0.0.1" in document["notification"]["message"]
    assert left_by(temporary) == []


def test_sql_dump_takes_the_place_of_the_shop(temporary: Path) -> None:
    """The tables of a plain SQL file are restored and counted, of every schema."""
    dump = temporary / "crew; touch x.sql"
    dump.write_text(SHOP, encoding="utf-8")
    done = run(temporary, "demo", "--json", "--dump", str(dump))
    assert (done.returncode, done.stderr) == (0, "")
    document = document_of(done.stdout)
    assert document["source"]["rows"] == document["target"]["rows"] == COUNTS
    dump.unlink()
    assert left_by(temporary) == []


def test_custom_format_dump_takes_the_place_of_the_shop(temporary: Path) -> None:
    """What pg_dump -Fc has made is restored and counted, whoever owned it."""
    pg_dump = find_binaries().client("pg_dump")
    if pg_dump is None:
        pytest.skip("there is no pg_dump, neither in the wheel nor in PATH")
    dump = temporary / "crew.dump"
    make_dump(pg_dump, dump, temporary / "databases")
    done = run(temporary, "demo", "--json", "--dump", str(dump))
    assert (done.returncode, done.stderr) == (0, "")
    assert document_of(done.stdout)["target"]["rows"] == COUNTS


def make_dump(pg_dump: Path, dump: Path, directory: Path) -> None:
    """Dump a small database with an owner who is nowhere else."""
    with PostgresServers(directory, remove_on_death=True) as plane:
        plane.create("volume", MasterUser("captain", "testing-testing"), "crew")
        port = plane.start("volume", None)
        place = f"host=127.0.0.1 port={port} user=captain password=testing-testing dbname=crew"
        with psycopg.connect(place, autocommit=True) as connection:
            connection.execute(SHOP)
        subprocess.run([pg_dump, "-Fc", "-f", dump, place], check=True)


def test_broken_sql_names_its_line(temporary: Path) -> None:
    """A mistake in the file is the user's, with the line to look at: exit 2."""
    dump = temporary / "broken.sql"
    dump.write_text("CREATE TABLE a (i int);\n\nINSERT INTO b VALUES (1);\n", encoding="utf-8")
    done = run(temporary, "demo", "--dump", str(dump))
    assert done.returncode == 2
    assert "line 3" in done.stderr
    assert 'relation "b" does not exist' in done.stderr
    assert "Traceback" not in done.stderr


def test_broken_archive_is_the_users_mistake(temporary: Path) -> None:
    """A custom-format dump that was cut off: exit 2, and one sentence."""
    dump = temporary / "broken.dump"
    dump.write_bytes(b"PGDMP\x01\x0f\x00 and then nothing")
    done = run(temporary, "demo", "--json", "--dump", str(dump))
    assert done.returncode == 2
    assert document_of(done.stdout)["error"]["type"] == "RequestError"
    assert "broken.dump" in done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b"\x1f\x8b\x08\x00", "gzip"), (b"", "an empty file")],
    ids=["missing", "compressed", "empty"],
)
def test_unreadable_dump_is_refused_before_anything_starts(temporary: Path, content: bytes | None, words: str) -> None:
    """Exit 2 with the reason, at once."""
    dump = temporary / "dump"
    if content is not None:
        dump.write_bytes(content)
    done = run(temporary, "demo", "--dump", str(dump))
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""


def test_the_table_of_rows_has_whole_titles_however_short_its_names() -> None:
    """Of a dump whose tables are called a and b."""
    written = io.StringIO()
    Console(file=written, width=80).print(rows_table({"a": 1}, {"b": 2}))
    assert written.getvalue().split() == ["Table", "Source", "Target", "a", "1", "none", "DIFFERENT",
                                          "b", "none", "2", "DIFFERENT", "all", "1", "2"]  # fmt: skip


def test_missing_psql_names_the_package(temporary: Path) -> None:
    """A PostgreSQL of the user's without its client programs: exit 3, and what to install."""
    programs = temporary / "bin"
    programs.mkdir()
    for name in ("initdb", "postgres", "pg_basebackup"):
        (programs / name).symlink_to(find_binaries().path(name))
    dump = temporary / "dump.sql"
    dump.write_text(SHOP, encoding="utf-8")
    done = run(temporary, "demo", "--dump", str(dump), "--postgres-bin", str(programs), PATH=str(programs))
    assert done.returncode == 3
    assert "postgresql-client" in done.stderr


def test_directory_without_postgres_is_the_environments_fault(temporary: Path) -> None:
    """Exit 3, one sentence, and no directory left."""
    done = run(temporary, "demo", "--postgres-bin", str(temporary))
    assert done.returncode == 3
    assert "holds no initdb" in done.stderr
    assert left_by(temporary) == []


@pytest.mark.parametrize("awaited", ["Bringing up", "CopySnapshot"], ids=["while building", "in the operation"])
def test_ctrl_c_leaves_nothing(temporary: Path, awaited: str) -> None:
    """Ended in the middle: exit 130, no word of complaint, no process and no directory."""
    process = start(temporary, "demo", "--rows", str(ROWS))
    assert process.stdout is not None
    while awaited not in (line := process.stdout.readline()):
        assert line, "the demo ended before it was interrupted"
    _, complaint = interrupt(process)
    assert (process.returncode, complaint) == (130, "")
    assert left_by(temporary) == []


def test_kill_leaves_nothing(temporary: Path) -> None:
    """Killed in the middle of the operation, it cannot clean up itself: the watchdog does."""
    process = start(temporary, "demo", "--rows", str(ROWS))
    assert process.stdout is not None
    while "CopySnapshot" not in (line := process.stdout.readline()):
        assert line, "the demo ended before it was killed"
    process.kill()
    process.communicate()
    assert left_by(temporary) == []


def test_kept_demo_reports_and_stays_until_ctrl_c(temporary: Path) -> None:
    """Off a terminal the report is plain text; with --keep the databases answer after it, and Ctrl-C is a good end."""
    process = start(temporary, "demo", "--keep", "--rows", str(ROWS))
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or "PGPASSWORD" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], "the demo ended"
    report = "".join(lines)
    for words in ("equal", "let in", "refused", "SELECT on 5 tables", "the chain of their hashes is whole", "Subject:"):
        assert words in report
    assert "DIFFERENT" not in report
    assert "\x1b" not in report
    assert "export AWS_ENDPOINT_URL=http://127.0.0.1:" in report
    port = lines[-1].split(" -p ")[1].split()[0]
    with psycopg.connect(host="127.0.0.1", port=port, user="orders_app", password="testing", dbname="orders") as one:
        assert one.execute("SELECT count(*) > 0 FROM orders").fetchone() == (True,)
    _, complaint = interrupt(process)
    assert (process.returncode, complaint) == (0, "")
    assert left_by(temporary) == []
