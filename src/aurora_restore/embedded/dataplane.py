"""What the emulated Aurora asks of the real databases behind its clusters and snapshots."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class MasterUser:
    """A cluster's master user."""

    name: str
    password: str = field(repr=False)


class DataPlane(Protocol):
    """Volumes, each the storage of one cluster or one snapshot, named by the caller. A volume can run as a server."""

    def create(self, volume: str, master: MasterUser, database: str | None, engine: str = ...) -> None:
        """Make a new server's storage with a master user (not a superuser, as on RDS) and perhaps a database.

        ``engine`` is as RDS names it. EnvironmentUnfitError: this machine lacks the programs for it.
        """
        ...

    def clone(self, origin: str, volume: str) -> None:
        """Make ``volume`` a copy of ``origin`` as it is now, whether ``origin`` runs or not."""
        ...

    def start(self, volume: str, port: int | None) -> int:
        """Run the volume on loopback, on ``port`` if it is given and free; return the port. Runs already: its port."""
        ...

    def stop(self, volume: str) -> None:
        """End the volume's server, if it runs."""
        ...

    def set_password(self, volume: str, master: MasterUser) -> None:
        """Give a role of the volume another password; works whether it runs or not."""
        ...

    def drop(self, volume: str) -> None:
        """Stop and remove the volume, if it exists."""
        ...

    def size_bytes(self, volume: str) -> int:
        """Return the storage that the volume takes."""
        ...

    def close(self) -> None:
        """Stop every server that was started here."""
        ...


@dataclass(slots=True)
class RecordsOnly:
    """A data plane without databases: clusters are records only. For tests of the control plane."""

    volumes: dict[str, int | None] = field(default_factory=dict)

    def create(self, volume: str, master: MasterUser, database: str | None, engine: str = "") -> None:  # noqa: ARG002
        """Remember the volume."""
        self.volumes[volume] = None

    def clone(self, origin: str, volume: str) -> None:
        """Remember the volume, if its origin is known."""
        if origin not in self.volumes:
            raise KeyError(origin)
        self.volumes[volume] = None

    def start(self, volume: str, port: int | None) -> int:
        """Say which port it would have."""
        self.volumes[volume] = self.volumes[volume] or port or 5432
        return self.volumes[volume] or 5432

    def stop(self, volume: str) -> None:
        """Forget the port."""
        self.volumes[volume] = None

    def set_password(self, volume: str, master: MasterUser) -> None:
        """Do nothing: there is no role."""

    def drop(self, volume: str) -> None:
        """Forget the volume."""
        self.volumes.pop(volume, None)

    def size_bytes(self, volume: str) -> int:  # noqa: ARG002
        """Return nothing's size."""
        return 0

    def close(self) -> None:
        """Do nothing: nothing runs."""
