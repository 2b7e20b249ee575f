"""Step 7 after the users: the request's SQL runs once, and checks hold before anybody hears of a success."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from aurora_restore.database.engine import DesiredUser, Endpoint, Login
from aurora_restore.database.scripts import Answer, Session
from aurora_restore.errors import (
    ConflictError,
    DatabaseRefusedError,
    PreflightError,
    RequestError,
    ScriptFailedError,
    VerificationFailedError,
)
from aurora_restore.operation import Step
from aurora_restore.steps.announcement import standing
from tests.steps.database import FakeDatabase
from tests.steps.sessions import Contents
from tests.steps.test_setup_db_users import with_users
from tests.steps.world import Stage

USERS, CHECK = Step.SETUP_DB_USERS, Step.SNAPSHOT_CHECK
SECRET_WORD = "hunter2"
MASK = "UPDATE people SET name = 'hunter2'"
TWO_FILES = [
    {"file": "mask.sql", "text": f"{MASK};\nDELETE FROM cards"},
    {"file": "more.sql", "text": "-- aurora-restore: no transaction\nVACUUM;\nANALYZE", "database": "other"},
]


def asking(stage: Stage, **more: Any) -> Stage:
    """Let the stage's operation have asked for SQL and checks too."""
    return with_users(stage, *stage.request["users"], **more)


def orders(stage: Stage) -> Contents:
    """Return what is in the cluster's first database."""
    return stage.database.contents.setdefault("orders", Contents())


def test_the_files_are_run_in_their_order_and_their_databases(usable: Stage) -> None:
    """As the master, who owns everything; the verdict counts them, and no mark is left."""
    asking(usable, sql=TWO_FILES)
    assert usable.call(USERS)["reason"].endswith("2 SQL files run")
    assert orders(usable).ran == [MASK, "DELETE FROM cards"]
    assert usable.database.contents["other"].ran == ["VACUUM", "ANALYZE"]
    assert not orders(usable).marked
    assert usable.database.tried[-1][1].user == "postgres"


@pytest.mark.parametrize("password", ["rotate", "keep"])
def test_nobody_but_the_master_gets_in_before_all_files_are_run(usable: Stage, password: str) -> None:
    """They may mask what nobody is to see; then the users get in, with what consumers read from that moment on."""
    given = '{"username": "app", "password": "testing-old", "host": "127.0.0.1", "port": 5544}'
    usable.client("secretsmanager").create_secret(Name=usable.secret, SecretString=given)
    with_users(usable, {"name": "app", "secret": usable.secret, "password": password}, sql=TWO_FILES)
    seen: list[tuple[object, ...]] = []

    def look(_: str) -> None:
        (role,) = usable.database.roles.values()
        seen.append((role.name, role.opens, usable.secret_value(usable.secret)["password"]))

    usable.database.on_statement = look
    result = usable.call(USERS)
    assert seen == [("app", False, "testing-old")] * 4
    assert "2 can log in (app, postgres)" in result["reason"]
    assert usable.operation().logins == ("app", "postgres")
    role = usable.database.roles["app"]
    assert (role.opens, role.password) == (True, usable.secret_value(usable.secret)["password"])
    assert (role.password == "testing-old") is (password == "keep")
    (_, opening) = [event.detail for event in usable.events() if event.action == "SetupUsers"]
    assert opening == "app can log in now"


def test_a_file_that_fails_keeps_everybody_out(usable: Stage) -> None:
    """Half masked is not masked: the message says that the users are not let in; resumed, they are."""
    asking(usable, sql=TWO_FILES)
    usable.database.contents["other"] = Contents(refused={"ANALYZE": "no (SQLSTATE 42501)"})
    with pytest.raises(ScriptFailedError) as failed:
        usable.call(USERS)
    assert [role.opens for role in usable.database.roles.values()] == [False]
    usable.fail(failed.value)
    (message,) = usable.messages()
    assert "Its users cannot log in yet: they are let in when all SQL files have run, and have" in message["text"]
    assert "can log in to it" not in message["text"]
    usable.database.contents["other"].refused.clear()
    usable.execution = f"{usable.operation_id}.2"
    usable.run(USERS)
    assert [role.opens for role in usable.database.roles.values()] == [True]


