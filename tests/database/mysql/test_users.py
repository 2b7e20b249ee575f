"""Who can log in after step 7, tried by logging in."""

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.constants import ER

from aurora_restore.database.engine import DesiredState, DesiredUser, Endpoint, Login
from aurora_restore.database.mysql_passwords import NATIVE, is_nobodys
from aurora_restore.database_request import Leftover, Logins
from aurora_restore.errors import DatabaseRefusedError, PreflightError
from tests.database.mysql.conftest import PRODUCTION_PASSWORD, Database, engine, grant, login, user

HOSTILE = "x'@'%'; DROP USER dba;#"


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


def test_a_locked_account_has_nobodys_password_too(restored: Database) -> None:
    """Somebody unlocks it one day: production's password does not come back with that."""
    restored.apply(user("tester"))
    plugin, stored, locked = restored.account("app")
    assert (plugin, is_nobodys(stored), locked) == (NATIVE, True, "1")
    assert restored.account("app", "10.%")[1] != stored
    restored.admin("ALTER USER app@'%' ACCOUNT UNLOCK")
    for password in (PRODUCTION_PASSWORD, "", stored):
        assert not restored.lets_in(Login("app", password))


def test_the_second_run_changes_nothing(restored: Database) -> None:
    """Twice is once."""
    users = (user("analyst", grant("readonly")), user("tester", grant("owner"), roles=("reporting",)))
    assert restored.apply(*users)
    before = restored.fingerprint()
    assert restored.apply(*users) == []
    assert restored.fingerprint() == before


def test_what_is_planned_is_what_is_done(restored: Database) -> None:
    """The plan reads only, and its sentences are the audit's."""
    desired = DesiredState((user("analyst", grant("readonly")), user("tester")))
    before = restored.fingerprint()
    planned = engine().plan(restored.endpoint, restored.master, desired)
    assert restored.fingerprint() == before
    assert engine().apply(restored.endpoint, restored.master, desired).changes == planned


def test_another_account_of_the_masters_name_is_production_s(restored: Database) -> None:
    """RDS gives dba@% a new password; dba@10.% still had the old one."""
    restored.apply()
    assert restored.account("dba", "10.%")[2] == "1"
    assert restored.account("dba")[2] == "0"
    assert restored.logins() == ("dba",)


def test_a_narrower_account_of_a_users_name_is_the_users_too(restored: Database) -> None:
    """Whoever comes from 10.… meets app@10.% before app@%: it must not be a locked door, nor an old one."""
    restored.apply(user("app", grant("readonly")))
    stored = restored.account("app")
    assert restored.account("app", "10.%") == stored
    (held,) = restored.admin("SELECT COUNT(*) FROM mysql.db WHERE User = 'app' AND Select_priv = 'Y' AND Host = '10.%'")
    assert held[0] == 3
    restored.apply(user("app", grant("readonly"), host="10.%"))
    assert restored.logins() == ("app@10.%", "dba")


def test_a_narrower_account_is_found_by_its_network_too(restored: Database) -> None:
    """By netmask or by %; one for no host at all stands before nobody's, and is closed."""
    for host in ("10.0.1.5", "10.0.1.%", "10.1.0.0/255.255.0.0", "192.168.0.1", ""):
        restored.admin(f"CREATE USER narrow@'{host}' IDENTIFIED BY '{PRODUCTION_PASSWORD}'")
    one = user("narrow", host="10.0.0.0/255.255.0.0")
    restored.apply(one)
    assert restored.logins() == ("dba", "narrow@10.0.0.0/255.255.0.0", "narrow@10.0.1.%", "narrow@10.0.1.5")
    assert restored.apply(one) == []


def test_a_user_may_be_called_like_a_role(restored: Database) -> None:
    """MariaDB's have no host. Not proven here: in MySQL it is the role that becomes a user, and loses what it held."""
    one = user("reporting", grant("readonly", database="shop_2"))
    restored.apply(one)
    assert restored.apply(one) == []
    assert restored.lets_in(login("reporting"), "shop_2")


