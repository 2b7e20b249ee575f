"""Operations as a person reads them: made for 80 columns, and for copying a name out of the terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from rich.console import Console
from rich.text import Text

from aurora_restore.cli.documents import advice
from aurora_restore.cli.output import escaped, print_wrapped
from aurora_restore.cli.progress import print_steps
from aurora_restore.operation import Operation
from aurora_restore.steps.announcement import duration, standing

_STYLES: Mapping[str, str] = {
    "succeeded": "green",
    "failed": "bold red",
    "aborted": "bold red",
    "running": "cyan",
    "stopped": "bold red",
}
_LABEL_WIDTH = 16


def print_outcome(console: Console, operation: Operation) -> None:
    """Print how an operation ended, and what one does with that."""
    console.print()
    if operation.failure is None:
        _print_headline(console, operation, operation.status.value)
        _print_result(console, operation)
    else:
        _print_failure(console, operation)
    _field(console, "All about it", f"aurora-restore status {operation.operation_id}")


def print_operation(console: Console, operation: Operation, now: datetime, *, state: str) -> None:
    """Print everything that a person wants to know of one operation, whose ``state`` is as ``Pipeline.state`` says."""
    _print_headline(console, operation, state)
    _print_origin(console, operation)
    _print_result(console, operation)
    console.print()
    print_steps(console, operation, now)
    if operation.failure is not None:
        console.print()
        _print_failure(console, operation)
    if state == "stopped":
        console.print()
        _sentences(
            console,
            ["Its execution was stopped and wrote no outcome.", *standing(operation), advice(operation, state)],
        )


def print_operations(
    console: Console, operations: Sequence[Operation], states: Mapping[str, str], now: datetime
) -> None:
    """Print operations, each with its target and its failure beneath; ``states`` by id. No name is broken."""
    width = max(len(operation.operation_id) for operation in operations)
    titles = Text(f"{'State':<9}  {'Started (UTC)':<16}  {'Took':>11}", style="bold")
    _print_row(console, Text(f"{'Operation':<{width}}", style="bold"), titles)
    for operation in operations:
        state = states[operation.operation_id]
        when = f"  {operation.requested_at:%Y-%m-%d %H:%M}  {_took(operation, now):>11}"
        cells = Text.assemble((f"{state:<9}", _STYLES[state]), when)
        _print_row(console, Text(f"{operation.operation_id:<{width}}"), cells)
        for line in _beneath(operation):
            console.print(Text(f"  {line}", style="dim"), soft_wrap=True)


def _print_row(console: Console, identifier: Text, cells: Text) -> None:
    """Print a row in one line, or in two where that is too long."""
    if identifier.cell_len + 2 + cells.cell_len > console.width:
        identifier.rstrip()
        console.print(identifier, soft_wrap=True)
        identifier = Text()
    row = Text.assemble(identifier, "  ", cells)
    row.rstrip()
    console.print(row, soft_wrap=True)


def _beneath(operation: Operation) -> Iterator[str]:
    yield operation.target
    if operation.failure is not None:
        yield f"{operation.failure.step or 'the execution'}: {operation.failure.error}"


def _took(operation: Operation, now: datetime) -> str:
    until = operation.ended_at or now
    # Another machine's clock may be behind the account's.
    return duration(until - operation.requested_at) if until >= operation.requested_at else ""


def _print_headline(console: Console, operation: Operation, state: str) -> None:
    took = _took(operation, operation.ended_at) if operation.ended_at else ""
    line = Text.assemble((operation.operation_id, "bold"), " ", (state, _STYLES[state]), f" in {took}" if took else "")
    console.print(line, soft_wrap=True)


def _print_origin(console: Console, operation: Operation) -> None:
    if operation.request is not None:
        _field(console, "Source", f"{operation.request.source.region}/{operation.request.source.cluster}")
    _field(console, "Target", operation.target)
    _field(console, "Started", f"{operation.requested_at:%Y-%m-%d %H:%M:%S} UTC")
    if operation.ended_at is not None:
        _field(console, "Ended", f"{operation.ended_at:%Y-%m-%d %H:%M:%S} UTC")


def _print_result(console: Console, operation: Operation) -> None:
    snapshot, restored = operation.snapshot, operation.restored
    if snapshot is not None:
        taken = f", taken {snapshot.created_at:%Y-%m-%d %H:%M} UTC" if snapshot.created_at else ""
        _field(console, "Snapshot", f"{snapshot.identifier}{taken}")
    if restored is not None:
        _field(console, "Endpoint", f"{restored.endpoint}:{restored.port}")
        if restored.reader_endpoint:
            _field(console, "Reader", f"{restored.reader_endpoint}:{restored.port}")
    _print_database(console, operation)
    if operation.final_snapshot_arn:
        _field(console, "Final snapshot", operation.final_snapshot_arn)
    if operation.archive_arn:
        _field(console, "Archive", operation.archive_arn)
    if operation.not_restored:
        console.print(Text("Not restored", style="yellow"))
        _sentences(console, operation.not_restored)


def _print_database(console: Console, operation: Operation) -> None:
    if operation.logins:
        _field(console, "Logins", ", ".join(operation.logins))
    for user, secret in operation.user_secrets.items():
        _field(console, "Secret", f"{user}: {secret}")
    if operation.master_secret_arn:
        _field(console, "Master secret", operation.master_secret_arn)
    if operation.database_work.scripts:
        _field(console, "SQL", ", ".join(script.file for script in operation.database_work.scripts))
    for sentence in operation.database_work.checks:
        _field(console, "Holds", sentence)


def _print_failure(console: Console, operation: Operation) -> None:
    failure = operation.failure
    if failure is None:
        return
    console.print(Text(f"Failed in {failure.step or 'the execution'}: {failure.error}", style="bold red"))
    _sentences(console, failure.message.split("\n"))
    console.print(Text("What stands now", style="bold"))
    _sentences(console, standing(operation))
    console.print(Text("What to do", style="bold"))
    _sentences(console, [advice(operation, operation.status)])


def _field(console: Console, label: str, value: str) -> None:
    # The terminal wraps it, not we: a name that is longer than the line can be copied whole.
    console.print(Text.assemble((f"{label:<{_LABEL_WIDTH}}", "bold"), escaped(value)), soft_wrap=True)


def _sentences(console: Console, sentences: Iterable[str]) -> None:
    for sentence in sentences:
        text = sentence.strip()
        indent = 2 + len(sentence) - len(sentence.lstrip())
        print_wrapped(console, text, indent, hang=2 if text.startswith("- ") else 0)
