"""What a PostgreSQL server of RDS is born with, and its master user, who is no superuser."""

from typing import LiteralString

from psycopg import Connection, sql

from aurora_restore.embedded.dataplane import MasterUser

ADMIN = "rdsadmin"
RDS_ROLES: tuple[LiteralString, ...] = ("rds_superuser", "rds_iam", "rds_password", "rds_replication", "rds_ad")
# What rds_superuser may do; each since some version of PostgreSQL. As RDS, it may hand all of it on.
POWERS = (
    "pg_monitor", "pg_signal_backend", "pg_read_all_data", "pg_write_all_data", "pg_checkpoint",
    "pg_use_reserved_connections", "pg_create_subscription", "pg_maintain", "pg_signal_autovacuum_worker",
    "rds_iam", "rds_password", "rds_replication",
)  # fmt: skip


def create_rds_roles(connection: Connection) -> None:
    """Make the roles, and the database that nobody but RDS may enter."""
    for role in RDS_ROLES:
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    present = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", [list(POWERS)]).fetchall()
    for (power,) in present:
        grant = sql.SQL("GRANT {} TO rds_superuser WITH ADMIN OPTION").format(sql.Identifier(power))
        connection.execute(grant)
    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(ADMIN)))


def create_master(connection: Connection, master: MasterUser, database: str | None) -> None:
    """Make the master user, and perhaps a database that it owns."""
    name = sql.Identifier(master.name)
    connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE CREATEDB").format(name))
    connection.execute(sql.SQL("GRANT rds_superuser TO {} WITH ADMIN OPTION").format(name))
    connection.execute(sql.SQL("ALTER DATABASE postgres OWNER TO {}").format(name))
    set_password(connection, master)
    if database is not None and database != "postgres":
        create = sql.SQL("CREATE DATABASE {} OWNER {}")
        connection.execute(create.format(sql.Identifier(database), name))


def set_password(connection: Connection, master: MasterUser) -> None:
    """Give the role a password. The server gets its verifier only (I6)."""
    verifier = connection.pgconn.encrypt_password(
        master.password.encode(), master.name.encode(), b"scram-sha-256"
    ).decode()
    change = sql.SQL("ALTER ROLE {} PASSWORD {}")
    connection.execute(change.format(sql.Identifier(master.name), sql.Literal(verifier)))
