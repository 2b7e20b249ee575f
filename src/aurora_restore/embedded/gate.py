"""Stands around the account's application: knows when a call may have changed something, and when none is answered."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

# WSGI's.
Application: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_READING: Final = ("Get", "Describe", "List", "Query", "Scan", "BatchGet")


class Gate:
    """Lets any number of calls through, except while somebody holds it still."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """``on_change`` is called after each call that may have changed something; others may call it too."""
        self.on_change = on_change
        self._moved = threading.Condition()
        self._inside = 0
        self._is_held = False
        self._here = threading.local()

    def around(self, application: Application) -> Application:
        """Return the application behind this gate."""

        def answer(environ: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
            if _lasts(environ):
                answered = application(environ, begin)
            else:
                with self._passing():
                    answered = application(environ, begin)
            if not _reads(environ):
                self.on_change()
            return answered

        return answer

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait until no call is being answered, and let none begin meanwhile."""
        with self._moved:
            self._moved.wait_for(lambda: not self._is_held)
            self._is_held = True
            self._moved.wait_for(lambda: not self._inside)
        try:
            yield
        finally:
            with self._moved:
                self._is_held = False
                self._moved.notify_all()

    @contextmanager
    def _passing(self) -> Iterator[None]:
        depth = getattr(self._here, "depth", 0)
        with self._moved:
            # A call within a call must get through, or the outer one would never end.
            self._moved.wait_for(lambda: depth or not self._is_held)
            self._inside += 1
        self._here.depth = depth + 1
        try:
            yield
        finally:
            self._here.depth = depth
            with self._moved:
                self._inside -= 1
                self._moved.notify_all()


def _lasts(environ: dict[str, Any]) -> bool:
    """Say whether a call waits for other calls: of a function, or of Step Functions and its interpreter."""
    is_function = str(environ.get("PATH_INFO", "")).endswith("/invocations")
    return is_function or str(environ.get("HTTP_X_AMZ_TARGET", "")).startswith("AWSStepFunctions.")


def _reads(environ: dict[str, Any]) -> bool:
    # Only services that name the operation in a header; what RDS is asked lets things happen that have become due.
    operation = str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[2]
    return operation.startswith(_READING)
