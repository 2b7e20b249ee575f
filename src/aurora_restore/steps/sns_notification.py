"""Step 9: tells people and machines how it ended, success or failure, and frees the lock."""

import json
from collections.abc import Mapping
from typing import Any

from aurora_restore import names
from aurora_restore.errors import PreconditionError
from aurora_restore.operation import Failure, Operation, OperationStatus, Step, Verdict
from aurora_restore.steps.ending import end
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal

# Lambda's Cause is JSON with errorMessage; Step Functions' own errors have a plain sentence, or nothing.
_LONGEST_MESSAGE = 4000
# Of what may be anything: it goes into a key of the State table's index, which has its own limit.
_LONGEST_PLACE = 63


def open_ended(world: World, *, operation_id: str, execution_arn: str, document: object) -> Journal:
    """Return the journal of the operation; where the request was too wrong to make one, of a record that says so."""
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
    """End the operation as ``outcome`` says: the last step's result, or what the state machine caught."""
    return end(journal, world, _failure(journal.operation, outcome))


def succeeded(operation: Operation) -> bool:
    """Say whether the execution is to end well."""
    return operation.status is OperationStatus.SUCCEEDED


def _failure(operation: Operation, outcome: Mapping[str, Any]) -> Failure | None:
    if "Error" not in outcome:
        return None
    # This step has begun already: the one that failed is the last before it.
    began = [step for step in Step.SNS_NOTIFICATION.before if step in operation.steps]
    return Failure(
        step=began[-1] if began else None,
        error=str(outcome["Error"]),
        message=_message(outcome.get("Cause"))[:_LONGEST_MESSAGE],
    )


def _message(cause: object) -> str:
    try:
        parsed = json.loads(str(cause))
    except ValueError:
        return str(cause or "no cause was given")
    return str(parsed.get("errorMessage", cause)) if isinstance(parsed, dict) else str(cause)
