"""A world for the steps: clusters in two regions, the nine functions called directly, and every call they make."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any, NamedTuple

from aws_lambda_powertools import Logger
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.secretsmanager.models import secretsmanager_backends

from aurora_restore.aws.executions import Executions
from aurora_restore.database.engine import Engine, engine_for
from aurora_restore.embedded import aurora
from aurora_restore.embedded.account import EmbeddedAccount
from aurora_restore.embedded.aurora_records import Durations
from aurora_restore.embedded.clock import VirtualClock
from aurora_restore.embedded.dataplane import RecordsOnly
from aurora_restore.operation import Operation, Step
from aurora_restore.runtime import Function, Result, Settings, open_world
from aurora_restore.steps.world import World
from aurora_restore.store.audit import AuditEvent, verify
from tests.steps.database import FakeDatabase
from tests.steps.tables import FakeDynamoDB

EAST, WEST = "us-east-1", "us-west-2"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENGINE, VERSION, FAMILY = "aurora-postgresql", "16.4", "aurora-postgresql16"
MASTER_PASSWORD = "testing-production"
SOURCE = "orders-prod"
ROLE = "arn:aws:iam::123456789012:role/orders-import"
# Everything is there at the second poll: what a step does while it waits is the same for hours.
QUICK = Durations(**{each.name: 4 for each in fields(Durations)})
_READING = ("Describe", "Get", "List", "Query", "Scan")
_numbers = count(1)


class Call(NamedTuple):
    """One call to AWS that a step made."""

    service: str
    region: str
    action: str
    parameters: Mapping[str, Any]

    @property
    def changes(self) -> bool:
        """Say whether it changes the world outside of the pipeline's own tables."""
        return self.service != "dynamodb" and not self.action.startswith(_READING)


@dataclass
class Recorder:
    """What the steps call, in order. It listens to the clients themselves, and only while a step runs."""

    calls: list[Call] = field(default_factory=list)
    is_on: bool = False
    _known: set[int] = field(default_factory=set)

    def listen(self, client: Any) -> Any:
        """Listen to a client; return it."""
        if id(client) not in self._known:
            self._known.add(id(client))
            client.meta.events.register("before-parameter-build", self._hear)
        return client

    def note(self, action: str, parameters: Any) -> None:
        """Take note of a call to the tables."""
        if self.is_on:
            seen = json.loads(json.dumps(parameters, default=str))
            self.calls.append(Call("dynamodb", WEST, action, seen))

    def _hear(self, params: Any, model: Any, context: Any, **_: Any) -> None:
        if self.is_on:
            # deep: the caller may go on using its own
            seen = json.loads(json.dumps(params, default=str))
            self.calls.append(Call(model.service_model.service_name, context["client_region"], model.name, seen))


@dataclass(frozen=True)
class Region:
    """What a region has for clusters to use."""

    security_group: str
    other_security_group: str
    key: str
    other_key: str


_NAMES = ("number", "target", "operation_id", "execution", "secret", "request", "database")


def _secrets() -> dict[str, Any]:
    return {region: secretsmanager_backends[DEFAULT_ACCOUNT_ID][region].secrets for region in (EAST, WEST)}


@dataclass
class Country:
    """One embedded account for all tests of this folder: its keys, networks and parameter groups are made once."""

    account: EmbeddedAccount
    settings: Settings
    recorder: Recorder
    regions: dict[str, Region]
    log: io.StringIO
    logger: Logger


def founded(account: EmbeddedAccount) -> Country:
    """Make the account's tables, topic, keys, networks and parameter groups."""
    deployment = account.deploy()
    settings = Settings(
        stack=deployment.stack,
        state_table=deployment.state_table,
        audit_table=deployment.audit_table,
        topic_arn=deployment.topic_arn,
    )
    log = io.StringIO()
    # Powertools keeps a logger, and its stream, by its service's name: a second account needs one of its own.
    logger = Logger(service=f"steps-{next(_numbers)}", stream=log, level="INFO")
    regions = {EAST: _equipped(account, EAST, "orders-prod"), WEST: _equipped(account, WEST, "orders-staging")}
    return Country(account, settings, Recorder(), regions, log, logger)


