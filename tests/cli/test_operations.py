"""run, watch, status, history and audit on an embedded account, through the environment as a user sets it."""

import json
from pathlib import Path

import pytest

from aurora_restore.aws.executions import Executions
from aurora_restore.aws.tables import Table
from aurora_restore.cli.exits import ExitCode
from aurora_restore.cli.progress import Silent
from aurora_restore.embedded import sample
from aurora_restore.errors import AwsUnavailableError
from aurora_restore.operation import Operation, Step
from aurora_restore.store.journal import Journal, Store
from tests.cli.conftest import World
from tests.cli.terminal import Answer, aurora_restore


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("requests")


def run(world: World, folder: Path, *options: str, **changes: object) -> Answer:
    world.account.clock.sleep(60)  # no two operations begin in the same second
    return aurora_restore("run", world.request(folder, **changes), *options)


def refused(world: World, folder: Path, *options: str, name: str = "refused") -> Answer:
    """Run a request that fails in its first step: there is no such snapshot."""
    source = {**sample.request()["source"], "snapshot": "no-such-snapshot"}
    return run(world, folder, *options, name=name, source=source)


def test_an_operation_is_run_watched_and_told_to_its_end(world: World, folder: Path) -> None:
    """A line for each change, then what a person wants to know; exit 0."""
    hostile = {"name": "a\x1b[2Jb; DROP ROLE c", "secret": "orders-staging/hostile"}
    answer = run(world, folder, name="whole", users=[*sample.request()["users"], hostile])
    assert (answer.code, answer.err) == (0, "")
    assert "\x1b" not in answer.out
    for step in Step:
        assert f" {step:<20} DONE " in answer.out or f" {step:<20} SKIP " in answer.out
    for words in ("succeeded in", "Endpoint  ", "staging_app: arn:", "Master secret ", "aurora-restore status whole-"):
        assert words in answer.out
    assert aurora_restore("status", "whole", "--json").document["advice"] is None

    assert aurora_restore("watch", "whole").out.startswith("Operation whole-"), "what was typed was a part of it"

    shown = aurora_restore("status", "whole")
    assert shown.code == 0
    assert all(len(line) <= 80 for line in shown.out.splitlines() if "arn:" not in line)
    assert "Source  " in shown.out

    audit = aurora_restore("audit", "whole", "--verify")
    assert audit.code == 0
    assert "an unbroken chain" in audit.out
    assert "DeleteDBCluster (about to)" in audit.out
    assert "  - staging_app is created and logs in with" in audit.out, "each change to the users has a line"
    assert r"  - a\x1b[2Jb; DROP ROLE c is created" in audit.out, "whatever a user's name would have a terminal do"
    assert r"a\x1b[2Jb; DROP ROLE c: arn:" in shown.out
    assert "\x1b" not in shown.out + audit.out


