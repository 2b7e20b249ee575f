"""deploy, destroy and bundle, against the embedded account and through the real command line."""

import json
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from aurora_restore.cloudformation.bundle import contents, pack
from aurora_restore.cloudformation.vendoring import own_sources
from aurora_restore.embedded import sample
from aurora_restore.operation import Step
from tests.cli.conftest import World, environment
from tests.cli.terminal import Answer, aurora_restore
from tests.infra.evaluation import Answer as Judgement
from tests.infra.evaluation import Authorisation, Policy

ACCOUNT = "123456789012"
POLICY = Path(__file__).resolve().parents[2] / "docs" / "reference" / "deployer-policy.json"
# Where IAM's action has another name than the operation.
RENAMED = {
    "ListObjectsV2": "ListBucket",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}
# Which parameter names the resource.
NAMING = "Bucket StackName ChangeSetName Name stateMachineArn TableName TopicArn KeyId".split()


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make a bundle of our own sources alone: what pip adds is another test's."""
    path = tmp_path_factory.mktemp("bundle") / "functions.zip"
    pack(contents({}, own_sources()), path)
    return str(path)


@pytest.fixture
def network(world: World) -> list[str]:
    """Return the options that say where to."""
    return _network(world.account.client("ec2"))


def _network(ec2: Any) -> list[str]:
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


def test_the_account_s_own_stack_is_updated_without_any_option(world: World, code: str) -> None:
    """What serve has deployed is a stack like every other: it gets the new code, and its operations stay."""
    before = parameters(world, "aurora-restore")
    updated = deploy(code, "--yes", "--json")
    assert (updated.code, updated.document["status"]) == (0, "UPDATE_COMPLETE"), updated.err
    changed = {change["name"]: change["effect"] for change in updated.document["changes"]}
    assert changed == {step.function_name: "changed" for step in Step}
    after = parameters(world, "aurora-restore")
    assert {name for name in after if after[name] != before.get(name)} == {"BundleBucket", "BundleKey"}
    assert aurora_restore("doctor", "--json").document["healthy"]


@pytest.fixture(scope="module")
def deployed(served: World, code: str) -> str:
    """Deploy a stack once, for the tests that look at it or update it; return its name."""
    ec2 = served.account.client("ec2")
    with pytest.MonkeyPatch.context() as patch:
        environment(served, patch)
        made = deploy(code, "--stack", "kept", *_network(ec2), *patterns(), "--yes", "--json")
    assert made.code == 0, made.err
    return "kept"


def test_nothing_to_change_is_said_and_nothing_is_uploaded_again(world: World, deployed: str, code: str) -> None:
    """The same command again, even without what was given the first time, is no change."""
    again = deploy(code, "--stack", deployed, "--yes")
    assert again.code == 0
    assert "is there already" in again.out
    assert "nothing to change" in again.out
    assert deploy(code, "--stack", deployed, "--yes", "--json").document["changes"] == []


def test_an_update_keeps_what_is_not_given(world: World, deployed: str, code: str) -> None:
    """One parameter changes; who is told, and which clusters are allowed, stay."""
    before = parameters(world, deployed)
    updated = deploy(code, "--stack", deployed, "--parameter", "LogRetentionDays=30", "--yes", "--json")
    assert updated.code == 0, updated.err
    assert updated.document["status"] == "UPDATE_COMPLETE"
    assert {change["effect"] for change in updated.document["changes"]} == {"changed"}
    assert parameters(world, deployed) == before | {"LogRetentionDays": "30"}


