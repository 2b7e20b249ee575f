"""Where the server is that stands behind Aurora MySQL's clusters: a MariaDB that is installed on the machine."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from aurora_restore.errors import EnvironmentUnfitError

SERVER = "mariadbd"
PACKAGE = "mariadb-server-core"
# Where distributions put servers that are not for everybody's PATH.
_PLACES = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/opt/homebrew/bin", "/usr/local/bin")
_SHARES = ("share/mysql", "share/mariadb", "share")
_SCRIPTS = ("system_tables", "performance_tables", "system_tables_data")
ADVICE = (
    f"Install it: the package {PACKAGE} (Debian, Ubuntu: apt-get install --no-install-recommends {PACKAGE}),"
    f" mariadb-server (Fedora), mariadb (Homebrew); or name a directory that holds {SERVER} with --mysql-bin."
)


@dataclass(frozen=True, slots=True)
class MariaBinaries:
    """The server's program, and the SQL files that make its system tables, in the order in which they run."""

    server: Path
    scripts: tuple[Path, ...]
    version: str

    @property
    def prefix(self) -> Path:
        """The directory below which all that belongs to the server was installed."""
        return self.server.parent.parent


def find_mariadb(named: Path | None = None) -> MariaBinaries:
    """Return the MariaDB in the directory ``named``, or else the one that is installed.

    EnvironmentUnfitError, which names the package: there is none, or it does not run on this machine.
    """
    server = _server_in(named.resolve()) if named else _installed_server()
    return MariaBinaries(server, _scripts_of(server), _version(server))


def _server_in(directory: Path) -> Path:
    server = directory / SERVER
    if not server.is_file():
        raise EnvironmentUnfitError(f"{directory} holds no {SERVER}", advice=ADVICE)
    return server


def _installed_server() -> Path:
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), *_PLACES))
    found = shutil.which(SERVER, path=places)
    if found is None:
        raise EnvironmentUnfitError(
            f"Aurora MySQL in the embedded account needs MariaDB's server, {SERVER}, and there is none", advice=ADVICE
        )
    return Path(found).resolve()


def _scripts_of(server: Path) -> tuple[Path, ...]:
    for share in _SHARES:
        for family in ("mariadb", "mysql"):
            scripts = tuple(server.parent.parent / share / f"{family}_{name}.sql" for name in _SCRIPTS)
            if all(script.is_file() for script in scripts):
                return scripts
    raise EnvironmentUnfitError(f"{server} is there, but not the SQL files that make its system tables", advice=ADVICE)


def _version(server: Path) -> str:
    try:
        answer = subprocess.run(
            [server, "--no-defaults", "--version"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentUnfitError(f"{server} does not run on this machine", advice=ADVICE) from error
    number = re.search(r"Ver (\d+\.\d+)\.\d+-MariaDB", answer)
    if number is None:
        raise EnvironmentUnfitError(f"{server} does not say that it is MariaDB", advice=ADVICE)
    return number[1]
