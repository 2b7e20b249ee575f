"""The embedded account: moto's control plane, real databases behind its clusters, and the pipeline deployed in it."""

import io
import json
import zipfile
from types import TracebackType
from typing import Any, Self

from botocore.config import Config

from aurora_restore.aws.clients import ONE_ATTEMPT, PATIENT, Clients
from aurora_restore.aws.deployment import Deployment, write_deployment
from aurora_restore.embedded import account_state, aurora, handlers, lambdas, rules, states
from aurora_restore.embedded.account_state import AccountState
from aurora_restore.embedded.aurora_records import Durations
from aurora_restore.embedded.clock import EmbeddableClock
from aurora_restore.embedded.dataplane import DataPlane
from aurora_restore.embedded.gate import Gate
from aurora_restore.embedded.inprocess import InProcess
from aurora_restore.embedded.lambdas import FunctionHost, FunctionRecord
from aurora_restore.embedded.server import ACCESS_KEY, EmbeddedServer
from aurora_restore.operation import Step
from aurora_restore.runtime import Function, Settings
from aurora_restore.store.operations import BY_TARGET
from aurora_restore.workflow.definition import definition

HOME_REGION = "us-west-2"
DEFAULT_STACK = "aurora-restore"
_TRUSTED = ("lambda.amazonaws.com", "states.amazonaws.com")
_FUNCTION_TIMEOUT_S = 900
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
    ) -> None:
        """Take the data plane (closed by ``stop``), the clock that everything reads, and a port (None: a free one).

        Every call goes through the gate, if there is one, and it is told of what changes without a call.
        """
        self.plane = plane
        self.clock = clock
        self.functions = FunctionHost(clock, self._load)
        self.server = EmbeddedServer(port, gate.around if gate else None)
        self.aurora = aurora.install(plane, clock, durations)
        self._client_config = client_config
        lambdas.install(self.functions)
        states.install(clock, self._functions_client, self._tell_of_stop, gate.on_change if gate else None)

    def __enter__(self) -> Self:
        """Start it."""
        self.server.start()
        self.wire = InProcess(self.server.url, self.server.application)
        self.clients = self._clients(self._client_config)
        # A function is called once: what failed, the state machine itself calls again.
        self._function_clients = self._clients(ONE_ATTEMPT)
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
        """Deploy the pipeline, as the stack does in AWS: tables, topic, functions, state machine, its SSM parameter."""
        topic_arn = self.client("sns").create_topic(Name=stack)["TopicArn"]
        settings = Settings(
            stack=stack, state_table=f"{stack}-state", audit_table=f"{stack}-audit", topic_arn=topic_arn
        )
        self._make_tables(settings)
        role_arn = self._make_role(stack)
        functions = self._make_functions(settings, role_arn)
        machine = self.client("stepfunctions").create_state_machine(
            name=stack, definition=definition(functions), roleArn=role_arn
        )
        deployment = Deployment(
            stack=stack,
            region=HOME_REGION,
            state_machine_arn=machine["stateMachineArn"],
            state_table=settings.state_table,
            audit_table=settings.audit_table,
            topic_arn=topic_arn,
            functions=functions,
        )
        self._make_rule(stack, machine["stateMachineArn"], functions[Step.SNS_NOTIFICATION.function_name])
        write_deployment(self.client("ssm"), deployment)
        return deployment

    def capture(self) -> bytes:
        """Return the control plane's state, for ``adopt``. No call may be answered meanwhile."""
        with self.aurora.standing_still() as places:
            return account_state.write(AccountState(places))

    def adopt(self, state: AccountState) -> None:
        """Take over from an earlier account with the same volumes, once this one has been started and is empty."""
        self.aurora.adopt(state.places)

    def _load(self, record: FunctionRecord) -> Function:
        return handlers.load(record, self.client, self.clock, self.functions.log, self.server.port)

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

    def _make_tables(self, settings: Settings) -> None:
        client = self.client("dynamodb")
        client.create_table(
            TableName=settings.state_table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("id", "target", "requested_at")
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": BY_TARGET,
                    "KeySchema": [
                        {"AttributeName": "target", "KeyType": "HASH"},
                        {"AttributeName": "requested_at", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        client.create_table(
            TableName=settings.audit_table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": "operation_id", "KeyType": "HASH"},
                {"AttributeName": "sequence", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "operation_id", "AttributeType": "S"},
                {"AttributeName": "sequence", "AttributeType": "N"},
            ],
        )

    def _make_role(self, stack: str) -> str:
        statement = {"Effect": "Allow", "Principal": {"Service": list(_TRUSTED)}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        made = self.client("iam").create_role(RoleName=stack, AssumeRolePolicyDocument=trust)
        return str(made["Role"]["Arn"])

    def _make_rule(self, stack: str, state_machine_arn: str, function_arn: str) -> None:
        events = self.client("events")
        pattern = rules.pattern_of_stops(state_machine_arn)
        events.put_rule(Name=f"{stack}-stopped", EventPattern=json.dumps(pattern))
        events.put_targets(Rule=f"{stack}-stopped", Targets=[{"Id": "SNSNotification", "Arn": function_arn}])

    def _make_functions(self, settings: Settings, role_arn: str) -> dict[str, str]:
        return {step.function_name: self._make_function(step, settings, role_arn) for step in Step}

    def _make_function(self, step: Step, settings: Settings, role_arn: str) -> str:
        name = f"{settings.stack}-{step.function_name}"
        made = self.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=role_arn,
            Handler=f"aurora_restore.runtime.{step.module}_handler",
            Code={"ZipFile": _empty_bundle()},
            Timeout=_FUNCTION_TIMEOUT_S,
            Environment={"Variables": settings.as_environment()},
        )
        return str(made["FunctionArn"])


def _empty_bundle() -> bytes:
    """Return a function's code that holds nothing: the account runs the handlers of this process."""
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("handler.py", "")
    return bundle.getvalue()