def test_users_are_let_in_at_the_next_call_if_the_time_is_up(usable: Stage) -> None:
    """However many there are: none of them is forgotten, and no file is run again."""
    asking(usable, sql=TWO_FILES)
    last = usable.database.contents.setdefault("other", Contents())
    usable.time_left = lambda: -1 if "ANALYZE" in last.ran else 900
    assert usable.call(USERS)["status"] == "WAIT"
    assert [role.opens for role in usable.database.roles.values()] == [False]
    usable.time_left = None
    assert usable.call(USERS)["status"] == "DONE"
    assert [role.opens for role in usable.database.roles.values()] == [True]
    assert len(orders(usable).ran) == 2


def test_the_audit_has_a_file_s_hash_and_never_its_text(usable: Stage) -> None:
    """I6: nor have the message, the log and the execution's history. The record needs the text, to run it."""
    asking(usable, sql=TWO_FILES)
    usable.run(Step.SNS_NOTIFICATION)
    details = [event.detail for event in usable.events() if event.action == "RunSql"]
    assert len(details) == 2
    assert details[0].startswith("mask.sql (SHA-256 ")
    assert details[0].endswith(", 2 statements) in database orders")
    (message,) = usable.messages()
    assert [script["file"] for script in message["event"]["scripts"]] == ["mask.sql", "more.sql"]
    assert "SQL:      mask.sql, more.sql" in message["text"]
    told = "".join(str(event) for event in usable.events()) + str(message) + usable.log
    assert SECRET_WORD not in told


def test_a_refused_statement_fails_the_operation_with_file_and_line(usable: Stage) -> None:
    """Nothing of it is left, and what a resumed operation does is said."""
    asking(usable, sql=TWO_FILES)
    orders(usable).refused["DELETE FROM cards"] = 'relation "cards" does not exist (SQLSTATE 42P01)'
    with pytest.raises(ScriptFailedError, match=r'mask\.sql, line 2: relation "cards" does not exist.*resume'):
        usable.call(USERS)
    assert orders(usable).ran == []


def test_a_resumed_operation_runs_no_file_twice(usable: Stage) -> None:
    """And touches neither users nor leftovers again: the first file may have made what that would undo."""
    asking(usable, sql=TWO_FILES)
    usable.database.contents["other"] = Contents(refused={"ANALYZE": "no (SQLSTATE 42501)"})
    with pytest.raises(ScriptFailedError) as failed:
        usable.call(USERS)
    usable.fail(failed.value)
    usable.database.roles["app"] = replace(usable.database.roles["app"], connection_limit=7)
    usable.database.contents["other"].refused.clear()
    usable.execution = f"{usable.operation_id}.2"
    usable.run(USERS)
    assert len(orders(usable).ran) == 2
    assert usable.database.contents["other"].ran == ["VACUUM", "ANALYZE"]
    assert (usable.database.applied, usable.database.roles["app"].connection_limit) == (1, 7)


def test_killed_at_any_statement_each_is_run_once(prepared: Callable[[Step | None], Stage]) -> None:
    """The mark stands in the database, not in the record: the function may die between the two."""
    places = 0
    for deadly in range(1, 100):
        stage = asking(prepared(Step.CHECK_RESTORE_STATUS), sql=TWO_FILES)
        heard = 0

        def kill(*_: Any, deadly: int = deadly, **__: Any) -> None:
            nonlocal heard
            heard += 1
            if heard == deadly:
                raise SystemExit("killed")

        stage.database.on_statement = kill
        stage.tables.before_write = kill
        try:
            stage.call(USERS)
        except SystemExit:
            places += 1
            stage.finish(USERS)
        else:
            break
        assert len(orders(stage).ran) == 2, deadly
        assert stage.database.contents["other"].ran == ["VACUUM", "ANALYZE"], deadly
    assert places == 18


