"""What an Aurora MySQL server of RDS is born with, and its master user, who is no superuser; done to a MariaDB."""

import json
from typing import Any, Final

from pymysql.connections import Connection

from aurora_restore.database.mysql_passwords import NATIVE, native_verifier
from aurora_restore.database.mysql_words import account, identifier, literal
from aurora_restore.embedded.dataplane import MasterUser

ADMIN: Final = "rdsadmin"
MASTER_ROLE: Final = "rds_superuser_role"
# The rest of what Aurora's master may has no like in MariaDB, or another name there (SET USER is SET_USER_ID).
_POWERS: Final = (
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "RELOAD", "PROCESS", "REFERENCES", "INDEX", "ALTER",
    "SHOW DATABASES", "CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "REPLICATION SLAVE", "BINLOG MONITOR",
    "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "CREATE USER", "EVENT", "TRIGGER",
    "SET USER", "CONNECTION ADMIN", "SLAVE MONITOR",
)  # fmt: skip
_RDS_KILL: Final = (
    "CREATE PROCEDURE mysql.rds_kill(IN thread BIGINT) SQL SECURITY DEFINER"
    " BEGIN DECLARE id BIGINT DEFAULT thread; KILL CONNECTION id; END"
)


# What has to come before the files that make the system tables.
BEFORE_SCRIPTS: Final = ("CREATE DATABASE mysql;", "USE mysql;", f"SET @auth_root_socket = '{ADMIN}';")


def administrators_row(password: str) -> tuple[str, str]:
    """Return what comes after these files: RDS's superuser has a password, and there is no other user."""
    may = {"access": 2**64 - 1, "plugin": NATIVE, "authentication_string": native_verifier(password)}
    row = ", ".join(literal(text) for text in ("localhost", ADMIN, json.dumps(may)))
    others = "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';"
    return others, f"INSERT INTO mysql.global_priv VALUES ({row});"  # noqa: S608


def create_rds_objects(connection: "Connection[Any]") -> None:
    """Make the role that the master is in, and the procedure by which it ends sessions."""
    role = identifier(MASTER_ROLE)
    for statement in (
        f"CREATE ROLE {role}",
        f"GRANT {', '.join(_POWERS)} ON *.* TO {role} WITH GRANT OPTION",
        _RDS_KILL,
    ):
        connection.query(statement)


def create_master(connection: "Connection[Any]", master: MasterUser, database: str | None) -> None:
    """Make the master user, and perhaps a database."""
    name, role = account(master.name, "%"), identifier(MASTER_ROLE)
    for statement in (
        f"CREATE USER {name} IDENTIFIED WITH {NATIVE} AS {literal(native_verifier(master.password))}",
        # On RDS the role's powers are the master's in a view or routine of its making too; MariaDB's roles end there.
        f"GRANT {', '.join(_POWERS)} ON *.* TO {name} WITH GRANT OPTION",
        f"GRANT {role} TO {name} WITH ADMIN OPTION",
        f"SET DEFAULT ROLE {role} FOR {name}",
        *([f"CREATE DATABASE {identifier(database)}"] if database else []),
    ):
        connection.query(statement)


def set_password(connection: "Connection[Any]", master: MasterUser) -> None:
    """Give the user a password. The server gets its verifier only (I6)."""
    name, stored = account(master.name, "%"), literal(native_verifier(master.password))
    connection.query(f"ALTER USER {name} IDENTIFIED WITH {NATIVE} AS {stored}")
