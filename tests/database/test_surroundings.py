"""What production has put around its data: databases that are closed, settings, triggers. None of it stops step 7."""

from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from aurora_restore.database.engine import DesiredState
from aurora_restore.database.postgresql import PostgreSQL
from aurora_restore.database_request import Leftover, OwnershipTransfer
from aurora_restore.errors import DatabaseRefusedError, DatabaseUnreachableError, PreflightError
from tests.database.conftest import PRODUCTION_PASSWORD, Database, grant, login, user

CLOSING = DesiredState((), leftovers=frozenset(Leftover))
READER = user("tester", grant("readonly"))

# As many tutorials have it: without saying in which schema the table is.
_HISTORY: LiteralString = """
    CREATE TABLE public.history (what text); GRANT INSERT ON public.history TO PUBLIC;
    CREATE FUNCTION public.remember() RETURNS event_trigger LANGUAGE plpgsql
        AS 'BEGIN INSERT INTO history VALUES (tg_tag); END';
    CREATE EVENT TRIGGER changes ON ddl_command_end EXECUTE FUNCTION public.remember()
"""


def test_settings_of_master_and_databases_do_not_matter(restored: Database) -> None:
    """Neither to what our statements do nor to how their answers are written."""
    settings: list[LiteralString] = ["default_transaction_read_only = on", "datestyle = 'German'", "row_security = off"]
    settings += ["standard_conforming_strings = off", "timezone = 'Asia/Kathmandu'", "search_path = sales"]
    if restored.version >= 140_000:
        settings.append("idle_session_timeout = '1min'")
    if restored.version >= 170_000:
        settings.append("transaction_timeout = 1")
    for setting in settings:
        restored.admin("ALTER ROLE dba SET " + setting)
        restored.admin("ALTER DATABASE shop SET " + setting)
    restored.admin("ALTER ROLE analyst VALID UNTIL '2150-01-01'")
    if restored.version >= 180_000:
        restored.admin("CREATE EXTENSION pg_cron")
    restored.apply(user("tester", grant("owner")), user("analyst"))
    assert restored.apply(user("tester", grant("owner")), user("analyst")) == []


def test_event_triggers_find_their_tables(restored: Database) -> None:
    """They run as the master when it grants: with the search path that they have whenever somebody does."""
    restored.admin(_HISTORY, "shop")
    if restored.version >= 170_000:
        restored.admin("CREATE EVENT TRIGGER logins ON login EXECUTE FUNCTION public.remember()", "shop")
    restored.apply(READER)
    assert ("GRANT",) in restored.admin("SELECT what FROM public.history", "shop")
    assert restored.apply(READER) == []


def test_a_template_of_production_s_own_is_a_database(restored: Database) -> None:
    """Every tenant's is copied from it, and one can log in to it."""
    restored.admin("CREATE DATABASE golden IS_TEMPLATE true OWNER dba")
    restored.query(restored.master, "CREATE TABLE public.settings (id int)", "golden")
    restored.apply(READER)
    assert restored.may(login("tester"), "TABLE public.settings", "golden")


def test_a_database_that_keeps_the_master_out_lets_it_in(restored: Database) -> None:
    """Its owner has taken CONNECT from everybody. First all ways in are closed; users come when it was looked into."""
    restored.admin("ALTER DATABASE shop OWNER TO app; REVOKE CONNECT ON DATABASE shop FROM PUBLIC")
    desired = DesiredState((READER, user("app", grant("readonly", database="shop"))))
    first = PostgreSQL().apply(restored.endpoint, restored.master, desired)
    assert not first.is_whole
    assert "dba gets CONNECT on database shop" in first.changes[-1].sentence
    assert restored.logins() == ("dba",)
    assert PostgreSQL().apply(restored.endpoint, restored.master, desired).is_whole
    assert restored.logins() == ("app", "dba", "tester")
    assert restored.may(login("tester"), "TABLE sales.orders")
    assert restored.apply(*desired.users) == []