def test_a_schedule_stays_until_its_request_gets_another(
    world: World, deployed: str, code: str, tmp_path: Path
) -> None:
    """A later deployment that does not speak of it does not remove it."""
    file = world.request(tmp_path)
    made = deploy(code, "--stack", deployed, "--schedule", f"rate(1 day)={file}", "--yes", "--json")
    assert made.code == 0, made.err
    added = {change["name"] for change in made.document["changes"] if change["type"] == "AWS::Scheduler::Schedule"}
    assert len(added) == 1
    assert deploy(code, "--stack", deployed, "--yes", "--json").document["changes"] == []
    narrowed = deploy(code, "--stack", deployed, *patterns(target="shop-staging"), typed="n\n")
    assert "Note: the schedule refresh-staging stays, and orders-staging is not among the targets" in narrowed.out
    other = deploy(code, "--stack", deployed, "--schedule", f"rate(2 days)={file}", "--yes", "--json").document
    assert added <= {change["name"] for change in other["changes"] if change["effect"] == "changed"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (patterns("shop-*"), ["source.cluster: found orders-prod, which is not among the sources"]),
        (
            patterns(target="shop-staging"),
            [
                "target.cluster: found orders-staging, which is not among the targets",
                "users[0].secret: found orders-staging/app, which is not among the secrets",
                "users[1].secret: found orders-staging/report, which is not among the secrets",
            ],
        ),
        (patterns("orders-*", "*"), ["target.cluster: found orders-staging, which is among the sources, orders-*"]),
        (
            [*patterns(), "--parameter", "SecretPattern=*/app"],
            ["users[1].secret: found orders-staging/report, which is not among the secrets"],
        ),
    ],
)
def test_a_schedule_that_iam_would_deny_is_refused(
    world: World, network: list[str], code: str, tmp_path: Path, options: list[str], said: list[str]
) -> None:
    """It would fail every night: said before anything is built, uploaded or made, each thing at once."""
    schedule = f"rate(1 day)={world.request(tmp_path)}"
    answer = deploy(code, "--stack", "wrong", *network, *options, "--schedule", schedule, "--yes", "--json")
    assert answer.code == 2
    assert len(answer.document["error"]["problems"]) == len(said)
    assert all(f"request.json, {sentence}" in answer.err for sentence in said)
    assert "wrong" not in stacks(world)


def test_without_a_terminal_nobody_is_asked_and_nothing_is_done(world: World, code: str) -> None:
    """A script has to say --yes."""
    answer = deploy(code, "--stack", "unasked", *patterns())
    assert (answer.code, "--yes" in answer.err) == (2, True)
    assert "unasked" not in stacks(world)


def test_a_no_leaves_nothing_behind(world: World, network: list[str], code: str) -> None:
    """Neither a change set nor the empty stack that CloudFormation makes for one."""
    answer = deploy(code, "--stack", "refused", *network, *patterns(), typed="n\n")
    assert answer.code == 130
    assert "+ added           StateTable" in answer.out
    assert "Nothing was changed" in answer.err
    assert "refused" not in stacks(world)


def test_a_yes_at_the_terminal_deploys(world: World, network: list[str], code: str) -> None:
    """The change set is shown before the question, the next steps after the deployment."""
    answer = deploy(code, "--stack", "asked", *network, *patterns(), typed="y\n")
    assert answer.code == 0
    assert answer.out.index("added") < answer.out.index("CREATE_COMPLETE") < answer.out.index("doctor")
    assert "--stack asked" in answer.out


def test_every_mistake_in_the_parameters_is_said_at_once(world: World, code: str) -> None:
    """Before anything is built, uploaded or made."""
    answer = deploy(code, "--stack", "wrong", "--source-pattern", "Prod", "--parameter", "SubnetId=x", "--yes")
    assert answer.code == 2
    for expected in ("SourcePattern (--source-pattern)", "did you mean SubnetIds?", "VpcId (--vpc)", "TargetPattern"):
        assert expected in answer.err
    assert "wrong" not in stacks(world)


def test_a_target_that_would_be_a_source_too_is_refused(world: World, code: str, network: list[str]) -> None:
    """IAM would deny every step of every restore: said before anything is made."""
    answer = deploy(code, "--stack", "wrong", *network, *patterns("*", "staging-*"), "--yes")
    assert (answer.code, "a source is never a target" in answer.err) == (2, True)
    assert "wrong" not in stacks(world)


def test_patterns_with_a_name_in_common_are_told_of(world: World, code: str, network: list[str]) -> None:
    """Before the question: who meant something else can still say no."""
    answer = deploy(code, "--stack", "refused", *network, *patterns("orders-*", "*-staging"), typed="n\n")
    assert "Note: a cluster such as orders-staging matches both patterns" in answer.out
    assert "refused" not in stacks(world)


def test_what_was_not_in_the_template_is_not_removed_without_its_name(
    world: World, network: list[str], code: str
) -> None:
    """A table that a deployment would remove is red, and --yes does not stand for it."""
    client = world.account.client("cloudformation")
    table = {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
    }
    client.create_stack(StackName="grown", TemplateBody=json.dumps({"Resources": {"Precious": table}}))
    refused = deploy(code, "--stack", "grown", *network, *patterns(), "--yes")
    assert (refused.code, "Precious" in refused.err) == (2, True)
    assert "what is in it would be lost" in refused.out
    mistyped = deploy(code, "--stack", "grown", *network, *patterns(), typed="yes\n")
    assert mistyped.code == 130
    assert [name for name in tables(world) if name.startswith("grown-Precious")]
    assert deploy(code, "--stack", "grown", *network, *patterns(), typed="grown\n").code == 0
    assert not [name for name in tables(world) if name.startswith("grown-Precious")]


