"""The account's databases, whichever engine a cluster is of: PostgreSQL's servers, and MariaDB's once one is needed."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, Self

from aurora_restore.database.engine import Engine, engine_for
from aurora_restore.database.tls import Tls
from aurora_restore.embedded.dataplane import MasterUser
from aurora_restore.embedded.mariadb import ENGINE as MYSQL
from aurora_restore.embedded.mariadb import MariaServers
from aurora_restore.embedded.postgres import ENGINE as POSTGRESQL
from aurora_restore.embedded.postgres import PostgresServers

# Below the account's directory.
_MARIADB_DIRECTORY: Final = "mariadb"


# Says for an engine against which certificates its servers are verified.
Authority = Callable[[str], Path | None]


def no_authority(engine: str) -> None:
    """Say that there are no certificates: the databases are no servers, or know no TLS."""


def engine_of_account(engine: str, authority: Authority = no_authority) -> Engine:
    """Return what sets up the users of the account's databases: in production's place, since MySQL is MariaDB here.

    Servers that have certificates must prove who they are, as RDS's must to a deployment with a bundle.
    """
    tls = Tls(authority(engine))
    if engine != MYSQL:
        return engine_for(engine, tls)
    from aurora_restore.database.mysql import MySQL  # noqa: PLC0415
    from aurora_restore.embedded.mariadb_dialect import MARIADB  # noqa: PLC0415

    return MySQL(tls=tls, dialect=MARIADB)


class DatabaseServers:
    """A data plane of real servers: implements ``DataPlane``.

    Volumes are below ``directory`` and are found again by the next one who takes it. Everything that runs ends with
    ``close``, and with this process, however it dies.
    """

    def __init__(
        self,
        directory: Path,
        *,
        postgres: Path | None = None,
        mariadb: Path | None = None,
        remove_on_death: bool = False,
    ) -> None:
        """Take the directories of the volumes and of both servers' programs; MariaDB's are looked for when needed.

        ``remove_on_death``: the directory is temporary; ``close`` and the death of this process remove it.
        EnvironmentUnfitError: PostgreSQL's programs are not there, cannot reach the directory, or it is in use.
        """
        self._postgres = PostgresServers(directory, binaries=postgres, remove_on_death=remove_on_death)
        self.directory = self._postgres.directory
        self._mariadb_programs, self._remove_on_death = mariadb, remove_on_death
        self._mariadb: MariaServers | None = None
        self._guard = Lock()
        with ExitStack() as unless_open:
            unless_open.callback(self.close)
            if (self.directory / _MARIADB_DIRECTORY).is_dir():
                self._open_mariadb()
            unless_open.pop_all()

    def __enter__(self) -> Self:
        """Return itself; ``close`` follows."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close."""
        self.close()

    @property
    def volumes(self) -> list[str]:
        """The names of all volumes, of earlier processes too."""
        of_mysql = self._mariadb.volumes if self._mariadb else []
        return sorted([*self._postgres.volumes, *of_mysql])

    def certificate_authority(self, engine: str) -> Path | None:
        """Return the PEM file of the authority behind an engine's servers; None where its build knows no TLS."""
        if engine == MYSQL:
            return self._open_mariadb().certificate_authority
        return self._postgres.certificate_authority

    def warm_up(self, engine: str) -> None:
        """Do what the first ``create`` would otherwise have to wait for; from any thread, and before it or never."""
        (self._open_mariadb() if engine == MYSQL else self._postgres).warm_up()

    def create(self, volume: str, master: MasterUser, database: str | None, engine: str = POSTGRESQL) -> None:
        """See ``DataPlane.create``. EnvironmentUnfitError names the package where MariaDB is missing."""
        servers = self._open_mariadb() if engine == MYSQL else self._postgres
        servers.create(volume, master, database, engine)

    def clone(self, origin: str, volume: str) -> None:
        """See ``DataPlane.clone``."""
        self._of(origin).clone(origin, volume)

    def start(self, volume: str, port: int | None) -> int:
        """See ``DataPlane.start``."""
        return self._of(volume).start(volume, port)

    def stop(self, volume: str) -> None:
        """See ``DataPlane.stop``."""
        self._of(volume).stop(volume)

    def set_password(self, volume: str, master: MasterUser) -> None:
        """See ``DataPlane.set_password``."""
        self._of(volume).set_password(volume, master)

    def drop(self, volume: str) -> None:
        """See ``DataPlane.drop``."""
        self._of(volume).drop(volume)

    def size_bytes(self, volume: str) -> int:
        """See ``DataPlane.size_bytes``."""
        return self._of(volume).size_bytes(volume)

    def close(self) -> None:
        """Stop every server, and remove the directory if it is temporary. Nothing works afterwards but ``close``."""
        with self._guard:
            # First: its directory is in the other's.
            if self._mariadb is not None:
                self._mariadb.close()
            self._postgres.close()

    def _of(self, volume: str) -> MariaServers | PostgresServers:
        mariadb = self._mariadb
        return mariadb if mariadb is not None and volume in mariadb.volumes else self._postgres

    def _open_mariadb(self) -> MariaServers:
        with self._guard:
            if self._mariadb is None:
                self._mariadb = MariaServers(
                    self.directory / _MARIADB_DIRECTORY,
                    binaries=self._mariadb_programs,
                    certificates=self.directory / "settings",
                    remove_on_death=self._remove_on_death,
                )
            return self._mariadb
