"""What was changed, and the proof that nothing is missing: audit."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from aurora_restore.cli.options import DEFAULT_STACK, Json, OperationId, Region, Stack
from aurora_restore.cli.output import print_beside, print_json, stdout
from aurora_restore.cli.pipeline import Pipeline, find_operation, open_pipeline
from aurora_restore.errors import AuditBrokenError
from aurora_restore.operation import Operation, Step
from aurora_restore.store.audit import AuditEvent, EventKind, verify

_INCIDENT = "Treat it as a security incident: find out who can write to the Audit table, and who did"
# Where a name that does not fit beside the time begins.
_BENEATH = 4


def audit(
    operation: OperationId,
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="Prove that no event was changed, removed or added.")
    ] = False,
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
) -> None:
    """Show every change that an operation made; prove it whole.

    With --verify it exits with 1 when the chain of events is broken, and names the first event that is wrong.
    """
    pipeline = open_pipeline(stack, region)
    found, events = _read(pipeline, find_operation(pipeline, operation).operation_id)
    if not as_json:
        _print(stdout(), events)
    proof = {"verified": prove(found, events)} if verify else {}
    if as_json:
        listed = [event.model_dump(mode="json") for event in events]
        print_json({"operation_id": found.operation_id, **proof, "events": listed})
    elif verify:
        stdout().print(f"\nVerified: {len(events)} events, an unbroken chain up to {found.audit_hash[:12]}.")


def prove(operation: Operation, events: Sequence[AuditEvent]) -> bool:
    """Return True; raises AuditBrokenError naming the first event that is wrong, missing or too many."""
    try:
        return verify(events, head=operation.audit_hash) == len(events)
    except AuditBrokenError as error:
        raise AuditBrokenError(error.what, advice=_INCIDENT) from None


def _read(pipeline: Pipeline, operation_id: str) -> tuple[Operation, list[AuditEvent]]:
    """Return an operation and its events of one moment, though it may go on while we read."""
    # In this order: an event is written together with the record that counts it, so all that are counted are there.
    operation = pipeline.store.operations.load(operation_id)
    events = pipeline.store.audit.events(operation_id)
    counted = [event for event in events if event.sequence <= operation.audit_sequence]
    # What was added since is left out; what no record counts was never ours, and the proof must see it.
    is_later = len(counted) < len(events) <= pipeline.store.operations.load(operation_id).audit_sequence
    return operation, counted if is_later else events


def _print(console: Console, events: Sequence[AuditEvent]) -> None:
    width = len(str(len(events)))
    console.print(Text(f"{'#':>{width}}  {'Time (UTC)':<14}  What, on what; why", style="bold"))
    indent = " " * (width + 18)  # of what stands beside number and time
    step: Step | None = None
    for event in events:
        if event.step is not step:
            step = event.step
            console.print(Text(f"{indent}{step or ''}", style="bold cyan"))
        about_to = " (about to)" if event.kind is EventKind.INTENT else ""
        head = f"{event.sequence:>{width}}  {event.at:%m-%d %H:%M:%S}  "
        what = Text.assemble(head, (f"{event.action}{about_to}", "bold"), " ")
        if what.cell_len + len(event.subject) > console.width:
            what.rstrip()
            console.print(what, soft_wrap=True)
            what = Text(indent)
        print_beside(console, what, event.subject, beneath=_BENEATH)
        for line in _details(event):
            hang = 2 if line.startswith("- ") else 0
            print_beside(console, Text(f"{indent}  "), line, beneath=_BENEATH + 2, style="dim", hang=hang)


def _details(event: AuditEvent) -> list[str]:
    """Return an event's detail: one line, or a list, such as the changes to hundreds of users."""
    lines = event.detail.split("\n")
    return [f"- {line}" for line in lines] if len(lines) > 1 else lines
