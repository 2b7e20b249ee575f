"""An embedded account that ends and comes back in the same directory: what is kept, and what is refused."""

import json
import os
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aurora_restore.aws.clients import ONE_ATTEMPT
from aurora_restore.embedded import account_state
from aurora_restore.embedded.account import EmbeddedAccount
from aurora_restore.embedded.clock import EmbeddedClock, VirtualClock
from aurora_restore.embedded.dataplane import MasterUser, RecordsOnly
from aurora_restore.embedded.gate import Gate
from aurora_restore.embedded.late_drops import LateDrops
from aurora_restore.embedded.opening import still_free
from aurora_restore.embedded.persistence import CLOCK_FILE, FORMAT, STATE_FILE, Keeper, check, match_volumes
from aurora_restore.errors import EnvironmentUnfitError
from tests.embedded.emulator import awaited

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MADE_WITH = {"moto": "1", "PostgreSQL": "18"}
WEST, EAST = "us-west-2", "us-east-1"
CLUSTER = {
    "DBClusterIdentifier": "orders",
    "Engine": "aurora-postgresql",
    "EngineVersion": "16.4",
    "MasterUsername": "postgres",
    "ManageMasterUserPassword": True,
    "StorageEncrypted": True,
    "DBSubnetGroupName": "private",
    "DBClusterParameterGroupName": "orders",
}
WAITING = json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 90_000, "End": True}}})
DONE = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}})
ROLE = "arn:aws:iam::123456789012:role/aurora-restore"


def silent(_: str) -> None:
    """Tell nobody."""


class Kept:
    """A directory, and the volumes of its account, which outlive it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.plane = RecordsOnly()
        self.told: list[str] = []
        self.state: account_state.AccountState | None = None

    def keeper(self, made_with: dict[str, str] = MADE_WITH) -> Keeper:
        return Keeper(self.directory, made_with, LateDrops(self.plane), self.told.append)

    @contextmanager
    def account(self, clock: EmbeddedClock | VirtualClock | None = None) -> Iterator[EmbeddedAccount]:
        plane = LateDrops(self.plane)
        keeper = Keeper(self.directory, MADE_WITH, plane, self.told.append)
        kept = keeper.kept()
        with EmbeddedAccount(
            plane, clock or VirtualClock(NOON), client_config=ONE_ATTEMPT, gate=keeper.gate
        ) as account:
            if kept is not None:
                self.state = account_state.read(kept.state)
                match_volumes(self.state.places, plane, self.told.append)
                account.adopt(self.state)
            else:
                account.deploy()
            with keeper:
                keeper.start(account, account.server.port)
                yield account


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def build(account: EmbeddedAccount) -> str:
    """Make a cluster with an instance, a snapshot and all that it needs; return its key's ARN."""
    rds, kms, ec2 = (account.client(service, WEST) for service in ("rds", "kms", "ec2"))
    key: str = kms.create_key()["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/orders", TargetKeyId=key)
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="orders", Description="x", VpcId=vpc)["GroupId"]
    rds.create_db_subnet_group(DBSubnetGroupName="private", DBSubnetGroupDescription="x", SubnetIds=subnets)
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="orders", DBParameterGroupFamily="aurora-postgresql16", Description="x"
    )
    rds.create_db_cluster(**CLUSTER, KmsKeyId=key, VpcSecurityGroupIds=[group])
    settle(account)
    rds.create_db_instance(
        DBInstanceIdentifier="orders-1",
        DBClusterIdentifier="orders",
        Engine="aurora-postgresql",
        DBInstanceClass="db.r6g.large",
    )
    settle(account)
    account.aurora.take_automated_snapshot(WEST, "orders")
    return key


def settle(account: EmbeddedAccount) -> None:
    account.clock.sleep(86_400)
    account.aurora.settle()