def test_an_account_that_the_server_leaves_out_is_left_out(restored: Database) -> None:
    """At a host's name, where no names are resolved: MariaDB has such an account in its table only, and alters none."""
    restored.admin(f"CREATE USER web@'web1.example.com' IDENTIFIED BY '{PRODUCTION_PASSWORD}'")
    restored.admin(f"CREATE USER `o'web`@'%' IDENTIFIED BY '{PRODUCTION_PASSWORD}'")
    restored.servers.stop(restored.volume)
    restored.endpoint = Endpoint("127.0.0.1", restored.servers.start(restored.volume, None))
    said = restored.apply(user("tester"))
    assert "o'web can no longer log in" in said
    assert not any("web1" in each for each in said)
    assert restored.logins() == ("dba", "tester")


def test_a_host_may_be_written_in_capitals(restored: Database) -> None:
    """MySQL keeps it in small letters: what is made is found again."""
    one = user("tester", grant("readonly"), host="Ip-10.EC2.Internal")
    restored.apply(one)
    assert restored.apply(one) == []
    assert restored.logins() == ("dba", "tester@ip-10.ec2.internal")


def test_a_name_like_rds_s_or_the_servers_own_is_production_s_where_somebody_can_log_in_by_it(
    restored: Database,
) -> None:
    """MySQL's own log in on the server only, its threads have no account, and RDS's roles let nobody in."""
    names = ("mysql.sys", "system user", "AWS_LAMBDA_ACCESS", "rds_superuser_role", "rdsproxyadmin2")
    for name in names:
        restored.admin(f"CREATE USER '{name}'@'%' IDENTIFIED BY '{PRODUCTION_PASSWORD}'")
    restored.apply(user("tester"))
    assert not any(restored.lets_in(Login(name, PRODUCTION_PASSWORD), "information_schema") for name in names)
    assert restored.logins() == ("dba", "tester")
    (remark,) = engine().remarks(restored.endpoint, restored.master, DesiredState((user("tester"),)))
    assert remark.startswith("rdsproxyadmin can log in and was left alone, because its name is one of RDS's")


def test_an_account_without_a_name_is_dropped(restored: Database) -> None:
    """It would be met before every user's account, by all who come from its host."""
    restored.admin("CREATE USER ''@'10.%'")
    assert "the account without a name at 10.% is dropped" in restored.apply(user("tester"))
    assert restored.admin("SELECT 1 FROM mysql.user WHERE User = '' AND is_role = 'N'") == []


def test_sessions_of_the_closed_end_and_those_of_the_open_go_on(restored: Database) -> None:
    """A session outlives its account's lock; production's must not."""
    restored.apply(user("tester", grant("readonly")))
    restored.admin(f"ALTER USER app@'%' IDENTIFIED BY '{PRODUCTION_PASSWORD}' ACCOUNT UNLOCK")
    stays, ends = restored.connect(login("tester")), restored.connect(Login("app", PRODUCTION_PASSWORD))
    said = restored.apply(user("tester", grant("readonly")))
    assert "1 session of app ends" in said
    stays.ping(reconnect=False)
    with pytest.raises(pymysql.MySQLError):
        ends.ping(reconnect=False)


def test_a_session_of_the_master_s_does_not_outlive_the_change(restored: Database) -> None:
    """It may have been begun by production's password, before RDS replaced it. Who comes later may stay."""
    early = restored.connect(restored.master)
    restored.apply(user("tester"))
    with pytest.raises(pymysql.MySQLError):
        early.ping(reconnect=False)
    later = restored.connect(restored.master)
    assert restored.apply(user("tester")) == []
    later.ping(reconnect=False)


def test_sessions_of_names_that_differ_by_a_capital_or_an_accent_are_told_apart(restored: Database) -> None:
    """MySQL's accounts differ by them, and its list of processes does not."""
    for name in ("Tester", "tëster"):
        restored.admin(f"CREATE USER {name}@'%' IDENTIFIED BY '{PRODUCTION_PASSWORD}'")
    restored.apply(user("tester", grant("readonly")), logins=Logins.KEEP)
    stays = restored.connect(login("tester"))
    others = [restored.connect(Login(name, PRODUCTION_PASSWORD), None) for name in ("Tester", "tëster")]
    said = restored.apply(user("tester", grant("readonly")))
    assert {"1 session of Tester ends", "1 session of tëster ends"} <= set(said)
    stays.ping(reconnect=False)
    for each in others:
        with pytest.raises(pymysql.MySQLError):
            each.ping(reconnect=False)