def _equipped(account: EmbeddedAccount, region: str, name: str) -> Region:
    ec2, rds, kms = (account.client(service, region) for service in ("ec2", "rds", "kms"))
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:3]
    for group in ("private", "isolated"):
        rds.create_db_subnet_group(DBSubnetGroupName=group, DBSubnetGroupDescription=group, SubnetIds=subnets)
    for family in (FAMILY, "aurora-postgresql17"):
        rds.create_db_cluster_parameter_group(
            DBClusterParameterGroupName=f"{name}-{family[-2:]}", DBParameterGroupFamily=family, Description="orders"
        )
        rds.create_db_parameter_group(
            DBParameterGroupName=f"{name}-instance-{family[-2:]}", DBParameterGroupFamily=family, Description="orders"
        )
    groups = [ec2.create_security_group(GroupName=each, Description=each, VpcId=vpc)["GroupId"] for each in ("a", "b")]
    keys = [kms.create_key()["KeyMetadata"] for _ in range(2)]
    kms.create_alias(AliasName="alias/orders", TargetKeyId=keys[0]["KeyId"])
    return Region(groups[0], groups[1], keys[0]["Arn"], keys[1]["Arn"])


@dataclass(frozen=True)
class Saved:
    """A stage at a moment: to be set to it any number of times, which takes far less than to come there again."""

    names: dict[str, Any]
    now: datetime
    places: dict[Any, Any]
    volumes: dict[str, int | None]
    items: dict[tuple[str, str], dict[str, Any]]
    secrets: dict[str, Any]


class FakeExecutions(Executions):
    """Knows which executions run: one that runs for as long as a test wants is more than the emulator can do."""

    def __init__(self, running: set[str]) -> None:
        """Take the ARNs of those that run; the test may add and remove some."""
        super().__init__(None)
        self._running = running

    def describe(self, arn: str) -> dict[str, Any] | None:
        return {"status": "RUNNING"} if arn in self._running else None


