"""Keeping the embedded account's control plane beside its databases, so that the next process goes on with it.

One file holds it all, as it was at one moment between two calls, and is replaced as a whole: a kill loses the last
moment and nothing else. A second file bounds the account's time, which must not go back and runs too fast to be saved.
"""

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from aurora_restore.embedded.gate import Gate
from aurora_restore.embedded.late_drops import LateDrops
from aurora_restore.errors import EnvironmentUnfitError

if TYPE_CHECKING:
    from aurora_restore.embedded.aurora_records import Place, Records

FORMAT: Final = 2
STATE_FILE: Final = "account.state"
CLOCK_FILE: Final = "account.clock"
# Between the ends of two saves at least.
_PAUSE_S: Final = 0.5
_ANOTHER: Final = "Name another directory with --dir, or remove this one"


class Captured(Protocol):
    """What a keeper must know of an account."""

    def capture(self) -> bytes:
        """Return its state."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """What was found in a directory."""

    port: int
    state: bytes


def check(directory: Path, made_with: Mapping[str, str]) -> None:
    """Pass if the directory holds no account, or one of this format and of the same programs; touch nothing.

    EnvironmentUnfitError says what is different.
    """
    path = directory / STATE_FILE
    if path.exists():
        with path.open("rb") as file:
            _parse_header(directory, file.readline(), made_with)


class Keeper:
    """Writes an account's state into a directory, from ``start`` to the end of its context: after changes, and last."""

    def __init__(
        self, directory: Path, made_with: Mapping[str, str], plane: LateDrops, tell: Callable[[str], None]
    ) -> None:
        """Take where, the versions by which the state can be read again, the volumes, and who is told of a failure."""
        self.gate = Gate(self.changed)
        self._directory = directory
        self._made_with = dict(made_with)
        self._plane = plane
        self._tell = tell
        self._dirty, self._ended = threading.Event(), threading.Event()
        self._account: Captured | None = None
        self._port = 0
        self._thread = threading.Thread(target=self._save_from_now_on, daemon=True)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Save for the last time, if it was started; OSError or EnvironmentUnfitError when that fails."""
        if self._account is None:
            return
        self._ended.set()
        self._dirty.set()
        self._thread.join()
        self._save(self._account)

    def kept(self) -> Kept | None:
        """Return what was kept in the directory; EnvironmentUnfitError as from ``check``."""
        path = self._directory / STATE_FILE
        if not path.exists():
            return None
        with path.open("rb") as file:
            header = _parse_header(self._directory, file.readline(), self._made_with)
            return Kept(int(header["port"]), file.read())

    def start(self, account: Captured, port: int) -> None:
        """Save now, and from now on."""
        self._port = port
        self._save(account)
        self._account = account
        self._thread.start()

    def changed(self) -> None:
        """Let the state be saved soon."""
        self._dirty.set()

    def note_hurry(self, until: datetime) -> None:
        """Write down that the account's time may be at ``until`` any moment; to be called before it is."""
        bound = {"until": until.isoformat(), "wall": datetime.now(UTC).isoformat()}
        _replace(self._directory / CLOCK_FILE, json.dumps(bound).encode(), is_durable=False)

    def resume_at(self) -> datetime | None:
        """Return a time that the account's clock cannot have passed; None when it never hurried."""
        path = self._directory / CLOCK_FILE
        if not path.exists():
            return None
        try:
            bound = json.loads(path.read_bytes())
            until, wall = datetime.fromisoformat(bound["until"]), datetime.fromisoformat(bound["wall"])
        except (ValueError, KeyError, TypeError) as error:
            raise EnvironmentUnfitError(f"{path} is damaged", advice=_ANOTHER) from error
        return until + max(datetime.now(UTC) - wall, timedelta())

    def _save_from_now_on(self) -> None:
        is_failing = False
        while not self._ended.is_set():
            self._dirty.wait()
            try:
                if self._account is not None:
                    self._save(self._account)
                is_failing = False
            except (OSError, EnvironmentUnfitError) as error:
                self._dirty.set()
                if not is_failing:
                    self._tell(f"The account's state cannot be written, and is tried again: {error}")
                is_failing = True
            self._ended.wait(_PAUSE_S)

    def _save(self, account: Captured) -> None:
        with self.gate.held():
            self._dirty.clear()
            state, doomed = account.capture(), self._plane.doomed()
        header = {"format": FORMAT, "made_with": self._made_with, "port": self._port}
        _replace(self._directory / STATE_FILE, json.dumps(header).encode() + b"\n" + state, is_durable=True)
        self._plane.drop_all(doomed)


def match_volumes(places: "Mapping[Place, Records]", plane: LateDrops, tell: Callable[[str], None]) -> None:
    """Drop the volumes that belong to nothing that was saved, and say so.

    EnvironmentUnfitError when a cluster or snapshot has no volume.
    """
    owners = {
        **{each.db_cluster_resource_id: each.arn for kept in places.values() for each in kept.clusters.values()},
        **{each.volume: each.arn for kept in places.values() for each in kept.snapshots.values()},
    }
    found = set(plane.volumes)
    lost = sorted(arn for volume, arn in owners.items() if volume not in found)
    if lost:
        raise EnvironmentUnfitError(f"the data of {', '.join(lost)} is not in the directory any more", advice=_ANOTHER)
    for volume in sorted(found - set(owners)):
        tell(f"Dropped the volume {volume}: the account ended before it had written down whose it is")
        plane.drop(volume)


def _parse_header(directory: Path, line: bytes, made_with: Mapping[str, str]) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads(line)
        kept_format, kept_with = header["format"], dict(header["made_with"])
    except (ValueError, KeyError, TypeError) as error:
        raise EnvironmentUnfitError(f"{directory / STATE_FILE} is damaged", advice=_ANOTHER) from error
    if kept_format != FORMAT:
        raise EnvironmentUnfitError(
            f"{directory} holds an account of format {kept_format}, and this version reads format {FORMAT}",
            advice=_ANOTHER,
        )
    different = [
        f"{name} {kept_with.get(name)} (here: {here})"
        for name, here in made_with.items()
        if kept_with.get(name) != here
    ]
    if different:
        raise EnvironmentUnfitError(
            f"{directory} holds an account that was made with {', '.join(different)}",
            advice=f"Use these versions again. {_ANOTHER}",
        )
    return header


def _replace(path: Path, content: bytes, *, is_durable: bool) -> None:
    # Passwords and keys are in it, though only those of a rehearsal.
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if is_durable:
            file.flush()
            os.fsync(file.fileno())
    draft.replace(path)
