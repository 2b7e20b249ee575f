"""What a person is told of what step 7 leaves as it is."""

import pymysql
import pytest

from aurora_restore.database.engine import DesiredState, DesiredUser
from aurora_restore.database.scripts import Statement
from aurora_restore.errors import NotReadyError
from tests.database.mysql.conftest import Database, engine, grant, login, user


def _remark(restored: Database, *users: DesiredUser) -> str:
    found = engine().remarks(restored.endpoint, restored.master, DesiredState(users))
    (remark,) = (each for each in found if not each.startswith("rdsproxyadmin"))
    return remark


def test_a_locked_account_goes_on_being_a_definer_and_a_listed_one_with_what_it_is_granted(restored: Database) -> None:
    """An application's user made the triggers: with a preset of less its tables cannot be written. That is told."""
    for statement in (
        "GRANT EXECUTE, TRIGGER ON shop.* TO app@'%'",
        "CREATE DEFINER = app@'%' VIEW shop.theirs AS SELECT * FROM shop.orders",
        "CREATE DEFINER = app@'%' PROCEDURE shop.add_one() INSERT INTO shop.orders (product) VALUES (9)",
        (
            "CREATE DEFINER = app@'%' TRIGGER shop.count_it AFTER INSERT ON shop.products"
            " FOR EACH ROW UPDATE shop.orders SET product = product + 1"
        ),
    ):
        restored.admin(statement)
    tester = user("tester", grant("readwrite", database="shop"))
    restored.apply(tester)
    for statement in ("CALL add_one()", "INSERT INTO products VALUES (2, 'ink')"):
        restored.query(login("tester"), statement)
    assert restored.query(login("tester"), "SELECT SUM(product) FROM theirs") == [(17,)]
    app = user("app", grant("readwrite", database="shop"))
    restored.apply(tester, app)
    assert _remark(restored, tester, app) == (
        "app is the definer of shop.count_it, and is not granted TRIGGER there: each of them fails, whoever uses it"
    )
    with pytest.raises(pymysql.MySQLError, match="TRIGGER command denied"):
        restored.query(login("tester"), "INSERT INTO products VALUES (3, 'nib')")


def test_what_would_go_on_in_the_copy_and_cannot_be_stopped_is_told(restored: Database) -> None:
    """Production was a replica of something; a transaction of an XA manager's waits for its end with its locks."""
    restored.admin("DROP USER rdsproxyadmin")
    restored.admin("CHANGE MASTER TO MASTER_HOST = 'legacy.example.com', MASTER_USER = 'replica'")
    manager = restored.connect(restored.master)
    for statement in ("XA START 'x'", "DELETE FROM orders", "XA END 'x'", "XA PREPARE 'x'"):
        manager.query(statement)
    manager.close()
    replica, prepared = engine().remarks(restored.endpoint, restored.master, DesiredState(()))
    assert replica.startswith("it is set up as a replica of legacy.example.com, and once started would take changes")
    assert prepared.startswith("production left 1 transaction prepared")
    restored.admin("SET GLOBAL innodb_lock_wait_timeout = 1")
    with (
        pytest.raises(NotReadyError, match="XA RECOVER"),
        engine().session(restored.endpoint, restored.master, "shop") as session,
    ):
        session.run([Statement("UPDATE orders SET product = 1", 1)], None, lambda: 60.0)
    restored.admin("REVOKE SLAVE MONITOR ON *.* FROM dba@'%', rds_superuser_role")
    assert _remark(restored) == prepared
