"""Deploying a template: upload, propose, execute, follow. Who asks and who shows is handed in."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aurora_restore.aws.buckets import Bucket
from aurora_restore.aws.stacks import ChangeSet, Event, Stack, Stacks, says_nothing_changes
from aurora_restore.clock import Clock
from aurora_restore.cloudformation.bundle import Bundle
from aurora_restore.cloudformation.changes import Change, read_changes
from aurora_restore.cloudformation.freshness import kept_schedules
from aurora_restore.cloudformation.readiness import Way
from aurora_restore.errors import AwsRefusedError, FailedByAwsError, TransientError

Template = Mapping[str, Any]
Tell = Callable[[Event], None]

_POLL_S: Final = 3.0
# A laptop that changes networks must not lose what it watches.
_PATIENCE_POLLS: Final = 100
_PREFIX: Final = "aurora-restore"
_STACK: Final = "AWS::CloudFormation::Stack"
_DENIED: Final = re.compile(r"not authorized to perform: ([a-z0-9-]+:\w+)")
# What Lambda says where the account's quota is too small to reserve any of it, as in a new account.
_NO_CONCURRENCY: Final = "UnreservedConcurrentExecution"
_FAILED: Final = ("CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED")
# What CloudFormation says of the resources that it stopped because another one failed.
_CONSEQUENCE: Final = "cancelled"


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Where CloudFormation finds template and code, and whether the code was there already."""

    template_url: str
    bundle_key: str
    bundle_was_there: bool


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change set that can be executed, and what it would do."""

    arn: str
    stack_arn: str
    changes: tuple[Change, ...]

    @property
    def losing(self) -> tuple[Change, ...]:
        """Return the changes that could lose something."""
        return tuple(change for change in self.changes if change.loses)


def bundle_key(bundle: Bundle) -> str:
    """Return the key under which a bundle is kept: another one for other code."""
    return f"{_PREFIX}/{bundle.sha256}.zip"


def upload(bucket: Bucket, bundle: Bundle, template: Template, suffix: str) -> Uploaded:
    """Write bundle and template under their hashes; what is there already is not written again."""
    code = bundle_key(bundle)
    was_there = bucket.has(code)
    if not was_there:
        bucket.put(code, bundle.path)
    # Without spaces: CloudFormation takes a template of one megabyte at most.
    text = json.dumps(template, separators=(",", ":")).encode()
    key = f"{_PREFIX}/{hashlib.sha256(text).hexdigest()}.template.json"
    if not bucket.has(key):
        bucket.put(key, text)
    return Uploaded(bucket.url(key, suffix), code, was_there)


def with_schedules(template: Template, schedules: Mapping[str, Any], kept: Template) -> dict[str, Any]:
    """Return the template with these schedules, and with those that ``kept``, the stack's template so far, has."""
    before = kept_schedules(kept.get("Resources", {}), schedules)
    return {**template, "Resources": {**template["Resources"], **before, **schedules}}


def propose(
    stacks: Stacks,
    stack: str,
    name: str,
    *,
    way: Way,
    template_url: str,
    parameters: list[dict[str, Any]],
    clock: Clock,
) -> Proposal | None:
    """Let CloudFormation compute what would change; None when nothing would. Changes nothing.

    Raises AwsRefusedError with CloudFormation's reason when it cannot.
    """
    kind = "UPDATE" if way is Way.UPDATE else "CREATE"
    arn = stacks.propose(stack, name, kind=kind, template_url=template_url, parameters=parameters)
    if arn is None:
        return None
    found = _computed(stacks, arn, clock)
    if found.status == "FAILED":
        stacks.discard(arn)
        if says_nothing_changes(found.reason):
            return None
        raise AwsRefusedError(f"CloudFormation cannot change the stack {stack}: {found.reason.rstrip('.')}")
    return Proposal(arn, found.stack_arn, read_changes(found.changes))


def withdraw(stacks: Stacks, stack: str, proposal: Proposal, way: Way) -> None:
    """Take a proposal back; a stack that exists for it alone goes too."""
    stacks.discard(proposal.arn)
    if way is not Way.UPDATE:
        stacks.delete(stack)


def _computed(stacks: Stacks, arn: str, clock: Clock) -> ChangeSet:
    while True:
        found = stacks.change_set(arn)
        if not found.status.endswith(("_PENDING", "_IN_PROGRESS")):
            return found
        clock.sleep(_POLL_S)


def follow(stacks: Stacks, arn: str, seen: Iterable[str], tell: Tell, clock: Clock) -> tuple[Stack, list[Event]]:
    """Tell of each new event of a stack until it has come to rest; return the stack and its new events.

    ``seen`` are the ids of earlier events. A lost connection is waited for, some minutes long.
    """
    known, told, lost = set(seen), list[Event](), 0
    while True:
        try:
            # In this order: the events that are read after the end are all of them.
            stack = stacks.find(arn)
            new = [event for event in stacks.events(arn) if event.event_id not in known]
        except TransientError:
            lost += 1
            if lost > _PATIENCE_POLLS:
                raise
        else:
            lost = 0
            for event in new:
                known.add(event.event_id)
                told.append(event)
                tell(event)
            if stack is not None and _has_ended(stack, told):
                return stack, told
        clock.sleep(_POLL_S)


def _has_ended(stack: Stack, told: Iterable[Event]) -> bool:
    # A status alone may be the one from before: an event of the stack itself says that it was come to since.
    is_at_rest = not stack.status.endswith("_IN_PROGRESS")
    return is_at_rest and any(event.kind == _STACK and event.status == stack.status for event in told)


def failures(events: Iterable[Event]) -> list[Event]:
    """Return the events that are a reason why a stack has failed, not a consequence, in the order they happened."""
    return [
        event
        for event in events
        if event.status in _FAILED and event.reason and _CONSEQUENCE not in event.reason.lower()
    ]


def failed(stack: Stack, events: Sequence[Event]) -> FailedByAwsError:
    """Return the error that says why a stack has failed: every first reason, and every permission that was missing."""
    reasons = [f"{event.logical_id}: {event.reason.rstrip('.')}" for event in failures(events)]
    what = f"the stack {stack.name} is {stack.status}"
    lines = reasons or ([stack.reason] if stack.reason else [])
    missing = sorted({action for line in lines for action in _DENIED.findall(line)})
    advice = "Mend that, and run the same command again"
    if missing:
        advice = f"You lack {', '.join(missing)}: docs/reference/deploying.md has the policy that is needed"
    elif any(_NO_CONCURRENCY in line for line in lines):
        advice = "Your account's Lambda quota leaves nothing to reserve: add --parameter NotificationConcurrency=0"
    lines.extend(_left_behind(stack, events))
    return FailedByAwsError("\n  - ".join([f"{what}:" if lines else what, *lines]), advice=advice)


def _left_behind(stack: Stack, events: Iterable[Event]) -> list[str]:
    """Return a sentence on what a creation that failed has left: what is to hold data is kept, even if empty."""
    if not stack.status.startswith("ROLLBACK"):
        return []
    left = [f"{event.logical_id} ({event.physical_id})" for event in events if event.status == "DELETE_SKIPPED"]
    return (
        [f"left in the account, for you to delete, because no later stack uses it: {', '.join(left)}"] if left else []
    )
