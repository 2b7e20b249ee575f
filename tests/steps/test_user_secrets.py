"""Users' secrets: one new password an operation, and nobody reads one that is of no use (any more)."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.secretsmanager.models import secretsmanager_backends

from aurora_restore.database.engine import Applied, DesiredState, Endpoint, Login, TimeLeft, endless
from aurora_restore.errors import NotReadyError, PreflightError
from aurora_restore.operation import Step
from tests.steps.database import FakeDatabase
from tests.steps.test_setup_db_users import begin_again, with_users
from tests.steps.world import WEST, Stage, check_promises

USERS = Step.SETUP_DB_USERS
# Two clusters that consumers may go to so far: one that is still there, and the one that was replaced.
OLD = '{"username": "app", "password": "testing-old", "host": "old", "pool": 7}'
SPENT = '{"username": "app", "password": "testing-old", "host": "127.0.0.1", "port": 5544}'
NOWHERE = '{"username": "app", "password": "testing-old"}'
TEXTUAL = '{"username": "app", "password": "testing-old", "host": "127.0.0.1", "port": "5544"}'


def given(stage: Stage, value: str = OLD) -> str:
    """Let the user's secret exist with this value; return the id of its version."""
    made = stage.client("secretsmanager").create_secret(Name=stage.secret, SecretString=value)
    return str(made["VersionId"])


def labels(stage: Stage) -> dict[str, list[str]]:
    """Return the labels of the secret's versions."""
    described = stage.client("secretsmanager").describe_secret(SecretId=stage.secret)
    return {version: sorted(labels) for version, labels in described["VersionIdsToStages"].items()}


def password(stage: Stage, label: str = "AWSCURRENT") -> str:
    """Return the password of the version with a label."""
    return str(stage.secret_value(stage.secret, label=label)["password"])


def changes(stage: Stage) -> list[str]:
    """Return the changes of secrets that the steps asked for."""
    return [call.action for call in stage.changes() if call.service == "secretsmanager"]


def run_the_next(stage: Stage) -> None:
    """Finish the operation, and run another as far as its users."""
    stage.run(Step.SNS_NOTIFICATION)
    stage.operation_id = stage.execution = f"{stage.operation_id}-next"
    stage.run(USERS)


@contextmanager
def heard(stage: Stage, phase: str, action: str, handler: Callable[..., Any]) -> Iterator[None]:
    """Let a handler hear, and answer in its place, an action of Secrets Manager, or all."""
    events, name = stage.client("secretsmanager").meta.events, f"{phase}.secrets-manager.{action}".rstrip(".")
    events.register(name, handler)
    try:
        yield
    finally:
        events.unregister(name, handler)


def test_the_password_is_rotated_in_the_same_secret(usable: Stage) -> None:
    """Consumers keep one ARN; the version before stays for those who look; what its owner keeps in it stays too."""
    old = given(usable)
    usable.call(USERS)
    value = usable.secret_value(usable.secret)
    assert (len(value["password"]), value["host"], value["pool"]) == (32, "127.0.0.1", 7)
    assert usable.database.roles["app"].password == value["password"]
    assert labels(usable)[old] == ["AWSPREVIOUS"]
    assert password(usable, "AWSPREVIOUS") == "testing-old"
    assert changes(usable) == ["PutSecretValue", "UpdateSecretVersionStage"]


def test_each_operation_rotates_once(usable: Stage) -> None:
    """The version's id follows from the operation: run again it is found, and the next operation has another."""
    given(usable)
    usable.call(USERS)
    first, versions = password(usable), set(labels(usable))
    begin_again(usable)
    usable.call(USERS)
    assert (password(usable), set(labels(usable))) == (first, versions)
    run_the_next(usable)
    assert password(usable) != first
    assert password(usable, "AWSPREVIOUS") == first


def test_a_password_that_is_kept_stays(usable: Stage) -> None:
    """Only the endpoint in the secret is brought up to date, and when that is the same, nothing."""
    given(usable)
    with_users(usable, {"name": "app", "secret": usable.secret, "password": "keep"})
    usable.call(USERS)
    value = usable.secret_value(usable.secret)
    assert (value["password"], value["host"], value["pool"]) == ("testing-old", "127.0.0.1", 7)
    assert usable.database.roles["app"].password == "testing-old"
    before = len(changes(usable))
    run_the_next(usable)
    assert len(changes(usable)) == before


