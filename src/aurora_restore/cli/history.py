"""What was done: history."""

from typing import Annotated

import typer

from aurora_restore import names
from aurora_restore.cli.documents import summary_document
from aurora_restore.cli.options import DEFAULT_STACK, Json, Region, Stack
from aurora_restore.cli.output import print_json, say, stdout
from aurora_restore.cli.pipeline import Pipeline, open_pipeline
from aurora_restore.cli.presentation import print_operations
from aurora_restore.operation import Operation

_SEARCHED = 10_000


def history(
    *,
    target: Annotated[
        str, typer.Option(help="Of one target only: its cluster's name, or region/cluster.", show_default=False)
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=_SEARCHED, help="How many, newest first.")] = 20,
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
) -> None:
    """List operations, newest first."""
    pipeline = open_pipeline(stack, region)
    found = _find(pipeline, target, limit)
    states = {operation.operation_id: pipeline.state(operation) for operation in found}
    if as_json:
        print_json(
            {
                "operations": [
                    {**summary_document(operation), "status": states[operation.operation_id]} for operation in found
                ]
            }
        )
    elif found:
        print_operations(stdout(), found, states, pipeline.store.clock.now())
    else:
        say(f"No operation on {target} yet." if target else "No operations yet. Start one: aurora-restore run FILE")


def _find(pipeline: Pipeline, target: str, limit: int) -> list[Operation]:
    operations = pipeline.store.operations
    if "/" in target:
        region, _, cluster = target.partition("/")
        return operations.of_target(names.target_id(region, cluster), limit=limit)
    newest = operations.newest(limit=_SEARCHED)
    return [operation for operation in newest if not target or operation.target.endswith(f"/{target}")][:limit]
