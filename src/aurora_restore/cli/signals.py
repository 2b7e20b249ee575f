"""How a command that runs until somebody ends it is ended: Ctrl-C, SIGTERM and a closed terminal are one thing."""

import contextlib
import signal
import tempfile
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from aurora_restore.embedded.interruptions import ENDINGS, deferred


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Let each of them raise KeyboardInterrupt in the main thread, even where the parent had it ignored."""
    _look_for_temporary_directory()
    before = {number: signal.signal(number, _interrupt) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _look_for_temporary_directory() -> None:
    """Let Python find it while nothing can interrupt: it tries a directory by a file, which would be left there."""
    # Who needs one will hear that there is none.
    with deferred(), contextlib.suppress(FileNotFoundError):
        tempfile.gettempdir()


def wait_for_the_end() -> NoReturn:
    """Wait until KeyboardInterrupt is raised."""
    while True:
        threading.Event().wait()


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt
