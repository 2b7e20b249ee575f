"""Step 7: the database's users become what the request says; passwords live in secrets and nowhere else (I6, I7)."""

from typing import Any

import pytest

from aurora_restore.database.engine import Change, ChangeKind, DesiredState, Endpoint, Login
from aurora_restore.database_request import Leftover
from aurora_restore.errors import (
    AccessDeniedError,
    AwsUnavailableError,
    DatabaseRefusedError,
    NotReadyError,
    PreconditionError,
    PreflightError,
    StepTimedOutError,
    UnexpectedError,
)
from aurora_restore.operation import DatabaseWork, Intent, Step
from aurora_restore.request import RestoreRequest
from aurora_restore.steps.announcement import standing
from tests.steps.database import FakeDatabase
from tests.steps.world import WEST, Stage

USERS = Step.SETUP_DB_USERS


def with_users(stage: Stage, *users: dict[str, Any], **more: Any) -> Stage:
    """Let the stage's operation, restored already, have asked for other users."""
    stage.ask(users=list(users), **more)
    stage.rewrite(request=RestoreRequest.parse(stage.request))
    return stage


def test_the_listed_user_can_log_in_and_nobody_else(usable: Stage) -> None:
    """I7: production's login is gone; the verdict says who is left."""
    assert "legacy" in usable.database.roles
    result = usable.call(USERS)
    assert result["reason"] == "2 changes made; 2 can log in (app, postgres); nobody else can log in"
    assert set(usable.database.roles) == {"app"}
    password = usable.secret_value(usable.secret)["password"]
    endpoint = Endpoint("127.0.0.1", 5544)
    assert usable.database.can_log_in(endpoint, Login("app", password), "orders")
    assert not usable.database.can_log_in(endpoint, Login("legacy", "testing-legacy"), "orders")
    assert usable.operation().logins == ("app", "postgres")


def test_users_that_cannot_be_leave_no_way_in(usable: Stage) -> None:
    """A slip in a grant fails the operation; production's logins are closed all the same, and the message says so."""
    usable.database.impossible = ("a grant of app names table nix, which is not there",)
    with pytest.raises(PreflightError, match=r"no user was set up, because 1 thing would fail:\n.*table nix"):
        usable.call(USERS)
    assert usable.database.roles == {}
    (event,) = [event for event in usable.events() if event.action == "SetupUsers"]
    assert event.detail == "legacy can no longer log in"
    assert any("Production's logins are closed" in sentence for sentence in standing(usable.operation()))
    assert usable.client("secretsmanager").describe_secret(SecretId=usable.secret)["VersionIdsToStages"]
    usable.database.impossible = ()
    assert usable.call(USERS)["status"] == "DONE"
    assert set(usable.database.roles) == {"app"}


def test_where_the_logins_are_kept_users_that_cannot_be_close_none(usable: Stage) -> None:
    """The request wants them, with production's passwords: the message warns of them."""
    stage = with_users(usable, {"name": "app", "secret": usable.secret}, logins="keep")
    stage.database.impossible = ("no",)
    with pytest.raises(PreflightError):
        stage.call(USERS)
    assert set(stage.database.roles) == {"legacy"}
    assert any("with production's passwords" in sentence for sentence in standing(stage.operation()))


@pytest.mark.parametrize("impossible", [(), ("a grant of app names table nix, which is not there",)])
def test_what_cannot_be_stopped_leaves_no_way_in(usable: Stage, impossible: tuple[str, ...]) -> None:
    """A subscription that goes on pulling fails the operation; it keeps no login open, and the message says so."""
    usable.database.impossible = impossible
    usable.database.unstoppable = Leftover.SUBSCRIPTIONS
    with pytest.raises(DatabaseRefusedError, match="refused to stop production's subscriptions"):
        usable.call(USERS)
    assert usable.database.roles == {}
    closing = [event.detail for event in usable.events() if event.action == "SetupUsers"][-1]
    assert closing == "legacy can no longer log in"
    assert any("Production's logins are closed" in sentence for sentence in standing(usable.operation()))
    usable.database.impossible, usable.database.unstoppable = (), None
    assert usable.call(USERS)["status"] == "DONE"
    assert set(usable.database.roles) == {"app"}


def test_what_cannot_be_stopped_closes_nothing_where_logins_are_kept(usable: Stage) -> None:
    """The request wants them open, whatever fails."""
    stage = with_users(usable, {"name": "app", "secret": usable.secret}, logins="keep")
    stage.database.unstoppable = Leftover.SUBSCRIPTIONS
    with pytest.raises(DatabaseRefusedError):
        stage.call(USERS)
    assert set(stage.database.roles) == {"legacy"}
    assert any("with production's passwords" in sentence for sentence in standing(stage.operation()))


