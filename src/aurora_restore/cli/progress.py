"""Following an operation to its end, and showing how it goes: a live table, plain lines, or nothing."""

from collections.abc import Iterator
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aurora_restore.aws.door import Answer
from aurora_restore.aws.executions import Executions
from aurora_restore.cli.output import escaped, print_beside
from aurora_restore.clock import Clock
from aurora_restore.errors import FailedByAwsError, TransientError
from aurora_restore.operation import Operation, Step, StepStatus
from aurora_restore.steps.announcement import duration
from aurora_restore.store.journal import Store

POLL_S = 1.0
# A laptop that changes networks must not lose its watch of a restore of hours.
_PATIENCE_POLLS = 300
_STYLES = {"DONE": "green", "SKIP": "dim", "FAILED": "bold red", "running": "cyan", "waiting": "cyan", "": "dim"}


class Display(Protocol):
    """Shows an operation while it goes on. Enter it around the time in which it may write."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...

    def show(self, operation: Operation, now: datetime) -> None:
        """Show the operation as it stands at this moment of the account's clock."""
        ...

    def warn(self, sentence: str) -> None:
        """Show that following is in trouble, or with "" that it is over."""
        ...


def display_for(console: Console, *, silent: bool = False) -> Display:
    """Return a live table for a terminal, lines for anything else, nothing where silence was asked for."""
    if silent:
        return Silent()
    return LiveTable(console) if console.is_terminal else Lines(console)


def follow(
    store: Store, executions: Executions, operation_id: str, execution_arn: str, display: Display, clock: Clock
) -> Operation:
    """Show an operation until it and its execution have ended; return it as it is then.

    ``clock`` is what the polls wait on: the wall's. A lost connection is waited for, some minutes long. Raises
    FailedByAwsError when the execution ends without an outcome, because somebody stopped it or it could not run at all.
    """
    lost = 0
    with display:
        while True:
            try:
                # In this order: what is read after the execution's end is final.
                has_ended = executions.has_ended(execution_arn)
                operation = store.operations.find(operation_id)
            except TransientError as error:
                lost += 1
                if lost > _PATIENCE_POLLS:
                    raise
                display.warn(f"{error.what}; trying again")
            else:
                lost = 0
                display.warn("")
                if operation is not None:
                    display.show(operation, store.clock.now())
                if has_ended:
                    return _ended(operation, operation_id, executions.describe(execution_arn))
            clock.sleep(POLL_S)


def _ended(operation: Operation | None, operation_id: str, execution: Answer | None) -> Operation:
    if operation is not None and operation.has_ended:
        return operation
    told = execution or {}
    status = str(told.get("status", "forgotten")).lower().replace("_", " ")
    why = ": ".join(str(told[key]) for key in ("error", "cause") if told.get(key))
    raise FailedByAwsError(
        f"the execution of {operation_id} is {status} and wrote no outcome{f' ({why})' if why else ''}",
        advice=f"See what stands now and how to go on: aurora-restore status {operation_id}"
        if operation is not None
        else "It did nothing. Look at the execution in the Step Functions console",
    )


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        """Do nothing."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Do nothing."""

    def show(self, operation: Operation, now: datetime) -> None:
        """Do nothing."""

    def warn(self, sentence: str) -> None:
        """Do nothing."""