def test_an_empty_secret_gets_its_first_value(usable: Stage) -> None:
    """As infrastructure code makes them: without any version."""
    usable.client("secretsmanager").create_secret(Name=usable.secret)
    usable.call(USERS)
    assert usable.database.roles["app"].password == password(usable)


@dataclass
class Watched(FakeDatabase):
    """Looks at what consumers would read, before and after each change of its users."""

    read: Callable[[], str] = str
    seen: list[tuple[str, bool]] = field(default_factory=list)

    def apply(self, endpoint: Endpoint, master: Login, desired: DesiredState, time_left: TimeLeft = endless) -> Applied:
        self._look()
        try:
            return super().apply(endpoint, master, desired, time_left)
        finally:
            self._look()

    def _look(self) -> None:
        current = self.read()
        self.seen.append((current, "app" in self.roles and self.roles["app"].password == current))


@pytest.mark.parametrize("value", [SPENT, NOWHERE, TEXTUAL])
def test_who_is_led_to_the_new_cluster_reads_what_lets_them_in_from_the_first_moment(usable: Stage, value: str) -> None:
    """What they read before worked in the old cluster only: at no moment is there a better one than what is read."""
    given(usable, value)
    usable.database = watched = Watched(read=lambda: password(usable))
    usable.call(USERS)
    (before, no_way), (after, way) = watched.seen
    assert (before, no_way, way) == (after, False, True)
    assert after != "testing-old"
    assert changes(usable) == ["PutSecretValue", "UpdateSecretVersionStage"]


def test_who_is_led_to_the_new_cluster_s_readers_reads_what_lets_them_in_too(usable: Stage) -> None:
    """They are one database with the writer."""
    given(usable, SPENT.replace("127.0.0.1", "readers.test"))
    restored = usable.operation().restored
    assert restored is not None
    usable.rewrite(restored=restored.model_copy(update={"reader_endpoint": "readers.test"}))
    usable.database = watched = Watched(read=lambda: password(usable))
    usable.call(USERS)
    assert [works for _, works in watched.seen] == [False, True]


def test_who_is_led_elsewhere_reads_what_works_there_until_all_is_set_up(usable: Stage) -> None:
    """A secret that led to another cluster so far: that one may be alive."""
    given(usable)
    usable.database = watched = Watched(read=lambda: password(usable))
    usable.call(USERS)
    assert watched.seen == [("testing-old", False), ("testing-old", False)]
    assert usable.database.roles["app"].password == password(usable)


def test_a_new_secret_is_right_from_the_first_moment(usable: Stage) -> None:
    """Its first version is current at once, before the database has the password."""
    usable.database = watched = Watched(read=lambda: password(usable))
    usable.call(USERS)
    assert [works for _, works in watched.seen] == [False, True]


@pytest.mark.parametrize("value", [SPENT, OLD])
def test_users_that_cannot_be_leave_the_secret_as_it_was(usable: Stage, value: str) -> None:
    """A slip in the request: the new version waits for the next try."""
    given(usable, value)
    usable.database.impossible = ("a grant of app names table nix, which is not there",)
    with pytest.raises(PreflightError):
        usable.call(USERS)
    assert password(usable) == "testing-old"
    usable.database.impossible = ()
    usable.call(USERS)
    assert usable.database.roles["app"].password == password(usable) != "testing-old"
    assert len(labels(usable)) == 2


@pytest.mark.parametrize("value", [SPENT, OLD])
def test_consumers_are_told_in_another_call_if_the_time_is_up(usable: Stage, value: str) -> None:
    """However many users there are: the step goes on with those that are left."""
    given(usable, value)
    usable.time_left = lambda: -1 if "PutSecretValue" in changes(usable) else 900
    assert usable.call(USERS)["status"] == "WAIT"
    assert password(usable) == "testing-old"
    usable.time_left = None
    assert usable.call(USERS)["status"] == "DONE"
    assert usable.database.roles["app"].password == password(usable)


def test_the_version_that_was_stored_first_counts(usable: Stage) -> None:
    """Two calls at once: AWS refuses the second one's value under the same id, and its password is forgotten."""
    given(usable)

    def be_faster(params: dict[str, Any], **_: Any) -> Any:
        token = json.loads(params["body"])["ClientRequestToken"]
        secretsmanager_backends[DEFAULT_ACCOUNT_ID][WEST].put_secret_value(
            usable.secret, '{"username": "app", "password": "testing-faster"}', "", token, ["AWSPENDING"]
        )
        error = {"Code": "ResourceExistsException", "Message": "another value under this id"}
        return SimpleNamespace(status_code=400), {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}}

    with heard(usable, "before-call", "PutSecretValue", be_faster):
        usable.call(USERS)
    assert usable.database.roles["app"].password == password(usable) == "testing-faster"


