"""Users' secrets: one new password an operation, and consumers read it as soon as the database has it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.secretsmanager.models import secretsmanager_backends

from aurora_restore.errors import NotReadyError
from aurora_restore.operation import Step
from tests.steps.test_setup_db_users import begin_again, with_users
from tests.steps.world import WEST, Stage, check_promises

USERS = Step.SETUP_DB_USERS
OLD = '{"username": "app", "password": "testing-old", "host": "old", "pool": 7}'


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


def test_consumers_are_told_after_the_database(usable: Stage) -> None:
    """Until the database has the new password, AWSCURRENT is the old one; afterwards both are the same."""
    given(usable)
    seen: list[tuple[str, bool]] = []

    def look(**_: Any) -> None:
        seen.append((password(usable), usable.database.roles["app"].password == password(usable, "AWSPENDING")))

    with heard(usable, "before-call", "UpdateSecretVersionStage", look):
        usable.call(USERS)
    assert seen == [("testing-old", True)]
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


def test_killed_at_any_call_it_comes_to_the_same_end(prepared: Callable[[Step | None], Stage]) -> None:
    """I4: one new version, whose password the database has and consumers read. Counted: every call was a place."""
    killed = 0
    while True:
        stage = prepared(Step.CHECK_RESTORE_STATUS)
        old = given(stage)
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
