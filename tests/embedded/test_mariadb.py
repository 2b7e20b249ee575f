"""The real databases behind Aurora MySQL in the embedded account: real servers, real clients, real kills."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from aurora_restore.embedded.dataplane import MasterUser
from aurora_restore.embedded.engines import DatabaseServers
from aurora_restore.embedded.mariadb import MariaServers
from aurora_restore.embedded.mariadb_binaries import find_mariadb
from aurora_restore.embedded.watchdog import processes_below
from aurora_restore.errors import DatabaseRefusedError, EnvironmentUnfitError
from tests.mariadb import require_mariadb

MASTER = MasterUser("shop_admin", "testing")


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory for data, not there yet. Not below tmp_path, which pytest closes to the user of root's servers."""
    require_mariadb()
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        yield Path(parent).resolve() / "home"


@pytest.fixture(scope="module")
def servers() -> Iterator[MariaServers]:
    """One data plane with a running volume `origin` (a table `orders` of 3 rows); tests add volumes of their own."""
    require_mariadb()
    with MariaServers(Path(tempfile.mkdtemp()), remove_on_death=True) as running:
        running.create("origin", MASTER, "shop")
        ask(running.start("origin", None), "CREATE TABLE orders AS SELECT seq AS id FROM seq_1_to_3")
        yield running


def login(port: int, **changes: Any) -> "Connection[Any]":
    """Log in over TCP as a client of the cluster would."""
    who = {"host": "127.0.0.1", "user": MASTER.name, "password": MASTER.password, "database": "shop", **changes}
    return pymysql.connect(port=port, autocommit=True, **who)


def ask(port: int, statement: str, **changes: Any) -> list[tuple[Any, ...]]:
    with login(port, **changes) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def orders(port: int) -> int:
    ((number,),) = ask(port, "SELECT COUNT(*) FROM orders")
    return int(number)


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when it holds; the suite's own limit ends a test in which it never does."""
    while not condition():
        time.sleep(0.02)


def test_the_master_is_no_superuser_and_has_rds_s_role(servers: MariaServers) -> None:
    """As on RDS: it makes users and hands on what it may, and can neither read files nor shut the server down."""
    port = servers.start("origin", None)
    assert ask(port, "SELECT CURRENT_ROLE()") == [("rds_superuser_role",)]
    for statement in ("SHUTDOWN", "SET GLOBAL event_scheduler = ON"):
        with pytest.raises(pymysql.OperationalError, match="Access denied"):
            ask(port, statement)
    assert ask(port, "SELECT LOAD_FILE('/etc/passwd')") == [(None,)]


def test_rds_s_administrator_and_anybody_without_password_are_refused_over_the_network(servers: MariaServers) -> None:
    """The administrator's password works over the socket only, which the servers' user and root alone can reach."""
    port = servers.start("origin", None)
    administrator = servers._programs.administrator
    for who in (administrator, {"user": "root", "password": ""}, {"user": "", "password": ""}):
        with pytest.raises(pymysql.OperationalError, match="Access denied"):
            login(port, database=None, **who)


def test_a_copy_of_a_running_server_has_what_was_committed_and_nothing_else(servers: MariaServers) -> None:
    """A snapshot is of one moment: a commit before it is in it, an open transaction and what comes later are not."""
    port = servers.start("origin", None)
    with login(port) as writer, writer.cursor() as cursor:
        writer.begin()
        ask(port, "CREATE USER committed")
        ask(port, "INSERT INTO orders VALUES (4)")
        cursor.execute("INSERT INTO orders VALUES (5)")
        servers.clone("origin", "copy")
        # The origin goes on where it stood still.
        writer.commit()
    copy = servers.start("copy", None)
    assert (orders(port), orders(copy)) == (5, 4)
    assert ask(copy, "SELECT User FROM mysql.user WHERE User = 'committed'") == [("committed",)]
    ask(copy, "DELETE FROM orders")
    assert orders(port) == 5
    ask(port, "DELETE FROM orders WHERE id > 3")
    servers.drop("copy")


