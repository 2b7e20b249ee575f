"""One PostgreSQL server: its data directory, its process, and the administrator's way in."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from threading import RLock

import psycopg

from aurora_restore.embedded.programs import Programs
from aurora_restore.embedded.rds_roles import ADMIN
from aurora_restore.embedded.watchdog import is_alive, processes_below
from aurora_restore.errors import EnvironmentUnfitError, NotReadyError

START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 10
# The port that names the socket of a server which no network reaches.
QUIET_PORT = 5432
START_ATTEMPTS = 5
PAUSE_S = 0.3
LOOPBACK = "127.0.0.1"


class Postmaster:
    """A data directory and the server on it, if one runs. ``lock`` guards both."""

    def __init__(self, programs: Programs, data: Path, *, log: Path, sockets: Path) -> None:
        """Take where data, log and socket are; the data may not be there yet."""
        self.programs = programs
        self.data = data
        self.log = log
        self.sockets = sockets
        self.lock = RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._port: int | None = None

    @property
    def running(self) -> bool:
        """Whether the server runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def port(self) -> int | None:
        """The port it listens on, if it runs."""
        return self._port if self.running else None

    def start(self, wanted: int | None) -> int:
        """Run the server on loopback and return its port: ``wanted`` if that is free."""
        if self._port is not None and self.running:
            return self._port
        port = wanted if wanted is not None and is_free(wanted) else free_port()
        for _ in range(START_ATTEMPTS):
            if self._launch(port, LOOPBACK):
                self._port = port
                return port
            # Somebody took the port after we looked, or the sessions of a server that was killed have yet to end.
            port = port if is_free(port) else free_port()
            time.sleep(PAUSE_S)
        raise self._failed_to_start()

    @contextlib.contextmanager
    def started_quietly(self) -> Iterator[None]:
        """Keep the server running meanwhile; if it was not running before, out of the network's reach."""
        if self.running:
            yield
            return
        if not self._launch(QUIET_PORT, ""):
            raise self._failed_to_start()
        try:
            yield
        finally:
            self.stop()

    def connect(self, database: str) -> psycopg.Connection:
        """Return an autocommitting connection of the administrator's. NotReadyError: the server does not run."""
        if not self.running:
            raise NotReadyError(f"the database server of {self.data.name} does not run")
        # The log gets no statement of the administrator's: it could be one with a password's verifier (I6).
        quiet = "-c log_min_error_statement=panic"
        port = self._port or QUIET_PORT
        return psycopg.connect(
            host=str(self.sockets), port=port, user=ADMIN, dbname=database, options=quiet, autocommit=True
        )

    def copy_to(self, target: Path) -> None:
        """Write what the server has now into the new directory ``target``, whether it runs or not."""
        if not self.running:
            self.programs.copy(self.data, target)
            (target / "postmaster.pid").unlink(missing_ok=True)
            return
        port = str(self._port or QUIET_PORT)
        where = ("--host", str(self.sockets), "--port", port, "--username", ADMIN, "--no-password")
        how = ("--wal-method=stream", "--checkpoint=fast", "--no-sync", "--no-manifest")
        self.programs.run("pg_basebackup", target, *where, *how)

    def stop(self) -> None:
        """End the server: its sessions first, and it writes everything down; at once if that takes too long."""
        process, self._process, self._port = self._process, None, None
        if process is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT_S)
                return

    def remove(self) -> None:
        """Remove data, log and socket; no server may run."""
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)
        self.log.unlink(missing_ok=True)

    def _launch(self, port: int, addresses: str) -> bool:
        """Start the server and wait until it takes connections; say no if it ended instead."""
        self.stop()
        self.programs.user.own(self.sockets)
        self._disown_recycled_pid()
        where = ("-c", f"listen_addresses={addresses}", "-k", str(self.sockets), "-p", str(port))
        with self.log.open("ab") as log:
            self._process = self.programs.spawn(self.data, log, *where)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready(self._process.pid):
            if self._process.poll() is not None:
                return False
            if time.monotonic() > deadline:
                self.stop()
                raise self._failed_to_start()
            time.sleep(0.01)
        return True

    def _disown_recycled_pid(self) -> None:
        """Remove postmaster.pid if its number is another program's by now: the server would take that for itself.

        In all other cases the file stays: by it a server knows that sessions of a killed one still write.
        """
        file = self.data / "postmaster.pid"
        if not file.exists():
            return
        pid = int(file.read_text().split()[0])
        if is_alive(pid) and pid not in processes_below(self.data.parent):
            file.unlink()

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        # The server writes the status as the eighth line, once it takes connections.
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _failed_to_start(self) -> EnvironmentUnfitError:
        lines = [
            line for line in self.log.read_text(errors="replace").splitlines() if "FATAL" in line or "HINT" in line
        ]
        last = lines[-1] if lines else "it gave no reason"
        return EnvironmentUnfitError(f"the database server did not start: {last}", advice=f"Its log is {self.log}.")


def is_free(port: int) -> bool:
    """Say whether a server could listen on this port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
