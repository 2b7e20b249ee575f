"""One MariaDB server: its data directory, its process, and the administrator's way in."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pymysql
from pymysql.connections import Connection

from aurora_restore.embedded.mariadb_programs import MariaPrograms
from aurora_restore.embedded.server_process import LOOPBACK, ServerProcess
from aurora_restore.errors import EnvironmentUnfitError, NotReadyError

_FILES_COPY_TIMEOUT_S = 600


class MariaServer(ServerProcess):
    """A MariaDB server."""

    endings = (signal.SIGTERM, signal.SIGKILL)

    def __init__(self, programs: MariaPrograms, data: Path, *, log: Path, sockets: Path) -> None:
        """Take the programs, and where data, log and socket are; the data may not be there yet."""
        super().__init__(data, log=log, sockets=sockets)
        self.programs = programs

    def connect(self) -> "Connection[Any]":
        """Return an autocommitting connection of the administrator's. NotReadyError: the server does not run."""
        if not self.running:
            raise NotReadyError(f"the database server of {self.data.name} does not run")
        login = self.programs.administrator
        return pymysql.connect(
            unix_socket=str(self._socket), **login, charset="utf8mb4", autocommit=True, ssl_disabled=True
        )

    def copy_to(self, target: Path) -> None:
        """Write what the server has now into the new directory ``target``, whether it runs or not.

        A running server stands still meanwhile, for as long as the files take to be copied. They are then what a crash
        at that moment would have left, all of them of one moment, and the copy's server recovers from them as from a
        crash: what was committed is there, what was not is not. To lock the tables would be less: InnoDB goes on
        writing under FLUSH TABLES WITH READ LOCK, and waits for whoever holds a transaction open.
        """
        with self._standing_still():
            sharing = ["-c"] if os.uname().sysname == "Darwin" else ["--reflink=auto"]
            try:
                subprocess.run(
                    ["/bin/cp", "-pR", *sharing, self.data, target],
                    capture_output=True, text=True, errors="replace", timeout=_FILES_COPY_TIMEOUT_S, check=True,
                )  # fmt: skip
            except subprocess.CalledProcessError as error:
                said = error.stderr.strip()[-300:]
                raise EnvironmentUnfitError(f"{self.data} could not be copied: {said}") from error

    @property
    def _socket(self) -> Path:
        return self.sockets / "s"

    @contextlib.contextmanager
    def _standing_still(self) -> Iterator[None]:
        process = self._process
        if process is None or process.poll() is not None:
            yield
            return
        process.send_signal(signal.SIGSTOP)
        try:
            # Until every thread of it has stopped; or it has ended, which is as still.
            os.waitpid(process.pid, os.WUNTRACED)
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def _spawn(self, log: IO[bytes], port: int | None) -> subprocess.Popen[bytes]:
        self.programs.user.own(self.sockets)
        self._socket.unlink(missing_ok=True)
        places = (f"--socket={self._socket}", f"--pid-file={self.sockets / 'pid'}", f"--tmpdir={self.sockets}")
        where = ("--skip-networking",) if port is None else (f"--bind-address={LOOPBACK}", f"--port={port}")
        return self.programs.spawn(self.data, log, *places, *where)

    def _is_ready(self, pid: int) -> bool:  # noqa: ARG002
        if not self._socket.exists():
            return False
        try:
            self.connect().close()
        except (pymysql.OperationalError, NotReadyError):
            return False
        return True

    def _reason(self, log: list[str]) -> str | None:
        # The last ones only say that it gives up.
        reasons = [line.partition("[ERROR] ")[2] for line in log if "[ERROR]" in line and "Aborting" not in line]
        return reasons[-1] if reasons else None