def test_what_the_function_has_no_time_for_is_done_at_its_next_call(usable: Stage) -> None:
    """A file that may take ten minutes is not begun in the last five, and a statement gets no more than is left."""
    asking(usable, sql=[*TWO_FILES, {"file": "last.sql", "text": "SELECT 1", "timeout_minutes": 1}])
    left = [600.0]
    usable.time_left = lambda: left[0]

    def take_long(statement: str) -> None:
        left[0] -= 300 if statement == "DELETE FROM cards" else 0

    usable.database.on_statement = take_long
    first = usable.call(USERS)
    assert (first["status"], first["reason"]) == ("WAIT", "1 of 3 SQL files are run")
    assert orders(usable).timeouts_s == [570, 570]
    left[0] = 500.0
    assert usable.call(USERS)["status"] == "DONE"
    assert usable.database.contents["other"].timeouts_s == [470, 470]
    assert orders(usable).timeouts_s[-1] == 60


def test_who_can_log_in_after_the_files_must_be_listed(usable: Stage) -> None:
    """I7: a role that a file makes is a way in that nobody listed."""
    asking(usable, sql=TWO_FILES)
    opened = replace(usable.database.roles["legacy"], name="intruder")

    def open_a_door(statement: str) -> None:
        usable.database.roles["intruder"] = opened

    usable.database.on_statement = open_a_door
    with pytest.raises(ScriptFailedError, match=r"after the SQL files, intruder can log in.*list them in users"):
        usable.call(USERS)


def test_an_account_of_a_user_s_name_at_another_host_is_nobody_s(usable: Stage) -> None:
    """I7: the request lets app in from one network, a file of SQL from anywhere."""
    with_users(usable, {"name": "app", "secret": usable.secret, "host": "10.%"}, sql=TWO_FILES)
    intruder = DesiredUser(name="app", password="testing-intruder")
    usable.database.on_statement = lambda _: usable.database.roles.update({"app at any": intruder})
    with pytest.raises(ScriptFailedError, match="after the SQL files, app can log in"):
        usable.call(USERS)
    del usable.database.roles["app at any"]
    usable.database.on_statement = lambda _: None
    assert "2 can log in (app@10.%, postgres)" in usable.call(USERS)["reason"]


@dataclass
class Overtaken(FakeDatabase):
    """Another call of the step goes on while one comes in, or looks who can log in after the SQL files."""

    another: Callable[[], None] = lambda: None
    coming_in: Callable[[], object] = lambda: None

    @contextmanager
    def session(
        self, endpoint: Endpoint, login: Login, database: str, master: Login | None = None
    ) -> Iterator[Session]:
        coming_in, self.coming_in = self.coming_in, lambda: None
        coming_in()
        with super().session(endpoint, login, database, master) as session:
            yield session

    def logins(self, endpoint: Endpoint, master: Login) -> tuple[str, ...]:
        if "ANALYZE" in self.contents.setdefault("other", Contents()).ran:
            another, self.another = self.another, lambda: None
            another()
        return super().logins(endpoint, master)


def test_whom_another_call_has_let_in_no_file_did(usable: Stage) -> None:
    """A call whose answer was lost goes on beside its repetition: the one that is behind looks again."""
    asking(usable, sql=TWO_FILES)
    usable.database = database = Overtaken()

    def let_in() -> None:
        usable.rewrite()
        database.roles["app at 10"] = DesiredUser(name="app", password="testing-app", host="10.%")

    database.another = let_in
    with pytest.raises(ConflictError):
        usable.call(USERS)


def test_a_call_that_comes_in_late_runs_no_file_again(usable: Stage) -> None:
    """The marks are gone by then: the record alone knows that the files were run."""
    asking(usable, sql=TWO_FILES)
    usable.database = Overtaken(coming_in=lambda: usable.finish(USERS))
    with pytest.raises(ConflictError):
        usable.call(USERS)
    assert usable.call(USERS)["status"] == "DONE"
    assert orders(usable).ran == [MASK, "DELETE FROM cards"]
    assert usable.database.contents["other"].ran == ["VACUUM", "ANALYZE"]