def test_a_session_of_a_user_whose_name_rds_finds_too_long_ends_too(restored: Database) -> None:
    """RDS's procedure has room for 16 characters in some versions. What nothing can end is told, with all closed."""
    name = "an_application_of_32_characters_"
    restored.admin(f"CREATE USER {name}@'%' IDENTIFIED BY '{PRODUCTION_PASSWORD}'")
    restored.admin("DROP PROCEDURE mysql.rds_kill")
    session = restored.connect(Login(name, PRODUCTION_PASSWORD), None)
    restored.apply(user("tester"))
    with pytest.raises(pymysql.MySQLError):
        session.ping(reconnect=False)
    restored.admin(f"ALTER USER {name}@'%' IDENTIFIED BY '{PRODUCTION_PASSWORD}' ACCOUNT UNLOCK")
    session = restored.connect(Login(name, PRODUCTION_PASSWORD), None)
    for whose in ("rds_superuser_role", "dba@'%'"):
        restored.admin(f"REVOKE CONNECTION ADMIN ON *.* FROM {whose}")
    with pytest.raises(DatabaseRefusedError, match=r"refused to end a session.*rds_kill"):
        restored.apply(user("tester"))
    assert restored.logins() == ("dba", "tester")
    session.close()


def test_a_lock_of_production_s_session_ends_with_it(restored: Database) -> None:
    """A backup that came with its tool to the copy holds a lock that each change of an account would wait for."""
    restored.admin("GRANT LOCK TABLES, SELECT ON mysql.* TO app@'%'")
    backup = restored.connect(Login("app", PRODUCTION_PASSWORD), None)
    backup.query("LOCK TABLES mysql.global_priv READ")
    restored.apply(user("tester"))
    assert restored.logins() == ("dba", "tester")


def test_limits_that_are_made_for_an_application_do_not_end_the_step(restored: Database) -> None:
    """The cluster's parameters let a statement, a pause, a lock take next to no time, and write only who says so."""
    limits = []

    class Telling(Connection):
        def close(self) -> None:
            with self.cursor() as cursor:
                cursor.execute("SELECT @@max_statement_time, @@wait_timeout, @@innodb_lock_wait_timeout")
                limits.append(cursor.fetchone())
            super().close()

    restored.admin(
        "SET GLOBAL tx_read_only = 1, max_statement_time = 1, wait_timeout = 2, innodb_lock_wait_timeout = 1"
    )
    desired = DesiredState((user("tester", grant("readonly")),))
    assert engine(connect=Telling).apply(restored.endpoint, restored.master, desired).is_whole
    assert limits == [(0, 900, 30)]


def test_a_server_that_shows_the_first_rows_only_hides_no_account(restored: Database) -> None:
    """sql_select_limit: who is not seen would not be closed, and not be missed when all is read back."""
    restored.admin("SET GLOBAL sql_select_limit = 2")
    restored.apply(user("tester", grant("readonly")))
    restored.admin("SET GLOBAL sql_select_limit = DEFAULT")
    assert restored.logins() == ("dba", "tester")


def test_a_users_sessions_with_production_s_password_end(restored: Database) -> None:
    """The listed user came with the data, and somebody was in before step 7."""
    session = restored.connect(Login("analyst", PRODUCTION_PASSWORD))
    assert "1 session of analyst ends" in restored.apply(user("analyst", grant("readonly")))
    with pytest.raises(pymysql.MySQLError):
        session.ping(reconnect=False)


def test_events_are_disabled_and_keep_their_definers(restored: Database) -> None:
    """They would act by themselves; and as ours, once enabled again, they would run with the master's powers."""
    assert restored.admin("SELECT @@event_scheduler") == [("OFF",)]
    said = restored.apply(user("tester"))
    found = restored.admin("SELECT EVENT_NAME, STATUS, DEFINER FROM information_schema.EVENTS ORDER BY 1")
    assert found == [
        ("asleep", "DISABLED", "dba@%"),
        ("nightly", "DISABLED", "dba@%"),
        ("the `event", "DISABLED", "app@%"),
    ]
    assert "the event nightly of shop is disabled" in said
    assert restored.apply(user("tester")) == []


