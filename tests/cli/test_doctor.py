"""doctor, on an embedded account: every check, well and broken."""

from pathlib import Path
from typing import Any

import pytest

from aurora_restore.aws.deployment import write_deployment
from aurora_restore.cli.exits import ExitCode
from aurora_restore.embedded import sample
from aurora_restore.operation import Step
from tests.cli.conftest import World
from tests.cli.terminal import Answer, aurora_restore

OF_THE_DEPLOYMENT = [
    "program",
    "boto3",
    "region",
    "credentials",
    "deployment",
    "State table",
    "Audit table",
    "state machine",
    "functions",
    "topic",
    "key",
]


def health(answer: Answer) -> dict[str, str]:
    return {check["name"]: check["health"] for check in answer.document["checks"]}


def check(answer: Answer, name: str) -> Any:
    return next(each for each in answer.document["checks"] if each["name"] == name and each["health"] != "ok")


def test_a_sound_deployment_and_request_are_ok_in_every_line(world: World, tmp_path: Path) -> None:
    """Exit 0; with a file also what it names."""
    answer = aurora_restore("doctor", "--json")
    assert answer.code == ExitCode.DONE, answer.out
    assert health(answer) == dict.fromkeys(OF_THE_DEPLOYMENT, "ok")
    assert answer.document["healthy"] is True
    with_file = aurora_restore("doctor", world.request(tmp_path), "--json")
    named = ["request", *OF_THE_DEPLOYMENT, "source", "snapshot", "target", "target's key", "secret", "network"]
    assert health(with_file) == dict.fromkeys(named, "ok")


def test_its_lines_fit_eighty_columns(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each check, and what to do beneath."""
    monkeypatch.setenv("COLUMNS", "80")
    target = {**sample.request()["target"], "kms_key": "alias/none"}
    world.request(tmp_path, target=target)
    monkeypatch.chdir(tmp_path)  # a path is written whole, so that it can be copied
    answer = aurora_restore("doctor", "request.json")
    assert answer.code == ExitCode.ENVIRONMENT
    assert "failed  request         target.kms_key: there is no key alias/none" in answer.out
    assert "-> It would stop the operation" in answer.out
    assert [line for line in answer.out.splitlines() if len(line) > 80] == []


def test_each_mistake_in_the_request_is_a_failure_and_the_rest_is_checked(world: World, tmp_path: Path) -> None:
    answer = aurora_restore("doctor", world.request(tmp_path, name="NO", logins="none"), "--json")
    assert answer.code == ExitCode.ENVIRONMENT
    failed = [each["detail"] for each in answer.document["checks"] if each["health"] == "failed"]
    assert ["name: found 'NO'" in failed[0], "logins: found 'none'" in failed[1], len(failed)] == [True, True, 2]
    assert health(answer)["functions"] == "ok"


@pytest.mark.parametrize(
    ("sources", "targets", "others", "wrong"),
    [
        ("orders-prod", "orders-*", {}, []),
        ("orders-prod", "orders-*", {"secret_pattern": "orders-staging/*", "iam_user_pattern": "ci_*"}, []),
        ("other-*", "orders-staging", {}, ["orders-prod is not among the sources"]),
        ("orders-prod", "*-test", {}, ["orders-staging is not among the targets"]),
        ("orders-*", "*", {}, ["orders-staging is among the sources"]),
        (
            "orders-prod",
            "orders-*",
            {"secret_pattern": "orders-staging/app", "iam_user_pattern": ""},
            [
                "orders-staging/report is not among the secrets",
                "ci_job logs in with a token, which the functions may make for nobody",
            ],
        ),
    ],
)
def test_a_name_that_iam_would_deny_is_a_failure(
    world: World, tmp_path: Path, sources: str, targets: str, others: dict[str, str], wrong: list[str]
) -> None:
    """The functions' roles know names by the patterns of the deployment: said here, not by AWS in the first step."""
    # An older deployment tells of the clusters only.
    untold = {"secret_pattern": None, "iam_user_pattern": None}
    narrow = {"stack": "narrow", "source_pattern": sources, "target_pattern": targets, **untold, **others}
    write_deployment(world.account.client("ssm"), world.sample.deployment.model_copy(update=narrow))
    plain = sample.request()
    users = [*plain["users"], {"name": "ci_job", "iam": True}]
    verify = [{"table": "public.orders", "user": "ci_job"}]
    place = {**plain["target"], "iam_authentication": True}
    request = world.request(tmp_path, users=users, verify=verify, target=place)
    answer = aurora_restore("doctor", request, "--stack", "narrow", "--json")
    failed = [each for each in answer.document["checks"] if each["health"] == "failed"]
    assert len(failed) == len(wrong)
    assert all(each["detail"].startswith(detail) for each, detail in zip(failed, wrong, strict=True))


def test_what_is_missing_of_a_deployment_is_named(world: World) -> None:
    """A stack that somebody took apart: each part has its own line."""
    broken = world.sample.deployment.model_copy(
        update={
            "stack": "broken",
            "state_table": "gone",
            "state_machine_arn": f"{world.sample.deployment.state_machine_arn}-gone",
            "topic_arn": f"{world.sample.deployment.topic_arn}-gone",
            "kms_key_arn": "arn:aws:kms:us-west-2:123456789012:key/gone",
            "functions": {Step.COPY_SNAPSHOT.function_name: "gone"},
        }
    )
    write_deployment(world.account.client("ssm"), broken)
    answer = aurora_restore("doctor", "--stack", "broken", "--json")
    assert answer.code == ExitCode.ENVIRONMENT
    failed = {name for name, state in health(answer).items() if state == "failed"}
    assert failed == {"State table", "state machine", "functions", "topic", "key"}
    assert "CopySnapshotFunction" in check(answer, "functions")["detail"]
    assert check(answer, "functions")["advice"] == "Deploy again"


def test_a_target_out_of_reach_is_a_warning_only(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SetupDBUsers runs in the VPC, this machine mostly does not."""

    def refuse(*arguments: object, **options: object) -> None:
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr("aurora_restore.cli.checks.socket.create_connection", _only(world, refuse))
        answer = aurora_restore("doctor", world.request(tmp_path), "--json")
    assert answer.code == ExitCode.DONE
    assert check(answer, "network")["health"] == "warning"


def _only(world: World, refuse: Any) -> Any:
    """Return socket.create_connection, refusing the target's database and nothing else."""
    import socket  # noqa: PLC0415

    original, port = socket.create_connection, world.sample.target.endpoint.port

    def connect(address: tuple[str, int], *arguments: Any, **options: Any) -> Any:
        return refuse() if address[1] == port else original(address, *arguments, **options)

    return connect


def test_a_source_that_is_gone_is_a_warning(world: World, tmp_path: Path) -> None:
    """A snapshot of it is enough; that there is none of this one, is not."""
    source = {**sample.request()["source"], "cluster": "gone"}
    answer = aurora_restore("doctor", world.request(tmp_path, source=source), "--json")
    assert check(answer, "source")["health"] == "warning"
    assert "has no available snapshot" in check(answer, "request")["detail"]


def test_no_deployment_and_no_credentials_end_the_examination(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs on them cannot be checked."""
    answer = aurora_restore("doctor", "--stack", "none", "--json")
    assert answer.code == ExitCode.ENVIRONMENT
    assert answer.document["checks"][-1]["name"] == "deployment"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    unreachable = aurora_restore("doctor", "--json")
    assert unreachable.code == ExitCode.ENVIRONMENT
    assert unreachable.document["checks"][-1]["name"] == "credentials"
    assert "AWS_ENDPOINT_URL" in unreachable.document["checks"][-1]["advice"]
