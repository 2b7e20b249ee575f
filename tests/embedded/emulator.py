"""A bare emulator for the tests of this folder: server, functions and state machines, and nothing of the pipeline."""

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import boto3

from aurora_restore.embedded import lambdas, states
from aurora_restore.embedded.clock import EmbeddableClock
from aurora_restore.embedded.lambdas import FunctionHost, Handler
from aurora_restore.embedded.server import EmbeddedServer

T = TypeVar("T")
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}
_WITHIN_S = 60
# One for all tests: reading the models of the services takes longer than a test.
_SESSION: Any = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")


def empty_bundle() -> bytes:
    """Return a function's code that holds nothing: the emulator never runs it."""
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("handler.py", "")
    return bundle.getvalue()


def awaited(look: Callable[[], T | None], what: str) -> T:
    give_up = time.monotonic() + _WITHIN_S
    while time.monotonic() < give_up:
        if (found := look()) is not None:
            return found
        time.sleep(0.005)
    raise AssertionError(f"waited in vain for {what}")


@dataclass
class Emulator:
    """A running server with a clock and a host, and what a test does with them."""

    server: EmbeddedServer
    clock: EmbeddableClock
    host: FunctionHost

    def client(self, service: str) -> Any:
        """Return a boto3 client of the server."""
        return _SESSION.client(service, endpoint_url=self.server.url, region_name="us-east-1")

    @cached_property
    def states(self) -> Any:
        """Return the Step Functions client."""
        return self.client("stepfunctions")

    @cached_property
    def lambdas(self) -> Any:
        """Return the Lambda client."""
        return self.client("lambda")

    @cached_property
    def role_arn(self) -> str:
        """Return the role of all functions and state machines."""
        iam = self.client("iam")
        role = iam.create_role(RoleName="anything", AssumeRolePolicyDocument=json.dumps(_TRUST))
        return str(role["Role"]["Arn"])

    def function(self, name: str, handler: Handler) -> str:
        """Create a function with a handler; return its ARN."""
        self.host.register(name, handler)
        made = self.lambdas.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=self.role_arn,
            Handler="handler.handler",
            Code={"ZipFile": empty_bundle()},
            Timeout=120,
        )
        return str(made["FunctionArn"])

    def invoke(self, name: str, event: Any) -> dict[str, Any]:
        """Call a function; return its answer with the payload decoded."""
        answer: dict[str, Any] = self.lambdas.invoke(FunctionName=name, Payload=json.dumps(event))
        return {**answer, "Payload": json.load(answer["Payload"])}

    def machine(self, definition: dict[str, Any], name: str = "machine") -> str:
        """Create a state machine; return its ARN."""
        made = self.states.create_state_machine(name=name, definition=json.dumps(definition), roleArn=self.role_arn)
        return str(made["stateMachineArn"])

    def start(self, machine: str, request: Any = None, name: str = "operation-1") -> str:
        """Start an execution; return its ARN."""
        started = self.states.start_execution(stateMachineArn=machine, name=name, input=json.dumps(request or {}))
        return str(started["executionArn"])

    def ended(self, execution: str) -> dict[str, Any]:
        """Wait, for real, until an execution has ended; return its description."""

        def describe() -> dict[str, Any] | None:
            description: dict[str, Any] = self.states.describe_execution(executionArn=execution)
            return description if description["status"] != "RUNNING" else None

        return awaited(describe, f"the end of {execution}")

    def last_event(self, execution: str) -> str:
        """Wait, for real, until the history of an execution is complete; return the type of its last event."""

        def last() -> str | None:
            kind = str(self.history(execution)[-1]["type"])
            return kind if kind.startswith("Execution") else None

        return awaited(last, f"the last event of {execution}")

    def output(self, definition: dict[str, Any], request: Any = None) -> Any:
        """Run a definition to its end, which must be a success; return its output."""
        description = self.ended(self.start(self.machine(definition), request))
        assert description["status"] == "SUCCEEDED", description
        return json.loads(description["output"])

    def history(self, execution: str) -> list[dict[str, Any]]:
        """Return all events of an execution."""
        events: list[dict[str, Any]] = self.states.get_execution_history(executionArn=execution)["events"]
        return events


@contextmanager
def emulator(clock: EmbeddableClock) -> Iterator[Emulator]:
    """Run an emulator on a clock."""
    host = FunctionHost(clock)
    lambdas.install(host)
    states.install(clock)
    server = EmbeddedServer()
    server.start()
    try:
        yield Emulator(server, clock, host)
    finally:
        states.stop_executions()
        server.stop()
