"""The account's time, as its answers tell it: the wall's in AWS, and ahead of it in an account on this machine."""

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from aurora_restore.clock import SystemClock

# An answer's date has whole seconds and has travelled: below this, both clocks show one time.
_ONE_TIME = timedelta(seconds=5)


class AccountClock(SystemClock):
    """Shows the time by which the account's records are written; waits are the wall clock's.

    The account of ``aurora-restore serve`` hurries while something is awaited, and is hours ahead after some
    operations: by the wall clock its snapshots would be of the future, and an abort would end what has not begun.
    """

    def __init__(self) -> None:
        """Begin with the wall clock's time, until ``hear`` is told of another."""
        self._ahead = timedelta()

    def now(self) -> datetime:
        """Return the account's time in UTC, as it was told last, and run on since."""
        return super().now() + self._ahead

    def hear(self, date: str) -> None:
        """Take the date of an answer, as HTTP writes it; one that cannot be read tells nothing."""
        try:
            ahead = parsedate_to_datetime(date) - super().now()
        except (TypeError, ValueError):
            return
        self._ahead = ahead if abs(ahead) > _ONE_TIME else timedelta()
