"""The embedded account's clocks."""

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

from aurora_restore.clock import Clock
from aurora_restore.embedded.clock import ClockClosedError, EmbeddableClock, EmbeddedClock, VirtualClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR_S = 3600.0


def test_a_sleep_passes_on_the_clock_and_not_on_the_wall() -> None:
    """An hour's sleep on a fast clock returns, and the clock shows that the hour has passed."""
    clock = EmbeddedClock(speed=1_000_000)
    before = clock.now()
    clock.sleep(HOUR_S)
    assert clock.now() - before >= timedelta(hours=1)


def test_the_clock_runs_at_wall_speed_when_nothing_is_awaited() -> None:
    """Idling ages nothing: a fast clock that nobody waits on stays with the wall clock."""
    clock = EmbeddedClock(speed=1_000_000)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_the_clock_falls_back_to_wall_speed_after_the_awaited_moment() -> None:
    """Being hurried for an hour takes the clock an hour ahead, and not further."""
    clock = EmbeddedClock(speed=1e12)
    started = clock.now()
    clock.hurry(started + timedelta(hours=1))
    passed_since = [clock.now() - started for _ in range(100)][-1]
    assert timedelta(hours=1) <= passed_since < timedelta(hours=1, minutes=1)


def test_an_earlier_moment_does_not_shorten_the_hurry() -> None:
    """The latest awaited moment counts, whoever comes afterwards."""
    clock = EmbeddedClock(speed=1e12)
    started = clock.now()
    clock.hurry(started + timedelta(hours=2))
    clock.hurry(started + timedelta(hours=1))
    clock.sleep(1)
    assert clock.now() - started >= timedelta(hours=2)


def test_the_clock_never_goes_back() -> None:
    """Reading while another thread hurries it again and again gives times in order."""
    clock = EmbeddedClock(speed=5000)
    is_read = threading.Event()

    def hurry_again_and_again() -> None:
        while not is_read.is_set():
            clock.hurry(clock.now() + timedelta(seconds=1))

    hurrying = threading.Thread(target=hurry_again_and_again)
    hurrying.start()
    times = [clock.now() for _ in range(5000)]
    is_read.set()
    hurrying.join()
    assert times == sorted(times)


def test_all_sleepers_wake() -> None:
    """Several threads sleep at once, for different times, and each sleeps its own time."""
    clock = EmbeddedClock(speed=1_000_000)
    slept: dict[int, timedelta] = {}

    def sleep(hours: int) -> None:
        before = clock.now()
        clock.sleep(hours * HOUR_S)
        slept[hours] = clock.now() - before

    threads = [threading.Thread(target=sleep, args=(hours,)) for hours in (1, 5, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(slept[hours] >= timedelta(hours=hours) for hours in (1, 5, 2))


def test_a_pause_ends_when_it_is_over() -> None:
    """A pause of a year at wall speed returns as soon as its reason is gone."""
    clock = EmbeddedClock(speed=1)
    over = threading.Event()
    pausing = threading.Thread(target=clock.pause, args=(365 * 24 * HOUR_S, over.is_set))
    pausing.start()
    over.set()
    pausing.join(timeout=30)
    assert not pausing.is_alive()


def test_closing_wakes_the_sleepers() -> None:
    """Whoever sleeps when the account shuts down, or sleeps afterwards, is told so."""
    clock = EmbeddedClock(speed=1)
    ended: list[str] = []

    def sleep() -> None:
        try:
            clock.sleep(24 * HOUR_S)
        except ClockClosedError as error:
            ended.append(str(error))

    sleeping = threading.Thread(target=sleep)
    sleeping.start()
    clock.close()
    sleeping.join(timeout=30)
    assert ended == ["the embedded account is shutting down"]
    with pytest.raises(ClockClosedError):
        clock.sleep(1)


def test_a_clock_slower_than_the_wall_is_refused() -> None:
    """A speed below 1 is a mistake of the caller."""
    with pytest.raises(ValueError, match="at least 1"):
        EmbeddedClock(speed=0.5)


def test_a_virtual_clock_moves_only_when_somebody_sleeps() -> None:
    """A test says what time it is."""
    clock = VirtualClock(NOON)
    clock.hurry(NOON + timedelta(days=1))
    clock.pause(HOUR_S, lambda: True)
    assert clock.now() == NOON
    clock.sleep(HOUR_S)
    clock.pause(HOUR_S, lambda: False)
    clock.advance(HOUR_S)
    assert clock.now() == NOON + timedelta(hours=3)


def test_a_virtual_clock_shows_utc() -> None:
    """Whatever zone it starts in, it reads in UTC; without a zone it is refused, and so is going back."""
    clock = VirtualClock(NOON.astimezone(timezone(timedelta(hours=2))))
    assert (clock.now(), clock.now().tzinfo) == (NOON, UTC)
    with pytest.raises(ValueError, match="time zone"):
        VirtualClock(NOON.replace(tzinfo=None))
    with pytest.raises(ValueError, match="go back"):
        clock.advance(-1)


def test_both_clocks_serve_the_product_and_the_emulator() -> None:
    """Steps ask for a Clock, the emulator for an EmbeddableClock: mypy holds that both clocks are both."""
    embeddable: list[EmbeddableClock] = [EmbeddedClock(speed=10), VirtualClock(NOON)]
    clocks: list[Clock] = list(embeddable)
    assert all(clock.now().tzinfo == UTC for clock in clocks)
