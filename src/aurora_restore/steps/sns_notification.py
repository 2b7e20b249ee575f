"""Step 9: tells people and machines how it ended, success or failure, and frees the lock."""

import json
from collections.abc import Mapping
from typing import Any

from aurora_restore.operation import Failure, Operation, OperationStatus, Step, Verdict
from aurora_restore.steps.ending import end
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal

# Lambda's Cause is JSON with errorMessage; Step Functions' own errors have a plain sentence, or nothing.
_LONGEST_MESSAGE = 4000


def open_ended(world: World, *, operation_id: str, execution_arn: str, document: object) -> Journal:
    """Return the journal of the operation; where the request was too wrong to make one, of a record that says so."""
    known = world.store.operations.find(operation_id)
    if known is not None:
        return Journal(world.store, known, Step.SNS_NOTIFICATION)
    target = document.get("target") if isinstance(document, Mapping) else None
    place = target if isinstance(target, Mapping) else {}
    operation = Operation(
        operation_id=operation_id,
        execution_arn=execution_arn,
        stack=world.stack,
        target=f"{place.get('region', 'unknown')}/{place.get('cluster', 'unknown')}",
        requested_at=world.clock.now(),
    )
    journal = Journal(world.store, operation, Step.SNS_NOTIFICATION)
    journal.note("RefuseRequest", operation.target, "the request could not be read")
    return journal


def run(journal: Journal, world: World, outcome: Mapping[str, Any]) -> Verdict:
    """End the operation as ``outcome`` says: the last step's result, or what the state machine caught."""
    return end(journal, world, _failure(journal.operation, outcome))


def succeeded(operation: Operation) -> bool:
    """Say whether the execution is to end well."""
    return operation.status is OperationStatus.SUCCEEDED


def _failure(operation: Operation, outcome: Mapping[str, Any]) -> Failure | None:
    if "Error" not in outcome:
        return None
    step = operation.current_step
    return Failure(
        step=None if step is Step.SNS_NOTIFICATION else step,
        error=str(outcome["Error"]),
        message=_message(outcome.get("Cause"))[:_LONGEST_MESSAGE],
    )


def _message(cause: object) -> str:
    try:
        parsed = json.loads(str(cause))
    except ValueError:
        return str(cause or "no cause was given")
    return str(parsed.get("errorMessage", cause)) if isinstance(parsed, dict) else str(cause)
