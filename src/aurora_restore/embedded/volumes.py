"""Volumes on disk, each the storage of one cluster or snapshot, and the servers on them; whichever engine it is.

Everything that runs ends with ``close``, and with this process, however it dies.
"""

import atexit
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock, RLock
from types import TracebackType
from typing import IO, Generic, Protocol, Self, TypeVar
from urllib.parse import quote, unquote

from aurora_restore.embedded import watchdog
from aurora_restore.embedded.programs import ServerUser, choose_server_user
from aurora_restore.errors import EnvironmentUnfitError

# As long as a watchdog may take to end what a killed embedded account left running.
LOCK_TIMEOUT_S = 15
# What leaves room for a socket's name below it.
LONGEST_PLACE = 50
RUNTIME_PREFIX = "aurora-restore-"


class Server(Protocol):
    """A data directory and the server on it, if one runs. ``lock`` guards both."""

    data: Path
    lock: RLock

    def start(self, wanted: int | None) -> int:
        """Run the server on loopback and return its port: ``wanted`` if that is free."""
        ...

    def stop(self) -> None:
        """End the server, if it runs."""
        ...

    def remove(self) -> None:
        """Remove data, log and socket; no server may run."""
        ...

    def copy_to(self, target: Path) -> None:
        """Write what the server has now into the new directory ``target``, whether it runs or not."""
        ...


ServerT = TypeVar("ServerT", bound=Server)