def test_users_who_are_not_all_let_in_are_not_said_to_wait_for_sql(usable: Stage) -> None:
    """All files are run, and some of the users may be in: the message says neither of all of them."""
    asking(usable, sql=TWO_FILES)
    usable.database.on_statement = lambda _: usable.database.roles.clear()
    with pytest.raises(DatabaseRefusedError):
        usable.call(USERS)
    (about,) = [sentence for sentence in standing(usable.operation()) if "new cluster" in sentence]
    assert about.startswith("The new cluster stands. Some of its users may be able to log in, and some not")


def test_sql_without_users_lets_nobody_in_and_says_nothing_of_it(usable: Stage) -> None:
    """The audit holds no change that is none."""
    with_users(usable, sql=TWO_FILES)
    assert "1 can log in (postgres)" in usable.call(USERS)["reason"]
    assert all(event.detail for event in usable.events())


def test_a_file_that_nobody_has_read_is_refused_with_the_request(bare: Stage) -> None:
    """Whoever starts an execution without the command line gives the text."""
    bare.ask(sql=[{"file": "mask.sql"}])
    with pytest.raises(RequestError, match=r"sql\[0\]\.text"):
        bare.call(CHECK)


def test_a_file_that_cannot_be_run_is_refused_before_anything_is_changed(stage: Stage) -> None:
    """With file and line of every mistake."""
    stage.ask(sql=[{"file": "a.sql", "text": "\\connect x\nSELECT 1;\nCOMMIT"}, {"file": "b.sql", "text": "--"}])
    with pytest.raises(Exception) as refused:  # noqa: PT011
        stage.call(CHECK)
    assert refused.value.problems == (  # type: ignore[attr-defined]
        "a.sql, line 1: \\connect is a command of psql and no SQL",
        "a.sql, line 3: COMMIT begins or ends a transaction, which the pipeline does itself: leave it out",
        "b.sql, line 1: there is no statement in it",
    )
    assert stage.changes() == []


def test_a_check_that_asks_nothing_is_refused_before_anything_is_changed(stage: Stage) -> None:
    """It could only fail when the old target is gone."""
    queries = ["SELECT 1; SELECT 2", "DELETE FROM orders", "SELECT 'x", "  "]
    stage.ask(verify=[{"name": f"c{number}", "query": query, "returns": 1} for number, query in enumerate(queries)])
    with pytest.raises(PreflightError) as refused:
        stage.call(CHECK)
    found = [
        "2 statements",
        "DELETE, which is no question",
        "SQL that cannot be run, line 1: what is opened here is never closed",
        "SQL that cannot be run, line 1: there is no statement in it",
    ]
    assert refused.value.problems == tuple(
        f"the check c{number}: its query must be one SELECT, and is {fault}" for number, fault in enumerate(found)
    )
    assert stage.changes() == []


FRESH = {"name": "orders are fresh", "query": "SELECT true FROM orders", "returns": True}
ENOUGH = {"table": "public.orders", "rows_at_least": 1000}


def test_checks_that_hold_are_told(usable: Stage) -> None:
    """In the verdict, the audit and the message, one sentence each."""
    asking(usable, verify=[FRESH, ENOUGH])
    orders(usable).answers[str(FRESH["query"])] = Answer(has_row=True, text="t")
    orders(usable).rows["public.orders"] = 1_000_000
    assert usable.call(USERS)["reason"].endswith("2 checks hold")
    usable.run(Step.SNS_NOTIFICATION)
    (message,) = usable.messages()
    told = [
        "orders are fresh: the query returned what it must",
        "table public.orders: it has at least 1,000 rows",
    ]
    assert message["event"]["checks"] == told
    assert "Checks:   2 of 2 hold" in message["text"]
    (event,) = [event for event in usable.events() if event.action == "VerifyData"]
    assert event.detail == f"all 2 checks hold: {'; '.join(told)}"