def test_copies_made_while_much_is_written_are_whole(servers: MariaServers) -> None:
    """Each of them recovers as from a crash; a transaction of two rows is in it with both, or not at all."""
    port = servers.start("origin", None)
    ask(port, "CREATE TABLE pairs (id INT PRIMARY KEY AUTO_INCREMENT, filler CHAR(200)) ENGINE = InnoDB")
    ask(
        port,
        "CREATE PROCEDURE write_pairs() BEGIN DECLARE n INT DEFAULT 0; WHILE n < 1000000 DO"
        " START TRANSACTION; INSERT INTO pairs (filler) VALUES ('x'); INSERT INTO pairs (filler) VALUES ('x');"
        " COMMIT; SET n = n + 1; END WHILE; END",
    )
    sizes = []
    with login(port) as writer, ThreadPoolExecutor(max_workers=1) as beside:
        written = beside.submit(writer.query, "CALL write_pairs()")
        wait_until(lambda: ask(port, "SELECT COUNT(*) > 0 FROM pairs") == [(1,)])
        for number in range(3):
            servers.clone("origin", f"busy-{number}")
            copy = servers.start(f"busy-{number}", None)
            ((count,),) = ask(copy, "SELECT COUNT(*) FROM pairs")
            assert ask(copy, "CHECK TABLE pairs")[-1][3] == "OK"
            sizes.append(count)
            servers.drop(f"busy-{number}")
        ask(port, f"KILL {writer.thread_id()}")  # type: ignore[no-untyped-call]
        assert isinstance(written.exception(), pymysql.MySQLError)
    assert sizes == sorted(sizes)
    assert sizes[0] > 0
    assert all(size % 2 == 0 for size in sizes)


def test_events_do_not_fire_in_a_copy(servers: MariaServers) -> None:
    """Production's come along enabled; the scheduler is off until somebody has looked at them."""
    port = servers.start("origin", None)
    ask(port, "CREATE EVENT eager ON SCHEDULE EVERY 1 SECOND DO DELETE FROM orders")
    servers.clone("origin", "calm")
    assert ask(servers.start("calm", None), "SELECT @@event_scheduler") == [("OFF",)]
    servers.drop("calm")


def test_a_stopped_volume_is_copied_and_gets_another_master_s_password(servers: MariaServers) -> None:
    """Both work whether the server runs or not; a user that there is not is an error of the database's."""
    servers.clone("origin", "still")
    servers.clone("still", "stiller")
    servers.set_password("stiller", MasterUser(MASTER.name, "testing-other"))
    port = servers.start("stiller", None)
    assert ask(port, "SELECT 1", password="testing-other") == [(1,)]
    with pytest.raises(pymysql.OperationalError, match="Access denied"):
        login(port)
    with pytest.raises(DatabaseRefusedError, match="1396"):
        servers.set_password("stiller", MasterUser("nobody", "testing"))
    for name in ("still", "stiller"):
        servers.drop(name)


