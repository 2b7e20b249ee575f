"""CloudFormation: one stack, its change sets and its events."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aurora_restore.aws.door import Answer, call, demand, pages
from aurora_restore.errors import AwsRefusedError

# DescribeStacks has no code of its own for a stack that does not exist.
_UNKNOWN = frozenset({"ValidationError"})
_CAPABILITIES = ("CAPABILITY_NAMED_IAM",)
# The two ways in which CloudFormation says it, at once or in the change set's status.
_SAYS_NOTHING_CHANGES = ("no updates are to be performed", "didn't contain changes")

Parameters = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as CloudFormation describes it; ``reason`` is what it says of its status."""

    arn: str
    name: str
    status: str
    reason: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a resource of a stack, or to the stack itself."""

    event_id: str
    at: datetime
    logical_id: str
    kind: str
    status: str
    reason: str
    physical_id: str


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """A change set: ``changes`` are as DescribeChangeSet gives them."""

    arn: str
    stack_arn: str
    status: str
    reason: str = ""
    changes: tuple[Answer, ...] = ()


class Stacks:
    """The stacks of one region."""

    def __init__(self, client: Any) -> None:
        """Take a boto3 CloudFormation client."""
        self._client = client

    def find(self, name_or_arn: str) -> Stack | None:
        """Return the stack, or None; by ARN also one that was deleted."""
        answer = call(self._client.describe_stacks, tolerate=_UNKNOWN, StackName=name_or_arn)
        return None if answer is None else _stack(answer["Stacks"][0])

    def template(self, name: str) -> dict[str, Any]:
        """Return the template that the stack has now; {} when it was never executed."""
        body = demand(self._client.get_template, StackName=name, TemplateStage="Original").get("TemplateBody") or {}
        parsed: dict[str, Any] = json.loads(body) if isinstance(body, str) else dict(body)
        return parsed

    def propose(self, stack: str, name: str, *, kind: str, template_url: str, parameters: Parameters) -> str | None:
        """Create a change set of this name, of the kind CREATE or UPDATE; return its ARN, or None: nothing changes."""
        try:
            answer = demand(
                self._client.create_change_set,
                StackName=stack,
                ChangeSetName=name,
                ChangeSetType=kind,
                TemplateURL=template_url,
                Parameters=list(parameters),
                Capabilities=list(_CAPABILITIES),
            )
        except AwsRefusedError as error:
            if says_nothing_changes(error.what):
                return None
            raise
        return str(answer["Id"])

    def change_set(self, arn: str) -> ChangeSet:
        """Return a change set with all of its changes."""
        changes: list[Answer] = []
        more: dict[str, str] = {}
        while True:
            answer = demand(self._client.describe_change_set, ChangeSetName=arn, **more)
            changes += [change["ResourceChange"] for change in answer.get("Changes", []) if "ResourceChange" in change]
            if not answer.get("NextToken"):
                break
            more = {"NextToken": answer["NextToken"]}
        return ChangeSet(arn, answer["StackId"], answer["Status"], answer.get("StatusReason") or "", tuple(changes))

    def execute(self, change_set: str) -> None:
        """Let CloudFormation make the changes."""
        demand(self._client.execute_change_set, ChangeSetName=change_set)

    def discard(self, change_set: str) -> None:
        """Delete a change set that was not executed."""
        demand(self._client.delete_change_set, ChangeSetName=change_set)

    def delete(self, name: str) -> None:
        """Let CloudFormation delete the stack; what its template retains stays."""
        demand(self._client.delete_stack, StackName=name)

    def events(self, arn: str) -> list[Event]:
        """Return the stack's events, oldest first."""
        found = pages(self._client, "describe_stack_events", "StackEvents", StackName=arn)
        return [_event(each) for each in reversed(found)]

    def resources(self, name: str) -> dict[str, tuple[str, str]]:
        """Return type and physical id of each resource, by its logical id."""
        found = pages(self._client, "list_stack_resources", "StackResourceSummaries", StackName=name)
        return {each["LogicalResourceId"]: (each["ResourceType"], each.get("PhysicalResourceId", "")) for each in found}


def says_nothing_changes(reason: str) -> bool:
    """Say whether this is how CloudFormation says that a change set has no changes."""
    return any(words in reason.lower() for words in _SAYS_NOTHING_CHANGES)


def _stack(described: Answer) -> Stack:
    return Stack(
        arn=described["StackId"],
        name=described["StackName"],
        status=described["StackStatus"],
        reason=described.get("StackStatusReason") or "",
        parameters={each["ParameterKey"]: each.get("ParameterValue", "") for each in described.get("Parameters", [])},
        outputs={each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])},
    )


def _event(described: Answer) -> Event:
    return Event(
        event_id=described["EventId"],
        at=described["Timestamp"],
        logical_id=described.get("LogicalResourceId", ""),
        kind=described.get("ResourceType", ""),
        status=described.get("ResourceStatus", ""),
        reason=described.get("ResourceStatusReason") or "",
        physical_id=described.get("PhysicalResourceId", ""),
    )
