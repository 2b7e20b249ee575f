"""Loading a dump into a database: plain SQL with psql, every other format of pg_dump with pg_restore. No shell."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aurora_restore.database.engine import Endpoint, Login
from aurora_restore.embedded.binaries import Binaries
from aurora_restore.errors import EnvironmentUnfitError, Problem, RequestError

# Any size of dump that one waits for at a terminal.
_TIMEOUT_S: Final = 6 * 3600
_CUSTOM: Final = b"PGDMP"
_TAR: Final = b"toc.dat\0"
_COMPRESSED: Final = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7z": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_LONGEST_SHOWN: Final = 400


@dataclass(frozen=True, slots=True)
class Dump:
    """A dump, and the program that loads it."""

    path: Path
    program: Path
    is_sql: bool

    def load(self, endpoint: Endpoint, login: Login, database: str) -> None:
        """Load it, up to the first error: RequestError then says which line, or which entry of the archive."""
        finished = subprocess.run(
            self._command(database),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False,
            env=_environment(endpoint, login),
        )  # fmt: skip
        if finished.returncode:
            said = finished.stderr.splitlines()
            found = self._sql_mistake(said) if self.is_sql else self._archive_mistake(said)
            raise RequestError([found], origin=f"the dump {self.path}")

    def _command(self, database: str) -> list[str]:
        program = str(self.program)
        if self.is_sql:
            options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output", os.devnull]
            return [program, *options, "--dbname", database, "--file", str(self.path)]
        # Owners and privileges name production's roles, which are not here.
        options = ["--exit-on-error", "--no-owner", "--no-privileges"]
        return [program, *options, "--dbname", database, str(self.path)]

    def _sql_mistake(self, said: Sequence[str]) -> Problem:
        for line in said:
            # psql:<file>:<line>: ERROR:  <what>
            mistake = re.match(r"psql:.*:(\d+): (?:ERROR|FATAL|error):\s*(.*)", line)
            if mistake:
                return Problem("(the SQL)", mistake[2][:_LONGEST_SHOWN], _ADVICE, line=int(mistake[1]))
        return Problem("(the file)", _last(said), _ADVICE)

    def _archive_mistake(self, said: Sequence[str]) -> Problem:
        entries = [line.partition("from TOC entry ")[2] for line in said if "from TOC entry " in line]
        mistakes = [line.partition("error: ")[2] for line in said if "error: " in line and "TOC entry" not in line]
        shown = mistakes[0][:_LONGEST_SHOWN] if mistakes else _last(said)
        return Problem(f"entry {entries[0]}" if entries else "(the archive)", shown, _ADVICE)


_ADVICE: Final = "a dump that loads into an empty database, such as pg_dump --no-owner --no-privileges makes"


def open_dump(path: Path, binaries: Binaries) -> Dump:
    """Look at what kind of dump it is, and find the program for it.

    RequestError: it cannot be read, is empty, or is compressed as a whole. EnvironmentUnfitError: there is no psql or
    pg_restore.
    """
    is_sql = _is_sql(path)
    name = "psql" if is_sql else "pg_restore"
    program = binaries.client(name)
    if program is None:
        raise EnvironmentUnfitError(
            f"loading {path} needs {name}, which is neither in {binaries.directory} nor in PATH",
            advice="Install PostgreSQL's client programs: the package postgresql-client (Debian, Ubuntu),"
            " postgresql (Fedora), libpq (Homebrew)",
        )
    return Dump(path.resolve(), program, is_sql=is_sql)


def _is_sql(path: Path) -> bool:
    if path.is_dir():
        if (path / "toc.dat").is_file():
            return False
        raise _unreadable(path, "a directory without a toc.dat", "a file, or a directory that pg_dump -Fd has made")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise _unreadable(path, error.strerror or type(error).__name__, "a file that can be read") from error
    if not head:
        raise _unreadable(path, "an empty file", "a dump")
    for magic, method in _COMPRESSED.items():
        if head.startswith(magic):
            raise _unreadable(path, f"a file compressed with {method}", "the dump itself: decompress it first")
    return not head.startswith((_CUSTOM, _TAR))


def _unreadable(path: Path, found: str, expected: str) -> RequestError:
    return RequestError([Problem("(the file)", found, expected)], origin=f"the dump {path}")


def _environment(endpoint: Endpoint, login: Login) -> dict[str, str]:
    # Nothing of the user's PG* variables and .pgpass; the password is in no list of processes.
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "PGHOST": endpoint.host,
        "PGPORT": str(endpoint.port),
        "PGUSER": login.user,
        "PGPASSWORD": login.password,
        "PGCLIENTENCODING": "UTF8",
        "PGPASSFILE": os.devnull,
    }


def _last(said: Sequence[str]) -> str:
    return said[-1][:_LONGEST_SHOWN] if said else "nothing that says why"
