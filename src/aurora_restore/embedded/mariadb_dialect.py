"""How MariaDB differs from MySQL 8 where the users are set up; for the embedded account's servers, and its alone."""

from typing import Final

from aurora_restore.database.mysql_dialect import LIMITS, RESERVED, Dialect
from aurora_restore.database.mysql_words import account, identifier


def _role(name: str) -> str:
    return identifier(name)


def _active_roles(roles: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    # There is one default role at most. Who is in several has to SET ROLE for the others.
    return frozenset((role, "%") for role in sorted(roles)[:1])


def _default_roles(user: str, host: str, roles: tuple[str, ...]) -> str:
    name = identifier(min(roles)) if roles else "NONE"
    return f"SET DEFAULT ROLE {name} FOR {account(user, host)}"


MARIADB: Final = Dialect(
    reserved=RESERVED | {"mariadb.sys"},
    # It has no plugin for IAM's tokens. Nobody gets in over the network by this one.
    iam_plugin="unix_socket",
    powers=(),
    session=(LIMITS, "SET SESSION max_statement_time = 0", "SET SESSION TRANSACTION READ WRITE"),
    accounts=(
        "SELECT u.*, IF(IFNULL(JSON_VALUE(g.priv, '$.account_locked'), 0), 'Y', 'N') AS account_locked"
        " FROM (SELECT *, is_role = 'Y' AS is_a_role FROM mysql.user) AS u"
        " JOIN mysql.global_priv AS g ON g.User = u.User AND g.Host = u.Host"
        # At its start a server that resolves no names leaves out the accounts at one: nobody can come by them, and no
        # statement finds them. MySQL only warns of them.
        " WHERE u.is_role = 'Y' OR CONCAT('''', u.User, '''@''', u.Host, '''')"
        " IN (SELECT GRANTEE FROM information_schema.USER_PRIVILEGES)"
    ),
    memberships=(
        # A role that is in another has no host either.
        "SELECT Role AS FROM_USER, '%' AS FROM_HOST, User AS TO_USER, IF(Host = '', '%', Host) AS TO_HOST,"
        " Admin_option AS WITH_ADMIN_OPTION FROM mysql.roles_mapping"
    ),
    default_roles=(
        "SELECT default_role AS FROM_USER, '%' AS FROM_HOST, User AS TO_USER, Host AS TO_HOST"
        " FROM mysql.user WHERE default_role <> ''"
    ),
    dynamic_privileges=None,
    role=_role,
    active_roles=_active_roles,
    set_default_roles=_default_roles,
    revoking_takes_roles=True,
)
