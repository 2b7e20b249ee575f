"""Getting the packages of the bundle, for Lambda's processor and Python, whatever this machine has: pip does it."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

import aurora_restore
from aurora_restore.cloudformation.bundle import Bundle, Contents, contents, lock_file, pack, under
from aurora_restore.database.tls import BUNDLE_NAME as CA_BUNDLE_NAME
from aurora_restore.errors import EnvironmentUnfitError

PYTHON: Final = "3.13"
ARCHITECTURE: Final = "arm64"
# With the older of them alone, psycopg silently comes in an older version.
_PLATFORMS: Final = ("manylinux_2_28_aarch64", "manylinux2014_aarch64")
_TIMEOUT_S: Final = 600
_PIP: Final = (
    f"Install pip into {sys.executable}, or make the bundle where pip and a package index are: "
    "aurora-restore bundle, then deploy --bundle"
)


def build(path: Path, ca_bundle: Path | None = None) -> Bundle:
    """Make the bundle; needs pip, and a package index or a mirror as pip is configured for.

    ``ca_bundle``: the certificates that database servers are verified against; they are found beside the package.
    Raises EnvironmentUnfitError where one is missing.
    """
    with TemporaryDirectory(prefix="aurora-restore-bundle-") as made:
        installed = Path(made)
        _install(installed)
        return pack({**contents(under(installed), own_sources()), **certificates(ca_bundle)}, path)


def certificates(ca_bundle: Path | None) -> Contents:
    """Return the certificates' file, if there is one, by its place in the bundle: where the functions look for it."""
    return {} if ca_bundle is None else {PurePosixPath(CA_BUNDLE_NAME): ca_bundle}


def own_sources() -> Path:
    """Return the directory of the installed package."""
    return Path(str(aurora_restore.__file__)).parent


def pip_arguments(directory: Path) -> list[str]:
    """Return the command that installs the lock into a directory."""
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    return [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
        "--target", str(directory), "--no-deps", "--require-hashes", "--no-compile", "--only-binary=:all:",
        "--implementation", "cp", "--python-version", PYTHON, *platforms, "--requirement", str(lock_file()),
    ]  # fmt: skip


def _install(directory: Path) -> None:
    if find_spec("pip") is None:
        raise EnvironmentUnfitError(f"this Python has no pip: {sys.executable}", advice=_PIP)
    try:
        ended = subprocess.run(
            pip_arguments(directory), capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise EnvironmentUnfitError(
            f"pip did not get the packages of the bundle within {_TIMEOUT_S} s", advice="Look at the network"
        ) from error
    if ended.returncode != 0:
        raise EnvironmentUnfitError(
            f"pip could not get the packages of the bundle: {_reason(ended.stderr)}",
            advice="Look at the network and at pip's configuration (pip config list); " + _PIP,
        )


def _reason(told: str) -> str:
    """Return the last thing that pip calls an error, or the last that it says."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["it says nothing"])[-1].rstrip(".")
