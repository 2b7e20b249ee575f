"""Ctrl-C at a bad moment."""

import os
import signal

import pytest

from aurora_restore.embedded.interruptions import ENDINGS, deferred


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ending_waits_for_the_end_of_the_block(ending: signal.Signals) -> None:
    """Nothing in the block is left half done, and the signal is not lost."""
    came: list[int] = []
    before = signal.signal(ending, lambda number, _: came.append(number))
    try:
        with deferred():
            os.kill(os.getpid(), ending)
            assert came == []
        assert came == [ending]
        os.kill(os.getpid(), ending)
        assert came == [ending, ending]
    finally:
        signal.signal(ending, before)


def test_what_was_ignored_stays_ignored() -> None:
    """A script's shell starts what it puts into the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
