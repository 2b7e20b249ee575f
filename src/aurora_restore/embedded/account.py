"""The embedded account: moto's control plane, real databases behind its clusters, and the pipeline deployed in it."""

import json
from types import TracebackType
from typing import Any, Self

from botocore.config import Config

from aurora_restore.aws.clients import ONE_ATTEMPT, PATIENT, Clients
from aurora_restore.aws.deployment import Deployment
from aurora_restore.embedded import (
    account_state,
    aurora,
    buckets,
    handlers,
    lambdas,
    rules,
    secret_versions,
    shipped,
    stacks,
    states,
    tables,
)
from aurora_restore.embedded.account_state import AccountState
from aurora_restore.embedded.aurora_records import Durations
from aurora_restore.embedded.clock import EmbeddableClock
from aurora_restore.embedded.dataplane import DataPlane
from aurora_restore.embedded.engines import Authority, no_authority
from aurora_restore.embedded.gate import Gate
from aurora_restore.embedded.inprocess import InProcess
from aurora_restore.embedded.lambdas import FunctionHost, FunctionRecord
from aurora_restore.embedded.server import ACCESS_KEY, EmbeddedServer
from aurora_restore.runtime import Function

HOME_REGION = "us-west-2"
DEFAULT_STACK = "aurora-restore"
# As Lambda does with an event that nobody waits for: twice more, a minute apart.
_ASYNCHRONOUS_ATTEMPTS = 3
_ASYNCHRONOUS_RETRY_S = 60


class EmbeddedAccount:
    """One account. Start it, deploy the pipeline, use it through boto3 or the aws command, stop it."""

    def __init__(
        self,
        plane: DataPlane,
        clock: EmbeddableClock,
        *,
        port: int | None = None,
        durations: Durations | None = None,
        client_config: Config = PATIENT,
        gate: Gate | None = None,
        authority: Authority = no_authority,
        awaits_state: bool = False,
    ) -> None:
        """Take the data plane (closed by ``stop``), the clock that everything reads, and a port (None: a free one).

        ``authority`` says against which certificates the functions verify the data plane's servers.
        Every call goes through the gate, if there is one, and it is told of what changes without a call.
        ``awaits_state``: nobody is answered before ``adopt``, or who watches an operation would hear that all is gone.
        """
        self.plane = plane
        self.clock = clock
        self.functions = FunctionHost(clock, self._load)
        self.server = EmbeddedServer(port, gate.around if gate else None, clock.now)
        self.aurora = aurora.install(plane, clock, durations)
        self._client_config = client_config
        self._authority = authority
        self._awaits_state = awaits_state
        lambdas.install(self.functions)
        stacks.install()
        buckets.install()
        tables.install()
        secret_versions.install()
        states.install(clock, self._functions_client, self._tell_of_stop, gate.on_change if gate else None)

    def __enter__(self) -> Self:
        """Start it."""
        self.server.listen()
        self.wire = InProcess(self.server.url, self.server.application)
        self.clients = self._clients(self._client_config)
        # A function is called once: what failed, the state machine itself calls again.
        self._function_clients = self._clients(ONE_ATTEMPT)
        if not self._awaits_state:
            self.server.answer()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop it: executions, server, databases; nothing of it is left."""
        try:
            states.stop_executions()
            self.wire.close()
            self.server.stop()
        finally:
            self.plane.close()

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a boto3 client of this account; its calls are answered in this process, in the caller's thread."""
        return self.wire.connect(self.clients(service, region or HOME_REGION))

    def _clients(self, config: Config) -> Clients:
        return Clients(
            config, endpoint_url=self.server.url, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=ACCESS_KEY
        )

    def _functions_client(self, region: str) -> Any:
        return self.wire.connect(self._function_clients("lambda", region))

    def deploy(self, stack: str = DEFAULT_STACK) -> Deployment:
        """Deploy the pipeline by the template that the package ships."""
        return shipped.deploy(self.client, stack, HOME_REGION)

    def capture(self) -> bytes:
        """Return the control plane's state, for ``adopt``. No call may be answered meanwhile."""
        with self.aurora.standing_still() as places:
            return account_state.write(AccountState(places))

    def adopt(self, state: AccountState) -> None:
        """Take over from an earlier account with the same volumes, once this one has been started and is empty."""
        self.aurora.adopt(state.places)
        self.server.answer()

    def _load(self, record: FunctionRecord) -> Function:
        return handlers.load(record, self.client, self.clock, self.functions.log, self.server.port, self._authority)

    def _tell_of_stop(self, detail: dict[str, str]) -> None:
        """Do what EventBridge does: send the event to the functions of those rules that it matches."""
        event = rules.execution_event(detail)
        for function in rules.functions_for(event):
            self._call_unattended(function, event)

    def _call_unattended(self, function: str, event: dict[str, Any]) -> None:
        client = self.client("lambda", function.split(":")[3])
        for _ in range(_ASYNCHRONOUS_ATTEMPTS):
            answer = client.invoke(FunctionName=function, Payload=json.dumps(event))
            if "FunctionError" not in answer:
                return
            self.clock.sleep(_ASYNCHRONOUS_RETRY_S)
