"""The one clock that steps, waits and emulator read. Handed in, so that a test's four hours take no time."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Says the time and lets it pass."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let so many of this clock's seconds pass."""
        ...


class SystemClock:
    """The wall clock."""

    def now(self) -> datetime:
        """Return the wall clock's time in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Block for so many real seconds."""
        time.sleep(seconds)