class Volumes(ABC, Generic[ServerT]):
    """A data plane but for what an engine does its own way.

    Volumes are data directories below ``directory`` and are found again by the next one who takes it.
    """

    def __init__(self, directory: Path, *, remove_on_death: bool) -> None:
        """Take the directory for the volumes, made if it is not there.

        ``remove_on_death``: the directory is temporary; ``close`` and the death of this process remove it.
        EnvironmentUnfitError: the programs cannot run or reach the directory, or it is in use.
        """
        self._user = choose_server_user()
        self.directory = directory.resolve()
        self._remove_on_death = remove_on_death
        self._guard, self._template_lock = Lock(), Lock()
        self._closed = False
        self._servers: dict[str, ServerT] = {}
        self.directory.mkdir(parents=True, exist_ok=True)
        self._held = _hold(self.directory / "lock")
        self._runtime = _make_runtime(self._user, self._held)
        self._watchdog = self._start_watchdog()
        atexit.register(self.close)
        with contextlib.ExitStack() as unless_ready:
            unless_ready.callback(self.close)
            self._prepare()
            unless_ready.pop_all()

    def __enter__(self) -> Self:
        """Return itself; ``close`` follows."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close."""
        self.close()

    @property
    def volumes(self) -> list[str]:
        """The names of all volumes, of earlier processes too."""
        return sorted(unquote(path.name) for path in self._volumes.iterdir())

    def warm_up(self) -> None:
        """Do what the first ``create`` would otherwise have to wait for; from any thread, and before it or never."""
        self._template()

    def clone(self, origin: str, volume: str) -> None:
        """Make ``volume`` a copy of ``origin`` as it is now. KeyError: no origin. FileExistsError: there is a copy."""
        source = self._existing(origin)

        def fill(server: ServerT) -> None:
            source.copy_to(server.data)

        # In one order everywhere, so that two clones the opposite ways do not wait for each other.
        first, second = sorted((origin, volume))
        with self._locked(first), self._locked(second):
            self._build(self._server(volume).data, fill)

    def start(self, volume: str, port: int | None) -> int:
        """Run the volume and return its port; ``port`` itself if that is free. KeyError: no such volume."""
        self._existing(volume)
        with self._locked(volume) as server:
            return server.start(port)

    def stop(self, volume: str) -> None:
        """End the volume's server, if it runs."""
        with self._locked(volume) as server:
            server.stop()

    def drop(self, volume: str) -> None:
        """Stop and remove the volume, if it exists."""
        with self._locked(volume) as server:
            server.stop()
            if server.data.exists():
                # Gone in one move: a kill in the middle of the removal leaves no half a volume.
                doomed = self._building / f"dropped-{server.data.name}"
                server.data.rename(doomed)
                shutil.rmtree(doomed)
            server.remove()

    def size_bytes(self, volume: str) -> int:
        """Return the sum of the volume's files. KeyError: no such volume."""
        return _size_bytes(self._existing(volume).data)

    def close(self) -> None:
        """Stop every server, and remove the directory if it is temporary. Nothing works afterwards but ``close``."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self.close)
        for server in self._servers.values():
            with server.lock:
                server.stop()
        shutil.rmtree(self._runtime, ignore_errors=True)
        if self._remove_on_death:
            shutil.rmtree(self.directory, ignore_errors=True)
        self._held.close()
        # The watchdog takes the end of the pipe for our death, and finds nothing left to do.
        self._watchdog.communicate()

    def _prepare(self) -> None:
        """Make the directories ready, end what an earlier process left running, and remove what it left half done."""
        watchdog.end_processes_below(self.directory, gently=True)
        self._user.enter(self.directory)
        self._volumes = self._user.own(self.directory / "volumes")
        self._building = self.directory / "building"
        shutil.rmtree(self._building, ignore_errors=True)
        self._user.own(self._building)
        self._logs = self._user.own(self.directory / "logs")
        self._prepare_programs()

    @abstractmethod
    def _prepare_programs(self) -> None:
        """Find out how the programs are run; the directories are ready."""

    @abstractmethod
    def _new_server(self, data: Path, *, log: Path, sockets: Path) -> ServerT:
        """Return a server that does not run; its data directory may not be there."""

    @abstractmethod
    def _template_name(self) -> str:
        """Return the name of what new volumes are copied from; another for data of another version."""

    @abstractmethod
    def _fill_template(self, server: ServerT) -> None:
        """Make a data directory with all that RDS brings along."""

    def _start_watchdog(self) -> subprocess.Popen[bytes]:
        fate = "remove" if self._remove_on_death else "keep"
        # In a session of its own: it has to outlive the Ctrl-C and the closed terminal that end this process.
        return subprocess.Popen(
            [sys.executable, "-IS", watchdog.__file__, self.directory, self._runtime, self._held.name, fate],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd="/", start_new_session=True,
        )  # fmt: skip

    def _server(self, volume: str) -> ServerT:
        with self._guard:
            if self._closed:
                raise RuntimeError("the embedded account's databases are closed")
            if volume not in self._servers:
                name = _file_name(volume)
                self._servers[volume] = self._server_on(self._volumes / name, name)
            return self._servers[volume]

    def _existing(self, volume: str) -> ServerT:
        server = self._server(volume)
        if not server.data.exists():
            raise KeyError(volume)
        return server

    @contextlib.contextmanager
    def _locked(self, volume: str) -> Iterator[ServerT]:
        server = self._server(volume)
        with server.lock:
            # Again: close() may have been before us at this lock, and no server may start after it.
            yield self._server(volume)

    def _server_on(self, data: Path, name: str) -> ServerT:
        # The path of a socket has room for some hundred characters, and a volume may be named by an ARN.
        sockets = self._runtime / hashlib.sha256(name.encode()).hexdigest()[:12]
        return self._new_server(data, log=self._logs / f"{name}.log", sockets=sockets)

    def _build(self, target: Path, fill: Callable[[ServerT], None]) -> None:
        """Fill a new data directory under another name and give it its own when it is whole."""
        if target.exists():
            raise FileExistsError(f"there is a volume {unquote(target.name)} already")
        draft = self._server_on(self._building / target.name, f"building-{target.name}")
        try:
            fill(draft)
            draft.data.rename(target)
        finally:
            draft.stop()
            draft.remove()

    def _template(self) -> Path:
        """Return a data directory fresh from its making: to copy it is faster than to make another."""
        template = self.directory / self._template_name()
        with self._template_lock:
            if not template.exists():
                self._build(template, self._fill_template)
        return template


def _hold(path: Path) -> IO[str]:
    """Return the lock file, locked until it is closed."""
    held = path.open("a+")
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                held.close()
                raise EnvironmentUnfitError(
                    f"{path.parent} is in use by another embedded account",
                    advice="End that one, or name another directory with --dir.",
                ) from error
            time.sleep(0.05)
        else:
            return held


def _make_runtime(user: ServerUser, held: IO[str]) -> Path:
    """Return a new directory for sockets, with a short path and open to the servers' user; remember it in ``held``."""
    held.seek(0)
    # Left by an account that was killed together with its watchdog.
    left = Path(held.read().strip())
    if left.name.startswith(RUNTIME_PREFIX):
        shutil.rmtree(left, ignore_errors=True)
    places = [Path(tempfile.gettempdir()).resolve(), Path("/tmp").resolve()]  # noqa: S108
    fit = [place for place in places if len(str(place)) <= LONGEST_PLACE and not user.locked_out_by(place)]
    runtime = user.own(Path(tempfile.mkdtemp(prefix=RUNTIME_PREFIX, dir=(fit or places)[0])))
    held.truncate(0)
    held.write(str(runtime))
    held.flush()
    return runtime


def _file_name(volume: str) -> str:
    # One to one, so that the volumes found on disk have their names again; and never "." or "..".
    return quote(volume, safe="").replace(".", "%2E")


def _size_bytes(directory: Path) -> int:
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # a running server removes files
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118
    return total