def table(account: EmbeddedAccount, logical_id: str) -> str:
    """Return the name that CloudFormation gave a table."""
    found = account.client("cloudformation").describe_stack_resource(
        StackName="aurora-restore", LogicalResourceId=logical_id
    )
    return str(found["StackResourceDetail"]["PhysicalResourceId"])


def described(account: EmbeddedAccount) -> dict[str, Any]:
    """Return what the account's own API says of everything that must be back."""
    calls: dict[str, Callable[[], Any]] = {
        "instances": lambda: account.client("rds").describe_db_instances()["DBInstances"],
        "snapshots": lambda: account.client("rds").describe_db_cluster_snapshots()["DBClusterSnapshots"],
        "subnet groups": lambda: account.client("rds").describe_db_subnet_groups()["DBSubnetGroups"],
        "parameters": lambda: account.client("rds").describe_db_cluster_parameter_groups(),
        "security groups": lambda: account.client("ec2").describe_security_groups()["SecurityGroups"],
        "aliases": lambda: account.client("kms").list_aliases()["Aliases"],
        "secrets": lambda: account.client("secretsmanager").list_secrets()["SecretList"],
        "items": lambda: account.client("dynamodb").scan(TableName=table(account, "StateTable"))["Items"],
        "table": lambda: account.client("dynamodb").describe_table(TableName=table(account, "AuditTable"))["Table"],
        "stack": lambda: account.client("cloudformation").describe_stacks(StackName="aurora-restore")["Stacks"],
        "resources": lambda: account.client("cloudformation").describe_stack_resources(StackName="aurora-restore"),
        "rules": lambda: account.client("events").list_rules()["Rules"],
        "topics": lambda: account.client("sns").list_topics()["Topics"],
        "parameter": lambda: account.client("ssm").get_parameter(Name="/aurora-restore/aurora-restore")["Parameter"],
        "machines": lambda: account.client("stepfunctions").list_state_machines()["stateMachines"],
        "roles": lambda: account.client("iam").list_roles()["Roles"],
        "functions": lambda: account.client("lambda").list_functions()["Functions"],
    }
    answers = {name: call() for name, call in calls.items()}
    for answer in answers.values():
        if isinstance(answer, dict):
            answer.pop("ResponseMetadata", None)
    return answers


def test_everything_the_pipeline_needs_is_back(kept: Kept) -> None:
    """Clusters, snapshots, groups, tables, secrets, keys, topic, functions and state machine, under the same names."""
    with kept.account() as account:
        key = build(account)
        account.client("dynamodb").put_item(TableName=table(account, "StateTable"), Item={"id": {"S": "one"}})
        account.client("secretsmanager").create_secret(Name="orders/app", SecretString="testing")
        cipher = account.client("kms").encrypt(KeyId="alias/orders", Plaintext=b"testing")["CiphertextBlob"]
        before, at = described(account), account.clock.now()
        cluster = account.client("rds").describe_db_clusters()["DBClusters"][0]
    with kept.account(VirtualClock(at)) as account:
        assert described(account) == before
        again = account.client("rds").describe_db_clusters()["DBClusters"][0]
        assert again == cluster
        assert again["KmsKeyId"] == key
        assert account.client("kms").decrypt(CiphertextBlob=cipher)["Plaintext"] == b"testing"
        secret = account.client("secretsmanager").get_secret_value(SecretId=again["MasterUserSecret"]["SecretArn"])
        assert json.loads(secret["SecretString"])["username"] == "postgres"
        assert list(kept.plane.volumes.values()).count(None) == 1, (
            "the cluster's database runs, the snapshot's does not"
        )
    assert kept.told == []


