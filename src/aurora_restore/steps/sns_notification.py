"""Step 9: tells people and machines how it ended, success or failure, and frees the lock."""

import json
from collections.abc import Mapping
from typing import Any

from aurora_restore import names
from aurora_restore.errors import PreconditionError
from aurora_restore.operation import Failure, Operation, Step, Verdict
from aurora_restore.steps.aborting import abort
from aurora_restore.steps.ending import end
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal

_STOPPED = {"ABORTED": "ExecutionAborted", "TIMED_OUT": "ExecutionTimedOut"}
# Lambda's Cause is JSON with errorMessage; Step Functions' own errors have a plain sentence, or nothing.
# A list of mistakes may be long; the message goes into the State table, and twice into the notification.
_LONGEST_MESSAGE = 16_000
# Of what may be anything: it goes into a key of the State table's index, which has its own limit.
_LONGEST_PLACE = 63


def as_call(event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return EventBridge's event about an execution that was stopped or timed out as a call of this step, else None.

    Such an execution never came here by itself: a rule sends its event, so that it ends like every other (I8).
    """
    detail = event.get("detail")
    if event.get("detail-type") != "Step Functions Execution Status Change" or not isinstance(detail, Mapping):
        return None
    status = str(detail["status"])
    return {
        "operation_id": detail["name"],
        "execution_arn": detail["executionArn"],
        "request": json.loads(detail.get("input") or "{}"),
        "outcome": {
            "Error": _STOPPED.get(status, "ExecutionEnded"),
            "Cause": detail.get("cause") or f"the execution is {status}: somebody stopped it, or its time was up",
        },
    }


def is_watch(event: Mapping[str, Any]) -> bool:
    """Say whether a rule asks, by the clock, how things stand: this function is the one that also runs unasked."""
    return event.get("watch") is True


def open_ended(world: World, *, execution: str, execution_arn: str, document: object) -> Journal:
    """Return the journal of the operation; where the request was too wrong to make one, of a record that says so."""
    operation_id = names.operation_of(execution)
    known = world.store.operations.find(operation_id)
    if known is not None:
        if known.execution_arn != execution_arn:
            # It was refused for the id of an operation that is not its own: that one's outcome is not its to write.
            raise PreconditionError(f"the operation {operation_id} belongs to another execution")
        return Journal(world.store, known, Step.SNS_NOTIFICATION)
    target = document.get("target") if isinstance(document, Mapping) else None
    place = target if isinstance(target, Mapping) else {}
    region, cluster = (str(place.get(field) or "unknown")[:_LONGEST_PLACE] for field in ("region", "cluster"))
    operation = Operation(
        operation_id=operation_id,
        execution_arn=execution_arn,
        stack=world.stack,
        target=names.target_id(region, cluster),
        requested_at=world.clock.now(),
    )
    journal = Journal(world.store, operation, Step.SNS_NOTIFICATION)
    journal.note("RefuseRequest", operation.target, "the request could not be read")
    return journal


def run(journal: Journal, world: World, outcome: Mapping[str, Any]) -> Verdict:
    """End the operation as ``outcome`` says: the last step's result, what was caught, or how it was stopped."""
    if outcome.get("Error") in _STOPPED.values():
        return abort(journal, world, why=str(outcome["Cause"]), error=str(outcome["Error"]))
    return end(journal, world, _failure(journal.operation, outcome))


def _failure(operation: Operation, outcome: Mapping[str, Any]) -> Failure | None:
    if "Error" not in outcome:
        return None
    return Failure(
        step=operation.current_step,
        error=str(outcome["Error"]),
        message=_cut(_message(outcome.get("Cause"))),
    )


def _cut(message: str) -> str:
    """Return as many whole lines as there is room for, and how many more there are."""
    if len(message) <= _LONGEST_MESSAGE:
        return message
    kept = message[:_LONGEST_MESSAGE].rpartition("\n")[0] or message[:_LONGEST_MESSAGE]
    more = message.count("\n", len(kept))
    return f"{kept}\n  … and {more} more lines" if more else f"{kept}…"


def _message(cause: object) -> str:
    try:
        parsed = json.loads(str(cause))
    except ValueError:
        return str(cause or "no cause was given")
    return str(parsed.get("errorMessage", cause)) if isinstance(parsed, dict) else str(cause)
