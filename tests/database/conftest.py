"""A production database with everything that can come along, and a server of its own copy of it for each test."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from aurora_restore.database.engine import DesiredState, DesiredUser, Endpoint, Login
from aurora_restore.database.postgresql import PostgreSQL
from aurora_restore.database_request import Grant
from aurora_restore.embedded.dataplane import MasterUser
from aurora_restore.embedded.postgres import PostgresServers

MASTER = MasterUser("dba", "testing-dba")
PRODUCTION_PASSWORD = "testing-production"
NEW_PASSWORD = "testing-new"
HOSTILE = 'x"; DROP ROLE dba; --'

_ROLES = """
    CREATE ROLE app LOGIN PASSWORD 'testing-production';
    CREATE ROLE analyst LOGIN CREATEROLE CREATEDB PASSWORD 'testing-production';
    CREATE ROLE reporting NOLOGIN;
    CREATE ROLE migrator LOGIN PASSWORD 'testing-production';
    GRANT rds_superuser TO migrator;
    GRANT rds_replication TO analyst;
    GRANT app TO analyst;
    GRANT app TO dba;
    CREATE DATABASE shop;
    CREATE DATABASE "Große Daten";
"""
_SHOP = """
    CREATE SCHEMA sales AUTHORIZATION app;
    CREATE SCHEMA "Geheime Löhne";
    CREATE TABLE "Geheime Löhne"."Löhne" (id int, euro int);
    CREATE TABLE public.products (id int PRIMARY KEY, name text);
    INSERT INTO public.products VALUES (1, 'pen');
    SET ROLE app;
    CREATE TABLE sales.orders (id serial PRIMARY KEY, product int);
    INSERT INTO sales.orders (product) VALUES (1), (1), (2);
    CREATE VIEW sales.recent AS SELECT * FROM sales.orders;
    CREATE FUNCTION sales.total(int, text DEFAULT '') RETURNS bigint LANGUAGE sql
        AS 'SELECT count(*) FROM sales.orders';
    REVOKE EXECUTE ON FUNCTION sales.total FROM PUBLIC;
    GRANT USAGE ON SCHEMA sales TO analyst, reporting;
    GRANT DELETE, SELECT ON sales.orders TO analyst WITH GRANT OPTION;
    GRANT UPDATE (product) ON sales.orders TO analyst;
    ALTER DEFAULT PRIVILEGES IN SCHEMA sales GRANT DELETE ON TABLES TO analyst;
    RESET ROLE;
    REVOKE app FROM dba;
"""
_CLUSTER_FINGERPRINT = """
    SELECT rolname, rolcanlogin::text, rolcreaterole::text, rolcreatedb::text, rolpassword FROM pg_authid
    UNION ALL
    SELECT roleid::regrole::text, member::regrole::text, grantor::regrole::text, admin_option::text, ''
    FROM pg_auth_members
    UNION ALL
    SELECT setrole::regrole::text, setdatabase::text, setconfig::text, '', '' FROM pg_db_role_setting
    UNION ALL
    SELECT subname, subenabled::text, subslotname, '', '' FROM pg_subscription
    UNION ALL
    SELECT slot_name, slot_type, '', '', '' FROM pg_replication_slots
    ORDER BY 1, 2, 3
"""
_DATABASE_FINGERPRINT = """
    SELECT kind, name, ARRAY(SELECT item::text FROM unnest(acl) AS item ORDER BY 1)::text
    FROM (
        SELECT 'database', datname, datacl FROM pg_database
        UNION ALL SELECT 'class', oid::regclass::text, relacl FROM pg_class
        UNION ALL SELECT 'column', attrelid::regclass::text || attname, attacl FROM pg_attribute
        UNION ALL SELECT 'routine', oid::regprocedure::text, proacl FROM pg_proc
        UNION ALL SELECT 'schema', nspname, nspacl FROM pg_namespace
        UNION ALL SELECT 'future', concat_ws(' ', defaclrole::regrole, defaclnamespace, defaclobjtype), defaclacl
                  FROM pg_default_acl
    ) AS thing (kind, name, acl)
    WHERE acl IS NOT NULL
    UNION ALL SELECT 'owner', oid::regclass::text, relowner::regrole::text FROM pg_class
    UNION ALL SELECT 'mapping', srvname, usename FROM pg_user_mappings
    ORDER BY 1, 2, 3