class Stage:
    """One test's world: an empty Aurora, a clock at noon, and one operation to be called step by step."""

    def __init__(self, country: Country) -> None:
        """Take the account; names that outlive a test (operation, target, secrets) are new."""
        self._country = country
        self.tables = FakeDynamoDB(country.recorder.note)
        self.clock = VirtualClock(NOON)
        self.plane = RecordsOnly()
        self.aurora = aurora.install(self.plane, self.clock, QUICK)
        self.number = next(_numbers)
        self.target = f"orders-staging-{self.number}"
        self.operation_id = f"nightly-{self.number}"
        self.execution = self.operation_id  # the execution's name; a resumption has another
        self.secret = f"{self.target}/app"
        self.database = FakeDatabase()
        self.engine_for: Callable[[str], Engine] = self._fake
        self.running: set[str] = set()
        self.time_left: Callable[[], float] | None = None  # seconds until the function ends; None: no limit
        self.random = Random(self.number)  # noqa: S311 no key is made of it but the test's own
        self.request: Any = self.asked()
        self._first_call = len(country.recorder.calls)
        self._log_begins = len(country.log.getvalue())

    def save(self) -> Saved:
        """Remember this stage as it is: clusters, snapshots, tables, secrets and the time."""
        return Saved(
            names={name: deepcopy(getattr(self, name)) for name in _NAMES},
            now=self.clock.now(),
            places=self.aurora.places(),
            volumes=dict(self.plane.volumes),
            items=deepcopy(self.tables.items),
            secrets={region: deepcopy(dict(secrets)) for region, secrets in _secrets().items()},
        )

    def set_to(self, saved: Saved) -> "Stage":
        """Be as the saved stage was; return self."""
        for name, value in saved.names.items():
            setattr(self, name, deepcopy(value))
        self.clock.advance((saved.now - self.clock.now()).total_seconds())
        self.aurora._world.places.update(deepcopy(saved.places))
        self.plane.volumes.update(saved.volumes)
        self.tables.items = deepcopy(saved.items)
        for region, secrets in _secrets().items():
            secrets.clear()
            secrets.update(deepcopy(saved.secrets[region]))
        return self

    # What a test prepares

    def client(self, service: str, region: str = WEST) -> Any:
        """Return a client of the account."""
        return self._country.account.client(service, region)

    def region(self, name: str = WEST) -> Region:
        """Return what a region has."""
        return self._country.regions[name]

    def asked(self, **changes: Any) -> dict[str, Any]:
        """Return a request for this stage's target; sections are merged, all else is replaced."""
        plain: dict[str, Any] = {
            "name": "nightly",
            "source": {"cluster": SOURCE, "region": EAST},
            "target": {"cluster": self.target, "region": WEST, "kms_key": "alias/orders"},
            "replace": {"allow": True, "confirm": self.target},
            "users": [{"name": "app", "secret": self.secret, "grants": ["readwrite"]}],
        }
        merged = {
            name: {**plain[name], **value} if isinstance(plain.get(name), dict) else value
            for name, value in changes.items()
        }
        return plain | merged

    def ask(self, **changes: Any) -> None:
        """Make the request; see ``asked``."""
        self.request = self.asked(**changes)

    def arn_of(self, operation_id: str) -> str:
        """Return the ARN of an execution of this name."""
        return f"arn:aws:states:{WEST}:123456789012:execution:aurora-restore:{operation_id}"

    def make_source(self, *, snapshot: bool = True, region: str = EAST, **changes: Any) -> dict[str, Any]:
        """Make production: one instance, encrypted unless changed, with an automated snapshot an hour old."""
        self.make_cluster(SOURCE, region, instances=1, **changes)
        if snapshot:
            self.aurora.take_automated_snapshot(region, SOURCE)
        self.clock.advance(3600)
        return self.show(SOURCE, region)

    def make_target(self, *, region: str = WEST, **changes: Any) -> dict[str, Any]:
        """Make the old target: two instances, and everything about it that a restore would lose."""
        at = self.region(region)
        settings = {
            "DBClusterParameterGroupName": "orders-staging-16" if region == WEST else "orders-prod-16",
            "BackupRetentionPeriod": 5,
            "PreferredBackupWindow": "03:10-03:50",
            "PreferredMaintenanceWindow": "sun:05:00-sun:06:00",
            "EnableCloudwatchLogsExports": ["postgresql"],
            "EnableIAMDatabaseAuthentication": True,
            "CopyTagsToSnapshot": True,
            "VpcSecurityGroupIds": [at.security_group, at.other_security_group],
            "Tags": [{"Key": "team", "Value": "shop"}],
            "Port": 5544,
        } | changes
        self.make_cluster(self.target, region, instances=2, **settings)
        self.client("rds", region).add_role_to_db_cluster(
            DBClusterIdentifier=self.target, RoleArn=ROLE, FeatureName="s3Import"
        )
        self.clock.advance(60)
        return self.show(self.target, region)

    def make_cluster(self, name: str, region: str, *, instances: int, **changes: Any) -> None:
        """Make an available cluster; ``None`` leaves a setting out."""
        rds, at = self.client("rds", region), self.region(region)
        settings = {
            "DBClusterIdentifier": name,
            "Engine": ENGINE,
            "EngineVersion": VERSION,
            "MasterUsername": "postgres",
            "MasterUserPassword": MASTER_PASSWORD,
            "DatabaseName": "orders",
            "StorageEncrypted": True,
            "KmsKeyId": at.key,
            "DBSubnetGroupName": "private",
            "VpcSecurityGroupIds": [at.security_group],
        } | changes
        rds.create_db_cluster(**{member: value for member, value in settings.items() if value is not None})
        self.clock.advance(60)
        for number in range(1, instances + 1):
            rds.create_db_instance(
                DBInstanceIdentifier=f"{name}-{number}",
                DBClusterIdentifier=name,
                Engine=settings["Engine"],
                DBInstanceClass=f"db.r6g.{'x' * (number == 2)}large",
                PromotionTier=number,
                Tags=[{"Key": "number", "Value": str(number)}],
            )
            self.clock.advance(60)

    def show(self, name: str | None = None, region: str = WEST) -> dict[str, Any]:
        """Return the description of a cluster, the target if none is named."""
        answer = self.client("rds", region).describe_db_clusters(DBClusterIdentifier=name or self.target)
        found: dict[str, Any] = answer["DBClusters"][0]
        return found

    def exists(self, name: str | None = None, region: str = WEST) -> bool:
        """Say whether there is a cluster of this name."""
        found = self.client("rds", region).describe_db_clusters()["DBClusters"]
        return (name or self.target) in {cluster["DBClusterIdentifier"] for cluster in found}

    def instances(self, name: str | None = None, region: str = WEST) -> list[dict[str, Any]]:
        """Return the descriptions of a cluster's instances."""
        by_cluster = [{"Name": "db-cluster-id", "Values": [name or self.target]}]
        found: list[dict[str, Any]] = self.client("rds", region).describe_db_instances(Filters=by_cluster)[
            "DBInstances"
        ]
        return found

    def snapshots(self, region: str = WEST, **filters: Any) -> dict[str, dict[str, Any]]:
        """Return the cluster snapshots of a region, by identifier."""
        found = self.client("rds", region).describe_db_cluster_snapshots(**filters)["DBClusterSnapshots"]
        return {snapshot["DBClusterSnapshotIdentifier"]: snapshot for snapshot in found}

    def tags(self, description: Mapping[str, Any]) -> dict[str, str]:
        """Return the tags in a description."""
        return {tag["Key"]: tag["Value"] for tag in description["TagList"]}

    # What a test does

    @property
    def world(self) -> World:
        """Return the world that the steps see: the account's, through clients that are listened to."""
        country = self._country

        def client(service: str, region: str | None) -> Any:
            if service == "dynamodb":
                return self.tables
            return country.recorder.listen(country.account.client(service, region))

        opened = open_world(country.settings, client, self.clock)
        executions = FakeExecutions(self.running)
        return replace(opened, engine_for=self.engine_for, random=self.random, executions=executions)

    def get_remaining_time_in_millis(self) -> int:
        """Speak as Lambda's context does: this stage is the second argument of its functions."""
        return 0 if self.time_left is None else round(self.time_left() * 1000)

    def call(self, step: Step, *, operation: str | None = None, **event: Any) -> Result:
        """Call a step's function once, as the state machine does."""
        execution = operation or self.execution
        base = {"operation_id": execution, "execution_arn": self.arn_of(execution), "request": self.request}
        return self.call_with(step, {**base, **event})

    def call_with(self, step: Step, event: Mapping[str, Any]) -> Result:
        """Call a step's function once with an event of the test's own."""
        world, recorder = self.world, self._country.recorder
        function = Function(step, lambda: world, self._country.logger)
        recorder.is_on = True
        try:
            return function(event, None if self.time_left is None else self)
        finally:
            recorder.is_on = False

    def finish(self, step: Step, *, retry: tuple[type[Exception], ...] = ()) -> Result:
        """Call a step until it no longer answers WAIT, letting the time pass that it asks for."""
        for _ in range(500):
            try:
                result = self.call(step)
            except retry:
                self.clock.advance(10)
                continue
            if result["status"] != "WAIT":
                return result
            assert 5 <= result["wait_seconds"] <= 300
            self.clock.sleep(result["wait_seconds"])
        raise AssertionError(f"{step} does not end")

    def run(self, upto: Step) -> Result:
        """Finish every step up to and with this one that is not finished yet; return its result."""
        for step in (*upto.before, upto):
            if step is Step.SNS_NOTIFICATION:
                return self.end()
            result = self.finish(step)
        return result

    def end(self, outcome: Mapping[str, Any] | None = None, *, operation: str | None = None) -> Result:
        """Call the last step with what the state machine would give it: the last result, or what it caught."""
        return self.call(Step.SNS_NOTIFICATION, operation=operation, outcome=outcome or {"status": "DONE"})

    def rewrite(self, **changes: Any) -> None:
        """Change the operation's record behind its back."""
        store, operation = self.world.store, self.operation()
        changed = operation.with_(**changes, version=operation.version + 1)
        store.state.write([store.operations.write(changed)])

    def fail(self, error: Exception) -> Result:
        """Call the last step as the state machine does after a step has raised."""
        cause = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []}
        return self.end({"Error": type(error).__name__, "Cause": json.dumps(cause)})

    # What a test sees afterwards

    def operation(self, operation_id: str | None = None) -> Operation:
        """Return the record of an operation, this stage's if none is named."""
        return self.world.store.operations.load(operation_id or self.operation_id)

    def events(self, operation_id: str | None = None) -> list[AuditEvent]:
        """Return an operation's audit, verified."""
        wanted = operation_id or self.operation_id
        found = self.world.store.audit.events(wanted)
        assert verify(found, head=self.operation(wanted).audit_hash) == len(found)
        return found

    def actions(self) -> list[str]:
        """Return the actions in the audit, in order."""
        return [event.action for event in self.events()]

    @property
    def calls(self) -> list[Call]:
        """Return every call that the steps of this test made."""
        return self._country.recorder.calls[self._first_call :]

    def changes(self, *actions: str) -> list[Call]:
        """Return the calls that changed something, of these actions if any are named."""
        return [call for call in self.calls if call.changes and (not actions or call.action in actions)]

    @property
    def log(self) -> str:
        """Return what the functions of this test logged."""
        return self._country.log.getvalue()[self._log_begins :]

    def messages(self) -> list[dict[str, Any]]:
        """Return what was published about operations of this test: subject, text and event."""
        published = [call.parameters for call in self.changes("Publish")]
        bodies = [json.loads(parameters["Message"]) for parameters in published]
        return [
            {"subject": parameters["Subject"], "text": body["email"], "event": json.loads(body["default"])}
            for parameters, body in zip(published, bodies, strict=True)
        ]

    def holder(self) -> str | None:
        """Return the operation that holds the target's lock."""
        lock = self.world.store.locks.held(WEST, self.target)
        return lock.operation_id if lock else None

    def secret_value(self, name: str, region: str = WEST, label: str = "AWSCURRENT") -> dict[str, Any]:
        """Return the JSON in a secret's version."""
        answer = self.client("secretsmanager", region).get_secret_value(SecretId=name, VersionStage=label)
        value: dict[str, Any] = json.loads(answer["SecretString"])
        return value

    def _fake(self, engine: str) -> Engine:
        return self.database if engine == ENGINE else engine_for(engine)


