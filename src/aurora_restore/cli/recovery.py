"""The commands for the bad night: resume, abort."""

from collections.abc import Callable
from typing import Annotated

import typer

from aurora_restore import names
from aurora_restore.cli.documents import operation_document
from aurora_restore.cli.options import DEFAULT_STACK, Json, OperationId, Region, Stack
from aurora_restore.cli.output import print_json, stdout
from aurora_restore.cli.pipeline import Pipeline, find_operation, open_pipeline
from aurora_restore.cli.presentation import print_outcome
from aurora_restore.cli.run import possibly_started, watch_to_the_end
from aurora_restore.clock import SystemClock
from aurora_restore.errors import ConflictError, EnvironmentUnfitError, PreflightError
from aurora_restore.operation import Operation, OperationStatus, Step
from aurora_restore.steps.aborting import abort as end_aborted
from aurora_restore.steps.aborting import ask
from aurora_restore.steps.resuming import obstacles
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal

_ENDS_WITHIN_S = 60
_CONFLICTS = 5


def resume(
    operation: OperationId,
    *,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Watch it to its end, or only start it.")] = True,
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
) -> None:
    """Go on with an operation that failed or was stopped.

    It becomes a new execution of the same operation: what was done is not done again. Exits with 2 and every reason
    when the world has moved on.
    """
    pipeline = open_pipeline(stack, region)
    found = find_operation(pipeline, operation)
    reasons = tuple(obstacles(found, pipeline.world()))
    if reasons:
        raise PreflightError(reasons, stands="nothing was started")
    with possibly_started(found.operation_id, as_json=as_json):
        execution_arn = pipeline.executions.start(
            pipeline.deployment.state_machine_arn,
            name=names.resumption(found.operation_id, found.executions + 1),
            request=found.wanted.document(),
        )
        if watch:
            _await_reopening(pipeline, found.operation_id, execution_arn)
    if watch:
        watch_to_the_end(pipeline, found.operation_id, execution_arn, as_json=as_json)
    elif as_json:
        print_json({"operation_id": found.operation_id, "execution_arn": execution_arn})
    else:
        stdout().print(
            f"Resumed {found.operation_id}\nWatch it: aurora-restore watch {found.operation_id}", soft_wrap=True
        )


def abort(
    operation: OperationId, *, as_json: Json = False, stack: Stack = DEFAULT_STACK, region: Region = None
) -> None:
    """Stop an operation; say what is left of it.

    A copy under way is cancelled, the outcome recorded and told, the lock freed. No cluster is deleted.
    """
    pipeline = open_pipeline(stack, region)
    found = find_operation(pipeline, operation)
    if found.has_ended:
        raise _has_ended(found)
    who = pipeline.clients("sts", pipeline.deployment.region).get_caller_identity()["Arn"]
    why = f"{who} aborted it with aurora-restore abort"
    _write(pipeline, found.operation_id, lambda journal, _: ask(journal, why=why))
    pipeline.executions.stop(found.execution_arn, cause=why)
    _await_end(pipeline, found.execution_arn)
    ended = _write(pipeline, found.operation_id, lambda journal, world: end_aborted(journal, world, why=why))
    if ended.status is not OperationStatus.ABORTED:
        raise _has_ended(ended)
    if as_json:
        print_json(operation_document(ended))
    else:
        print_outcome(stdout(), ended)


def _has_ended(operation: Operation) -> PreflightError:
    """Return the refusal; it may have ended while we were about to stop it."""
    what = f"{operation.operation_id} has ended already ({operation.status}): there is nothing to stop"
    return PreflightError([what], stands="nothing was stopped")


def _await_end(pipeline: Pipeline, execution_arn: str) -> None:
    clock = SystemClock()
    for _ in range(_ENDS_WITHIN_S):
        if pipeline.executions.has_ended(execution_arn):
            return
        clock.sleep(1)
    raise EnvironmentUnfitError(
        f"the execution does not stop: {execution_arn}", advice="Look at it in the Step Functions console"
    )


def _await_reopening(pipeline: Pipeline, operation_id: str, execution_arn: str) -> None:
    """Wait until the record is the new execution's: until then it shows how the last one ended."""
    clock = SystemClock()
    for _ in range(_ENDS_WITHIN_S):
        reopened = pipeline.store.operations.load(operation_id).execution_arn == execution_arn
        if reopened or pipeline.executions.has_ended(execution_arn):
            return
        clock.sleep(1)


def _write(pipeline: Pipeline, operation_id: str, act: Callable[[Journal, World], object]) -> Operation:
    """Do something to an operation, beside a step that may still run and a rule that may end it."""
    world = pipeline.world()
    for attempt in range(_CONFLICTS):
        operation = world.store.operations.load(operation_id)
        try:
            act(Journal(world.store, operation, operation.current_step or Step.SNS_NOTIFICATION), world)
        except ConflictError:
            world.clock.sleep(attempt + 1)
        else:
            return world.store.operations.load(operation_id)
    raise ConflictError(f"the record of {operation_id} changes all the time", advice="Try again")
