"""Runs MariaDB's server, as a user that it accepts, with settings that suit a rehearsal."""

import os
import secrets
import subprocess
from pathlib import Path
from typing import IO, Any

from aurora_restore.embedded import mariadb_rds as rds
from aurora_restore.embedded.certificates import Certificates, certificates_in
from aurora_restore.embedded.mariadb_binaries import MariaBinaries
from aurora_restore.embedded.programs import PROGRAM_TIMEOUT_S, ServerUser
from aurora_restore.errors import EnvironmentUnfitError

# Durable against a crash of the server, not of the machine: these are copies to rehearse on. A commit is written at
# once, and all of it by the server's own threads, so that a copy of the files of a server that stands still is whole.
SETTINGS = """\
[mariadbd]
innodb_flush_log_at_trx_commit = 2
innodb_use_native_aio = OFF
innodb_doublewrite = OFF
innodb_buffer_pool_size = 64M
innodb_buffer_pool_dump_at_shutdown = OFF
innodb_buffer_pool_load_at_startup = OFF
innodb_log_file_size = 16M
innodb_data_file_path = ibdata1:1M:autoextend
innodb_temp_data_file_path = ibtmp1:1M:autoextend
innodb_autoextend_increment = 1
aria_log_file_size = 8M
max_connections = 100
performance_schema = OFF
# What came with production's data must not act before somebody has looked at it.
event_scheduler = OFF
local_infile = OFF
symbolic_links = OFF
# An address is an address, and localhost is the socket: nobody reaches the administrator over the network.
skip_name_resolve = ON
character_set_server = utf8mb4
explicit_defaults_for_timestamp = ON
default_time_zone = +00:00
log_warnings = 1
"""
# MySQL 8's.
_MODES = (
    "ONLY_FULL_GROUP_BY", "STRICT_TRANS_TABLES", "NO_ZERO_IN_DATE", "NO_ZERO_DATE", "ERROR_FOR_DIVISION_BY_ZERO",
    "NO_ENGINE_SUBSTITUTION",
)  # fmt: skip


class MariaPrograms:
    """MariaDB's server, ready to run: as the right user, with one set of settings for every data directory."""

    def __init__(self, binaries: MariaBinaries, user: ServerUser, settings: Path, certificates: Path) -> None:
        """Take a directory for the settings, which is (re)written, and one for the certificates.

        EnvironmentUnfitError: the user may not read the certificates' directory.
        """
        self.user = user
        self.binaries = binaries
        self._file = user.own(settings) / "mariadb.cnf"
        self._password = _kept_password(settings / "administrator")
        self.certificates: Certificates = certificates_in(user.own(certificates))
        user.take(self.certificates.server_key)
        self._file.write_text(SETTINGS + f"sql_mode = {','.join(_MODES)}\n" + _tls_settings(self.certificates))
        user.take(self._file)

    @property
    def administrator(self) -> dict[str, Any]:
        """How RDS's superuser logs in; over a socket only."""
        return {"user": rds.ADMIN, "password": self._password}

    def bootstrap(self, data: Path, temporary: Path) -> None:
        """Make a data directory with system tables and the administrator. EnvironmentUnfitError: it failed."""
        self.user.own(data)
        self.user.own(temporary)
        scripts = [script.read_text() for script in self.binaries.scripts]
        text = "\n".join([*rds.BEFORE_SCRIPTS, *scripts, *rds.administrators_row(self._password)]) + "\n"
        try:
            finished = subprocess.run(
                self._command(data, ("--bootstrap", f"--tmpdir={temporary}")),
                input=text, capture_output=True, text=True, errors="replace", timeout=PROGRAM_TIMEOUT_S,
                check=False, cwd="/", env=_environment(), start_new_session=True,
                user=self.user.uid, group=self.user.gid, extra_groups=None if self.user.uid is None else [],
            )  # fmt: skip
        except PermissionError as error:
            raise self._not_permitted() from error
        if finished.returncode:
            lines = [line for line in finished.stderr.splitlines() if "ERROR" in line] or ["it gave no reason"]
            raise EnvironmentUnfitError(f"{self.binaries.server.name} could not make a database: {lines[0]}")

    def spawn(self, data: Path, log: IO[bytes], *arguments: str) -> subprocess.Popen[bytes]:
        """Start a server. In a session of its own: Ctrl-C is for this process, which ends its servers in good order."""
        return subprocess.Popen(
            self._command(data, arguments),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=_environment(), start_new_session=True,
            user=self.user.uid, group=self.user.gid, extra_groups=None if self.user.uid is None else [],
        )  # fmt: skip

    def _command(self, data: Path, arguments: tuple[str, ...]) -> list[str]:
        # --defaults-file first: MariaDB wants it so, and by it the watchdog knows our processes.
        own = [f"--defaults-file={self._file}", f"--basedir={self.binaries.prefix}", f"--datadir={data}"]
        return [str(self.binaries.server), *own, *arguments]

    def _not_permitted(self) -> EnvironmentUnfitError:
        return EnvironmentUnfitError(
            f"the user {self.user.name} may not run {self.binaries.server}",
            advice="Put the program where every user can reach it, or run this as a user other than root.",
        )


def _kept_password(file: Path) -> str:
    """Return the administrator's password, which is for this account alone and is made with it."""
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_urlsafe(24))
    return file.read_text()


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _tls_settings(files: Certificates) -> str:
    return f"ssl_cert = {files.server}\nssl_key = {files.server_key}\nssl_ca = {files.authority}\n"
