"""Ctrl-C and its kin at a moment when they would leave something behind that nobody knows of yet."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Final

# SIGINT too: a script's shell starts what it puts into the background with SIGINT ignored.
ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Let a signal that ends the process have its effect after the block, not in it."""
    if threading.current_thread() is not threading.main_thread():
        # Python runs handlers in the main thread only.
        yield
        return
    waiting: list[int] = []
    before = {number: signal.signal(number, lambda number, _: waiting.append(number)) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for came in waiting:
            signal.raise_signal(came)