def test_a_failed_creation_says_why_and_is_cleared_away_by_the_next(
    world: World, network: list[str], code: str
) -> None:
    """The first reason stands in the error; CloudFormation updates no such stack, so it is made anew."""
    ssm = world.account.client("ssm")
    ssm.put_parameter(Name="/aurora-restore/third", Value="somebody else's", Type="String")
    failed = deploy(code, "--stack", "third", *network, *patterns(), "--yes")
    assert failed.code == 1
    assert "ROLLBACK_COMPLETE:\n  - Deployment: " in failed.err
    ssm.delete_parameter(Name="/aurora-restore/third")
    again = deploy(code, "--stack", "third", *network, *patterns(), "--yes", "--json")
    assert (again.code, again.document["status"]) == (0, "CREATE_COMPLETE")


def test_ctrl_c_leaves_cloudformation_at_work_and_says_how_to_watch_it(
    world: World, deployed: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watching ends, not the deployment."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("aurora_restore.cli.deploy.follow", interrupt)
    answer = deploy(code, "--stack", deployed, "--parameter", "LogRetentionDays=60", "--yes")
    assert answer.code == 130
    assert "aws cloudformation describe-stack-events --stack-name kept" in answer.err
    assert parameters(world, deployed)["LogRetentionDays"] == "60"


def test_the_bucket_is_private_encrypted_versioned_and_tls_only(world: World, deployed: str) -> None:
    """It holds the code that deletes clusters."""
    s3, name = world.account.client("s3"), f"aurora-restore-{ACCOUNT}-{sample.TARGET_REGION}"
    assert all(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values())
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert "AES256" in str(s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"])
    [statement] = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_what_is_no_bundle_is_not_deployed(world: World, tmp_path: Path) -> None:
    """A zip of anything else would fail at the first operation only."""
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("handler.py", "")
    world.account.client("cloudformation")
    answer = deploy(str(other), "--stack", "kept", "--yes")
    assert (answer.code, "no bundle of ours" in answer.err) == (2, True)


def test_destroy_refuses_while_an_operation_runs(world: World, deployed: str, tmp_path: Path) -> None:
    """The functions that would end it would be gone, and the lock held for ever."""
    held = threading.Event()

    def hold(function: str, event: object) -> None:
        held.wait(30)

    world.account.functions.before.append(hold)
    try:
        # Not a whole restore: it ends as soon as it looks for its source.
        request = world.request(tmp_path, source={"cluster": "absent", "region": sample.SOURCE_REGION})
        begun = aurora_restore("run", request, "--stack", deployed, "--no-watch", "--json").document
        answer = aurora_restore("destroy", "--stack", deployed, "--yes")
        assert (answer.code, begun["operation_id"] in answer.err) == (1, True)
    finally:
        held.set()
        world.account.functions.before.remove(hold)
        watched = aurora_restore("watch", begun["operation_id"], "--stack", deployed, "--json")
    assert watched.document["status"] == "failed", watched
    assert deployed in stacks(world)


def test_destroy_wants_the_stack_s_name(world: World, deployed: str) -> None:
    """Typed; anything else is a no."""
    answer = aurora_restore("destroy", "--stack", deployed, typed="yes\n")
    assert answer.code == 2
    assert deployed in stacks(world)
    assert aurora_restore("destroy", "--stack", deployed).code == 2


def test_destroy_keeps_what_was_recorded(world: World, deployed: str) -> None:
    """Tables, topic and key are named and stay; everything that runs is gone."""
    before = [name for name in tables(world) if name.startswith(f"{deployed}-")]
    answer = aurora_restore("destroy", "--stack", deployed, "--yes", "--json")
    assert (answer.code, answer.document["status"]) == (0, "DELETE_COMPLETE")
    assert {kept["name"] for kept in answer.document["kept"]} >= {"StateTable", "AuditTable", "Topic", "Key"}
    assert [name for name in tables(world) if name.startswith(f"{deployed}-")] == before
    assert deployed not in stacks(world)
    functions = world.account.client("lambda").list_functions()["Functions"]
    assert not [each for each in functions if each["FunctionName"].startswith(f"{deployed}-")]


def test_destroy_deletes_the_data_when_it_is_told_to(world: World) -> None:
    """Tables and topic are gone, the key goes in a month."""
    answer = aurora_restore("destroy", "--stack", "asked", "--delete-data", typed="asked\n")
    assert answer.code == 0, answer.err
    assert not [name for name in tables(world) if name.startswith("asked-")]
    topics = world.account.client("sns").list_topics()["Topics"]
    assert not [topic for topic in topics if ":asked-" in topic["TopicArn"]]


def test_a_stack_that_is_not_there_cannot_be_destroyed(world: World) -> None:
    """And a typing error in --stack deletes nothing."""
    answer = aurora_restore("destroy", "--stack", "absent", "--yes")
    assert (answer.code, "there is no stack absent" in answer.err) == (3, True)


def test_the_policy_in_the_documentation_allows_every_call(
    world: World, network: list[str], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a deployment, an update and a destruction with all data; no statement of theirs is left over."""
    called: set[tuple[str, str]] = set()
    _empty_the_bucket(world.account.client("s3"))
    really = BaseClient._make_api_call  # type: ignore[attr-defined]

    def noted(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        called.add(_authorisation(client.meta.service_model.service_name, operation, parameters))
        return really(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", noted)
    name = "aurora-restore-policed"
    for typed in ("n\n", "y\n"):
        deploy(code, "--stack", name, *network, *patterns(), typed=typed)
    assert deploy(code, "--stack", name, "--parameter", "LogRetentionDays=30", "--yes").code == 0
    assert aurora_restore("destroy", "--stack", name, "--delete-data", "--yes").code == 0
    monkeypatch.undo()
    own = [each for each in json.loads(POLICY.read_text())["Statement"] if "Condition" not in each]
    policy = Policy(own)
    called -= {("sts:GetCallerIdentity", "*")}
    assert {each for each in called if policy.answer(Authorisation.of(*each)) is not Judgement.ALLOWED} == set()
    # CloudFormation and Lambda read the bucket with the rights of whoever calls them.
    unseen = {"s3:GetObject"}
    allowed = {action for statement in own for action in statement["Action"]}
    assert allowed - {action for action, _ in called} == unseen


def _empty_the_bucket(s3: Any) -> None:
    """Let it be made and filled again."""
    name = f"aurora-restore-{ACCOUNT}-{sample.TARGET_REGION}"
    for version in s3.list_object_versions(Bucket=name)["Versions"]:
        s3.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
    s3.delete_bucket(Bucket=name)


def _authorisation(service: str, operation: str, parameters: dict[str, Any]) -> tuple[str, str]:
    """Return what AWS asks IAM for a call: the action, and the resource."""
    if service == "sts":
        return "sts:GetCallerIdentity", "*"
    action = RENAMED.get(operation, operation)
    place = next((str(parameters[name]) for name in NAMING if name in parameters), "")
    if service == "s3":
        return f"s3:{action}", f"arn:aws:s3:::{place}" + (f"/{parameters['Key']}" if "Key" in parameters else "")
    prefix = {"cloudformation": "stack/", "ssm": "parameter", "dynamodb": "table/", "kms": ""}.get(service, "")
    if service == "kms" and not place.startswith(("alias/", "arn:")):
        prefix = "key/"
    suffix = "/1" if service == "cloudformation" else ""
    if "/changeSet/" in place or ":changeSet/" in place:
        # A change set is asked for as its stack.
        place = f"arn:aws:cloudformation:us-west-2:{ACCOUNT}:stack/aurora-restore-policed/1"
    prefixes = {"stepfunctions": "states"}
    arn = place if place.startswith("arn:") else f"arn:aws:{service}:us-west-2:{ACCOUNT}:{prefix}{place}{suffix}"
    return f"{prefixes.get(service, service)}:{action}", arn


def stacks(world: World) -> set[str]:
    found = world.account.client("cloudformation").describe_stacks()["Stacks"]
    return {each["StackName"] for each in found}


def tables(world: World) -> list[str]:
    found: list[str] = world.account.client("dynamodb").list_tables()["TableNames"]
    return found


def parameters(world: World, name: str) -> dict[str, str]:
    return {each["ParameterKey"]: each["ParameterValue"] for each in stack(world, name)["Parameters"]}
