"""The embedded account's clocks: one that hurries through waits, and one for tests that never waits at all."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

# How soon, in wall seconds, a pause notices that it is over for another reason than time.
_NOTICE_WITHIN_S = 0.05


class ClockClosedError(RuntimeError):
    """The embedded account is shutting down, and nobody may wait on its clock any more."""


class EmbeddableClock(Protocol):
    """What the embedded account asks of its clock. Whoever is one is an ``aurora_restore.clock.Clock`` too."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC; never less than it was before."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let so many of this clock's seconds pass."""
        ...

    def pause(self, seconds: float, is_over: Callable[[], bool]) -> None:
        """Let so many seconds pass, but return early, and soon, once ``is_over`` says so."""
        ...

    def hurry(self, until: datetime) -> None:
        """Say that something is due at that moment, and that nobody needs the time until then at wall speed."""
        ...


class EmbeddedClock:
    """A clock that runs at wall speed, and faster only while something is awaited.

    It starts at the wall clock's time. Up to the latest moment given to ``hurry`` it runs ``speed`` times as fast,
    after that moment at wall speed again. An embedded account that always ran fast would make its snapshots days old
    within minutes of idling, and the age limits of requests would refuse them.

    Any number of threads may use it. ``close`` ends every wait with ClockClosedError.
    """

    def __init__(
        self, speed: float, *, start: datetime | None = None, on_hurry: Callable[[datetime], None] | None = None
    ) -> None:
        """Take how many of this clock's seconds pass in a wall second while something is awaited, at least 1.

        ``start`` is the time it shows at first; the wall's, if that is later. ``on_hurry`` is told, each time before
        this clock runs fast, up to where: until it is told again, the clock passes that moment at wall speed only.
        """
        if speed < 1:
            raise ValueError(f"a clock's speed must be at least 1, and not {speed}")
        self._speed = speed
        self._changed = threading.Condition()
        self._on_hurry = on_hurry
        self._anchor_at = max(datetime.now(UTC), start or datetime.min.replace(tzinfo=UTC))
        self._anchor_s = time.monotonic()
        self._hurried_until = self._anchor_at
        self._is_closed = False

    def now(self) -> datetime:
        """Return the time, aware, in UTC; never less than it was before."""
        with self._changed:
            return self._read(time.monotonic())

    def hurry(self, until: datetime) -> None:
        """Run fast up to ``until``. A moment that is past, or before an earlier caller's, changes nothing."""
        with self._changed:
            if until <= self._hurried_until:
                return
            # What has passed must count at the speed at which it passed: anchor here before the speed changes.
            wall_s = time.monotonic()
            self._anchor_at, self._anchor_s = self._read(wall_s), wall_s
            if self._on_hurry is not None:
                self._on_hurry(max(until, self._anchor_at))
            self._hurried_until = until
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Block until so many of this clock's seconds have passed, and hurry meanwhile."""
        self.pause(seconds, lambda: False)

    def pause(self, seconds: float, is_over: Callable[[], bool]) -> None:
        """Block and hurry as ``sleep`` does, but at most until ``is_over`` says so, which must be cheap."""
        due = self.now() + timedelta(seconds=seconds)
        self.hurry(due)
        with self._changed:
            while not is_over():
                if self._is_closed:
                    raise ClockClosedError("the embedded account is shutting down")
                left_s = (due - self._read(time.monotonic())).total_seconds()
                if left_s <= 0:
                    return
                # Fast up to `due`, which was hurried for. The rest is for rounding: never wait for 0 s in a loop.
                self._changed.wait(min(left_s / self._speed + 1e-6, _NOTICE_WITHIN_S))

    def close(self) -> None:
        """End every wait under way, and all to come, with ClockClosedError. The time can still be read."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _read(self, wall_s: float) -> datetime:
        passed_s = wall_s - self._anchor_s
        fast_s = max((self._hurried_until - self._anchor_at).total_seconds(), 0.0) / self._speed
        if passed_s <= fast_s:
            return self._anchor_at + timedelta(seconds=passed_s * self._speed)
        return self._anchor_at + timedelta(seconds=fast_s * self._speed + passed_s - fast_s)


class VirtualClock:
    """A clock that stands still until somebody sleeps, which moves it on at once. Any number of threads may use it."""

    def __init__(self, start: datetime) -> None:
        """Take the time that it shows, aware."""
        if start.tzinfo is None:
            raise ValueError("a clock's time needs a time zone")
        self._lock = threading.Lock()
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> None:
        """Move the time on; it cannot go back."""
        if seconds < 0:
            raise ValueError(f"time cannot go back by {-seconds} s")
        with self._lock:
            self._now += timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        """Move the time on at once."""
        self.advance(seconds)

    def pause(self, seconds: float, is_over: Callable[[], bool]) -> None:
        """Move the time on at once, unless it is over already."""
        if not is_over():
            self.advance(seconds)

    def hurry(self, until: datetime) -> None:
        """Do nothing: this clock moves only when somebody sleeps."""
