"""One database server of any engine: its data directory, its process, and how it is started and ended."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from threading import RLock
from typing import IO, ClassVar

from aurora_restore.errors import EnvironmentUnfitError

START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 10
START_ATTEMPTS = 5
PAUSE_S = 0.3
LOOPBACK = "127.0.0.1"


class ServerProcess(ABC):
    """A data directory and the server on it, if one runs. ``lock`` guards both."""

    endings: ClassVar[tuple[signal.Signals, ...]]
    """The signals that end it, the gentlest first."""

    def __init__(self, data: Path, *, log: Path, sockets: Path) -> None:
        """Take where data, log and socket are; the data may not be there yet."""
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
        port = wanted if wanted is not None and _is_free(wanted) else _free_port()
        for _ in range(START_ATTEMPTS):
            if self._launch(port):
                self._port = port
                return port
            # Somebody took the port after we looked, or the sessions of a server that was killed have yet to end.
            port = port if _is_free(port) else _free_port()
            time.sleep(PAUSE_S)
        raise self._failed_to_start()

    @contextlib.contextmanager
    def started_quietly(self) -> Iterator[None]:
        """Keep the server running meanwhile; if it was not running before, out of the network's reach."""
        if self.running:
            yield
            return
        if not self._launch(None):
            raise self._failed_to_start()
        try:
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        """End the server: its sessions first, and it writes everything down; at once if that takes too long."""
        process, self._process, self._port = self._process, None, None
        if process is None:
            return
        for number in self.endings:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT_S)
                return

    def remove(self) -> None:
        """Remove data, log and socket; no server may run."""
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)
        self.log.unlink(missing_ok=True)

    @abstractmethod
    def _spawn(self, log: IO[bytes], port: int | None) -> subprocess.Popen[bytes]:
        """Start the process, on this port of loopback; with None out of the network's reach."""

    @abstractmethod
    def _is_ready(self, pid: int) -> bool:
        """Say whether the process takes connections."""

    @abstractmethod
    def _reason(self, log: list[str]) -> str | None:
        """Return why it did not start, out of the lines of its log."""

    def _launch(self, port: int | None) -> bool:
        """Start the server and wait until it takes connections; say no if it ended instead."""
        self.stop()
        with self.log.open("ab") as log:
            self._process = self._spawn(log, port)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready(self._process.pid):
            if self._process.poll() is not None:
                return False
            if time.monotonic() > deadline:
                self.stop()
                raise self._failed_to_start()
            time.sleep(0.01)
        return True

    def _failed_to_start(self) -> EnvironmentUnfitError:
        reason = self._reason(self.log.read_text(errors="replace").splitlines()) or "it gave no reason"
        return EnvironmentUnfitError(f"the database server did not start: {reason}", advice=f"Its log is {self.log}.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