def test_a_database_that_cannot_be_entered_keeps_no_login_open(restored: Database) -> None:
    """It is an error that names what to do, I7 holds nevertheless, and closing alone asks for none of the databases."""
    restored.admin("REVOKE CONNECT ON DATABASE shop FROM PUBLIC, dba; ALTER DATABASE shop OWNER TO rdsadmin")
    assert PostgreSQL().apply(restored.endpoint, restored.master, CLOSING).is_whole
    assert restored.logins() == ("dba",)
    restored.again()
    restored.admin("REVOKE CONNECT ON DATABASE shop FROM PUBLIC, dba; ALTER DATABASE shop OWNER TO rdsadmin")
    in_shop = OwnershipTransfer.model_validate({"from": "app", "to": "tester", "database": "shop"})
    with pytest.raises(DatabaseRefusedError, match="run GRANT CONNECT ON DATABASE shop TO dba as rdsadmin, who owns"):
        restored.apply(READER, ownership=(in_shop,))
    assert restored.logins() == ("dba",)


def test_a_database_that_nobody_can_enter_is_left_and_told(restored: Database) -> None:
    """An archive of production's with a connection limit of 0: nobody logs in, nothing can run; a slot of it goes."""
    restored.admin("ALTER ROLE dba REPLICATION")
    restored.admin("SELECT pg_create_logical_replication_slot('to_archive', 'pgoutput')", "shop")
    restored.admin("ALTER DATABASE shop CONNECTION LIMIT 0; UPDATE pg_database SET datallowconn = false"
                   " WHERE datname = 'Große Daten'")  # fmt: skip
    assert "the replication slot to_archive of shop is dropped" in restored.apply(READER)
    assert restored.apply(READER) == []
    remarks = PostgreSQL().remarks(restored.endpoint, restored.master, DesiredState((READER,)))
    for name in ("shop", "Große Daten"):
        assert f"database {name} takes no connections: nothing in it was looked at or changed" in remarks
    with pytest.raises(DatabaseUnreachableError):
        PostgreSQL().can_log_in(restored.endpoint, login("tester"), "shop")


_IN: LiteralString = "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE_PROVIDER libc LOCALE 'C'"


def test_names_that_a_database_writes_otherwise_are_said(restored: Database) -> None:
    """PostgreSQL looks for another role there. Where no encoding was ever asked for, a name may be no text at all."""
    for name, encoding in {"old": "LATIN1", "older": "SQL_ASCII"}.items():
        restored.query(restored.master, sql.SQL(_IN).format(sql.Identifier(name), sql.Literal(encoding)))
    before = restored.fingerprint()
    for name in ("Bjørn", "€"):
        with pytest.raises(PreflightError, match=f"encoding LATIN1 of database old, PostgreSQL takes the name {name}"):
            restored.apply(user(name))
    assert restored.fingerprint() == before
    restored.query(restored.master, 'CREATE TABLE "Bjørn" (id int)', "old")
    restored.apply(READER)
    assert restored.may(login("tester"), 'TABLE "Bjørn"', "old")
    make = "DO $$ BEGIN EXECUTE convert_from('\\x637265617465207461626c652022f8222028290a', 'SQL_ASCII'); END $$"
    restored.query(restored.master, make, "older")
    with pytest.raises(DatabaseRefusedError, match=r"show what is in its database older: .* rename what has it"):
        restored.apply(READER)
    assert PostgreSQL().apply(restored.endpoint, restored.master, CLOSING).is_whole


def test_whoever_takes_the_server_s_log_of_changes_is_sent_away_too(restored: Database) -> None:
    """A consumer's connection for replication ends, also before 16, where no master may alter such a role."""
    restored.admin("ALTER ROLE analyst REPLICATION")
    consumer = psycopg.connect(
        host="127.0.0.1", port=restored.endpoint.port, user="analyst", password=PRODUCTION_PASSWORD, dbname="shop",
        replication="database", autocommit=True,
    )  # fmt: skip
    if restored.version < 160_000:
        with pytest.raises(DatabaseRefusedError, match="has the attribute REPLICATION"):
            restored.apply(user("tester"))
    else:
        assert "1 session of analyst ends" in restored.apply(user("tester"))
    with pytest.raises(psycopg.OperationalError):
        consumer.execute("IDENTIFY_SYSTEM")
