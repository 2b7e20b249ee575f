"""One PostgreSQL server: its data directory, its process, and the administrator's way in."""

import signal
import subprocess
from pathlib import Path
from typing import IO

import psycopg

from aurora_restore.embedded.programs import Programs
from aurora_restore.embedded.rds_roles import ADMIN
from aurora_restore.embedded.server_process import LOOPBACK, ServerProcess
from aurora_restore.embedded.watchdog import is_alive, processes_below
from aurora_restore.errors import NotReadyError

# The port that names the socket of a server which no network reaches.
QUIET_PORT = 5432


class Postmaster(ServerProcess):
    """A PostgreSQL server."""

    endings = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)

    def __init__(self, programs: Programs, data: Path, *, log: Path, sockets: Path) -> None:
        """Take the programs, and where data, log and socket are; the data may not be there yet."""
        super().__init__(data, log=log, sockets=sockets)
        self.programs = programs

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

    def _spawn(self, log: IO[bytes], port: int | None) -> subprocess.Popen[bytes]:
        self.programs.user.own(self.sockets)
        self._disown_recycled_pid()
        addresses = "" if port is None else LOOPBACK
        where = ("-c", f"listen_addresses={addresses}", "-k", str(self.sockets), "-p", str(port or QUIET_PORT))
        return self.programs.spawn(self.data, log, *where)

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

    def _reason(self, log: list[str]) -> str | None:
        return next((line for line in reversed(log) if "FATAL" in line or "HINT" in line), None)