def test_logins_that_cannot_be_closed_either_are_warned_of(usable: Stage) -> None:
    """The first refusal is what is told; nothing is said to be closed that is not."""
    usable.database.refuses = "role postgres may not do this"
    with pytest.raises(DatabaseRefusedError, match="role postgres may not do this"):
        usable.call(USERS)
    assert any("with production's passwords" in sentence for sentence in standing(usable.operation()))


def test_a_secret_is_made_in_the_form_that_rotation_reads(usable: Stage) -> None:
    """With the new endpoint, under the target's key, tagged as the operation's."""
    usable.call(USERS)
    value = usable.secret_value(usable.secret)
    assert len(value.pop("password")) == 32
    assert value == {
        "engine": "postgres",
        "host": "127.0.0.1",
        "port": 5544,
        "dbname": "orders",
        "username": "app",
        "dbClusterIdentifier": usable.target,
    }
    described = usable.client("secretsmanager").describe_secret(SecretId=usable.secret)
    assert described["KmsKeyId"] == usable.region().key
    assert {"Key": "aurora-restore:operation", "Value": usable.operation_id} in described["Tags"]
    assert usable.operation().user_secrets == {"app": described["ARN"]}


def test_the_engine_is_given_the_managed_master_and_the_new_endpoint(usable: Stage) -> None:
    """Production's master password is never read: RDS has put a new one in its own secret."""
    usable.call(USERS)
    endpoint, master = usable.database.tried[0]
    managed = usable.secret_value(usable.show()["MasterUserSecret"]["SecretArn"])
    assert (str(endpoint), master.user, master.password) == ("127.0.0.1:5544", "postgres", managed["password"])


def begin_again(stage: Stage) -> None:
    """Let the record know nothing of the step, as if its function had been killed before it could write."""
    steps = {step: record for step, record in stage.operation().steps.items() if step is not USERS}
    stage.rewrite(steps=steps, database_work=DatabaseWork())


def test_run_twice_nothing_changes(usable: Stage) -> None:
    """Killed before its answer was written, it finds everything as it left it."""
    usable.call(USERS)
    users, changes = dict(usable.database.roles), len(usable.changes())
    begin_again(usable)
    assert usable.call(USERS)["reason"].startswith("0 changes made")
    assert (usable.database.roles, len(usable.changes()), usable.database.applied) == (users, changes, 1)


def test_a_secret_of_another_user_is_not_used(usable: Stage) -> None:
    """It came after the preflight. Nobody gets somebody else's password."""
    usable.client("secretsmanager").create_secret(
        Name=usable.secret, SecretString='{"username": "admin", "password": "testing-admin"}'
    )
    with pytest.raises(PreconditionError, match="is for the user admin, not for app"):
        usable.call(USERS)
    assert "app" not in usable.database.roles


@pytest.mark.parametrize("logins", ["only-listed", "keep"])
def test_a_secret_that_cannot_be_written_keeps_no_login_open(usable: Stage, logins: str) -> None:
    """A key's policy may say no: nobody shall come in by production's passwords until somebody has mended it."""
    stage = with_users(usable, *usable.request["users"], logins=logins)
    events = stage.client("secretsmanager").meta.events
    denied = "after-call.secrets-manager.CreateSecret"

    def deny(http_response: Any, parsed: Any, **_: Any) -> None:
        http_response.status_code = parsed["ResponseMetadata"]["HTTPStatusCode"] = 400
        parsed["Error"] = {"Code": "AccessDeniedException", "Message": "Access to KMS is not allowed"}

    events.register(denied, deny)
    try:
        with pytest.raises(AccessDeniedError, match="Access to KMS is not allowed"):
            stage.call(USERS)
    finally:
        events.unregister(denied, deny)
    assert set(stage.database.roles) == (set() if logins == "only-listed" else {"legacy"})
    said = "Production's logins are closed" if logins == "only-listed" else "with production's passwords"
    assert any(said in sentence for sentence in standing(stage.operation()))
    assert stage.call(USERS)["status"] == "DONE"
    assert "app" in stage.database.roles


def test_a_secret_whose_making_was_not_answered_is_found(usable: Stage) -> None:
    """I4: no second secret, no second password."""
    secrets = usable.client("secretsmanager")

    def lose(http_response: Any, parsed: Any, **_: Any) -> None:
        http_response.status_code = parsed["ResponseMetadata"]["HTTPStatusCode"] = 500
        parsed["Error"] = {"Code": "InternalServiceError", "Message": "lost"}

    secrets.meta.events.register("after-call.secrets-manager.CreateSecret", lose)
    try:
        with pytest.raises(AwsUnavailableError):
            usable.call(USERS)
    finally:
        secrets.meta.events.unregister("after-call.secrets-manager.CreateSecret", lose)
    first = usable.secret_value(usable.secret)
    assert usable.call(USERS)["status"] == "DONE"
    assert usable.secret_value(usable.secret) == first


