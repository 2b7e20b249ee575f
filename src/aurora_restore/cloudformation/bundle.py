"""The functions' code as one zip for Lambda: which files go in, and the same bytes whenever they are the same files.

What is installed for Lambda is what ``bundle.lock`` pins, with its hashes; our own sources are those of the installed
package. Nothing that no handler can reach goes in: no command line, no emulator, no description of the services that
the pipeline does not call.
"""

import hashlib
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Final

from aurora_restore.errors import ConfigurationError

PACKAGE: Final = "aurora_restore"
# Every service that a handler calls; sts, for a role that is to be assumed. A test finds any that is missing.
SERVICES: Final = frozenset({"dynamodb", "ec2", "kms", "rds", "secretsmanager", "sns", "stepfunctions", "sts"})
# Lambda's limit for a function's code: 250 MB.
UNZIPPED_LIMIT_BYTES: Final = 250 * 2**20
# Outside of Lambda's way: the command line, the emulator, and what deploys.
_OURS_LEFT_OUT: Final = frozenset({"cli", "cloudformation", "embedded", "workflow"})
_LEFT_OUT_FOLDERS: Final = frozenset({"__pycache__", "bin", "tests", "examples"})
_LEFT_OUT_SUFFIXES: Final = frozenset({".pyc", ".pyi", ".c", ".pyx", ".pxd"})
# The oldest date that a zip can hold.
_NO_DATE: Final = (1980, 1, 1, 0, 0, 0)
_READABLE: Final = 0o100644 << 16

Contents = Mapping[PurePosixPath, Path]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A zip that was written: where, and how large. Its hash names what is in it, whenever it was made."""

    path: Path
    sha256: str
    zipped_bytes: int
    unzipped_bytes: int
    file_count: int


def lock_file() -> Path:
    """Return the lock that says which packages go into the bundle."""
    return Path(str(files("aurora_restore.cloudformation").joinpath("bundle.lock")))


def template_file() -> Path:
    """Return the CloudFormation template of the pipeline."""
    return Path(str(files("aurora_restore.cloudformation").joinpath("template.json")))


def under(folder: Path) -> Contents:
    """Return every file below a folder, by its place in it."""
    return {PurePosixPath(path.relative_to(folder).as_posix()): path for path in folder.rglob("*") if path.is_file()}


def contents(installed: Contents, package: Path) -> Contents:
    """Return what goes into the bundle: of what is installed, and of our own package's directory."""
    ours = {
        PurePosixPath(PACKAGE, place): path
        for place, path in under(package).items()
        if place.parts[0] not in _OURS_LEFT_OUT
    }
    others = {place: path for place, path in installed.items() if place.parts[0] != PACKAGE}
    return {place: path for place, path in {**others, **ours}.items() if _belongs(place)}


def _belongs(place: PurePosixPath) -> bool:
    if _LEFT_OUT_FOLDERS & set(place.parts[:-1]) or place.suffix in _LEFT_OUT_SUFFIXES:
        return False
    match place.parts:
        case (top, *_) if top.endswith(".dist-info"):
            return False
        case ("boto3", "data" | "examples", *_):
            return False
        case ("botocore", "data", service, _, *_):
            return service in SERVICES
        case _:
            return True


def unpacked(inside: Contents, folder: Path) -> Path:
    """Lay the files out in a folder as Lambda does before it imports a handler; return the folder."""
    for place, file in inside.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return folder


def pack(inside: Contents, path: Path) -> Bundle:
    """Write the files into a zip; equal files make equal bytes.

    Raises ConfigurationError when they are more than Lambda takes.
    """
    unzipped = sum(file.stat().st_size for file in inside.values())
    if unzipped > UNZIPPED_LIMIT_BYTES:
        is_and_may = f"{unzipped / 2**20:,.0f} MB unzipped, and Lambda takes {UNZIPPED_LIMIT_BYTES / 2**20:,.0f} MB"
        raise ConfigurationError(
            f"the bundle would be {is_and_may}",
            advice="Look at what was installed into it: pip's --platform may have been overridden by its configuration",
        )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for place in sorted(inside):
            entry = zipfile.ZipInfo(str(place), _NO_DATE)
            entry.external_attr = _READABLE
            entry.create_system = 3  # Unix, wherever it is made
            archive.writestr(entry, inside[place].read_bytes(), zipfile.ZIP_DEFLATED, 9)
    written = path.read_bytes()
    return Bundle(path, hashlib.sha256(written).hexdigest(), len(written), unzipped, len(inside))