def check_promises(stage: Stage) -> None:
    """Check what holds whatever a test does: I1, I5 and I6 of every call that its steps made."""
    calls = stage.calls
    _check_source_is_left_alone(calls)
    _check_intents(calls)
    _check_secrets_are_kept(stage)


def _check_source_is_left_alone(calls: list[Call]) -> None:
    for call in calls:
        named = {call.parameters.get(member) for member in ("DBClusterIdentifier", "ResourceName")}
        its_own = {SOURCE, f"arn:aws:rds:{EAST}:123456789012:cluster:{SOURCE}"}
        if call.service == "rds" and call.region == EAST and call.changes and named & its_own:
            assert call.action == "CreateDBClusterSnapshot", f"I1: {call.action} names the source"


def _check_intents(calls: list[Call]) -> None:
    announced: list[str] = []
    for call in calls:
        if call.action == "TransactWriteItems":
            announced.extend(_intents(call))
        elif call.changes:
            assert call.action in announced, f"I5: {call.action} was not announced"
            announced.remove(call.action)


def _intents(call: Call) -> Iterator[str]:
    for write in call.parameters["TransactItems"]:
        item = write.get("Put", {}).get("Item", {})
        if item.get("kind", {}).get("S") == "intent":
            yield item["action"]["S"]


def _check_secrets_are_kept(stage: Stage) -> None:
    passwords = {MASTER_PASSWORD, *stage.database.passwords()}
    seen = stage.log + "".join(str(call.parameters) for call in stage.calls if call.service != "secretsmanager")
    assert not [password for password in passwords if password in seen], "I6: a password is seen"
