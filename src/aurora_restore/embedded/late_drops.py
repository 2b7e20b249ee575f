"""A data plane that removes a volume only once the account has written down that it is gone.

Otherwise an account killed in between would come back with a cluster whose data is not there.
"""

import threading
from collections.abc import Collection
from typing import Protocol

from aurora_restore.embedded.dataplane import DataPlane, MasterUser


class LastingPlane(DataPlane, Protocol):
    """A data plane whose volumes are found again by the next process."""

    @property
    def volumes(self) -> Collection[str]:
        """The names of all volumes, of earlier processes too."""
        ...


class LateDrops:
    """Stands before a data plane: implements ``DataPlane``, and drops when ``drop_all`` says so."""

    def __init__(self, plane: LastingPlane) -> None:
        """Take the data plane, which ``close`` closes."""
        self._plane = plane
        self._doomed: set[str] = set()
        self._lock = threading.RLock()

    @property
    def volumes(self) -> set[str]:
        """The names of all volumes, without those to be dropped."""
        with self._lock:
            return set(self._plane.volumes) - self._doomed

    def doomed(self) -> frozenset[str]:
        """Return the volumes that are to be dropped."""
        with self._lock:
            return frozenset(self._doomed)

    def drop_all(self, volumes: Collection[str]) -> None:
        """Drop these volumes, those of them that are still to be dropped."""
        for volume in volumes:
            self._really_drop(volume)

    def create(self, volume: str, master: MasterUser, database: str | None, engine: str = "aurora-postgresql") -> None:
        """Create it, in place of one to be dropped."""
        self._really_drop(volume)
        self._plane.create(volume, master, database, engine)

    def clone(self, origin: str, volume: str) -> None:
        """Clone it, in place of one to be dropped."""
        self._really_drop(volume)
        self._plane.clone(origin, volume)

    def start(self, volume: str, port: int | None) -> int:
        """Start it."""
        return self._plane.start(volume, port)

    def stop(self, volume: str) -> None:
        """Stop it."""
        self._plane.stop(volume)

    def set_password(self, volume: str, master: MasterUser) -> None:
        """Set a password in it."""
        self._plane.set_password(volume, master)

    def drop(self, volume: str) -> None:
        """Stop it now, and remember to drop it."""
        with self._lock:
            if volume in self._plane.volumes:
                self._plane.stop(volume)
                self._doomed.add(volume)

    def size_bytes(self, volume: str) -> int:
        """Return its size."""
        return self._plane.size_bytes(volume)

    def close(self) -> None:
        """Close the data plane; what was to be dropped stays, for the next process to find without a record."""
        self._plane.close()

    def _really_drop(self, volume: str) -> None:
        with self._lock:
            if volume in self._doomed:
                self._plane.drop(volume)
                self._doomed.discard(volume)
