"""An account in which operations run whole in virtual time, and traps at the calls that their functions make."""

import copy
import functools
import io
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from aws_lambda_powertools import Logger
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from moto.kms.models import kms_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends
from moto.stepfunctions.parser import models as moto_states
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.utils import TMP_THREADS

from aurora_restore.aws.clients import ONE_ATTEMPT, Clients
from aurora_restore.embedded import aurora, states
from aurora_restore.embedded.account import HOME_REGION, EmbeddedAccount
from aurora_restore.embedded.aurora_records import Durations, Place, Records
from aurora_restore.embedded.clock import VirtualClock
from aurora_restore.embedded.server import ACCESS_KEY
from aurora_restore.errors import AuroraRestoreError
from aurora_restore.names import operation_of
from aurora_restore.operation import Step
from aurora_restore.runtime import Event, Function, Result, Settings, open_world
from aurora_restore.steps.world import World
from tests.faults.databases import Databases
from tests.faults.evidence import ACCOUNT, EAST, WEST, Call, Caller, Evidence, Item, Scene
from tests.faults.tables import Tables

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
# More calls of functions than any operation of a scenario needs; then it is stopped, and found not to end.
_MOST_INVOCATIONS = 1500
_JOIN_WITHIN_S = 60
_LONGEST_SKIP = timedelta(hours=8)
# Before these the oracle wants to know how the world stood.
_KEPT_BEFORE = frozenset({"DeleteDBInstance", "DeleteDBCluster", "DeleteDBClusterSnapshot", "Publish"})

Send = Callable[[], AWSResponse]
Act = Callable[["Rig", Call, Send], AWSResponse]


class SkippingClock(VirtualClock):
    """A virtual clock whose waits end when something happens in the emulated Aurora, if that is later than asked for.

    Between, every poll would see the same: skipping them costs no fault its place, and saves nine tenths of the work.
    """

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.next_due: Callable[[datetime], datetime | None] = lambda _: None

    def reset(self, start: datetime) -> None:
        """Show another time, an earlier one too."""
        with self._lock:
            self._now = start

    def pause(self, seconds: float, is_over: Callable[[], bool]) -> None:
        if seconds != int(seconds):
            # The delay before a retry, which has jitter: it is not a poll, and its length matters.
            super().pause(seconds, is_over)
            return
        now = self.now()
        due = self.next_due(now)
        # With nothing under way the step waits for its own limit: ten polls at a time are enough to see that.
        skip_s = 10 * seconds if due is None or due - now > _LONGEST_SKIP else (due - now).total_seconds()
        super().pause(max(seconds, skip_s), is_over)


@dataclass
class Trap:
    """Where something goes wrong, what, and how often yet."""

    where: Callable[[Call], bool]
    act: Act
    times: int = 1
    is_sprung: bool = False


@dataclass
class Template:
    """A prepared world, to be copied for each scenario."""

    places: dict[Place, Records]
    databases: Databases
    secrets: dict[str, Any]
    now: datetime