@pytest.mark.parametrize("columns", ["40", "60", "80"])
def test_no_name_is_broken_however_narrow_the_terminal(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    """Whoever copies an ARN at night gets all of it, and grep finds it."""
    events = aurora_restore("audit", "whole", "--json").document["events"]
    subjects = {event["subject"] for event in events}
    reasons = [step["reason"] for step in aurora_restore("status", "whole", "--json").document["steps"]]
    names = {word.rstrip(";") for reason in reasons for word in reason.split() if "orders-staging-" in word}
    monkeypatch.setenv("COLUMNS", columns)
    audit, status = aurora_restore("audit", "whole").out, aurora_restore("status", "whole").out
    history = aurora_restore("history").out
    assert names
    assert [subject for subject in subjects if subject not in audit] == []
    assert [name for name in names if name not in status] == []
    assert [each["operation_id"] for each in events if each["operation_id"] not in history] == []
    assert [line for line in history.splitlines() if len(line) > max(60, int(columns))] == []


def test_with_json_stdout_is_one_document_and_the_exit_code_the_outcome(world: World, folder: Path) -> None:
    """A failed operation: exit 1, everything about it on stdout, nothing else there."""
    answer = refused(world, folder, "--json", name="machine")
    assert answer.code == ExitCode.FAILED
    document = answer.document
    assert document["status"] == "failed"
    assert document["failure"]["error"] == "PreflightError"
    assert document["stands"] == ["Nothing was deleted. The target is as it was."]
    assert document["advice"].startswith("Mend each line above, in the request or in AWS")
    assert document["steps"][0]["status"] == "FAILED"
    assert document["steps"][0]["ended_at"] == document["ended_at"], "how long it took can be told of every step"
    assert answer.err == ""
    assert aurora_restore("status", document["operation_id"], "--json").document == document
    assert aurora_restore("watch", document["operation_id"], "--json").document == document


def test_a_failed_operation_says_why_what_stands_and_what_to_do(world: World, folder: Path) -> None:
    """Exit 1, and nothing of it must be looked up elsewhere."""
    answer = refused(world, folder)
    assert answer.code == ExitCode.FAILED
    for words in ("Failed in SnapshotCheck: PreflightError", "no-such-snapshot", "Nothing was deleted", "What to do"):
        assert words in answer.out


def test_no_watch_starts_and_says_how_to_watch(world: World, folder: Path) -> None:
    """For scripts that look later."""
    started = refused(world, folder, "--no-watch", "--json", name="later").document
    watched = aurora_restore("watch", started["operation_id"])
    assert watched.code == ExitCode.FAILED
    assert f" {Step.SNAPSHOT_CHECK:<20} FAILED " in watched.out
    said = refused(world, folder, "--no-watch", name="later").out
    assert "aurora-restore watch later-" in said
    aurora_restore("watch", said.split()[1])


def test_a_wrong_request_starts_nothing(world: World, folder: Path) -> None:
    """It is refused on this machine, with 2."""
    answer = run(world, folder, name="Wrong Name")
    assert answer.code == ExitCode.USAGE
    assert "name: found 'Wrong Name'" in answer.err
    assert "wrong" not in aurora_restore("history", "--json").out.lower()


def test_ctrl_c_ends_the_watching_and_says_that_the_operation_goes_on(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 130; the operation ends all the same, and can be watched again."""

    class Interrupted(Silent):
        def show(self, operation: object, now: object) -> None:  # noqa: ARG002
            raise KeyboardInterrupt

    monkeypatch.setattr("aurora_restore.cli.run.display_for", lambda *_, **__: Interrupted())
    answer = refused(world, folder, "--json", name="interrupted")
    assert answer.code == ExitCode.INTERRUPTED
    error = answer.document["error"]
    assert error["type"] == "Interrupted"
    assert f"aurora-restore watch {error['operation_id']}" in answer.err
    monkeypatch.undo()


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (AwsUnavailableError("no answer"), 3)])
def test_a_start_whose_answer_does_not_come_may_have_started(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    """I4: whoever would start it again looks first; the id is told, in the document too."""

    def lost(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(Executions, "start", lost)
    answer = run(world, folder, "--json", name="perhaps")
    assert answer.code == code
    assert "It may have started. Look whether it has: aurora-restore status perhaps-" in answer.err
    assert "aurora-restore status perhaps-" in json.dumps(answer.document["error"])


def test_an_id_may_be_typed_as_far_as_it_is_unique(world: World, folder: Path) -> None:
    """An ambiguous one lists what it could mean, a wrong one the nearest; both exit with 2."""
    first = refused(world, folder, "--json", name="twin-a").document["operation_id"]
    refused(world, folder, "--json", name="twin-b")
    assert aurora_restore("status", "twin-a", "--json").document["operation_id"] == first
    ambiguous = aurora_restore("status", "twin")
    assert ambiguous.code == ExitCode.USAGE
    assert "2 operations begin with twin" in ambiguous.err
    assert first in ambiguous.err
    mistyped = aurora_restore("audit", "tvin-a")
    assert mistyped.code == ExitCode.USAGE
    assert f"Did you mean {first}?" in mistyped.err
    assert aurora_restore("watch", "nothing-like-it").code == ExitCode.USAGE


def test_history_is_newest_first_and_of_one_target_if_asked(world: World, folder: Path) -> None:
    """By the cluster's name or with its region, as many as wanted."""
    elsewhere = {**sample.request()["target"], "cluster": "elsewhere"}
    changes = {"target": elsewhere, "replace": {}, "source": {**sample.request()["source"], "snapshot": "none"}}
    other = run(world, folder, "--json", name="other", **changes).document["operation_id"]
    latest = refused(world, folder, "--json").document["operation_id"]

    listed = [operation["operation_id"] for operation in aurora_restore("history", "--json").document["operations"]]
    assert listed[:2] == [latest, other]
    for target in ("elsewhere", f"{sample.TARGET_REGION}/elsewhere"):
        found = aurora_restore("history", "--target", target, "--json").document["operations"]
        assert [operation["operation_id"] for operation in found] == [other]
    assert len(aurora_restore("history", "--limit", "1", "--json").document["operations"]) == 1
    table = aurora_restore("history").out
    assert all(len(line) <= 80 for line in table.splitlines())
    assert "SnapshotCheck: PreflightError" in table
    assert aurora_restore("history", "--target", "nowhere").out == ""


def test_status_without_an_id_shows_what_runs_and_the_last(world: World, folder: Path) -> None:
    """And says so when nothing runs."""
    operation_id = refused(world, folder, "--json").document["operation_id"]
    document = aurora_restore("status", "--json").document
    assert document["running"] == []
    assert document["last"][0]["operation_id"] == operation_id
    assert len(document["last"]) <= 5
    assert "Nothing runs now." in aurora_restore("status").out


def test_an_operation_whose_execution_is_gone_without_an_outcome_is_shown_as_stopped(world: World) -> None:
    """Its record still says running, because nobody was left to write another word."""
    deployment, client = world.sample.deployment, world.account.client("dynamodb")
    tables = Table(client, deployment.state_table), Table(client, deployment.audit_table)
    operation = Operation(
        operation_id="abandoned-1",
        execution_arn=f"{deployment.state_machine_arn.replace(':stateMachine:', ':execution:')}:abandoned-1",
        stack=deployment.stack,
        target="us-west-2/nobodys",
        requested_at=world.account.clock.now(),
    )
    Journal(Store(*tables, world.account.clock), operation, Step.SNAPSHOT_CHECK).begin()
    document = aurora_restore("status", "abandoned-1", "--json").document
    assert document["status"] == "stopped"
    assert document["advice"].endswith("aurora-restore abort abandoned-1."), "there is no cause to mend"
    shown = aurora_restore("status", "abandoned-1").out
    assert "Its execution was stopped and wrote no outcome." in shown
    assert "Nothing was deleted." in shown
    assert aurora_restore("watch", "abandoned-1").code == ExitCode.FAILED


def test_an_audit_that_was_tampered_with_is_named_and_exits_with_1(world: World, folder: Path) -> None:
    """--verify proves; without it the events are only shown."""
    operation_id = refused(world, folder, "--json", name="tampered").document["operation_id"]
    document = aurora_restore("audit", operation_id, "--verify", "--json").document
    assert document["verified"] is True
    assert [event["sequence"] for event in document["events"]] == list(range(1, len(document["events"]) + 1))
    world.account.client("dynamodb").update_item(
        TableName=world.sample.deployment.audit_table,
        Key={"operation_id": {"S": operation_id}, "sequence": {"N": "2"}},
        UpdateExpression="SET detail = :lie",
        ExpressionAttributeValues={":lie": {"S": "nothing happened"}},
    )
    assert aurora_restore("audit", operation_id).code == 0
    broken = aurora_restore("audit", operation_id, "--verify", "--json")
    assert broken.code == ExitCode.FAILED
    assert broken.document["error"]["type"] == "AuditBrokenError"
    assert "audit event 2" in broken.document["error"]["message"]
    assert "security incident" in broken.document["error"]["advice"]


def test_a_stack_that_is_not_there_is_the_environment_s_fault(world: World) -> None:
    """The stack comes from --stack or the environment; a wrong one exits with 3 and advice."""
    answer = aurora_restore("status", "--stack", "nowhere", "--json")
    assert answer.code == ExitCode.ENVIRONMENT
    assert answer.document["error"]["type"] == "DeploymentNotFoundError"
    assert "--stack" in answer.document["error"]["advice"]


def test_the_stack_may_come_from_the_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """AURORA_RESTORE_STACK stands for --stack."""
    monkeypatch.setenv("AURORA_RESTORE_STACK", "nowhere")
    assert "/aurora-restore/nowhere" in aurora_restore("history").err
    assert "no AWS region is chosen" in aurora_restore("history", "--region", "").err, "empty is none"


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("AWS_REGION", None, "no AWS region is chosen"),
        ("AWS_REGION", "eu-west-1", "does not exist in eu-west-1"),
        ("AWS_PROFILE", "nobody", "nobody"),
        ("AWS_REGION", "nowhere-9", "is the region right?"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "does aurora-restore serve run there"),
        ("AWS_ENDPOINT_URL", "127.0.0.1:9", "AWS_ENDPOINT_URL must be as http://"),
    ],
)
def test_an_environment_that_cannot_do_it_is_one_sentence(
    world: World, monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None, sentence: str
) -> None:
    """No region, the wrong one, one that is none, a profile that does not exist, nobody at the endpoint: exit 3."""
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    answer = aurora_restore("history", "--json")
    assert answer.code == ExitCode.ENVIRONMENT
    assert sentence in answer.err
    assert set(json.loads(answer.out)) == {"error"}