def test_a_database_that_is_called_nearly_like_the_servers_own_is_production_s(restored: Database) -> None:
    """To MySQL a name's capitals matter: Sys is not sys."""
    restored.query(restored.master, "CREATE DATABASE Sys", None)
    restored.query(restored.master, "CREATE EVENT Sys.nightly ON SCHEDULE EVERY 1 DAY DO DO 1", None)
    assert "the event nightly of Sys is disabled" in restored.apply(user("tester", grant("readonly")))
    assert restored.lets_in(login("tester"), "Sys")


def test_an_event_that_the_master_may_not_stop_keeps_no_login_open(restored: Database) -> None:
    """I7: what is refused is told in the end, when all that can be closed is closed."""
    session = restored.connect(Login("analyst", PRODUCTION_PASSWORD))
    for whose in ("rds_superuser_role", "dba@'%'"):
        restored.admin(f"REVOKE SET USER ON *.* FROM {whose}")
    with pytest.raises(DatabaseRefusedError, match="SET USER"):
        restored.apply(user("tester"))
    assert restored.logins() == ("dba",)
    with pytest.raises(pymysql.MySQLError):
        session.ping(reconnect=False)
    restored.apply(user("tester"), leftovers=frozenset({Leftover.EVENTS}))


def test_an_account_that_the_master_may_not_close_keeps_no_other_open(restored: Database) -> None:
    """I7: accounts are closed together, and one by one where that is refused."""

    class Refusing(Connection):
        def query(self, sql: str | bytes, unbuffered: bool = False) -> int:  # noqa: FBT001, FBT002
            text = sql if isinstance(sql, str) else sql.decode()
            if text.startswith("ALTER USER") and "`app`@`10.%`" in text:
                raise pymysql.OperationalError(ER.SPECIFIC_ACCESS_DENIED_ERROR, "you need the SYSTEM_USER privilege(s)")
            return int(super().query(sql, unbuffered))

    with pytest.raises(DatabaseRefusedError, match="SYSTEM_USER"):
        engine(connect=Refusing).apply(restored.endpoint, restored.master, DesiredState((user("tester"),)))
    assert restored.logins() == ("app@10.%", "dba")


def test_rds_s_own_events_are_not_touched(restored: Database) -> None:
    """Nobody but RDS may alter what is in mysql: to try would fail every restore."""
    restored.admin("CREATE EVENT mysql.ev_rds_gsh_collector ON SCHEDULE EVERY 1 DAY DO DO 1")
    restored.apply(user("tester"))
    found = restored.admin("SELECT EVENT_NAME FROM information_schema.EVENTS WHERE STATUS = 'ENABLED'")
    assert found == [("ev_rds_gsh_collector",)]


def test_events_that_are_to_be_kept_are_kept(restored: Database) -> None:
    """keep: events."""
    before = restored.admin("SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS ORDER BY 1")
    restored.apply(user("tester"), leftovers=frozenset({Leftover.EVENTS}))
    assert restored.admin("SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS ORDER BY 1") == before


def test_logins_can_be_kept(restored: Database) -> None:
    """logins: keep leaves production's users and their sessions; the listed ones are set up all the same."""
    session = restored.connect(Login("app", PRODUCTION_PASSWORD))
    restored.apply(user("analyst", grant("readonly")), logins=Logins.KEEP)
    session.ping(reconnect=False)
    assert restored.lets_in(Login("app", PRODUCTION_PASSWORD))
    assert restored.lets_in(login("analyst"))
    assert not restored.lets_in(Login("analyst", PRODUCTION_PASSWORD))


def test_any_name_is_only_a_name(restored: Database) -> None:
    """Names are names whatever they contain: made, granted, found again, locked out."""
    names = [HOSTILE, "Ünïcode Größe", "%s {} $1", "a.b", "ж" * 32, "SELECT", "`; SELECT `", 'quo"te', "back\\slash"]
    database = "a'; b`c_%\\"
    restored.query(restored.master, "CREATE DATABASE `a'; b``c_%\\`")
    restored.query(restored.master, "CREATE DATABASE `a'; b``cxyz\\`")
    restored.query(restored.master, "CREATE TABLE `a'; b``c_%\\`.`%s; DROP` AS SELECT 7 AS n")
    users = [user(name, grant("readonly", database=database)) for name in names]
    assert restored.apply(*users)
    assert restored.apply(*users) == []
    for name in names:
        assert restored.query(login(name), "SELECT n FROM `%s; DROP`", database) == [(7,)]
        assert not restored.lets_in(login(name), "a'; b`cxyz\\")
    restored.apply(user("other"))
    assert restored.logins() == ("dba", "other")


