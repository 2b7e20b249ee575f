"""The real databases behind the embedded account's clusters and snapshots: PostgreSQL servers on loopback."""

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
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote, unquote

import psycopg

from aurora_restore.embedded import rds_roles, watchdog
from aurora_restore.embedded.binaries import Binaries, find_binaries
from aurora_restore.embedded.dataplane import MasterUser
from aurora_restore.embedded.postmaster import Postmaster
from aurora_restore.embedded.programs import Programs, ServerUser, choose_server_user
from aurora_restore.errors import DatabaseRefusedError, EnvironmentUnfitError

# As long as a watchdog may take to end what a killed embedded account left running.
LOCK_TIMEOUT_S = 15
# What leaves room for a socket's name below it.
LONGEST_PLACE = 50
RUNTIME_PREFIX = "aurora-restore-"


class PostgresServers:
    """A data plane of real PostgreSQL servers: implements ``DataPlane``.

    Volumes are data directories below ``directory`` and are found again by the next one who takes it. Everything that
    runs ends with ``close``, and with this process, however it dies.
    """

    def __init__(self, directory: Path, *, binaries: Path | None = None, remove_on_death: bool = False) -> None:
        """Take the directory for the volumes, made if it is not there.

        ``binaries``: a directory with initdb, postgres and pg_basebackup; else the wheel's are used.
        ``remove_on_death``: the directory is temporary; ``close`` and the death of this process remove it.
        EnvironmentUnfitError: there are no programs, they cannot run or reach the directory, or it is in use.
        """
        self.binaries: Binaries = find_binaries(binaries)
        self._user = choose_server_user()
        self.directory = directory.resolve()
        self._remove_on_death = remove_on_death
        self._guard, self._template_lock = Lock(), Lock()
        self._closed = False
        self._servers: dict[str, Postmaster] = {}
        self.directory.mkdir(parents=True, exist_ok=True)
        self._held = _hold(self.directory / "lock")
        self._runtime = _make_runtime(self._user, self._held)
        self._watchdog = self._start_watchdog()
        atexit.register(self.close)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return itself; ``close`` follows."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close."""
        self.close()

    @property
    def certificate_authority(self) -> Path | None:
        """The PEM file of the authority that clients can verify; None when the server's build knows no TLS."""
        return self._programs.certificates.authority if self._programs.certificates else None

    @property
    def volumes(self) -> list[str]:
        """The names of all volumes, of earlier processes too."""
        return sorted(unquote(path.name) for path in self._volumes.iterdir())

    def warm_up(self) -> None:
        """Do what the first ``create`` would otherwise have to wait for; from any thread, and before it or never."""
        self._template()

    def create(self, volume: str, master: MasterUser, database: str | None) -> None:
        """Make a new volume with what RDS brings along, a master user, who is no superuser, and perhaps its database.

        FileExistsError: there is such a volume.
        """

        def fill(server: Postmaster) -> None:
            self._programs.copy(self._template(), server.data)
            with server.started_quietly(), _refusals(), server.connect("postgres") as connection:
                rds_roles.create_master(connection, master, database)

        with self._locked(volume) as server:
            self._build(server.data, fill)

    def clone(self, origin: str, volume: str) -> None:
        """Make ``volume`` a copy of ``origin`` as it is now. KeyError: no origin. FileExistsError: there is a copy."""
        source = self._existing(origin)

        def fill(server: Postmaster) -> None:
            if source.running:
                source.base_backup(server.data)
            else:
                self._programs.copy(source.data, server.data)
                (server.data / "postmaster.pid").unlink(missing_ok=True)

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

    def set_password(self, volume: str, master: MasterUser) -> None:
        """Give a role of the volume another password, whether it runs or not.

        KeyError: no such volume. DatabaseRefusedError: it has no such role.
        """
        self._existing(volume)
        with (
            self._locked(volume) as server,
            server.started_quietly(),
            _refusals(),
            server.connect("postgres") as connection,
        ):
            rds_roles.set_password(connection, master)

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

    def connect_as_admin(self, volume: str, database: str = "postgres") -> psycopg.Connection:
        """Return an autocommitting connection of RDS's superuser to a volume. NotReadyError: it does not run."""
        return self._existing(volume).connect(database)

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
        binaries = self.binaries
        if binaries.from_wheel and self._user.locked_out_by(binaries.directory):
            # As root with the package in root's home: the servers' user cannot reach the wheel.
            binaries = binaries.copy_to(self._runtime)
        self._programs = Programs(binaries, self._user, self.directory / "settings")

    def _start_watchdog(self) -> subprocess.Popen[bytes]:
        fate = "remove" if self._remove_on_death else "keep"
        # In a session of its own: it has to outlive the Ctrl-C and the closed terminal that end this process.
        return subprocess.Popen(
            [sys.executable, "-IS", watchdog.__file__, self.directory, self._runtime, self._held.name, fate],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd="/", start_new_session=True,
        )  # fmt: skip

    def _server(self, volume: str) -> Postmaster:
        with self._guard:
            if self._closed:
                raise RuntimeError("the embedded account's databases are closed")
            if volume not in self._servers:
                name = _file_name(volume)
                self._servers[volume] = self._postmaster(self._volumes / name, name)
            return self._servers[volume]

    def _existing(self, volume: str) -> Postmaster:
        server = self._server(volume)
        if not server.data.exists():
            raise KeyError(volume)
        return server

    @contextlib.contextmanager
    def _locked(self, volume: str) -> Iterator[Postmaster]:
        server = self._server(volume)
        with server.lock:
            # Again: close() may have been before us at this lock, and no server may start after it.
            yield self._server(volume)

    def _postmaster(self, data: Path, name: str) -> Postmaster:
        # The path of a socket has room for some hundred characters, and a volume may be named by an ARN.
        sockets = self._runtime / hashlib.sha256(name.encode()).hexdigest()[:12]
        return Postmaster(self._programs, data, log=self._logs / f"{name}.log", sockets=sockets)

    def _build(self, target: Path, fill: Callable[[Postmaster], None]) -> None:
        """Fill a new data directory under another name and give it its own when it is whole."""
        if target.exists():
            raise FileExistsError(f"there is a volume {unquote(target.name)} already")
        draft = self._postmaster(self._building / target.name, f"building-{target.name}")
        try:
            fill(draft)
            draft.data.rename(target)
        finally:
            draft.stop()
            draft.remove()

    def _template(self) -> Path:
        """Return a data directory fresh from initdb, with RDS's roles: to copy it is faster than another initdb."""
        template = self.directory / f"template-{self.binaries.major_version}"

        def fill(server: Postmaster) -> None:
            self._programs.run("initdb", server.data, *self._programs.initdb_options())
            with server.started_quietly(), _refusals(), server.connect("postgres") as connection:
                rds_roles.create_rds_roles(connection)

        with self._template_lock:
            if not template.exists():
                self._build(template, fill)
        return template


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except psycopg.DatabaseError as error:
        reason = error.diag.message_primary or type(error).__name__
        raise DatabaseRefusedError(f"PostgreSQL refused it: {reason}") from error


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