def test_checks_are_made_as_a_listed_user(usable: Stage) -> None:
    """With the password that its secret holds: that it can log in is part of what is checked."""
    asking(usable, verify=[ENOUGH])
    orders(usable).rows["public.orders"] = 1000
    usable.call(USERS)
    assert orders(usable).asked_by == ["app"]
    assert usable.database.tried[-1][1].password == usable.secret_value(usable.secret)["password"]


def test_an_iam_user_asks_with_a_token(usable: Stage) -> None:
    """Signed for the endpoint, without a call; there is no password."""
    with_users(usable, {"name": "ci", "iam": True}, verify=[{**ENOUGH, "user": "ci"}])
    orders(usable).rows["public.orders"] = 1000
    usable.call(USERS)
    login = usable.database.tried[-1][1]
    assert login.user == "ci"
    assert "Action=connect&DBUser=ci" in login.password


def test_all_checks_that_do_not_hold_are_told_at_once_and_nothing_of_what_was_found(usable: Stage) -> None:
    """I6: a value is a piece of a row. The operation fails before anybody is told that it succeeded."""
    wrong = {"name": "the right shop", "query": "SELECT name FROM shop", "returns": "staging"}
    asking(usable, verify=[wrong, ENOUGH, {"table": "gone"}, FRESH, {**ENOUGH, "database": "other"}])
    orders(usable).answers["SELECT name FROM shop"] = Answer(has_row=True, text=SECRET_WORD)
    orders(usable).rows["public.orders"] = 7
    orders(usable).refused["SELECT true FROM orders"] = "permission denied for table orders (SQLSTATE 42501)"
    with pytest.raises(VerificationFailedError) as failed:
        usable.call(USERS)
    assert failed.value.faults == (
        "the right shop: the query returned another value",
        "table public.orders: it has 7 rows, and 1,000 must be there at least",
        "table gone: it does not exist",
        "orders are fresh: permission denied for table orders (SQLSTATE 42501)",
        "table public.orders: it does not exist",
    )
    usable.fail(failed.value)
    (message,) = usable.messages()
    assert message["event"]["outcome"] == "failed"
    told = "".join(str(event) for event in usable.events()) + str(message) + usable.log + str(usable.operation())
    assert SECRET_WORD not in told


def test_where_a_check_does_not_hold_the_users_are_shut_out_again(usable: Stage) -> None:
    """What it has found may be what nobody is to see. Resumed, they get in by the same secrets."""
    asking(usable, verify=[ENOUGH])
    with pytest.raises(VerificationFailedError) as failed:
        usable.call(USERS)
    assert [role.opens for role in usable.database.roles.values()] == [False]
    assert usable.operation().logins == ("postgres",)
    assert usable.events()[-2].detail == "app can no longer log in, because a check does not hold"
    usable.fail(failed.value)
    (message,) = usable.messages()
    assert "Its users cannot log in: they were let in for the checks, and closed again because" in message["text"]
    assert "can log in to it" not in message["text"]
    secret = usable.secret_value(usable.secret)
    orders(usable).rows["public.orders"] = 1000
    usable.execution = f"{usable.operation_id}.2"
    usable.run(USERS)
    assert usable.operation().logins == ("app", "postgres")
    (role,) = usable.database.roles.values()
    assert (role.opens, role.password) == (True, secret["password"])
    assert usable.secret_value(usable.secret) == secret
    assert not usable.operation().database_work.shut


def test_where_production_s_logins_are_kept_nobody_is_shut_out(usable: Stage) -> None:
    """It would help nobody; the message says that they get in."""
    asking(usable, verify=[ENOUGH], logins="keep")
    with pytest.raises(VerificationFailedError):
        usable.call(USERS)
    (about,) = [sentence for sentence in standing(usable.operation()) if "new cluster" in sentence]
    assert about == "The new cluster stands, and the users of the request can log in to it."
    assert usable.database.roles["app"].opens