def test_a_subscribed_queue_goes_on_to_get_what_is_told(kept: Kept) -> None:
    """Who rehearses with a queue behind the topic finds what was sent before, and gets what is sent after."""
    with kept.account() as account:
        sqs, sns = account.client("sqs"), account.client("sns")
        queue = sqs.create_queue(QueueName="told")["QueueUrl"]
        topic = sns.list_topics()["Topics"][0]["TopicArn"]
        endpoint = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint)
        sns.publish(TopicArn=topic, Message="before")
    with kept.account() as account:
        account.client("sns").publish(TopicArn=topic, Message="after")
        queue = account.client("sqs").get_queue_url(QueueName="told")["QueueUrl"]
        got = account.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
        assert [json.loads(each["Body"])["Message"] for each in got] == ["before", "after"]


def test_the_port_is_the_same_unless_it_is_taken() -> None:
    """Exported addresses go on working, and where they do not, that is said."""
    told: list[str] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert still_free(port, told.append) is None
    assert f"Port {port}" in told[0]
    assert still_free(port, told.append) == port
    assert len(told) == 1


def test_what_cannot_be_kept_is_said() -> None:
    """Not every thing of moto's can be written down."""
    state = account_state.AccountState({"x": lambda: None})  # type: ignore[dict-item]
    with pytest.raises(EnvironmentUnfitError, match="something in the account cannot be kept"):
        account_state.write(state)


def test_the_functions_answer_in_the_account_that_came_back(kept: Kept) -> None:
    """With their own handler strings and environments, which lead them to the tables that were kept."""
    event = json.dumps({"operation_id": "never-begun", "execution_arn": "x"})
    with kept.account():
        pass
    with kept.account() as account:
        answer = account.client("lambda").invoke(FunctionName="aurora-restore-DeleteRDSFunction", Payload=event)
        assert json.load(answer["Payload"])["errorType"] == "OperationNotFoundError"


def test_a_second_pipeline_is_deployed_into_the_account_that_came_back(kept: Kept) -> None:
    """What goes on can be added to: a parameter of a new name among what was kept, such as a deployment's of itself."""
    with kept.account():
        pass
    with kept.account() as account:
        account.client("ssm").put_parameter(Name="/aurora-restore/second", Value="{}", Type="String")
        assert account.client("ssm").get_parameter(Name="/aurora-restore/second")["Parameter"]["Version"] == 1
        assert account.client("ssm").get_parameter(Name="/aurora-restore/aurora-restore")["Parameter"]["Value"]


def test_who_asks_while_the_account_comes_back_is_answered_by_what_was_kept(kept: Kept) -> None:
    """Who watches an operation meanwhile is not told that the deployment is gone."""
    with kept.account():
        pass
    state = kept.keeper().kept()
    assert state is not None
    body = b'{"Name": "/aurora-restore/aurora-restore"}'
    head = (
        f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: AmazonSSM.GetParameter\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential=testing/20260301/{WEST}/ssm/aws4_request\r\n\r\n"
    )
    with (
        EmbeddedAccount(LateDrops(kept.plane), VirtualClock(NOON), awaits_state=True) as account,
        socket.create_connection(("127.0.0.1", account.server.port), timeout=60) as asking,
    ):
        asking.sendall(head.encode() + body)
        account.adopt(account_state.read(state.state))
        with asking.makefile("rb") as answer:
            assert answer.readline().split()[1] == b"200"
            assert b"state_machine_arn" in answer.read()


def test_an_execution_that_ran_is_aborted_and_one_that_ended_is_as_it_was(kept: Kept) -> None:
    """What ran is named to the operator; nobody is told, nothing is cancelled: resume finishes it."""
    with kept.account(EmbeddedClock(1)) as account:
        states = account.client("stepfunctions")
        machines = {
            name: states.create_state_machine(name=name, definition=text, roleArn=ROLE)["stateMachineArn"]
            for name, text in (("waits", WAITING), ("ends", DONE))
        }
        running = states.start_execution(stateMachineArn=machines["waits"], name="one")["executionArn"]
        ended = states.start_execution(stateMachineArn=machines["ends"], name="two", input='{"a": 1}')["executionArn"]
        awaited(
            lambda: states.describe_execution(executionArn=ended)["status"] == "SUCCEEDED" or None,
            "the short execution",
        )
    with kept.account() as account:
        states = account.client("stepfunctions")
        assert states.describe_execution(executionArn=running)["status"] == "ABORTED"
        assert states.describe_execution(executionArn=running)["stopDate"]
        assert json.loads(states.describe_execution(executionArn=ended)["output"]) == {"a": 1}
        assert states.get_execution_history(executionArn=ended)["events"] == []
        assert states.stop_execution(executionArn=running)
        assert [len(states.list_executions(stateMachineArn=arn)["executions"]) for arn in machines.values()] == [1, 1]
        assert kept.state is not None
        assert kept.state.interrupted == ["one"]


