"""How a command that runs until somebody ends it is ended: Ctrl-C, SIGTERM and a closed terminal are one thing."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final, NoReturn

# SIGINT too: a script's shell starts what it puts into the background with SIGINT ignored.
_ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Let each of them raise KeyboardInterrupt in the main thread, even where the parent had it ignored."""
    before = {number: signal.signal(number, _interrupt) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for_the_end() -> NoReturn:
    """Wait until KeyboardInterrupt is raised."""
    while True:
        threading.Event().wait()


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt
