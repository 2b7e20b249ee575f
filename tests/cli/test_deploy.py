"""deploy, destroy and bundle, against the embedded account and through the real command line."""

from pathlib import Path
from typing import Any

import pytest

from aurora_restore.cloudformation.bundle import contents, pack
from aurora_restore.cloudformation.vendoring import own_sources
from aurora_restore.operation import Step
from tests.cli.conftest import World
from tests.cli.terminal import Answer, aurora_restore

ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make a bundle of our own sources alone: what pip adds is another test's."""
    path = tmp_path_factory.mktemp("bundle") / "functions.zip"
    pack(contents({}, own_sources()), path)
    return str(path)


@pytest.fixture
def network(world: World) -> list[str]:
    """Return the options that say where to."""
    ec2 = world.account.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    return ["--vpc", vpc, "--subnets", ",".join(subnets)]


def deploy(code: str, *more: str, typed: str | None = None) -> Answer:
    return aurora_restore("deploy", "--bundle", code, *more, typed=typed)


def patterns(source: str = "orders-prod", target: str = "orders-staging") -> list[str]:
    return ["--source-pattern", source, "--target-pattern", target, "--email", "dba@example.com"]


def stack(world: World, name: str) -> dict[str, Any]:
    found: dict[str, Any] = world.account.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return found


def test_a_second_stack_is_deployed_and_restores(world: World, network: list[str], code: str, tmp_path: Path) -> None:
    """From the package to a restore, with nothing but the command line, through the functions that the stack made."""
    deployed = deploy(
        code, "--stack", "second", *network, *patterns(), "--parameter", "SecretPattern=orders-*", "--yes", "--json"
    )
    assert (deployed.err, deployed.code) == ("", 0)
    document = deployed.document
    assert (document["stack"], document["status"]) == ("second", "CREATE_COMPLETE")
    assert {change["effect"] for change in document["changes"]} == {"added"}
    assert {f"{step.function_name}" for step in Step} < {change["name"] for change in document["changes"]}
    assert "dba@example.com" in document["next"][0]
    called: list[str] = []

    def note(function: str, event: object) -> None:
        called.append(function)

    world.account.functions.before.append(note)
    try:
        ran = aurora_restore("run", world.request(tmp_path), "--stack", "second", "--json")
    finally:
        world.account.functions.before.remove(note)
    assert (ran.code, ran.document["status"]) == (0, "succeeded")
    assert {f"second-{step.function_name}" for step in Step} == set(called)
