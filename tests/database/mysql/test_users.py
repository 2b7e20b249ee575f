"""Who can log in after step 7, tried by logging in."""

from aurora_restore.database.engine import Login
from tests.database.mysql.conftest import PRODUCTION_PASSWORD, Database, grant, login, user


def test_exactly_the_listed_users_can_log_in(restored: Database) -> None:
    """I7: production's users are locked, the listed ones have new passwords, the master's and RDS's stay."""
    rds = restored.account("rdsproxyadmin")
    said = restored.apply(user("analyst", grant("readonly")), user("tester", grant("readwrite")))
    assert restored.logins() == ("analyst", "analyst@localhost", "dba", "tester")
    for name in ("analyst", "tester"):
        assert restored.lets_in(login(name))
        assert not restored.lets_in(Login(name, PRODUCTION_PASSWORD))
    assert not restored.lets_in(Login("app", PRODUCTION_PASSWORD))
    assert restored.lets_in(restored.master)
    assert restored.account("rdsproxyadmin") == rds
    assert "app can no longer log in" in said
    assert "tester is made, and logs in with a password" in said
