"""Starting an operation, and watching one: run, watch."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from aurora_restore import names
from aurora_restore.cli.documents import operation_document
from aurora_restore.cli.exits import ExitCode
from aurora_restore.cli.options import DEFAULT_STACK, Json, OperationId, Region, Stack
from aurora_restore.cli.output import error_document, print_json, say, stdout
from aurora_restore.cli.pipeline import Pipeline, find_operation, has_begun, open_pipeline
from aurora_restore.cli.plan import planned_request, read_plan
from aurora_restore.cli.presentation import print_outcome
from aurora_restore.cli.progress import display_for, follow
from aurora_restore.cli.reading import read_request
from aurora_restore.clock import SystemClock
from aurora_restore.errors import AwsUnavailableError, ConfigurationError, OperationNotFoundError, TransientError
from aurora_restore.operation import Operation, OperationStatus
from aurora_restore.request import RestoreRequest


def run(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", show_default=False, help="The request, YAML or JSON; - reads stdin."),
    ] = "",
    *,
    plan: Annotated[
        str,
        typer.Option("--plan", metavar="PLAN", show_default=False, help="Run what plan --out wrote, or refuse."),
    ] = "",
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Watch it to its end, or only start it.")] = True,
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
) -> None:
    """Start an operation and watch it to its end.

    With --plan in place of FILE it refuses, with exit 2, when the world is not as it was planned. Ctrl-C ends the
    watching, never the operation: it goes on in AWS.
    """
    pipeline, request = _asked(file, plan, stack, region)
    operation_id = names.operation_id(request.name, pipeline.store.clock.now(), secrets.token_hex(3))
    with possibly_started(operation_id, as_json=as_json):
        execution_arn = pipeline.executions.start(
            pipeline.deployment.state_machine_arn, name=operation_id, request=request.document()
        )
    if watch:
        watch_to_the_end(pipeline, operation_id, execution_arn, as_json=as_json)
    elif as_json:
        print_json({"operation_id": operation_id, "execution_arn": execution_arn})
    else:
        stdout().print(f"Started {operation_id}\nWatch it: aurora-restore watch {operation_id}", soft_wrap=True)


@contextmanager
def possibly_started(operation_id: str, *, as_json: bool) -> Iterator[None]:
    """Around the call that starts an execution: where its answer does not come, say that it may go on all the same."""
    perhaps = f"It may have started. Look whether it has: aurora-restore status {operation_id}"
    try:
        yield
    except KeyboardInterrupt:
        _report_interruption(operation_id, perhaps, as_json=as_json)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except AwsUnavailableError as error:
        raise AwsUnavailableError(error.what, advice=perhaps) from None


def _asked(file: str, plan: str, stack: str, region: str | None) -> tuple[Pipeline, RestoreRequest]:
    """Return the pipeline, and the request in ``file``, or the one in ``plan`` if it still fits the world."""
    if bool(file) == bool(plan):
        raise typer.BadParameter("give a request or --plan PLAN, one of the two", param_hint="FILE")
    if file:
        request = read_request(file)
        return open_pipeline(stack, region), request
    planned = read_plan(plan)
    pipeline = open_pipeline(stack, region)
    return pipeline, planned_request(pipeline, planned)


def watch(
    operation: OperationId, *, as_json: Json = False, stack: Stack = DEFAULT_STACK, region: Region = None
) -> None:
    """Watch an operation to its end.

    Exits with 0 when it succeeds and 1 when it fails. Ctrl-C ends the watching, never the operation.
    """
    pipeline = open_pipeline(stack, region)
    try:
        found = find_operation(pipeline, operation)
    except OperationNotFoundError:
        if not has_begun(pipeline, operation):
            raise
        watch_to_the_end(pipeline, operation, pipeline.execution_arn(operation), as_json=as_json)
    else:
        watch_to_the_end(pipeline, found.operation_id, found.execution_arn, as_json=as_json)


def watch_to_the_end(pipeline: Pipeline, operation_id: str, execution_arn: str, *, as_json: bool) -> None:
    """Show an operation until it has ended, and exit with 1 when it did not succeed; Ctrl-C ends the watching only."""
    display = display_for(stdout(), silent=as_json)
    if not as_json:
        stdout().print(f"Operation {operation_id}", soft_wrap=True)
    try:
        ended = follow(pipeline.store, pipeline.executions, operation_id, execution_arn, display, SystemClock())
    except KeyboardInterrupt:
        _report_interruption(operation_id, _goes_on(operation_id), as_json=as_json)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except (ConfigurationError, TransientError):
        # The credentials of a long watch may expire. That says nothing about the operation.
        say(_goes_on(operation_id))
        raise
    _report_end(ended, as_json=as_json)


def _report_end(ended: Operation, *, as_json: bool) -> None:
    if as_json:
        print_json(operation_document(ended))
    else:
        print_outcome(stdout(), ended)
    if ended.status is not OperationStatus.SUCCEEDED:
        raise typer.Exit(ExitCode.FAILED)


def _report_interruption(operation_id: str, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(error_document("Interrupted", sentence, operation_id=operation_id))
    say(sentence)


def _goes_on(operation_id: str) -> str:
    return f"The operation goes on in AWS. Watch it again: aurora-restore watch {operation_id}"
