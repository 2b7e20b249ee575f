"""Runs PostgreSQL's programs, as a user that they accept, with settings that suit a rehearsal."""

import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from aurora_restore.embedded.binaries import Binaries
from aurora_restore.embedded.certificates import Certificates, certificates_in
from aurora_restore.embedded.rds_roles import ADMIN
from aurora_restore.errors import EnvironmentUnfitError

PROGRAM_TIMEOUT_S = 600

# Durable against a crash of the server, not of the machine: these are copies to rehearse on.
SETTINGS = """\
fsync = off
full_page_writes = off
shared_buffers = 32MB
wal_init_zero = off
min_wal_size = 32MB
max_wal_size = 512MB
max_connections = 100
# In the data directory, which is removed with all its files; the default's would stay in /dev/shm after a kill -9.
dynamic_shared_memory_type = mmap
unix_socket_permissions = 0700
password_encryption = scram-sha-256
timezone = UTC
log_timezone = UTC
lc_messages = C
log_line_prefix = '%m [%p] %q%u@%d '
"""

# As on RDS, nobody reaches the administrator or its database over the network. Over the socket only it is let in, and
# only for the system's users in pg_ident.conf: this process's and the server's.
ACCESS = f"""\
local  all          {ADMIN}  peer map=administrator
local  replication  {ADMIN}  peer map=administrator
host   all          {ADMIN}  all           reject
host   {ADMIN}      all      all           reject
host   all          all      127.0.0.1/32  scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The system's user that the servers run as; ``uid`` and ``gid`` are None when it is this process's own."""

    name: str
    uid: int | None = None
    gid: int | None = None

    def own(self, directory: Path) -> Path:
        """Make the directory, private to this user, and return it."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.take(directory)
        return directory

    def take(self, path: Path) -> None:
        """Give the file or directory to this user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def enter(self, directory: Path) -> None:
        """Let this user pass through the directory, which may be private to root.

        EnvironmentUnfitError: a directory above it is closed.
        """
        if self.gid is not None and directory == self.locked_out_by(directory):
            os.chown(directory, -1, self.gid)
            directory.chmod(directory.stat().st_mode | stat.S_IXGRP)
        if closed := self.locked_out_by(directory):
            raise EnvironmentUnfitError(
                f"the servers run as {self.name}, who cannot enter {closed}",
                advice="Name a directory outside of it, or run this as a user other than root.",
            )

    def locked_out_by(self, path: Path) -> Path | None:
        """Return the topmost directory on the way to ``path`` that is closed to this user, if there is one."""
        if self.uid is None:
            return None
        return next((place for place in (*reversed(path.parents), path) if not self._passes(place)), None)

    def _passes(self, place: Path) -> bool:
        status = place.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def choose_server_user() -> ServerUser:
    """Return the present user, or as root, which PostgreSQL refuses, one that exists for such ends already.

    EnvironmentUnfitError: there is none.
    """
    if os.geteuid() != 0:
        return ServerUser(_own_name())
    # No user is made: it would outlast the embedded account, which leaves nothing behind. `postgres` is made for this;
    # `aurora-restore` an administrator may have made; `nobody` is on every system, containers included, and data
    # directories are closed to all others. The wheel's helper would make a user with a login shell.
    for name in ("postgres", "aurora-restore", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(name, entry.pw_uid, entry.pw_gid)
    raise EnvironmentUnfitError(
        "PostgreSQL does not run as root, and there is no user it could run as",
        advice="Run this as another user, or create the user `aurora-restore`.",
    )


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise EnvironmentUnfitError(
            f"user {os.geteuid()} has no name on this machine, and PostgreSQL needs one",
            advice="Add the user to /etc/passwd, or run the container as a user that is there.",
        ) from error


class Programs:
    """PostgreSQL's programs, ready to run: as the right user, with one set of settings for every server."""

    def __init__(self, binaries: Binaries, user: ServerUser, settings: Path) -> None:
        """Take a directory for the settings, which is (re)written."""
        self.user = user
        self.binaries = binaries
        self.settings = user.own(settings)
        self._write_settings("")
        self.certificates: Certificates | None = None
        if self._server_can_tls():
            self.certificates = certificates_in(settings)
            user.take(self.certificates.server_key)
            self._write_settings(_tls_settings(self.certificates))

    def run(self, program: str, data: Path, *arguments: str) -> str:
        """Run initdb, pg_basebackup or postgres on a data directory to its end; return what it printed.

        EnvironmentUnfitError: it failed; the message has its last line.
        """
        try:
            finished = subprocess.run(
                self._command(program, data, arguments),
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=PROGRAM_TIMEOUT_S,
                check=False, cwd="/", env=self._environment(), start_new_session=True,
                user=self.user.uid, group=self.user.gid, extra_groups=None if self.user.uid is None else [],
            )  # fmt: skip
        except PermissionError as error:
            raise self._not_permitted(program) from error
        if finished.returncode:
            lines = finished.stderr.strip().splitlines() or [f"exit status {finished.returncode}"]
            raise EnvironmentUnfitError(f"{program} failed: {lines[-1]}")
        return finished.stdout

    def spawn(self, data: Path, log: IO[bytes], *arguments: str) -> subprocess.Popen[bytes]:
        """Start a server. In a session of its own: Ctrl-C is for this process, which ends its servers in good order."""
        return subprocess.Popen(
            self._command("postgres", data, ("-c", f"config_file={self.settings / 'postgresql.conf'}", *arguments)),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=self._environment(), start_new_session=True,
            user=self.user.uid, group=self.user.gid, extra_groups=None if self.user.uid is None else [],
        )  # fmt: skip

    def copy(self, origin: Path, target: Path) -> None:
        """Copy a data directory that no server runs on, sharing its blocks where the file system can."""
        sharing = ["-c"] if os.uname().sysname == "Darwin" else ["--reflink=auto"]
        try:
            subprocess.run(
                ["/bin/cp", "-pR", *sharing, origin, target],
                capture_output=True, text=True, errors="replace", timeout=PROGRAM_TIMEOUT_S, check=True,
            )  # fmt: skip
        except subprocess.CalledProcessError as error:
            raise EnvironmentUnfitError(f"{origin} could not be copied: {error.stderr.strip()[-300:]}") from error

    def initdb_options(self) -> list[str]:
        """Return how a data directory is made: the same on every machine, whatever its locale."""
        locale = ["--locale=C"]
        if self.binaries.major_version >= 17:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if self.binaries.major_version >= 18:
            locale.append("--no-data-checksums")
        return [
            "--username",
            ADMIN,
            "--encoding=UTF8",
            "--auth=peer",
            "--no-sync",
            "--no-instructions",
            "--wal-segsize=4",
            *locale,
        ]

    def _command(self, program: str, data: Path, arguments: tuple[str, ...]) -> list[str]:
        # -D first: that is how the watchdog knows our processes.
        return [str(self.binaries.path(program)), "-D", str(data), *arguments]

    def _environment(self) -> dict[str, str]:
        # Of the parent's environment only what finds programs: PG* variables would redirect them, HOME has a .pgpass.
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}

    def _server_can_tls(self) -> bool:
        """Say whether the server was built with OpenSSL. The one switch: TLS is on wherever it can be."""
        return self.run("postgres", self.settings, "-C", "ssl_library").strip() == "OpenSSL"

    def _write_settings(self, more: str) -> None:
        access, users = self.settings / "pg_hba.conf", self.settings / "pg_ident.conf"
        access.write_text(ACCESS)
        users.write_text("".join(f'administrator "{name}" {ADMIN}\n' for name in {_own_name(), self.user.name}))
        files = f"hba_file = {_quoted(access)}\nident_file = {_quoted(users)}\n"
        # The workers of version 18's default would be three more processes a server, for storage that is cached anyway.
        reading = "io_method = sync\n" if self.binaries.major_version >= 18 else ""
        main = self.settings / "postgresql.conf"
        main.write_text(SETTINGS + files + reading + more)
        for path in (access, users, main):
            self.user.take(path)

    def _not_permitted(self, program: str) -> EnvironmentUnfitError:
        return EnvironmentUnfitError(
            f"the user {self.user.name} may not run {self.binaries.path(program)}",
            advice="Put the programs where every user can reach them, or run this as a user other than root.",
        )


def _tls_settings(files: Certificates) -> str:
    return f"ssl = on\nssl_cert_file = {_quoted(files.server)}\nssl_key_file = {_quoted(files.server_key)}\n"


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
