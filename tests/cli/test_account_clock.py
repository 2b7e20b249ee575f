"""The time that commands go by: the account's, which its answers tell."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from aurora_restore.cli.account_clock import AccountClock
from aurora_restore.embedded import sample
from tests.cli.conftest import World
from tests.cli.terminal import aurora_restore


@pytest.mark.parametrize("hours", [-3, 3])
def test_it_shows_what_the_last_answer_told(hours: int) -> None:
    """Ahead or behind, and until the next answer it runs on."""
    clock = AccountClock()
    told = datetime.now(UTC) + timedelta(hours=hours)
    clock.hear(format_datetime(told, usegmt=True))
    assert abs(clock.now() - told) < timedelta(minutes=1)
    clock.hear(format_datetime(datetime.now(UTC), usegmt=True))
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 23 Nov 2026 09:00:00 -0000"])
def test_a_date_that_says_no_time_is_passed_over(date: str) -> None:
    """A proxy writes what it likes."""
    clock = AccountClock()
    clock.hear(date)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_an_account_that_is_hours_ahead_sees_one_time_everywhere(world: World, tmp_path: Path) -> None:
    """Nothing ends before it began, no snapshot is of the future, and what is too old is so for plan as for run."""
    # To ten past an hour: what follows is all of one hour then.
    world.account.clock.sleep(4 * 3600 + (70 - world.account.clock.now().minute) * 60)
    source = {**sample.request()["source"], "max_age_hours": 1}
    request = world.request(tmp_path, name="aged", source=source)
    plan = aurora_restore("plan", request, "--json").document
    assert any("hours old and source.max_age_hours is 1" in problem for problem in plan["problems"])

    operation = aurora_restore("run", request, "--json").document
    begun = datetime.fromisoformat(operation["requested_at"])
    assert abs(datetime.fromisoformat(plan["planned_at"]) - begun) < timedelta(minutes=1)
    assert f"{begun:aged-%Y%m%d-%H}" in operation["operation_id"]
    assert f"\n{begun:%H:}" in aurora_restore("watch", operation["operation_id"]).out, "lines are dated by it too"