class Lines(Silent):
    """One plain line for each change, with the account's time: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        """Take where to write."""
        self._console = console
        self._said: dict[Step, tuple[str, str]] = {}
        self._warned = ""

    def show(self, operation: Operation, now: datetime) -> None:
        """Write a line for each step whose state or reason is not the one that was written last."""
        for row in rows(operation, now):
            if row.state and self._said.get(row.step) != (row.state, row.reason):
                self._said[row.step] = (row.state, row.reason)
                taken = f" ({row.taken})" if row.has_ended and row.taken else ""
                line = f"{now:%H:%M:%S} {row.step:<20} {row.state:<7} {row.reason}{taken}"
                self._console.print(line.rstrip(), soft_wrap=True)

    def warn(self, sentence: str) -> None:
        """Write the sentence, once."""
        if sentence and sentence != self._warned:
            self._console.print(sentence, soft_wrap=True)
        self._warned = sentence


class LiveTable:
    """The nine steps as a table that is drawn again in place: for a terminal."""

    def __init__(self, console: Console) -> None:
        """Take the terminal."""
        self._console = console
        self._live: Live = Live(console=console, auto_refresh=False, transient=True)
        self._table: Table | Text = Text("waiting for the first step to begin")
        self._shown: tuple[Operation, datetime] | None = None
        self._warning = ""

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        self._draw()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave the steps standing, all of them and all that they say: it may be longer than the screen now."""
        self._live.stop()
        if self._shown is not None:
            print_steps(self._console, *self._shown)

    def show(self, operation: Operation, now: datetime) -> None:
        """Draw the table anew."""
        self._table = steps_table(operation, now)
        self._shown = operation, now
        self._draw()

    def warn(self, sentence: str) -> None:
        """Draw the sentence under the table."""
        if sentence != self._warning:
            self._warning = sentence
            self._draw()

    def _draw(self) -> None:
        self._live.update(Group(self._table, Text(self._warning, style="yellow")), refresh=True)


class Row:
    """One step as a person reads it."""

    def __init__(self, step: Step, state: str, taken: str, reason: str) -> None:
        """Take the step, what it is doing ("" before it began), how long it took so far, and why it does that."""
        self.step = step
        self.state = state
        self.taken = taken
        self.reason = reason

    @property
    def has_ended(self) -> bool:
        """Say whether the step will change no more."""
        return self.state in {"DONE", "SKIP", "FAILED"}


def rows(operation: Operation, now: datetime) -> Iterator[Row]:
    """Yield the nine steps as they stand at ``now``, in their order."""
    for step in Step:
        record = operation.steps.get(step)
        if record is None:
            yield Row(step, "", "", "")
            continue
        failed = operation.failure is not None and operation.failure.step is step
        until = record.ended_at or operation.ended_at or now
        # Another machine's clock may be behind the account's: better no duration than a negative one.
        taken = duration(until - record.started_at) if until >= record.started_at else ""
        reason = escaped(record.verdict.reason) if record.verdict else ""
        if failed and operation.failure is not None:
            yield Row(step, "FAILED", taken, operation.failure.error)
        elif record.ended_at is None:
            is_waiting = record.verdict is not None and record.verdict.status is StepStatus.WAIT
            yield Row(step, "waiting" if is_waiting else "running", taken, reason)
        else:
            yield Row(step, record.verdict.status.value if record.verdict else "DONE", taken, reason)


def steps_table(operation: Operation, now: datetime) -> Table:
    """Return the nine steps as a table for a screen of 24 lines, on which it is drawn again and again.

    A long reason takes several lines at 80 columns; those of steps that went well are cut to one.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("Step", no_wrap=True)
    table.add_column("State", no_wrap=True, min_width=7)
    table.add_column("Time", justify="right", no_wrap=True, min_width=4)
    table.add_column("Reason", overflow="fold", ratio=1)
    for row in rows(operation, now):
        state = Text(row.state, style=_STYLES[row.state])
        whole_row = "dim" if row.state in {"", "SKIP"} else ""
        is_cut = row.state in {"DONE", "SKIP"}
        reason = Text(row.reason, no_wrap=is_cut, overflow="ellipsis" if is_cut else "fold")
        table.add_row(row.step, state, row.taken, reason, style=whole_row)
    return table


def print_steps(console: Console, operation: Operation, now: datetime) -> None:
    """Print the nine steps for good: as the table, but whole, and no name in a reason is broken."""
    shown = list(rows(operation, now))
    width = max(len(row.taken) for row in shown)
    console.print(Text(f"{'Step':<18}  {'State':<7}  {'Time':>{width}}  Reason".rstrip(), style="bold"))
    for row in shown:
        state = (f"{row.state:<7}", _STYLES[row.state])
        head = Text.assemble(f"{row.step:<18}  ", state, f"  {row.taken:>{width}}  ")
        print_beside(console, head, row.reason, beneath=4)
