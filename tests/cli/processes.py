"""Runs the command line as a user does: as a process, with temporary files in a place that can be looked at."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = [str(Path(sys.executable).parent / "aurora-restore")]
TIMEOUT_S = 100
# The watchdog, too, has to end; it looks again in short intervals.
_GONE_WITHIN_S = 20


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a directory for a process's temporary files, short and open to the servers' user; removed at the end."""
    # In memory where that can be: a database has a thousand files, and a disk is slow to make them.
    place = next(place for place in ("/dev/shm", "/tmp") if os.access(place, os.W_OK))
    directory = Path(tempfile.mkdtemp(prefix="art-", dir=place))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def environment(temporary: Path, **more: str) -> dict[str, str]:
    """Return the environment of a user without any AWS configuration, at a terminal of 80 columns."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PG"))}
    return {**ours, "TMPDIR": str(temporary), "COLUMNS": "80", **more}


def run(temporary: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environment(temporary, **more),
    )  # fmt: skip


def start(temporary: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a command whose output can be read."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(temporary),
    )  # fmt: skip


def interrupt(process: subprocess.Popen[str]) -> tuple[str, str]:
    """End a command as Ctrl-C does, and return what it wrote and was not read yet."""
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=TIMEOUT_S)


def processes_of(directory: Path) -> list[str]:
    """Return the commands of all processes that name the directory."""
    listing = subprocess.run(["ps", "-axww", "-o", "command="], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if str(directory) in line]


def left_by(directory: Path) -> list[str]:
    """Return what processes and files are left there, after giving the watchdog the time to end."""
    deadline = time.monotonic() + _GONE_WITHIN_S
    while True:
        left = [*processes_of(directory), *map(str, directory.iterdir())]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)