"""


# pg_cron's table as it was before the first of its background workers ran; the wheel has no pg_cron.
_STAND_IN = """
    CREATE SCHEMA cron;
    CREATE TABLE cron.job (
        jobid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, schedule text NOT NULL, command text NOT NULL,
        nodename text NOT NULL DEFAULT 'localhost', nodeport int NOT NULL DEFAULT 5432,
        database text NOT NULL DEFAULT current_database(), username text NOT NULL DEFAULT current_user,
        active boolean NOT NULL DEFAULT true, jobname text
    );
    GRANT SELECT ON cron.job TO public;
    ALTER TABLE cron.job ENABLE ROW LEVEL SECURITY;
    CREATE POLICY cron_job_policy ON cron.job USING (username = current_user);
"""
# Debian's package postgresql-15-cron.
CRON_LIBRARY = Path("/usr/lib/postgresql/15/lib/pg_cron.so")


@dataclass
class Database:
    """One test's server."""

    servers: PostgresServers
    volume: str
    endpoint: Endpoint
    master: Login = field(default_factory=lambda: Login(MASTER.name, MASTER.password))

    def query(
        self, login: Login, statement: LiteralString | sql.Composed, database: str = "shop"
    ) -> list[tuple[Any, ...]]:
        """Run a statement as a user and return its rows."""
        with self.connect(login, database) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def may(self, login: Login, statement: LiteralString, database: str = "shop") -> bool:
        """Say whether a statement works for a user; what it does is undone."""
        with self.connect(login, database) as connection:
            connection.autocommit = False
            try:
                connection.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                return False
            finally:
                connection.rollback()
        return True

    def connect(self, login: Login, database: str = "shop") -> psycopg.Connection:
        """Connect as a user."""
        return psycopg.connect(
            host=self.endpoint.host, port=self.endpoint.port, user=login.user, password=login.password,
            dbname=database, autocommit=True,
        )  # fmt: skip

    def admin(self, statement: LiteralString | sql.Composed, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as RDS's superuser."""
        with self.servers.connect_as_admin(self.volume, database) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def fingerprint(self) -> list[tuple[Any, ...]]:
        """Return everything about roles and privileges, verifiers included."""
        rows = self.admin(_CLUSTER_FINGERPRINT)
        for database in ("postgres", "shop", "Große Daten"):
            rows += self.admin(_DATABASE_FINGERPRINT, database)
        return rows

    def stream(self, slot: str) -> subprocess.Popen[bytes]:
        """Let the master read from a logical slot of shop, and return the program that does."""
        program = subprocess.Popen(
            [
                *(self.servers.binaries.path("pg_recvlogical"), "--host=127.0.0.1", f"--port={self.endpoint.port}"),
                *(f"--username={self.master.user}", "--dbname=shop", f"--slot={slot}", "--start", "--file=-"),
                *("--option=proto_version=1", "--option=publication_names=nothing", "--no-loop"),
            ],
            env={"PGPASSWORD": self.master.password}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        active = sql.SQL("SELECT 1 FROM pg_replication_slots WHERE active AND slot_name = {}").format(sql.Literal(slot))
        while not self.admin(active):
            assert program.poll() is None
        return program

    def log_everything(self) -> Path:
        """Let the server log every statement from now on, into the file that is returned."""
        (log,) = self.servers.directory.glob(f"logs/{self.volume}.log")
        log.write_text("")
        self.admin("ALTER SYSTEM SET log_statement = 'all'")
        self.admin("SELECT pg_reload_conf()")
        return log

    def apply(self, *users: DesiredUser, **others: Any) -> list[str]:
        """Apply a desired state and return the sentences of the changes."""
        changes = PostgreSQL().apply(self.endpoint, self.master, DesiredState(users, **others)).changes
        return [change.sentence for change in changes]

    @property
    def version(self) -> int:
        """Return the server's version number."""
        ((version,),) = self.admin("SELECT current_setting('server_version_num')::int")
        return int(version)

    def again(self) -> None:
        """Start over with a new copy of production."""
        self.servers.drop(self.volume)
        self.servers.clone("production", self.volume)
        self.endpoint = Endpoint("127.0.0.1", self.servers.start(self.volume, None))

    def session_of(self, name: LiteralString) -> psycopg.Connection:
        """Return a session of a role that cannot log in (any more)."""
        self.admin(sql.SQL("ALTER ROLE {} LOGIN PASSWORD 'testing'").format(sql.Identifier(name)))
        session = self.connect(Login(name, "testing"))
        self.admin(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(sql.Identifier(name)))
        return session

    @contextmanager
    def trusting_everybody(self) -> Iterator[None]:
        """Let the server ask nobody for a password."""
        ((path,),) = self.admin("SELECT current_setting('hba_file')")
        strict = Path(path).read_text()  # shared by all servers
        try:
            Path(path).write_text("local all all trust\nhost all all all trust\n")
            self.admin("SELECT pg_reload_conf()")
            yield
        finally:
            Path(path).write_text(strict)

    def logins(self) -> tuple[str, ...]:
        """Return who can log in."""
        return PostgreSQL().logins(self.endpoint, self.master)


def user(name: str, *grants: Grant, password: str = NEW_PASSWORD) -> DesiredUser:
    """Return a user with a password."""
    return DesiredUser(name, password, grants=grants)


def login(name: str, password: str = NEW_PASSWORD) -> Login:
    """Return the login of ``user(name)``."""
    return Login(name, password)


def grant(preset: str | None = None, **fields: Any) -> Grant:
    """Return a grant."""
    return Grant.model_validate({"preset": preset, **fields})


def _ready_for_leftovers(servers: PostgresServers, database: Database) -> None:
    """Let copies have logical slots, and pg_cron where there is one: Debian's, or from 18 on a stand-in's tables."""
    database.admin("ALTER SYSTEM SET wal_level = logical")
    if database.version >= 180_000:
        database.admin(sql.SQL("ALTER SYSTEM SET extension_control_path = {}").format(_stand_in(servers.directory)))
    elif CRON_LIBRARY.exists():
        database.admin("ALTER SYSTEM SET shared_preload_libraries = 'pg_cron'")


def _stand_in(directory: Path) -> sql.Literal:
    """Write an extension with pg_cron's name, table and row security, and return the path on which it is found.

    And one with pglogical's name.
    """
    extensions = directory / "stand-in" / "extension"
    extensions.mkdir(parents=True)
    for name, text in {"pg_cron": _STAND_IN, "pglogical": "CREATE SCHEMA pglogical"}.items():
        control = "default_version = '1.6'\nrelocatable = false\nschema = pg_catalog\n"
        (extensions / f"{name}.control").write_text(control)
        (extensions / f"{name}--1.6.sql").write_text(text)
    for path in (extensions.parent, extensions, *extensions.iterdir()):
        path.chmod(0o755)
    return sql.Literal(f"{extensions.parent}:$system")


def _fastest_place() -> Path | None:
    """Return a file system in memory with room for a handful of servers: a copy takes a tenth there."""
    memory = Path("/dev/shm")
    has_room = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 * 1024**3
    return memory if has_room else None


# The oldest that Debian has installed: the rules for CREATEROLE changed in 16.
DEBIANS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), Path("/usr/lib/postgresql/15/bin"))


