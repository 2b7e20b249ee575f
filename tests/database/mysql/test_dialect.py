"""What no MariaDB can prove: the statements for MySQL 8 as they are sent, and the verifiers that it takes."""

from dataclasses import replace

from aurora_restore.database.engine import DesiredState, DesiredUser, engine_for
from aurora_restore.database.mysql import MySQL
from aurora_restore.database.mysql_dialect import MYSQL
from aurora_restore.database.mysql_passwords import (
    NATIVE,
    SHA2,
    is_for,
    is_nobodys,
    nobodys_verifier,
    sha2_verifier,
    verifier,
)
from aurora_restore.database.mysql_plan import make_plan
from aurora_restore.database.mysql_server import Account, Server, account_in, patterns_by, plugin_by
from aurora_restore.database.mysql_words import matches, pattern_of
from tests.database.mysql.conftest import grant, user

NOBODYS = {plugin: nobodys_verifier(plugin, bytes(20)) for plugin in (NATIVE, SHA2)}
NO_LIMITS = "MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0 MAX_CONNECTIONS_PER_HOUR 0"
PRODUCTION_S = "$A$005$" + "s" * 20 + "p" * 43


def server(*accounts: Account, default_plugin: str = NATIVE, **fields: object) -> Server:
    """Return a server as it would be read, with these accounts and an empty database ``shop_1``."""
    names = {account.name: account for account in (Account(("admin", "%"), NATIVE, "*A"), *accounts)}
    read = {
        "me": ("admin", "%"), "default_plugin": default_plugin, "accounts": names, "holdings": {}, "memberships": {},
        "default_roles": {}, "databases": {"shop_1": r"shop\_1"}, "events": (), "sessions": {}, "mandatory_roles": "",
        "handed_on": {}, "reserved": MYSQL.reserved,
    }  # fmt: skip
    return Server(**{**read, **fields})  # type: ignore[arg-type]


def statements(found: Server, *users: DesiredUser) -> list[str]:
    """Return the statements for MySQL 8, in their order."""
    plan = make_plan(found, DesiredState(users), MYSQL, bytes)
    return [action.statement for action in (*plan.first, *plan.rest)]


def test_production_speaks_mysql_8() -> None:
    """MariaDB's ways come from the embedded account only."""
    engine = engine_for("aurora-mysql")
    assert isinstance(engine, MySQL)
    assert engine._dialect is MYSQL


def test_a_password_s_user_iam_s_user_a_role_and_a_locked_one() -> None:
    """Plugins by WITH and AS, roles with a host, and active by SET DEFAULT ROLE … TO."""
    listed = user("app", grant("readonly"), roles=("reporting", "writing"), connection_limit=5)
    found = server(
        Account(("old", "10.%"), SHA2, PRODUCTION_S),
        Account(("reporting", "%"), SHA2, "", locked=True, expired=True, is_role=True),
        Account(("mysql.sys", "localhost"), SHA2, "x", locked=True),
        Account(("rdsadmin", "localhost"), NATIVE, "*B"),
    )
    assert statements(found, listed, DesiredUser("robot", None, iam=True)) == [
        f"ALTER USER `old`@`10.%` IDENTIFIED WITH mysql_native_password AS '{NOBODYS[NATIVE]}' ACCOUNT LOCK",
        (
            "CREATE USER IF NOT EXISTS `robot`@`%` IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'"
            f" WITH {NO_LIMITS} MAX_USER_CONNECTIONS 0 ACCOUNT UNLOCK"
        ),
        (
            "CREATE USER IF NOT EXISTS `app`@`%` IDENTIFIED WITH mysql_native_password AS"
            f" '{verifier(NATIVE, str(listed.password), bytes(20))}'"
            f" WITH {NO_LIMITS} MAX_USER_CONNECTIONS 5 ACCOUNT UNLOCK"
        ),
        r"GRANT SELECT, SHOW VIEW ON `shop\_1`.* TO `app`@`%`",
        "GRANT `reporting`@`%` TO `app`@`%`",
        "GRANT `writing`@`%` TO `app`@`%`",
        "SET DEFAULT ROLE `reporting`@`%`, `writing`@`%` TO `app`@`%`",
    ]


