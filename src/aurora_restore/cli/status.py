"""Where operations stand: status."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from aurora_restore.cli.documents import operation_document, summary_document
from aurora_restore.cli.options import DEFAULT_STACK, Json, Region, Stack
from aurora_restore.cli.output import print_json, stdout
from aurora_restore.cli.pipeline import Pipeline, find_operation, open_pipeline
from aurora_restore.cli.presentation import print_operation, print_operations
from aurora_restore.operation import Operation

_LAST = 5
_NONE_YET = "No operations yet. Start one: aurora-restore run FILE"


def status(
    operation: Annotated[
        str, typer.Argument(metavar="ID", show_default=False, help="The operation's id, or the beginning of it.")
    ] = "",
    *,
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
) -> None:
    """Show what runs now, or everything about one operation.

    Without ID: what runs now, and the last operations that ended.
    """
    pipeline = open_pipeline(stack, region)
    if operation:
        _show_one(pipeline, find_operation(pipeline, operation), as_json=as_json)
    else:
        _show_all(pipeline, as_json=as_json)


def _show_one(pipeline: Pipeline, operation: Operation, *, as_json: bool) -> None:
    state = pipeline.state(operation)
    if as_json:
        print_json(operation_document(operation, state=state))
    else:
        print_operation(stdout(), operation, pipeline.store.clock.now(), state=state)


def _show_all(pipeline: Pipeline, *, as_json: bool) -> None:
    newest = pipeline.store.operations.newest(limit=10_000)
    states = {operation.operation_id: pipeline.state(operation) for operation in newest}
    running = [operation for operation in newest if states[operation.operation_id] == "running"]
    last = [operation for operation in newest if operation not in running][:_LAST]
    if as_json:
        print_json({"running": _documents(running, states), "last": _documents(last, states)})
        return
    now, console = pipeline.store.clock.now(), stdout()
    if not newest:
        console.print(_NONE_YET)
        return
    if running:
        print_operations(console, running, states, now)
    else:
        console.print("Nothing runs now.")
    if last:
        console.print("\nThe last ones")
        print_operations(console, last, states, now)


def _documents(operations: Sequence[Operation], states: Mapping[str, str]) -> list[dict[str, object]]:
    return [{**summary_document(operation), "status": states[operation.operation_id]} for operation in operations]
