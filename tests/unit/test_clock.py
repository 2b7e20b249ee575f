"""The wall clock, as far as it can be tested without waiting."""

from datetime import UTC, datetime

from aurora_restore.clock import SystemClock


def test_the_wall_clock_is_aware_and_in_utc() -> None:
    """A naive time would be compared with aware ones, and fail at night."""
    before = datetime.now(UTC)
    assert before <= SystemClock().now() <= datetime.now(UTC)


def test_the_wall_clock_does_not_go_back_while_it_sleeps() -> None:
    """Not even for no time at all."""
    clock = SystemClock()
    before = clock.now()
    clock.sleep(0)
    assert clock.now() >= before
