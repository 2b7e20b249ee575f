"""The rest of AWS: keys, secrets, executions, deployments, topics and clients."""

import json
from typing import Any

import pytest

from aurora_restore.aws.clients import PATIENT, Clients
from aurora_restore.aws.deployment import Deployment, read_deployment, write_deployment
from aurora_restore.aws.executions import Executions
from aurora_restore.aws.keys import Keys
from aurora_restore.aws.rds import Rds
from aurora_restore.aws.secrets import Secrets
from aurora_restore.errors import (
    ConfigurationError,
    DeploymentNotFoundError,
    EnvironmentUnfitError,
    KeyUnusableError,
    PreconditionError,
)
from tests.steps.world import EAST, WEST, Country, Stage


def test_a_key_is_found_by_id_alias_and_arn(country: Country) -> None:
    """All three mean the same ARN."""
    keys, arn = Keys(country.account.client("kms", WEST), WEST), country.regions[WEST].key
    assert {keys.resolve(name) for name in (arn, arn.rpartition("/")[2], "alias/orders")} == {arn}
    assert keys.is_usable(arn)
    assert keys.for_secrets(arn) == arn


def test_a_key_elsewhere_or_nowhere_is_not_usable(country: Country) -> None:
    """And the message says where it was looked for."""
    keys = Keys(country.account.client("kms", WEST), WEST)
    with pytest.raises(KeyUnusableError, match="is in another region than us-west-2"):
        keys.resolve(country.regions[EAST].key)
    with pytest.raises(KeyUnusableError, match="there is no key alias/none in us-west-2"):
        keys.resolve("alias/none")
    assert not keys.is_usable("alias/none")
    assert keys.for_secrets("alias/none") is None


class Described:
    """A KMS client that knows one key, as AWS describes its managed ones: moto does not tell who manages a key."""

    def __init__(self, manager: str) -> None:
        self._manager = manager

    def describe_key(self, **_: Any) -> dict[str, Any]:
        return {"KeyMetadata": {"Arn": "arn:key", "KeyState": "Enabled", "KeyManager": self._manager}}


def test_an_aws_managed_key_is_not_for_secrets() -> None:
    """aws/rds works through RDS only: its policy says so. Secrets Manager takes its own key instead."""
    assert Keys(Described("AWS"), WEST).for_secrets("arn:key") is None
    assert Keys(Described("CUSTOMER"), WEST).for_secrets("arn:key") == "arn:key"


def test_a_secret_shows_its_arn_only(country: Country) -> None:
    """I6: in whatever message it ends up."""
    client = country.account.client("secretsmanager", EAST)
    client.create_secret(Name="shown", SecretString='{"username": "u", "password": "testing-p"}')
    secret = Secrets(client, EAST).find("shown")
    assert secret is not None
    assert (secret.username, secret.password) == ("u", "testing-p")
    assert "testing-p" not in f"{secret!r}{secret}"
    assert Secrets(client, EAST).find("not-there") is None


def test_a_secret_without_a_value_has_no_password(country: Country) -> None:
    """Made by a template, never filled."""
    client = country.account.client("secretsmanager", EAST)
    client.create_secret(Name="empty")
    secret = Secrets(client, EAST).find("empty")
    assert secret is not None
    with pytest.raises(PreconditionError, match="holds no password"):
        _ = secret.password


def test_an_execution_that_step_functions_has_forgotten_has_ended(country: Country) -> None:
    """After ninety days, or in another account: its lock is free."""
    states = country.account.client("stepfunctions")
    executions = Executions(states)
    assert executions.has_ended(f"arn:aws:states:{WEST}:123456789012:execution:aurora-restore:forgotten")
    machine = states.list_state_machines()["stateMachines"][0]["stateMachineArn"]
    arn = executions.start(machine, name="from-here", request={"name": "x"})
    description = executions.describe(arn)
    assert description is not None
    assert (description["name"], json.loads(description["input"])) == ("from-here", {"name": "x"})


