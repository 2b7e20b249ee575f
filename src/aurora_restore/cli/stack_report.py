"""A stack as a person reads it: what would change, what happens to it, what came out."""

import threading
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from aurora_restore.aws.stacks import Event
from aurora_restore.cloudformation.changes import Change, Effect

_SIGNS: Final = {
    Effect.ADDED: ("+", "green"),
    Effect.CHANGED: ("~", "yellow"),
    Effect.MAY_BE_REPLACED: ("?", "yellow"),
    Effect.REPLACED: ("!", "yellow"),
    Effect.REMOVED: ("-", "yellow"),
    Effect.RELEASED: ("-", "dim"),
}
_LOSES: Final = "bold red"
_FAILED: Final = "bold red"


def print_changes(console: Console, changes: Sequence[Change]) -> None:
    """Print a line for each resource: what becomes of it, and which properties are the reason."""
    width = max((len(change.name) for change in changes), default=0)
    for change in changes:
        sign, style = _SIGNS[change.effect]
        line = f"  {sign} {change.effect.value:<15} {change.name:<{width}}  {change.kind}"
        why = f"  ({', '.join(change.properties)})" if change.properties else ""
        warning = "  what is in it would be lost" if change.loses else ""
        console.print(Text(f"{line}{why}{warning}", style=_LOSES if change.loses else style), soft_wrap=True)
    console.print(f"\n{summary(changes)}", soft_wrap=True)


def summary(changes: Iterable[Change]) -> str:
    """Return how many resources there are of each effect, as a sentence."""
    counts: dict[Effect, int] = {}
    for change in changes:
        counts[change.effect] = counts.get(change.effect, 0) + 1
    told = ", ".join(f"{counts[effect]} {effect.value}" for effect in Effect if effect in counts)
    return told or "no resource, but values or outputs of the stack"


class Lines:
    """One line for each thing that happens to a resource: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        """Take where to write."""
        self._console = console

    def __enter__(self) -> Self:
        """Do nothing."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Do nothing."""

    def tell(self, event: Event) -> None:
        """Write the event."""
        self._console.print(line(event), soft_wrap=True)


class Silent(Lines):
    """Shows nothing."""

    def tell(self, event: Event) -> None:
        """Do nothing."""


class LiveLines(Lines):
    """What has ended as lines, and beneath them, drawn again in place, what is under way: for a terminal."""

    def __init__(self, console: Console) -> None:
        """Take the terminal."""
        super().__init__(console)
        self._under_way: dict[str, Event] = {}
        self._done: set[str] = set()
        self._lock = threading.Lock()
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave the lines standing."""
        self._live.stop()

    def tell(self, event: Event) -> None:
        """Draw the event."""
        with self._lock:
            if event.status.endswith("_IN_PROGRESS"):
                self._under_way[event.logical_id] = event
            else:
                self._under_way.pop(event.logical_id, None)
                self._done.add(event.logical_id)
                self._live.console.print(line(event), soft_wrap=True)
            names = ", ".join(sorted(self._under_way))
            self._live.update(Text(f"{len(self._done)} done; under way: {names}", style="cyan"), refresh=True)


def line(event: Event) -> Text:
    """Return an event as one line; a failure with its reason."""
    has_failed = event.status.endswith("_FAILED") or "ROLLBACK" in event.status
    reason = f": {event.reason}" if event.reason and has_failed else ""
    text = f"{event.at:%H:%M:%S} {event.status:<19} {event.logical_id}{reason}"
    return Text(text, style=_FAILED if has_failed else "")


def progress_for(console: Console, *, silent: bool) -> Lines:
    """Return what shows a stack's progress: live on a terminal, lines elsewhere, nothing where silence is wanted."""
    if silent:
        return Silent(console)
    return LiveLines(console) if console.is_terminal else Lines(console)