def test_a_role_that_was_to_be_handed_on_is_left_joined_and_active_again() -> None:
    """MySQL cannot take back WITH ADMIN OPTION alone, and with the membership it forgets that the role was active."""
    app, role = ("app", "%"), ("reporting", "%")
    found = server(
        Account(app, SHA2, sha2_verifier("testing-new", "abcdefghijklmnopqrst")),
        Account(role, SHA2, "", locked=True, expired=True, is_role=True),
        memberships={app: frozenset({role})}, handed_on={app: frozenset({role})},
        default_roles={app: frozenset({role})},
    )  # fmt: skip
    assert statements(found, user("app", roles=("reporting",))) == [
        "REVOKE `reporting`@`%` FROM `app`@`%`",
        "GRANT `reporting`@`%` TO `app`@`%`",
        "SET DEFAULT ROLE `reporting`@`%` TO `app`@`%`",
    ]


def test_a_role_that_all_are_in_is_taken_from_nobody() -> None:
    """mandatory_roles: MySQL refuses to revoke what is granted besides, and that would end the step."""
    app, of_all, old = ("app", "%"), ("of all", "10.%"), ("old", "%")
    found = server(
        Account(app, SHA2, sha2_verifier("testing-new", "abcdefghijklmnopqrst")),
        memberships={app: frozenset({of_all, old})}, handed_on={app: frozenset({of_all})},
        mandatory_roles="`of all`@`10.%`, plain,'quo''ted'@`a.b`",
    )  # fmt: skip
    assert found.roles_of_all == {of_all, ("plain", "%"), ("quo'ted", "a.b")}
    assert statements(found, user("app")) == ["REVOKE `old`@`%` FROM `app`@`%`"]
    its_own = {app: frozenset({old})}
    found = replace(found, memberships=its_own, handed_on=its_own, default_roles=its_own, mandatory_roles="old")
    assert statements(found, user("app", roles=("old",))) == []


def test_with_partial_revokes_a_database_s_name_is_no_pattern() -> None:
    """MySQL compares letter by letter then: with an escape in it a grant would be on nothing."""
    names = ("shop_1", "mysql")
    assert patterns_by({"partial_revokes": "OFF"}, names) == {"shop_1": r"shop\_1"}
    found = server(databases=patterns_by({"partial_revokes": "ON"}, names))
    assert "GRANT SELECT, SHOW VIEW ON `shop_1`.* TO `app`@`%`" in statements(found, user("app", grant("readonly")))


def test_a_pattern_is_never_longer_than_its_column() -> None:
    """What finds no room for an escape is one wildcard for one character, also where it is a percent sign."""
    assert pattern_of("a_b%c\\d") == "a\\_b\\%c\\\\d"
    for name in ("_" * 64, "a" * 60 + "_%\\%", "x_" * 30, "%" * 40, "a_" * 31 + "%%"):
        pattern = pattern_of(name)
        assert len(pattern) == 64 or pattern.count("\\") == sum(name.count(each) for each in "_%\\")
        assert matches(pattern, name)
        assert not matches(pattern, f"{name}x")


def test_the_plugin_is_the_one_that_the_cluster_makes_passwords_with() -> None:
    """MySQL 8.4 has another variable for it, which in 8.0 stands before the older one."""
    older = "default_authentication_plugin"
    assert plugin_by({}) == NATIVE
    assert plugin_by({older: SHA2}) == SHA2
    assert plugin_by({older: NATIVE, "authentication_policy": "*,,"}) == NATIVE
    assert plugin_by({older: NATIVE, "authentication_policy": f"{SHA2},,"}) == SHA2
    assert plugin_by({"authentication_policy": "*,,"}) == SHA2
    assert plugin_by({"authentication_policy": f"*:{NATIVE},,"}) == NATIVE


