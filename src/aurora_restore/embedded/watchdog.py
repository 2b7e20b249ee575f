"""Ends the database servers of an embedded account that died without doing it, and removes what it left.

A program of its own, started by path: it must outlive its parent, and imports nothing but the standard library. Its
standard input is a pipe from the parent: the end of it is the parent's death, however it came, kill -9 included.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

PROGRAMS = ("postgres", "initdb", "pg_basebackup")
MARIADB = "mariadbd"
# Everything else that could hold the directory back has ended within this, or never will.
PATIENCE_S = 10.0


def processes_below(directory: Path) -> list[int]:
    """Return the processes that work on a data directory below ``directory``: servers, initdb and pg_basebackup.

    Asks the process table rather than postmaster.pid: a server that is just starting has not written that file, and the
    number in a stale one may be anybody's by now. Every program of PostgreSQL's is started with ``-D`` as its first
    argument, and MariaDB's server with a file of settings that is below the directory too.
    """
    return list(_programs_below(directory))


def _programs_below(directory: Path) -> dict[int, str]:
    found = ((pid, _our_program(command, directory)) for pid, command in _process_table())
    return {pid: program for pid, program in found if program}


def _our_program(command: str, directory: Path) -> str:
    """Return the name of our program that a command is, or nothing."""
    for mark, programs in (("-D ", PROGRAMS), ("--defaults-file=", (MARIADB,))):
        program, ours, _ = command.partition(f" {mark}{directory}{os.sep}")
        if ours and Path(program).name in programs:
            return Path(program).name
    return ""


def _process_table() -> Iterator[tuple[int, str]]:
    if Path("/proc/self/cmdline").exists():
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                yield int(entry.name), _command_of(entry)
        return
    # macOS; a slim Linux image has no ps.
    listing = subprocess.run(["/bin/ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
    for line in listing.stdout.splitlines():
        pid, _, command = line.strip().partition(" ")
        yield int(pid), command.strip()


def _command_of(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # it ended while we looked
        return ""


def end_processes_below(directory: Path, *, gently: bool) -> None:
    """End them all: with a checkpoint if ``gently``, at once if that takes too long or was not asked for."""
    signals = [signal.SIGINT] if gently else []
    for number in (*signals, signal.SIGQUIT, signal.SIGKILL):
        for pid, program in _programs_below(directory).items():
            # MariaDB's server does not heed SIGINT.
            _send(pid, signal.SIGTERM if (program, number) == (MARIADB, signal.SIGINT) else number)
            # One that was made to stand still while its files were copied heeds nothing but a kill.
            _send(pid, signal.SIGCONT)
        if _becomes_true(lambda: not processes_below(directory)):
            return


def is_alive(pid: int) -> bool:
    """Say whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _becomes_true(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def remove_directory(directory: Path) -> None:
    """Remove a directory, even while a process that is about to end still writes into it."""
    if not _becomes_true(lambda: _removed(directory)):
        shutil.rmtree(directory)


def _removed(directory: Path) -> bool:
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()


def main(directory: Path, runtime: Path, lock: Path, *, remove: bool) -> None:
    """Wait for the parent's death, then clean up after it. Finds nothing to do after an orderly end."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    # No lock file: the parent removed it all in good order.
    if lock.exists():
        _end_and_remove(directory, lock, remove=remove)
    remove_directory(runtime)


def _end_and_remove(directory: Path, lock: Path, *, remove: bool) -> None:
    with lock.open("r+") as held:
        # A dying process may close its pipe before its lock. Still locked after that: the next embedded account works
        # on the directory, has ended what was left there, and what runs is its own.
        if _becomes_true(lambda: _locked(held)):
            end_processes_below(directory, gently=not remove)
            if remove:
                remove_directory(directory)


def _locked(held: IO[str]) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), remove=sys.argv[4] == "remove")
