"""The real databases behind Aurora MySQL's clusters in the embedded account: MariaDB servers on loopback."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection

from aurora_restore.embedded import mariadb_rds
from aurora_restore.embedded.dataplane import MasterUser
from aurora_restore.embedded.mariadb_binaries import find_mariadb
from aurora_restore.embedded.mariadb_programs import MariaPrograms
from aurora_restore.embedded.mariadb_server import MariaServer
from aurora_restore.embedded.volumes import Volumes
from aurora_restore.errors import DatabaseRefusedError, EnvironmentUnfitError

ENGINE = "aurora-mysql"


class MariaServers(Volumes[MariaServer]):
    """A data plane of real MariaDB servers: implements ``DataPlane``."""

    def __init__(
        self,
        directory: Path,
        *,
        binaries: Path | None = None,
        certificates: Path | None = None,
        remove_on_death: bool = False,
    ) -> None:
        """Take what ``Volumes`` takes.

        ``binaries``: a directory with mariadbd; else it is looked for. ``certificates``: the directory of the
        account's own ones; else there are some below ``directory``. EnvironmentUnfitError: there is no MariaDB, and
        what ``Volumes`` raises.
        """
        self.binaries = find_mariadb(binaries)
        self._certificates = certificates
        super().__init__(directory, remove_on_death=remove_on_death)

    @property
    def certificate_authority(self) -> Path:
        """The PEM file of the authority that clients can verify."""
        return self._programs.certificates.authority

    def create(self, volume: str, master: MasterUser, database: str | None, engine: str = ENGINE) -> None:
        """Make a new volume with what RDS brings along, a master user, who is no superuser, and perhaps a database.

        FileExistsError: there is such a volume. EnvironmentUnfitError: it is to be of another engine.
        """
        if engine != ENGINE:
            raise EnvironmentUnfitError(f"these servers are MariaDB's, and cannot be {engine}")

        def fill(server: MariaServer) -> None:
            self._server_on(self._template(), "template").copy_to(server.data)
            with self._administered(server) as connection:
                mariadb_rds.create_master(connection, master, database)

        with self._locked(volume) as server:
            self._build(server.data, fill)

    def set_password(self, volume: str, master: MasterUser) -> None:
        """Give a user of the volume another password, whether it runs or not.

        KeyError: no such volume. DatabaseRefusedError: it has no such user.
        """
        self._existing(volume)
        with self._locked(volume) as server, self._administered(server) as connection:
            mariadb_rds.set_password(connection, master)

    def connect_as_admin(self, volume: str) -> "Connection[Any]":
        """Return an autocommitting connection of RDS's superuser to a volume. NotReadyError: it does not run."""
        return self._existing(volume).connect()

    @contextlib.contextmanager
    def _administered(self, server: MariaServer) -> "Iterator[Connection[Any]]":
        with server.started_quietly(), server.connect() as connection:
            try:
                yield connection
            except pymysql.MySQLError as error:
                raise DatabaseRefusedError(f"MariaDB refused it: error {error.args[0]}") from error

    def _prepare_programs(self) -> None:
        settings = self.directory / "settings"
        self._programs = MariaPrograms(self.binaries, self._user, settings, self._certificates or settings)

    def _new_server(self, data: Path, *, log: Path, sockets: Path) -> MariaServer:
        return MariaServer(self._programs, data, log=log, sockets=sockets)

    def _template_name(self) -> str:
        return f"template-{self.binaries.version}"

    def _fill_template(self, server: MariaServer) -> None:
        self._programs.bootstrap(server.data, server.sockets)
        with self._administered(server) as connection:
            mariadb_rds.create_rds_objects(connection)