class Redriven:
    """A Step Functions client whose execution is in any status."""

    def __init__(self, status: str) -> None:
        self._status = status

    def describe_execution(self, **_: Any) -> dict[str, str]:
        return {"status": self._status}


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        ("RUNNING", False),
        ("PENDING_REDRIVE", False),
        ("SUCCEEDED", True),
        ("FAILED", True),
        ("TIMED_OUT", True),
        ("ABORTED", True),
    ],
)
def test_only_what_runs_or_may_run_again_holds_its_lock(status: str, ended: bool) -> None:  # noqa: FBT001
    """I3: in every status that Step Functions has."""
    assert Executions(Redriven(status)).has_ended("arn") is ended


def test_a_deployment_is_read_as_it_was_written(country: Country) -> None:
    """One parameter is all that the command line needs to know."""
    ssm = country.account.client("ssm")
    deployment = Deployment(
        stack="blue", region=WEST, state_machine_arn="a", state_table="b", audit_table="c", topic_arn="d"
    )
    write_deployment(ssm, deployment)
    assert read_deployment(ssm, "blue") == deployment
    with pytest.raises(DeploymentNotFoundError, match=r"/aurora-restore/green does not exist in us-west-2"):
        read_deployment(ssm, "green")


@pytest.mark.parametrize(("value", "said"), [("{}", "stack"), ("no json", "not JSON")])
def test_a_damaged_deployment_is_told(country: Country, value: str, said: str) -> None:
    """What is wrong with it, and that it is to be deployed again."""
    ssm = country.account.client("ssm")
    ssm.put_parameter(Name="/aurora-restore/damaged", Value=value, Type="String", Overwrite=True)
    with pytest.raises(ConfigurationError, match=rf"is damaged: .*{said}"):
        read_deployment(ssm, "damaged")


def test_clients_are_made_once_and_have_limits(country: Country) -> None:
    """A function's client makes one attempt, because the state machine repeats; a person's makes five."""
    clients = Clients(endpoint_url="http://127.0.0.1:9", aws_access_key_id="testing", aws_secret_access_key="testing")
    assert clients("sqs", WEST) is clients("sqs", WEST)
    assert clients("sqs", WEST) is not clients("sqs", EAST)
    assert clients("sqs", WEST).meta.config.retries["total_max_attempts"] == 1
    patient = Clients(PATIENT, endpoint_url="http://127.0.0.1:9")("sqs", WEST).meta.config
    assert patient.retries["total_max_attempts"] == 5
    assert clients("sqs", WEST).meta.config.read_timeout == patient.read_timeout == 30


def test_a_machine_without_a_region_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Before any call is made."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(EnvironmentUnfitError, match="region"):
        Clients()("sqs")


def test_an_automated_snapshot_is_asked_for_by_its_type(stage: Stage) -> None:
    """The model says that the type must be given for an automated one; whether RDS insists is open."""
    seen: list[dict[str, Any]] = []

    def hear(params: dict[str, Any], **_: Any) -> None:
        seen.append(dict(params))

    client = stage.client("rds", EAST)
    client.meta.events.register("before-parameter-build.rds.DescribeDBClusterSnapshots", hear)
    rds = Rds(client, EAST)
    (found,) = rds.snapshots("orders-prod")
    for name in (found.identifier, found.arn):
        assert rds.snapshot(name) == found
    assert rds.snapshot("manual-one") is None
    client.meta.events.unregister("before-parameter-build.rds.DescribeDBClusterSnapshots", hear)
    assert [params.get("SnapshotType") for params in seen] == [None, "automated", "automated", None]


def test_what_is_not_there_is_none(stage: Stage) -> None:
    """In RDS's own words for each kind."""
    rds = stage.world.rds(WEST)
    assert rds.cluster("nobody") is None
    assert rds.instance("nobody") is None
    assert rds.instances("nobody") == ()
    assert rds.snapshot("nobody") is None
    assert rds.cluster_family("nobody") is None
    assert rds.instance_family("nobody") is None
    assert rds.subnet_group_vpc("nobody") is None


def test_mistake_3_more_snapshots_than_a_page_are_all_seen(stage: Stage) -> None:
    """A hundred automated ones and one more: AWS answers a hundred at a time, by name."""
    at = stage.clock.now()
    for minutes in range(101):
        stage.aurora.take_automated_snapshot(
            EAST, "orders-prod", at.fromtimestamp(at.timestamp() - minutes * 60, at.tzinfo)
        )
    assert len(stage.world.rds(EAST).snapshots("orders-prod")) >= 101
