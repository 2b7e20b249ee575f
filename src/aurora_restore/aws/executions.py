"""Step Functions: starting operations, and asking whether one still runs."""

import json
from typing import Any

from aurora_restore.aws.door import Answer, call, demand, pages

_UNKNOWN = frozenset({"ExecutionDoesNotExist"})


class Executions:
    """The executions of one state machine."""

    def __init__(self, client: Any) -> None:
        """Take a boto3 Step Functions client."""
        self._client = client

    def start(self, state_machine_arn: str, *, name: str, request: dict[str, Any]) -> str:
        """Start an execution: its name is a new operation's id, or a resumption's. Return the execution's ARN."""
        answer = demand(
            self._client.start_execution,
            stateMachineArn=state_machine_arn,
            name=name,
            input=json.dumps(request),
        )
        return str(answer["executionArn"])

    def stop(self, arn: str, *, cause: str) -> None:
        """Stop an execution, unless it has ended or is forgotten. A function of it that runs is not interrupted."""
        call(self._client.stop_execution, tolerate=_UNKNOWN, executionArn=arn, error="Aborted", cause=cause)

    def describe(self, arn: str) -> Answer | None:
        """Return what Step Functions says of an execution, or None when it has forgotten it."""
        return call(self._client.describe_execution, tolerate=_UNKNOWN, executionArn=arn)

    def running(self, state_machine_arn: str) -> list[str]:
        """Return the names of the executions of a state machine that run now."""
        found = pages(
            self._client, "list_executions", "executions", stateMachineArn=state_machine_arn, statusFilter="RUNNING"
        )
        return [str(each["name"]) for each in found]

    def has_ended(self, arn: str) -> bool:
        """Say whether an execution runs no more; one that Step Functions has forgotten does not."""
        answer = self.describe(arn)
        return answer is None or answer["status"] not in {"RUNNING", "PENDING_REDRIVE"}
