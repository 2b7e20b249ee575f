"""The command demo with --engine aurora-mysql, as a user runs it: the same report as PostgreSQL's."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurora_restore.operation import Step
from tests.cli.processes import left_by, run, scratch
from tests.mariadb import require_mariadb

ROWS = 500


@pytest.fixture
def temporary() -> Iterator[Path]:
    with scratch() as directory:
        yield directory


def test_json_is_one_object_that_says_what_postgresql_s_says(temporary: Path) -> None:
    """The same fields with the same meaning; nothing is left behind."""
    require_mariadb()
    done = run(temporary, "demo", "--json", "--engine", "aurora-mysql", "--rows", str(ROWS))
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["status"] == "succeeded"
    assert [step["name"] for step in document["steps"]] == [step.value for step in Step]
    source, target = document["source"], document["target"]
    assert source["rows"] == target["rows"]
    assert sum(target["rows"].values()) == ROWS
    assert target["logins"] == ["admin", "staging_app", "staging_report"]
    assert target["refused"] == ["admin", "analyst", "batch", "orders_app"]
    assert document["audit"]["verified"] is True
    assert left_by(temporary) == []


def test_without_mariadb_the_package_is_named_and_nothing_is_started(temporary: Path) -> None:
    """Exit code 3: it is the environment that lacks something."""
    done = run(temporary, "demo", "--engine", "aurora-mysql", "--mysql-bin", str(temporary))
    assert done.returncode == 3
    assert "holds no mariadbd" in done.stderr
    assert "mariadb-server-core" in done.stderr
    assert left_by(temporary) == []


def test_a_dump_is_postgresql_s(temporary: Path) -> None:
    """Refused before anything is started, whether there is a MariaDB or not."""
    dump = temporary / "shop.sql"
    dump.touch()
    done = run(temporary, "demo", "--engine", "aurora-mysql", "--dump", str(dump), "--json")
    assert done.returncode == 2
    assert "loads PostgreSQL's dumps only" in done.stderr