def test_the_state_is_written_while_the_account_runs(kept: Kept) -> None:
    """A kill without any warning loses a moment: a change is in the file soon after its answer."""
    with kept.account() as account:
        account.client("secretsmanager").create_secret(Name="written-soon", SecretString="testing")
        awaited(lambda: b"written-soon" in (kept.directory / STATE_FILE).read_bytes() or None, "the next save")
    assert (kept.directory / STATE_FILE).stat().st_mode & 0o777 == 0o600


def test_a_volume_goes_when_its_absence_is_written_down(kept: Kept) -> None:
    """Otherwise a kill in between would leave a cluster without its data."""
    with kept.account() as account:
        build(account)
        rds = account.client("rds")
        volume = rds.describe_db_clusters()["DBClusters"][0]["DbClusterResourceId"]
        rds.delete_db_instance(DBInstanceIdentifier="orders-1")
        rds.delete_db_cluster(DBClusterIdentifier="orders", SkipFinalSnapshot=True)
        # A save needs the records' lock too, so none comes in between.
        with account.aurora.standing_still():
            settle(account)
            assert rds_records(account) == {}
            assert volume in kept.plane.volumes
        rds.describe_db_clusters()
        awaited(lambda: volume not in kept.plane.volumes or None, "the volume's end")


def rds_records(account: EmbeddedAccount) -> dict[str, Any]:
    with account.aurora.standing_still() as places:
        return {name: each for records in places.values() for name, each in records.clusters.items()}


def test_a_volume_without_a_record_is_dropped_with_a_word(kept: Kept) -> None:
    """It was made in the moment that the kill took."""
    with kept.account() as account:
        build(account)
    kept.plane.volumes["cluster-LOST"] = None
    with kept.account():
        pass
    assert "cluster-LOST" not in kept.plane.volumes
    assert len(kept.told) == 1
    assert "cluster-LOST" in kept.told[0]


def test_a_record_without_a_volume_is_an_error(kept: Kept) -> None:
    """Somebody has removed files: the account does not pretend to have the data."""
    with kept.account() as account:
        build(account)
    before = (kept.directory / STATE_FILE).read_bytes()
    kept.plane.volumes.clear()
    lost = r"the data of arn:aws:rds:.*orders.* is not in the directory"
    with pytest.raises(EnvironmentUnfitError, match=lost), kept.account():
        pass
    assert (kept.directory / STATE_FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({"format": 99, "made_with": MADE_WITH, "port": 1}, f"format 99, and this version reads format {FORMAT}"),
        ({"format": FORMAT, "made_with": {**MADE_WITH, "moto": "0"}, "port": 1}, r"moto 0 \(here: 1\)"),
        ({"format": FORMAT, "made_with": {**MADE_WITH, "PostgreSQL": "17"}, "port": 1}, r"PostgreSQL 17 \(here: 18\)"),
        ("nonsense", "is damaged"),
    ],
)
def test_another_versions_account_is_refused(tmp_path: Path, header: object, says: str) -> None:
    """The sentence says what differs, and nothing is touched."""
    (tmp_path / STATE_FILE).write_text(json.dumps(header) + "\n")
    with pytest.raises(EnvironmentUnfitError, match=says):
        check(tmp_path, MADE_WITH)
    with pytest.raises(EnvironmentUnfitError, match=says):
        Kept(tmp_path).keeper().kept()
    assert [path.name for path in tmp_path.iterdir()] == [STATE_FILE]