class Rig:
    """One embedded account a process; ``fresh`` makes it another world within a few milliseconds."""

    def __init__(self) -> None:
        self.clock = SkippingClock(NOON)
        self.databases = Databases()
        self.tables = Tables()
        self.account = EmbeddedAccount(self.databases, self.clock)
        # What EventBridge would tell at once is told when the execution has run out: no two threads at a time.
        states.install(self.clock, self.account._functions_client, self._hear_of_stop)
        self.templates: dict[str, Template] = {}
        self._here = threading.local()
        self._invoking = threading.Lock()

    def __enter__(self) -> Self:
        self.account.__enter__()
        # moto reads the definition anew for each execution, which takes as long as half an operation.
        self._read = AmazonStateLanguageParser.parse
        AmazonStateLanguageParser.parse = functools.cache(self._read)  # type: ignore[method-assign]
        deployment = self.account.deploy()
        self.machine_arn = deployment.state_machine_arn
        self.settings = Settings(
            stack=deployment.stack,
            state_table=deployment.state_table,
            audit_table=deployment.audit_table,
            topic_arn=deployment.topic_arn,
        )
        self._clients = Clients(
            ONE_ATTEMPT,
            endpoint_url=self.account.server.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=ACCESS_KEY,
        )
        self._log = io.StringIO()
        self._logger = Logger(service=f"faults@{self.account.server.port}", stream=self._log, level="INFO")
        for step in Step:
            name = f"{deployment.stack}-{step.function_name}"
            self.account.functions.register(name, functools.partial(self._invoke, step))
        self.empty()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        AmazonStateLanguageParser.parse = self._read  # type: ignore[method-assign]
        self.account.__exit__(kind, error, at)

    def _hear_of_stop(self, detail: dict[str, str]) -> None:
        self._stopped.append(detail)

    # The world

    def empty(self, durations: Durations | None = None, seed: int = 0) -> None:
        """Forget every cluster, item, message, secret and execution."""
        self.clock.reset(NOON)
        self.databases.volumes = {}
        self.databases.mend()
        self.databases.tried = set()
        self.aurora = self.account.aurora = aurora.install(self.databases, self.clock, durations)
        self.clock.next_due = self._next_due
        self.tables.clear()
        for region in (EAST, WEST):
            dict.clear(secretsmanager_backends[ACCOUNT][region].secrets)
            for key in kms_backends[ACCOUNT][region].keys.values():
                key.key_state = "Enabled"
        sns_backends[ACCOUNT][HOME_REGION].topics[self.settings.topic_arn].sent_notifications.clear()
        for machine in self._machines():
            machine.executions.clear()
        TMP_THREADS.clear()
        random.seed(seed)
        self.random = random.Random(seed)  # noqa: S311 no key is made of it but the test's own
        self.calls: list[Call] = []
        self.traps: list[Trap] = []
        self._stopped: list[dict[str, str]] = []
        self._ordinals: Counter[tuple[str, str]] = Counter()
        self.invocations = 0
        # EventBridge delivers at best effort: then what it would tell is lost.
        self.deaf = False
        self.executions: dict[str, str] = {}
        self._log.seek(0)
        self._log.truncate()

    def keep(self, name: str) -> None:
        """Remember the world as it is, to be had again by ``fresh``."""
        stores = {
            region: copy.deepcopy(dict(secretsmanager_backends[ACCOUNT][region].secrets)) for region in (EAST, WEST)
        }
        self.templates[name] = Template(self.aurora.places(), copy.deepcopy(self.databases), stores, self.clock.now())

    def fresh(self, name: str, durations: Durations, seed: int) -> None:
        """Make the world as it was remembered."""
        self.empty(durations, seed)
        template = self.templates[name]
        self.clock.reset(template.now)
        self.aurora._world.places = copy.deepcopy(template.places)
        self.databases.volumes = copy.deepcopy(template.databases.volumes)
        for region, store in template.secrets.items():
            for key, secret in copy.deepcopy(store).items():
                dict.__setitem__(secretsmanager_backends[ACCOUNT][region].secrets, key, secret)
        self.began = self.scene()

    def client(self, service: str, region: str = WEST) -> Any:
        """Return a client for those outside of the pipeline."""
        return self.account.client(service, region)

    def scene(self) -> Scene:
        """Return the world as it is now."""
        keys = frozenset(
            str(key.arn)
            for region in (EAST, WEST)
            for key in kms_backends[ACCOUNT][region].keys.values()
            if key.key_state == "Enabled"
        )
        return Scene(self.clock.now(), self.aurora.places(), keys, self.tables.items(self.settings.state_table))

    def _next_due(self, now: datetime) -> datetime | None:
        due = [
            record.pending.due_at
            for records in self.aurora._world.places.values()
            for record in records.all()
            if record.pending and record.pending.due_at > now
        ]
        return min(due, default=None)

    def _machines(self) -> list[Any]:
        backends = moto_states.stepfunctions_parser_backends
        return list(backends[ACCOUNT][HOME_REGION].state_machines)

    # Running

    def run(self, name: str, request: Mapping[str, Any]) -> str:
        """Run an execution to its end, and tell those who listen that it was stopped; return its status."""
        client = self.client("stepfunctions")
        document = json.dumps(request)
        others = set(threading.enumerate())
        arn = client.start_execution(stateMachineArn=self.machine_arn, name=name, input=document)["executionArn"]
        _join(others)
        told, self._stopped = ([] if self.deaf else self._stopped), []
        for each in told:
            self.account._tell_of_stop(each)
        self.executions[arn] = str(client.describe_execution(executionArn=arn)["status"])
        return self.executions[arn]

    def stop(self, name: str) -> None:
        """Stop an execution by hand."""
        arn = f"{self.machine_arn.replace('stateMachine', 'execution')}:{name}"
        self.client("stepfunctions").stop_execution(executionArn=arn, error="Stopped", cause="by hand")

    def history(self) -> str:
        """Return the history of all executions, as text."""
        found = [execution.to_history_output() for machine in self._machines() for execution in machine.executions]
        return json.dumps(found, default=str)

    # Functions and their calls

    def world(self) -> World:
        """Return the world that the steps see."""
        opened = open_world(self.settings, self._steps_client, self.clock)
        return replace(opened, engine_for=lambda _: self.databases, random=self.random)

    def _invoke(self, step: Step, event: Event, _: object = None) -> Result:
        self.invocations += 1
        if self.invocations > _MOST_INVOCATIONS:
            raise SystemExit("endless")
        name = str(event.get("operation_id") or event.get("detail", {}).get("name"))
        outer = getattr(self._here, "caller", None), getattr(self._here, "event", None)
        self._here.caller = Caller(operation_of(name), step.value, self.invocations)
        self._here.event = event
        try:
            return Function(step, self.world, self._logger)(event, None)
        finally:
            self._here.caller, self._here.event = outer

    def invoke_again(self) -> None:
        """Call the function that runs now once more with the same event, whatever becomes of it."""
        caller, event = self._here.caller, self._here.event
        with suppress(AuroraRestoreError, SystemExit):
            self._invoke(Step(caller.step), event)

    def _steps_client(self, service: str, region: str | None) -> Any:
        client = self._clients(service, region or HOME_REGION)
        place = client.meta.region_name

        def hear(params: Mapping[str, Any], **_: Any) -> None:
            self._here.parameters = json.loads(json.dumps(params, default=str))

        def send(request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
            return self._send(request, service, place, event_name.rpartition(".")[2])

        client.meta.events.register("before-parameter-build", hear, unique_id="hear")
        client.meta.events.register("before-send", send, unique_id="send")
        return client

    def _send(self, request: AWSPreparedRequest, service: str, region: str, action: str) -> AWSResponse:
        caller = self._here.caller
        self._ordinals[caller.step, action] += 1
        call = Call(
            number=len(self.calls),
            at=self.clock.now(),
            caller=caller,
            service=service,
            region=region,
            action=action,
            parameters=self._here.parameters,
            ordinal=self._ordinals[caller.step, action],
        )
        self.calls.append(call)

        def really() -> AWSResponse:
            if action in _KEPT_BEFORE:
                call.before = self.scene()
            # Others may have called meanwhile: the order of the log is the order of effects.
            call.number = max(each.number for each in self.calls) + 1
            if service == "dynamodb":
                response = self.tables.answer(request, action, call.parameters)
            else:
                response = self.account.wire.send(request)
            call.status = response.status_code
            return response

        return self._through_traps(call, really)

    def _through_traps(self, call: Call, send: Send) -> AWSResponse:
        for trap in self.traps:
            if trap.times > 0 and trap.where(call):
                trap.times -= 1
                trap.is_sprung = True
                return trap.act(self, call, send)
        return send()

    # Afterwards

    def evidence(self, request: Mapping[str, Any]) -> Evidence:
        """Return all that is known now."""
        audit: dict[str, list[Item]] = {}
        for _, item in sorted(self.tables.items(self.settings.audit_table).items()):
            audit.setdefault(item["operation_id"], []).append(item)
        return Evidence(
            request=request,
            began=self.began,
            ended=self.scene(),
            calls=sorted(self.calls, key=lambda call: call.number),
            audit=audit,
            executions=dict(self.executions),
            history=self.history(),
            log=self._log.getvalue(),
            secrets=dict(self._secrets()),
            volumes=copy.deepcopy(self.databases.volumes),
            passwords=self.databases.passwords(),
        )

    def _secrets(self) -> Iterator[tuple[str, str]]:
        for region in (EAST, WEST):
            for secret in dict.values(secretsmanager_backends[ACCOUNT][region].secrets):
                for version in secret.versions.values():
                    if "AWSCURRENT" in version["version_stages"]:
                        yield f"{secret.name}", version["secret_string"]


def _join(others: set[threading.Thread]) -> None:
    while running := [thread for thread in threading.enumerate() if thread not in others]:
        for thread in running:
            thread.join(_JOIN_WITHIN_S)
            if thread.is_alive():
                raise RuntimeError(f"{thread.name} does not end")
