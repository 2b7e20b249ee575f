"""What differs between MySQL 8 and a server that is only much like it, in one value that is handed in.

Production is MySQL 8, Aurora MySQL 3. Nothing here asks a server what it is: another dialect comes from the caller.
"""

from collections.abc import Callable
from dataclasses import dataclass

from aurora_restore.database.mysql_words import account, literal

# Who logs in from elsewhere than localhost for RDS; its roles, which nobody logs in by; and MySQL's own at localhost.
RDS_USERS = frozenset({"rdsadmin", "rdsrepladmin", "rdsproxyadmin", "rdstopmgr", "rdswriteforwarduser"})
RDS_ROLES = frozenset(
    {
        "rds_superuser_role", "AWS_LAMBDA_ACCESS", "AWS_LOAD_S3_ACCESS", "AWS_SELECT_S3_ACCESS", "AWS_SAGEMAKER_ACCESS",
        "AWS_COMPREHEND_ACCESS", "AWS_BEDROCK_ACCESS",
    }
)  # fmt: skip
RESERVED = RDS_USERS | RDS_ROLES | {"mysql.sys", "mysql.session", "mysql.infoschema"}

# Of our own sessions. Those of production's parameter group may be made for the milliseconds of an application, or show
# the first so many rows of a table only: an account that is not seen is not closed.
LIMITS = (
    "SET SESSION lock_wait_timeout = 30, innodb_lock_wait_timeout = 30, wait_timeout = 900, sql_big_selects = 1,"
    " sql_select_limit = 18446744073709551615"
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a server is asked, and told. The queries' columns are those of MySQL 8's tables."""

    reserved: frozenset[str]
    iam_plugin: str
    # What gives the master its powers, in each of its sessions; and what those of our own begin with besides.
    powers: tuple[str, ...]
    session: tuple[str, ...]
    accounts: str
    # Columns: FROM_USER, FROM_HOST, TO_USER, TO_HOST, WITH_ADMIN_OPTION; all but the last for the roles that are active
    # from the login on.
    memberships: str
    default_roles: str
    # Columns: USER, HOST, PRIV.
    dynamic_privileges: str | None
    role: Callable[[str], str]
    # Of a user's roles those that can be active from the login on, and how they are made so.
    active_roles: Callable[[tuple[str, ...]], frozenset[tuple[str, str]]]
    set_default_roles: Callable[[str, str, tuple[str, ...]], str]
    # Whether REVOKE ALL PRIVILEGES takes a user's roles too. MySQL's takes none.
    revoking_takes_roles: bool


def _mysql_role(name: str) -> str:
    return account(name, "%")


def _mysql_active_roles(roles: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    return frozenset((role, "%") for role in roles)


def _mysql_default_roles(user: str, host: str, roles: tuple[str, ...]) -> str:
    names = ", ".join(map(_mysql_role, roles)) or "NONE"
    return f"SET DEFAULT ROLE {names} TO {account(user, host)}"


MYSQL = Dialect(
    reserved=RESERVED,
    iam_plugin="AWSAuthenticationPlugin",
    # The master's powers are a role's, which the cluster may not activate by itself.
    powers=("SET ROLE ALL",),
    session=(
        LIMITS,
        "SET SESSION max_execution_time = 0",
        "SET SESSION TRANSACTION READ WRITE",
    ),
    accounts=(
        "SELECT *, account_locked = 'Y' AND authentication_string = '' AND password_expired = 'Y' AS is_role"
        " FROM mysql.user"
    ),
    memberships="SELECT FROM_USER, FROM_HOST, TO_USER, TO_HOST, WITH_ADMIN_OPTION FROM mysql.role_edges",
    default_roles=(
        "SELECT DEFAULT_ROLE_USER AS FROM_USER, DEFAULT_ROLE_HOST AS FROM_HOST, USER AS TO_USER, HOST AS TO_HOST"
        " FROM mysql.default_roles"
    ),
    dynamic_privileges="SELECT USER, HOST, PRIV FROM mysql.global_grants",
    role=_mysql_role,
    active_roles=_mysql_active_roles,
    set_default_roles=_mysql_default_roles,
    revoking_takes_roles=False,
)


def as_stored(plugin: str, stored: str) -> str:
    """Return the clause that gives an account its plugin and what that keeps, such as a password's verifier."""
    return f"IDENTIFIED WITH {plugin} AS {literal(stored)}"