def test_clients_can_verify_the_server(servers: MariaServers) -> None:
    """A certificate of the account's own authority, for 127.0.0.1 and localhost."""
    port = servers.start("origin", None)
    for host in ("127.0.0.1", "localhost"):
        verified = {"ssl_ca": str(servers.certificate_authority), "ssl_verify_cert": True, "ssl_verify_identity": True}
        with login(port, host=host, **verified) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
            assert cursor.fetchall()[0][1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as another user")
def test_root_s_servers_run_as_another_user(servers: MariaServers) -> None:
    """And listen on loopback alone."""
    port = servers.start("origin", None)
    assert all(Path(f"/proc/{pid}").stat().st_uid != 0 for pid in processes_below(servers.directory))
    assert ask(port, "SELECT @@bind_address") == [("127.0.0.1",)]


def test_without_the_programs_a_person_learns_which_package_has_them(tmp_path: Path) -> None:
    """The error names it, and nothing was started."""
    with pytest.raises(EnvironmentUnfitError, match=r"mariadb-server-core.*--mysql-bin"):
        MariaServers(tmp_path / "home", binaries=tmp_path)
    assert not (tmp_path / "home").exists()


def test_an_account_without_mariadb_serves_postgresql_all_the_same(tmp_path: Path) -> None:
    """Only who asks for a MySQL learns of what is missing, and nothing of it is left."""
    with DatabaseServers(Path(tempfile.mkdtemp()), mariadb=tmp_path, remove_on_death=True) as servers:
        with pytest.raises(EnvironmentUnfitError, match="mariadb-server-core"):
            servers.create("one", MASTER, None, "aurora-mysql")
        assert servers.volumes == []
        servers.create("one", MASTER, None, "aurora-postgresql")
        assert servers.start("one", None)


def test_what_is_no_mariadb_is_not_taken_for_one(tmp_path: Path) -> None:
    """Another program of that name."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "mariadbd"
    program.write_text("#!/bin/sh\necho 'mysqld  Ver 8.0.36 for Linux'\n")
    program.chmod(0o755)
    with pytest.raises(EnvironmentUnfitError, match="not the SQL files"):
        find_mariadb(program.parent)
    share = tmp_path / "share" / "mysql"
    share.mkdir(parents=True)
    for name in ("system_tables", "performance_tables", "system_tables_data"):
        (share / f"mysql_{name}.sql").touch()
    with pytest.raises(EnvironmentUnfitError, match="does not say that it is MariaDB"):
        find_mariadb(program.parent)


@pytest.mark.parametrize("stands_still", [False, True], ids=["at work", "while its files are copied"])
def test_kill_9_leaves_no_process_and_no_temporary_directory(home: Path, *, stands_still: bool) -> None:
    """However the account's process dies, its servers end, even one that stands still, and what was temporary goes."""
    parent = start_account(home, remove_on_death=True)
    left = processes_below(home)
    assert left
    if stands_still:
        for pid in left:
            os.kill(pid, signal.SIGSTOP)
    parent.kill()
    parent.wait()
    wait_until(lambda: not processes_below(home) and not home.exists())


def test_a_kept_directory_serves_the_next_account_with_both_engines(home: Path) -> None:
    """After kill -9 of the account the next process finds volumes of both kinds and their rows."""
    parent = start_account(home, remove_on_death=False)
    parent.kill()
    parent.wait()
    with DatabaseServers(home) as servers:
        assert servers.volumes == ["of-mysql", "of-postgresql"]
        assert orders(servers.start("of-mysql", None)) == 3
        servers.clone("of-mysql", "copy")
        servers.drop("of-mysql")
        assert servers.volumes == ["copy", "of-postgresql"]
        assert orders(servers.start("copy", None)) == 3
        assert servers.size_bytes("copy") > 1_000_000
    assert not processes_below(home)


def start_account(home: Path, *, remove_on_death: bool) -> subprocess.Popen[str]:
    """Start a process that has a MySQL running on `home`, and waits."""
    script = """
        import sys
        from pathlib import Path
        import pymysql
        from aurora_restore.embedded.dataplane import MasterUser
        from aurora_restore.embedded.engines import DatabaseServers
        home, remove_on_death = Path(sys.argv[1]), sys.argv[2] == "True"
        master = MasterUser("shop_admin", "testing")
        with DatabaseServers(home, remove_on_death=remove_on_death) as servers:
            servers.create("of-mysql", master, "shop", "aurora-mysql")
            if not remove_on_death:
                servers.create("of-postgresql", master, "shop", "aurora-postgresql")
            who = {"host": "127.0.0.1", "user": "shop_admin", "password": "testing", "database": "shop"}
            with pymysql.connect(port=servers.start("of-mysql", None), **who) as connection:
                connection.query("CREATE TABLE orders AS SELECT seq AS id FROM seq_1_to_3")
            print("ready", flush=True)
            sys.stdin.read()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(home), str(remove_on_death)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert parent.stdout is not None
    assert parent.stdout.readline().strip() == "ready"
    return parent
