"""One MariaDB server: its data directory, its process, and the administrator's way in."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from threading import RLock
from typing import Any

import pymysql
from pymysql.connections import Connection

from aurora_restore.embedded.mariadb_programs import MariaPrograms
from aurora_restore.embedded.postmaster import (
    LOOPBACK,
    PAUSE_S,
    START_ATTEMPTS,
    START_TIMEOUT_S,
    STOP_TIMEOUT_S,
    free_port,
    is_free,
)
from aurora_restore.errors import EnvironmentUnfitError, NotReadyError

_FILES_COPY_TIMEOUT_S = 600


class MariaServer:
    """A data directory and the server on it, if one runs. ``lock`` guards both."""

    def __init__(self, programs: MariaPrograms, data: Path, *, log: Path, sockets: Path) -> None:
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

    def start(self, wanted: int | None) -> int:
        """Run the server on loopback and return its port: ``wanted`` if that is free."""
        if self._port is not None and self.running:
            return self._port
        port = wanted if wanted is not None and is_free(wanted) else free_port()
        for _ in range(START_ATTEMPTS):
            if self._launch("--bind-address=" + LOOPBACK, f"--port={port}"):
                self._port = port
                return port
            # Somebody took the port after we looked.
            port = port if is_free(port) else free_port()
            time.sleep(PAUSE_S)
        raise self._failed_to_start()

    @contextlib.contextmanager
    def started_quietly(self) -> Iterator[None]:
        """Keep the server running meanwhile; if it was not running before, out of the network's reach."""
        if self.running:
            yield
            return
        if not self._launch("--skip-networking"):
            raise self._failed_to_start()
        try:
            yield
        finally:
            self.stop()

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

    def stop(self) -> None:
        """End the server: its sessions first, and it writes everything down; at once if that takes too long."""
        process, self._process, self._port = self._process, None, None
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT_S)
                return

    def remove(self) -> None:
        """Remove data, log and socket; no server may run."""
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)
        self.log.unlink(missing_ok=True)

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

    def _launch(self, *where: str) -> bool:
        """Start the server and wait until it takes connections; say no if it ended instead."""
        self.stop()
        self.programs.user.own(self.sockets)
        self._socket.unlink(missing_ok=True)
        places = (f"--socket={self._socket}", f"--pid-file={self.sockets / 'pid'}", f"--tmpdir={self.sockets}")
        with self.log.open("ab") as log:
            self._process = self.programs.spawn(self.data, log, *places, *where)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            if self._process.poll() is not None:
                return False
            if time.monotonic() > deadline:
                self.stop()
                raise self._failed_to_start()
            time.sleep(0.01)
        return True

    def _is_ready(self) -> bool:
        if not self._socket.exists():
            return False
        try:
            self.connect().close()
        except (pymysql.OperationalError, NotReadyError):
            return False
        return True

    def _failed_to_start(self) -> EnvironmentUnfitError:
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if "[ERROR]" in line]
        # The last ones only say that it gives up.
        reasons = [line.partition("[ERROR] ")[2] for line in lines if "Aborting" not in line]
        last = reasons[-1] if reasons else "it gave no reason"
        return EnvironmentUnfitError(f"the database server did not start: {last}", advice=f"Its log is {self.log}.")