def test_a_user_with_iam_has_no_secret(usable: Stage) -> None:
    """A token is the way in."""
    with_users(usable, {"name": "oncall", "iam": True})
    usable.call(USERS)
    assert usable.database.roles["oncall"].iam
    assert usable.database.roles["oncall"].password is None
    assert usable.operation().user_secrets == {}


def test_logins_are_kept_if_the_request_says_so(usable: Stage) -> None:
    """And the verdict says that they were."""
    with_users(usable, *usable.request["users"], logins="keep")
    assert usable.call(USERS)["reason"].endswith("the source's logins were kept")
    assert set(usable.database.roles) == {"legacy", "app"}


def test_a_database_that_does_not_answer_yet_is_waited_for(usable: Stage) -> None:
    """An endpoint appears before the server behind it."""
    usable.database.silent_for = 2
    assert usable.call(USERS)["reason"] == "the database does not answer yet: 127.0.0.1:5544 does not answer"
    assert usable.finish(USERS)["status"] == "DONE"
    assert len(usable.changes("CreateSecret")) == 1


def test_a_database_that_never_answers_times_out(usable: Stage) -> None:
    """After the request's limit."""
    usable.database.silent_for = 10_000
    with pytest.raises(StepTimedOutError, match=r"SetupDBUsers has waited for 30 minutes.*does not answer yet"):
        usable.finish(USERS)


def test_what_users_can_do_beyond_their_grants_is_reported(usable: Stage) -> None:
    """Once, however often it is seen."""
    usable.database.remarked = ("everybody may create tables in the schema public",)
    usable.call(USERS)
    assert usable.operation().not_restored == usable.database.remarked


def test_a_missing_master_secret_is_looked_for_again(usable: Stage) -> None:
    """Not visible yet."""
    arn = usable.show()["MasterUserSecret"]["SecretArn"]
    usable.client("secretsmanager").delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
    with pytest.raises(NotReadyError, match="cannot be seen yet"):
        usable.call(USERS)


def test_a_new_secret_that_cannot_be_seen_yet_is_looked_for_again(usable: Stage) -> None:
    """Eventual consistency: the password is not made a second time."""
    client = usable.client("secretsmanager")

    def hide(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
        if parsed.get("Name") == usable.secret:
            http_response.status_code = 400
            parsed["Error"] = {"Code": "ResourceNotFoundException", "Message": "not yet"}

    client.meta.events.register("after-call.secrets-manager.DescribeSecret", hide)
    try:
        with pytest.raises(NotReadyError, match="was made and cannot be seen yet"):
            usable.call(USERS)
    finally:
        client.meta.events.unregister("after-call.secrets-manager.DescribeSecret", hide)
    first = usable.secret_value(usable.secret)
    assert usable.finish(USERS)["status"] == "DONE"
    assert usable.secret_value(usable.secret) == first


class Wordy(FakeDatabase):
    """Finds ten thousand differences, about a user with a name that is to be mistaken for some."""

    def plan(self, endpoint: Endpoint, master: Login, desired: DesiredState) -> tuple[Change, ...]:  # noqa: ARG002
        return (Change(ChangeKind.GRANT, "app", "orders", 'a grant to "; DROP ROLE "\nx on a table'),) * 10_000


def test_every_change_is_announced_in_events_that_stay_small(usable: Stage) -> None:
    """I5: none is left out, and DynamoDB takes 400 KB an item."""
    usable.database = Wordy()
    usable.call(USERS)
    details = [event.detail for event in usable.events() if event.action == "SetupUsers"]
    lines = [line for detail in details for line in detail.split("\n")]
    assert lines == ['a grant to "; DROP ROLE "\\nx on a table'] * 10_000
    assert max(len(detail.encode()) for detail in details) < 200_000


def test_a_secret_that_was_not_announced_is_not_written(usable: Stage) -> None:
    """I5: neither made nor changed."""
    secrets = usable.world.secrets(WEST)
    wrong = Intent(operation_id="x", sequence=1, action="DeleteDBCluster", subject="x")
    with pytest.raises(UnexpectedError):
        secrets.create(wrong, name=usable.secret, version_id="x" * 32, value={}, kms_key=None, tags={})
    secret = secrets.find(usable.show()["MasterUserSecret"]["SecretArn"])
    assert secret is not None
    assert secret.password not in repr(secret)
    with pytest.raises(UnexpectedError):
        secrets.add_version(wrong, secret, "x" * 32, {})
    with pytest.raises(UnexpectedError):
        secrets.make_current(wrong, secret, "x" * 32)
