"""Opening the embedded account quickly, for a process whose whole purpose it is: demo and serve."""

import contextlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from aurora_restore.aws.clients import ONE_ATTEMPT
from aurora_restore.embedded.binaries import find_binaries
from aurora_restore.embedded.clock import EmbeddedClock
from aurora_restore.embedded.engines import DatabaseServers
from aurora_restore.embedded.environment import sealed
from aurora_restore.embedded.interruptions import deferred
from aurora_restore.embedded.late_drops import LateDrops
from aurora_restore.embedded.persistence import Keeper, check, match_volumes

if TYPE_CHECKING:
    from aurora_restore.embedded.account import EmbeddedAccount

# The account's seconds in one of the wall's, while something is awaited. An operation of 40 minutes then takes less
# time than the calls that it consists of, and is still watched at every stage.
SPEED = 2_000
_PREFIX = "aurora-restore-databases-"
_IN_MEMORY = Path("/dev/shm")  # noqa: S108
_PLENTY_BYTES = 4 * 2**30


@dataclass(frozen=True, slots=True)
class Programs:
    """Which engine most databases will be of, and the directories of the servers' programs where they are named."""

    engine: str = "aurora-postgresql"
    postgres: Path | None = None
    mariadb: Path | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """An account that runs, and where its files are."""

    account: "EmbeddedAccount"
    directory: Path
    keeper: Keeper | None = None
    # An earlier account's state was found and taken over; executions of it that will not go on.
    is_again: bool = False
    interrupted: tuple[str, ...] = ()


@contextlib.contextmanager
def opened(
    directory: Path | None = None,
    *,
    programs: Programs = Programs(),
    port: int | None = None,
    is_small: bool = False,
) -> Iterator[Opened]:
    """Start an embedded account with real databases, and stop it at the end, whatever ended it.

    ``directory`` None: a temporary one, of which nothing is left, not even after a kill of this process. It is in
    memory, if the databases are to be small and there is plenty.
    EnvironmentUnfitError when this machine cannot do it.
    """
    with (
        sealed(),
        _servers(directory, programs, is_small=is_small) as plane,
        ThreadPoolExecutor(max_workers=1) as beside,
    ):
        # Another processor makes the first database while this one imports moto. Its failure is the first create's too.
        beside.submit(plane.warm_up, programs.engine)
        from aurora_restore.embedded.account import EmbeddedAccount  # noqa: PLC0415

        # ONE_ATTEMPT: the server is in this process, and who waits for it while it goes away waits in vain.
        with EmbeddedAccount(
            plane,
            EmbeddedClock(SPEED),
            port=port,
            client_config=ONE_ATTEMPT,
            authority=plane.certificate_authority,
        ) as account:
            yield Opened(account, plane.directory)


@contextlib.contextmanager
def opened_again(
    directory: Path, tell: Callable[[str], None], *, programs: Programs = Programs(), port: int | None = None
) -> Iterator[Opened]:
    """Start the account that is kept in a directory, or a new one that is to be kept there once its keeper is started.

    ``tell`` gets a sentence about everything that is not as it was. Without ``port`` it listens where it did before.
    EnvironmentUnfitError when this machine cannot do it, or what the directory holds cannot be taken over.
    """
    made_with = {"moto": version("moto"), "PostgreSQL": str(find_binaries(programs.postgres).major_version)}
    # Before the databases' own files are touched.
    check(directory, made_with)
    with (
        sealed(),
        _servers(directory, programs, is_small=False) as servers,
        ThreadPoolExecutor(max_workers=1) as beside,
    ):
        beside.submit(servers.warm_up, programs.engine)
        from aurora_restore.embedded.account import EmbeddedAccount  # noqa: PLC0415
        from aurora_restore.embedded.account_state import read  # noqa: PLC0415

        plane = LateDrops(servers)
        keeper = Keeper(directory, made_with, plane, tell)
        kept = keeper.kept()
        listens = port or (still_free(kept.port, tell) if kept else None)
        clock = EmbeddedClock(SPEED, start=keeper.resume_at(), on_hurry=keeper.note_hurry)
        with EmbeddedAccount(
            plane,
            clock,
            port=listens,
            client_config=ONE_ATTEMPT,
            gate=keeper.gate,
            authority=servers.certificate_authority,
            awaits_state=kept is not None,
        ) as account:
            if kept is None:
                found = Opened(account, servers.directory, keeper)
            else:
                state = read(kept.state)
                match_volumes(state.places, plane, tell)
                account.adopt(state)
                found = Opened(account, servers.directory, keeper, is_again=True, interrupted=tuple(state.interrupted))
            with keeper:
                yield found


def still_free(port: int, tell: Callable[[str], None]) -> int | None:
    """Return the port if one can listen on it on 127.0.0.1; else say that it is taken, and return None."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            tell(f"Port {port}, where the account listened before, is taken; it listens on another")
            return None
    return port


@contextlib.contextmanager
def _servers(directory: Path | None, programs: Programs, *, is_small: bool) -> Iterator[DatabaseServers]:
    with contextlib.ExitStack() as made:
        # Until the watchdog knows of it, nobody would remove what is made here.
        with deferred():
            place = directory or Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_memory() if is_small else None))
            if directory is None:
                made.callback(shutil.rmtree, place, ignore_errors=True)
            plane = made.enter_context(
                DatabaseServers(
                    place, postgres=programs.postgres, mariadb=programs.mariadb, remove_on_death=directory is None
                )
            )
        yield plane


def _memory() -> Path | None:
    """Return a directory in memory with plenty of room, unless the user has said where temporary files go.

    Each database has more than a thousand files, and each takes a disk's file system up to a millisecond to make.
    """
    if any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")):
        return None
    try:
        free = os.statvfs(_IN_MEMORY)
        available = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text("ascii"), re.MULTILINE)
    except OSError:
        return None
    room = min(free.f_bavail * free.f_frsize, int(available[1]) * 1024 if available else 0)
    return _IN_MEMORY if room >= _PLENTY_BYTES and os.access(_IN_MEMORY, os.W_OK) else None