@pytest.fixture(scope="session", params=[None, DEBIANS], ids=lambda path: "wheel" if path is None else path.parent.name)
def production(request: pytest.FixtureRequest) -> Iterator[PostgresServers]:
    """Servers with a volume ``production`` that does not run: the wheel's, and Debian's."""
    if request.param is not None and not request.param.is_dir():
        pytest.skip("PostgreSQL 15 is not installed: on Debian it is the package postgresql-15")
    # Not pytest's directory: as root it is closed to the user that the servers run as.
    directory = Path(tempfile.mkdtemp(prefix="aurora-users-", dir=_fastest_place()))
    with PostgresServers(directory, binaries=request.param, remove_on_death=True) as servers:
        servers.create("production", MASTER, None)
        database = Database(servers, "production", Endpoint("127.0.0.1", servers.start("production", None)))
        for statement in _ROLES.split(";")[:-1]:
            database.query(database.master, statement, "postgres")
        database.query(database.master, _SHOP)
        _ready_for_leftovers(servers, database)
        servers.stop("production")
        yield servers


@pytest.fixture
def restored(production: PostgresServers) -> Iterator[Database]:
    """A copy of production that runs."""
    production.clone("production", "restored")
    try:
        yield Database(production, "restored", Endpoint("127.0.0.1", production.start("restored", None)))
    finally:
        production.drop("restored")