def test_where_not_all_can_be_shut_out_that_is_said_and_a_resumed_operation_lets_all_in(usable: Stage) -> None:
    """A refusal to close one takes nothing from what the checks have found, and leaves nobody out for good."""
    users = [*usable.request["users"], {"name": "mighty", "secret": f"{usable.secret}/mighty"}]
    with_users(usable, *users, verify=[ENOUGH])
    usable.database.uncloseable = "mighty"
    with pytest.raises(VerificationFailedError) as failed:
        usable.call(USERS)
    assert [(role.name, role.opens) for role in usable.database.roles.values()] == [("app", False), ("mighty", True)]
    assert usable.operation().logins == ("mighty", "postgres")
    (about,) = [sentence for sentence in standing(usable.operation()) if "new cluster" in sentence]
    assert about.startswith("The new cluster stands. Some of its users may be able to log in, and some not")
    usable.fail(failed.value)
    orders(usable).rows["public.orders"] = 1000
    usable.execution = f"{usable.operation_id}.2"
    usable.run(USERS)
    assert usable.operation().logins == ("app", "mighty", "postgres")


def test_users_on_their_way_in_again_are_said_to_be_neither_in_nor_out(usable: Stage) -> None:
    """A resumed operation that fails while it opens them: some may get in, and no SQL is what they wait for."""
    asking(usable, verify=[ENOUGH])
    with pytest.raises(VerificationFailedError) as failed:
        usable.call(USERS)
    usable.fail(failed.value)
    usable.execution = f"{usable.operation_id}.2"
    usable.database.roles.clear()
    with pytest.raises(DatabaseRefusedError):
        usable.run(USERS)
    (about,) = [sentence for sentence in standing(usable.operation()) if "new cluster" in sentence]
    assert about.startswith("The new cluster stands. Some of its users may be able to log in, and some not")


@pytest.mark.parametrize("silent", [1, 3])
def test_users_are_shut_out_however_often_the_step_is_called_for_it(usable: Stage, silent: int) -> None:
    """The database does not answer when they are to be closed: the checks are judged, and not made again."""
    asking(usable, verify=[ENOUGH])

    def fall_silent() -> None:
        usable.database.silent_for = silent

    orders(usable).refused["public.orders"] = "no (SQLSTATE 42501)"
    orders(usable).on_question = fall_silent
    for _ in range(silent):
        assert usable.call(USERS)["status"] == "WAIT"
    with pytest.raises(VerificationFailedError):
        usable.call(USERS)
    assert [role.opens for role in usable.database.roles.values()] == [False]
    assert orders(usable).asked_by == ["app"]


def test_a_resumed_operation_makes_all_checks_again(usable: Stage) -> None:
    """Somebody has mended what was wrong, and may have broken something else."""
    asking(usable, verify=[ENOUGH, {"table": "gone"}])
    orders(usable).rows["public.orders"] = 1000
    with pytest.raises(VerificationFailedError) as failed:
        usable.call(USERS)
    usable.fail(failed.value)
    orders(usable).rows = {"gone": 0}
    usable.execution = f"{usable.operation_id}.2"
    with pytest.raises(VerificationFailedError, match=r"table public\.orders: it does not exist") as again:
        usable.run(USERS)
    assert len(again.value.faults) == 1


def test_checks_go_on_at_the_next_call(usable: Stage) -> None:
    """None is made twice."""
    asking(usable, verify=[ENOUGH] * 3)
    orders(usable).rows["public.orders"] = 1000
    usable.time_left = lambda: 900 - 400 * len(orders(usable).asked_by)
    first = usable.call(USERS)
    assert (first["status"], first["reason"]) == ("WAIT", "2 of 3 checks are made")
    assert usable.call(USERS)["status"] == "DONE"
    assert len(orders(usable).asked_by) == 3