def test_a_rotation_that_comes_between_is_looked_at_anew(usable: Stage) -> None:
    """Somebody else made a version current at the very moment: the next call puts this operation's in its place."""
    given(usable)
    others = 0

    def rotate(**_: Any) -> None:
        nonlocal others
        others += 1
        if others == 1:
            backend = secretsmanager_backends[DEFAULT_ACCOUNT_ID][WEST]
            backend.put_secret_value(usable.secret, "{}", "", "x" * 32, ["AWSCURRENT"])

    with heard(usable, "before-call", "UpdateSecretVersionStage", rotate):
        with pytest.raises(NotReadyError, match="changed while it was to be moved"):
            usable.call(USERS)
        usable.call(USERS)
    assert usable.database.roles["app"].password == password(usable)


@dataclass
class Killer:
    """Ends the function at its n-th call of Secrets Manager, before or after the call has had its effect."""

    deadly: int
    heard: int = 0

    def hear(self, **_: Any) -> None:
        self.heard += 1
        if self.heard == self.deadly:
            raise SystemExit("killed")


@pytest.mark.parametrize("value", [SPENT, OLD])
def test_killed_at_any_call_it_comes_to_the_same_end(prepared: Callable[[Step | None], Stage], value: str) -> None:
    """I4: one new version, whose password the database has and consumers read. Counted: every call was a place."""
    killed = 0
    while True:
        stage = prepared(Step.CHECK_RESTORE_STATUS)
        old = given(stage, value)
        killer = Killer(killed + 1)
        with heard(stage, "before-call", "", killer.hear), heard(stage, "after-call", "", killer.hear):
            try:
                stage.call(USERS)
            except SystemExit:
                killed += 1
                stage.call(USERS)
            else:
                break
        assert stage.database.roles["app"].password == password(stage), killed
        assert len(labels(stage)) == 2, killed
        assert labels(stage)[old] == ["AWSPREVIOUS"], killed
        check_promises(stage)
    assert killed == 14


@pytest.mark.parametrize("value", [SPENT, OLD])
@pytest.mark.parametrize("sql", [[], [{"file": "mask.sql", "text": "DELETE FROM cards"}]])
def test_out_of_time_at_any_moment_it_comes_to_the_same_end(
    prepared: Callable[[Step | None], Stage], value: str, sql: list[dict[str, str]]
) -> None:
    """The step is cut short where it asks how much time is left, and goes on at its next call. Counted."""
    cut_short = 0
    while True:
        stage = prepared(Step.CHECK_RESTORE_STATUS)
        given(stage, value)
        with_users(
            stage, {"name": "app", "secret": stage.secret}, {"name": "new", "secret": f"{stage.secret}/2"}, sql=sql
        )
        asked = 0

        def time_left(enough: int = cut_short) -> float:
            nonlocal asked
            asked += 1
            return 900 if asked <= enough + 1 else -1

        stage.time_left = time_left
        first = stage.call(USERS)
        stage.time_left = None
        if first["status"] == "DONE":
            break
        cut_short += 1
        assert stage.call(USERS)["status"] == "DONE", cut_short
        assert stage.database.roles["app"].password == password(stage), cut_short
        assert all(role.opens for role in stage.database.roles.values()), cut_short
        assert stage.operation().logins == ("app", "new", "postgres"), cut_short
        assert len(labels(stage)) == 2, cut_short
    assert cut_short == (13 if sql else 7)


def test_many_secrets_are_announced_together(usable: Stage) -> None:
    """Each announcement writes the whole record anew, which is large where there are many: fifty at once (I5)."""
    users = [{"name": f"user_{number}", "secret": f"{usable.secret}/{number}"} for number in range(60)]
    with_users(usable, *users)
    usable.call(USERS)
    written = [str(call.parameters) for call in usable.calls if call.action == "TransactWriteItems"]
    assert [each.count("has none yet") for each in written if "CreateSecret" in each] == [50, 10]
    check_promises(usable)
    for user in users:
        assert usable.database.roles[user["name"]].password == usable.secret_value(user["secret"])["password"]
