"""The two kinds of databases that the sample world can be of, behind one Protocol."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from aurora_restore.database.engine import Endpoint, Engine, Login
from aurora_restore.embedded.dataplane import MasterUser
from aurora_restore.errors import EnvironmentUnfitError

if TYPE_CHECKING:
    from psycopg import Connection

DATABASE: Final = "orders"
# RDS takes no master password of less than eight characters.
MASTER: Final = MasterUser("postgres", "testing-testing")
POSTGRESQL: Final = "aurora-postgresql"
MYSQL: Final = "aurora-mysql"


@dataclass(frozen=True, slots=True)
class Database:
    """A database of the sample, and a way into it."""

    endpoint: Endpoint
    login: Login = field(default=Login(MASTER.name, MASTER.password))
    name: str = DATABASE
    engine: str = POSTGRESQL

    def open(self) -> "Connection[Any]":
        """Connect to a PostgreSQL, in autocommit."""
        import psycopg  # noqa: PLC0415

        return psycopg.connect(
            host=self.endpoint.host,
            port=self.endpoint.port,
            user=self.login.user,
            password=self.login.password,
            dbname=self.name,
            connect_timeout=10,
            autocommit=True,
        )


class Kind(Protocol):
    """What the sample world, the demo's report and the look-around need to know of an engine."""

    engine: str
    version: str
    family: str
    log_exports: tuple[str, ...]
    master: MasterUser

    def load_shop(self, place: Database, rows: int) -> None:
        """Fill an empty database with the sample shop."""
        ...

    def create_logins(self, place: Database) -> None:
        """Make production's logins, unless they are there, and let them at what the database holds."""
        ...

    def count_rows(self, place: Database) -> Mapping[str, int]:
        """Return how many rows each table has, counted."""
        ...

    def grants(self, place: Database, user: str) -> str:
        """Return what the user may do with tables, in words: what is allowed, and on how many."""
        ...

    def users(self) -> Engine:
        """Return what tries logins."""
        ...

    def shell(self, host: str, port: str, user: str, database: str, password: str = "") -> str:
        """Return what one types to look into the database; without ``password`` it is asked for."""
        ...


def kind_of(engine: str) -> Kind:
    """Return the kind of an engine as RDS names it. EnvironmentUnfitError: the sample cannot be of it."""
    match engine:
        case "aurora-postgresql":
            from aurora_restore.embedded.sample_postgresql import PostgreSQLKind  # noqa: PLC0415

            return PostgreSQLKind()
        case "aurora-mysql":
            from aurora_restore.embedded.sample_mysql import MySQLKind  # noqa: PLC0415

            return MySQLKind()
        case _:
            raise EnvironmentUnfitError(f"the sample cannot be of the engine {engine}")