def test_where_the_cluster_s_plugin_is_the_newer_one_verifiers_are_of_it() -> None:
    """default_authentication_plugin = caching_sha2_password: what clients are ready for is what accounts get."""
    found = server(Account(("old", "%"), NATIVE, "*A"), default_plugin=SHA2)
    lock, create = statements(found, user("app"))
    assert f"IDENTIFIED WITH caching_sha2_password AS '{NOBODYS[SHA2]}' ACCOUNT LOCK" in lock
    assert f"IDENTIFIED WITH caching_sha2_password AS '{sha2_verifier('testing-new', '.' * 20)}'" in create


def test_an_account_with_the_right_password_is_left_alone_whichever_plugin_it_has() -> None:
    """The salt is in what the server stores, and so is what there is to compare with."""
    stored = sha2_verifier("testing-new", "abcdefghijklmnopqrst")
    assert statements(server(Account(("app", "%"), SHA2, stored)), user("app")) == []


def test_second_passwords_of_production_s_are_discarded() -> None:
    """After ALTER USER … RETAIN CURRENT PASSWORD a new password leaves the old one good: of users and the master."""
    right = sha2_verifier("testing-new", "abcdefghijklmnopqrst")
    found = server(
        Account(("admin", "%"), NATIVE, "*A", has_old_password=True),
        Account(("app", "%"), SHA2, right, has_old_password=True),
        Account(("old", "%"), NATIVE, NOBODYS[NATIVE], locked=True, has_old_password=True),
    )
    lock, discard, unlock = statements(found, user("app"))
    assert lock.endswith("ACCOUNT LOCK")
    names = ("app", "old", "admin")
    assert discard == f"ALTER USER {', '.join(f'`{name}`@`%` DISCARD OLD PASSWORD' for name in names)}"
    assert unlock.endswith("ACCOUNT UNLOCK")


def test_mysql_s_own_table_tells_of_a_second_password() -> None:
    """As MySQL 8 stores it, in a column that MariaDB does not have."""
    row = {
        "User": "app", "Host": "%", "plugin": SHA2, "authentication_string": PRODUCTION_S, "account_locked": "N",
        "password_expired": "N", "is_role": 0, "max_user_connections": 0, "ssl_type": "",
        "max_questions": 0, "max_updates": 0, "max_connections": 0,
    }  # fmt: skip
    for attributes, has_one in ((None, False), ('{"metadata": {}}', False), ('{"additional_password": "*C"}', True)):
        assert account_in({**row, "User_attributes": attributes}).has_old_password is has_one
    assert not account_in(row).has_old_password


def test_verifiers_are_those_that_mysql_makes() -> None:
    """Published examples: MySQL's for the first, SHA-crypt's (its own specification's third) for the second's heart."""
    assert verifier(NATIVE, "password", b"") == "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
    made = sha2_verifier("testing", "abcdefghijklmnopqrst")
    assert len(made) == 70
    assert is_for(SHA2, made, "testing")
    assert not is_for(SHA2, made, "Testing")
    assert not is_for(SHA2, made[:-1], "testing")
    assert not is_for("AWSAuthenticationPlugin", "RDS", "RDS")


def test_nobodys_verifiers_are_well_formed_random_and_known_again() -> None:
    """MySQL takes 41 characters after * for the one, 70 for the other; no account shares its own with another."""
    for plugin, length in ((NATIVE, 41), (SHA2, 70)):
        first, second = NOBODYS[plugin], nobodys_verifier(plugin, b"r" * 20)
        assert len(first) == len(second) == length
        assert first != second
        assert is_nobodys(first)
        assert is_nobodys(second)
        assert not is_nobodys(verifier(plugin, "testing", bytes(20)))
    assert int(NOBODYS[NATIVE][1:], 16)
    assert not is_nobodys("")


def test_a_password_in_nobody_s_salt_is_somebody_s() -> None:
    """Who may choose the salt, as production's administrators could, makes no verifier that is taken for nobody's."""
    salt = NOBODYS[SHA2][len("$A$005$") :][:20]
    assert not is_nobodys(sha2_verifier("testing-production", salt))
