"""The bundle's contents for this machine: the same packages in the versions of the lock, as they are installed here."""

import re
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath

from aurora_restore.cloudformation.bundle import Contents, contents, lock_file
from aurora_restore.cloudformation.vendoring import own_sources

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def pinned() -> dict[str, str]:
    """Return the packages of the bundle with their versions."""
    return dict(_PINNED.findall(lock_file().read_text(encoding="utf-8")))


def installed_bundle() -> Contents:
    """Return what the bundle would hold, were Lambda this machine: nothing is downloaded for it."""
    installed = {
        PurePosixPath(str(file)): Path(str(file.locate()))
        for name in pinned()
        for file in distribution(name).files or []
        if not str(file).startswith("..")
    }
    return contents(installed, own_sources())