def test_names_are_quoted_whatever_the_server_takes_for_quotes_and_escapes(restored: Database) -> None:
    """sql_mode is the parameter group's: a backslash may escape, or be a character; double quotes may be a name's."""
    restored.admin("SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
    users = [user(name, grant("readonly")) for name in (HOSTILE, "\\' OR 1=1; --", 'quo"te', "back\\")]
    restored.apply(*users)
    assert restored.apply(*users) == []
    assert restored.logins() == tuple(sorted(("dba", *(one.name for one in users))))


def test_who_and_what_was_renamed_is_what_it_is_called_now(restored: Database) -> None:
    """Names are looked up anew in each run: a renamed user is somebody else, and closed."""
    users = (user("tester", grant("readonly")), user("keeper", grant(privileges=["DELETE"], database="shop")))
    restored.apply(*users)
    restored.admin("RENAME USER tester@'%' TO impostor@'%'")
    restored.admin("CREATE TABLE shop.fresh AS SELECT 1 AS n")
    restored.admin("RENAME TABLE shop.fresh TO shop.renamed")
    assert restored.lets_in(login("impostor"))
    restored.apply(*users)
    assert restored.logins() == ("dba", "keeper", "tester")
    assert not restored.lets_in(login("impostor"))
    assert restored.query(login("tester"), "SELECT n FROM renamed") == [(1,)]
    assert restored.query(login("keeper"), "DELETE FROM renamed") == []
    assert restored.apply(*users) == []


@pytest.mark.parametrize("password", ["Größe ж 日本", "'; DROP USER dba; --", 'back\\slash"quote`', "x" * 200])
def test_any_password_is_only_a_password(restored: Database, password: str) -> None:
    """What the secret holds is what logs in."""
    restored.apply(user("tester", password=password))
    assert restored.lets_in(Login("tester", password), "information_schema")
    assert restored.apply(user("tester", password=password)) == []


def test_an_iam_user_has_no_password(restored: Database) -> None:
    """And one who becomes a user with a password has no other way in any more.

    Not proven here: AWSAuthenticationPlugin, which only RDS has; one that lets nobody in from outside stands for it.
    """
    robot = DesiredUser("robot", None, iam=True, grants=(grant("readonly"),))
    restored.apply(robot, DesiredUser("analyst", None, iam=True))
    assert restored.account("robot")[:2] == ("unix_socket", "RDS")
    assert not restored.lets_in(Login("analyst", PRODUCTION_PASSWORD))
    assert restored.apply(robot, DesiredUser("analyst", None, iam=True)) == []
    restored.apply(user("robot"))
    assert restored.account("robot")[0] == NATIVE
    assert restored.lets_in(login("robot"), "information_schema")


def test_a_users_limit_is_the_request_s(restored: Database) -> None:
    """Production's limits, of three connections and one query an hour, go or becomes the one that is asked for."""
    limits = "SELECT max_user_connections, max_questions FROM mysql.user WHERE User = 'analyst' AND Host = '%'"
    restored.apply(user("analyst"))
    restored.admin("ALTER USER analyst@'%' WITH MAX_QUERIES_PER_HOUR 1")
    restored.apply(user("analyst"))
    assert restored.admin(limits) == [(0, 0)]
    restored.apply(user("analyst", connection_limit=2))
    assert restored.admin(limits) == [(2, 0)]
    assert restored.apply(user("analyst", connection_limit=2)) == []


def test_an_expired_or_locked_user_can_log_in_again(restored: Database) -> None:
    """Both are production's, not the request's."""
    restored.admin("ALTER USER analyst@'%' ACCOUNT LOCK")
    restored.admin("ALTER USER app@'%' PASSWORD EXPIRE")
    restored.apply(user("analyst", grant("readonly")), user("app", grant("readonly")))
    for name in ("analyst", "app"):
        assert restored.query(login(name), "SELECT COUNT(*) FROM orders") == [(3,)]


def test_roles_are_joined_left_and_active_from_the_login_on(restored: Database) -> None:
    """Not proven here: several active roles at once, which MySQL has and MariaDB has not."""
    restored.apply(user("tester", roles=("reporting",)), user("analyst"))
    assert restored.query(login("tester"), "SELECT * FROM shop.products", None) == [(1, "pen")]
    assert restored.admin("SELECT User FROM mysql.roles_mapping WHERE Role = 'reporting' AND Admin_option = 'N'") == [
        ("tester",)
    ]
    restored.apply(user("tester"))
    assert not restored.lets_in(login("tester"), "shop")


def test_a_role_can_be_handed_on_by_nobody_who_is_in_it(restored: Database) -> None:
    """WITH ADMIN OPTION was production's: the role stays, and stays active."""
    restored.query(restored.master, "GRANT reporting TO app@'%' WITH ADMIN OPTION", None)
    one = user("app", roles=("reporting",))
    assert "app may hand the role reporting on no more" in restored.apply(one)
    assert restored.apply(one) == []
    assert restored.query(login("app"), "SELECT * FROM shop.products", None) == [(1, "pen")]
    with pytest.raises(pymysql.MySQLError):
        restored.query(login("app"), "GRANT reporting TO dba@'10.%'", None)


def test_a_role_of_rds_s_that_the_master_is_in_by_another_can_be_given(restored: Database) -> None:
    """Aurora's master has AWS_LAMBDA_ACCESS and its like by rds_superuser_role."""
    restored.admin("CREATE ROLE AWS_LAMBDA_ACCESS")
    restored.admin("GRANT AWS_LAMBDA_ACCESS TO rds_superuser_role WITH ADMIN OPTION")
    restored.apply(user("tester", roles=("AWS_LAMBDA_ACCESS",)))
    assert ("tester",) in restored.admin("SELECT User FROM mysql.roles_mapping WHERE Role = 'AWS_LAMBDA_ACCESS'")


def test_everything_impossible_is_said_at_once_and_nothing_is_changed(restored: Database) -> None:
    """The master as a user, RDS's name, what is not there: one error, no change."""
    before = restored.fingerprint()
    absent = (grant(privileges=["SELECT"], database="shop", table="gone"), grant("owner", database="none"))
    with pytest.raises(PreflightError) as caught:
        restored.apply(user("dba"), user("mysql.sys"), user("tester", *absent, roles=("nobody",)))
    assert len(caught.value.problems) == 5
    assert "table gone in database shop" in str(caught.value)
    assert restored.fingerprint() == before


def test_500_logins_of_production_become_three_and_no_password_is_logged(restored: Database) -> None:
    """I6, I7: exactly the three log in; the server's log of every statement holds no password."""
    for start in range(0, 500, 100):
        names = ", ".join(f"prod_{number}@'%' IDENTIFIED BY 'testing-{number}'" for number in range(start, start + 100))
        restored.admin(f"CREATE USER {names}")
    log = restored.log_everything()
    living = [user(f"prod_{number}", grant("readonly"), password=f"testing-new-{number}") for number in (7, 77, 477)]
    restored.apply(*living)
    restored.admin("SET GLOBAL general_log = OFF")
    assert restored.logins() == ("dba", "prod_477", "prod_7", "prod_77")
    assert restored.lets_in(Login("prod_77", "testing-new-77"))
    assert not restored.lets_in(Login("prod_78", "testing-78"), "information_schema")
    said = log.read_text(errors="replace")
    assert "ALTER USER" in said
    assert "testing" not in said


def test_a_user_of_another_password_is_refused_with_no_password_told(restored: Database) -> None:
    """I6: what the server or the driver says of a login goes on without it."""
    with pytest.raises(DatabaseRefusedError) as caught:
        engine().plan(restored.endpoint, Login("dba", "testing-wrong"), DesiredState(()))
    assert "testing-wrong" not in repr(caught.value) + str(caught.value.__cause__) + str(caught.value.__context__)