def test_a_new_directory_holds_no_account(tmp_path: Path) -> None:
    """Nothing is refused, and nothing is found."""
    check(tmp_path / "new", MADE_WITH)
    keeper = Kept(tmp_path).keeper()
    assert (keeper.kept(), keeper.resume_at()) == (None, None)


def test_a_state_that_names_foreign_code_is_not_read() -> None:
    """A pickle could call anything: this one calls only what an account is made of."""

    class Evil:
        def __reduce__(self) -> Any:
            return os.system, ("exit 1",)

    with pytest.raises(EnvironmentUnfitError, match="has no place in an account's state"):
        account_state.read(pickle.dumps(Evil()))


def test_the_accounts_time_does_not_go_back(kept: Kept) -> None:
    """However fast the clock ran when its process was killed, the next one begins no earlier."""
    first = EmbeddedClock(1e6, on_hurry=kept.keeper().note_hurry)
    first.sleep(200_000)
    shown = first.now()
    assert shown > datetime.now(UTC) + timedelta(hours=50)
    resumed = kept.keeper().resume_at()
    assert resumed is not None
    assert EmbeddedClock(1e6, start=resumed).now() >= shown


def test_a_damaged_clock_file_is_refused(tmp_path: Path) -> None:
    """Better no account than one whose snapshots are from the future."""
    (tmp_path / CLOCK_FILE).write_text("{}")
    with pytest.raises(EnvironmentUnfitError, match="is damaged"):
        Kept(tmp_path).keeper().resume_at()


def test_a_state_that_cannot_be_written_is_said_and_tried_again(kept: Kept) -> None:
    """A full disk is reported once, and the account goes on."""
    draft = kept.directory / f"{STATE_FILE}.new"
    with kept.account() as account:
        # The root user may write anywhere, but not into a file that is a directory.
        draft.mkdir()
        account.client("secretsmanager").create_secret(Name="later", SecretString="testing")
        awaited(lambda: kept.told or None, "the complaint")
        draft.rmdir()
        awaited(lambda: b"later" in (kept.directory / STATE_FILE).read_bytes() or None, "the next save")
    assert len(kept.told) == 1
    assert "cannot be written" in kept.told[0]


def test_a_volume_to_be_dropped_makes_room_for_its_successor() -> None:
    """An identifier can be used again at once."""
    plane = RecordsOnly()
    late = LateDrops(plane)
    late.create("one", MasterUser("postgres", "testing"), None)
    late.clone("one", "two")
    late.drop("two")
    assert (late.volumes, late.doomed()) == ({"one"}, frozenset({"two"}))
    assert set(plane.volumes) == {"one", "two"}
    late.clone("one", "two")
    late.drop_all(["two"])
    assert (late.volumes, late.doomed()) == ({"one", "two"}, frozenset())
    late.drop("two")
    late.drop_all(["two"])
    assert set(plane.volumes) == {"one"}


def test_a_call_within_a_call_passes_a_gate_that_is_about_to_close() -> None:
    """Otherwise the outer call would never end, and the gate never be held."""
    inside, held = threading.Event(), threading.Event()
    gate = Gate(lambda: None)

    def inner(environ: dict[str, Any], begin: Any) -> list[bytes]:
        return [b"done"]

    def outer(environ: dict[str, Any], begin: Any) -> list[bytes]:
        inside.set()
        awaited(lambda: gate._is_held or None, "the holder")
        return list(gate.around(inner)({}, begin))

    def hold() -> None:
        inside.wait(30)
        with gate.held():
            held.set()

    holder = threading.Thread(target=hold)
    holder.start()
    assert gate.around(outer)({}, print) == [b"done"]
    holder.join(30)
    assert held.is_set()
