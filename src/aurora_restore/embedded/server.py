"""The embedded account's one door: moto's server on loopback, silent, and gone when it is stopped."""

import errno
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import ThreadedWSGIServer

from aurora_restore.clock import SystemClock
from aurora_restore.embedded.environment import serving
from aurora_restore.embedded.gate import Application
from aurora_restore.errors import EnvironmentUnfitError

_HOST: Final = "127.0.0.1"
# What clients sign with. moto accepts any; this pair is nobody's.
ACCESS_KEY: Final = "testing"
_NOTICE_STOP_WITHIN_S: Final = 0.05


class EmbeddedServer:
    """moto's server, on a port of 127.0.0.1. One runs at a time in a process, because moto's state is the process's.

    ``start`` forgets the state of an earlier one. While it runs, the environment is as ``environment.serving`` says.
    """

    def __init__(
        self,
        port: int | None = None,
        around: Callable[[Application], Application] | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """Take the port to listen on (None: a free one) and what is to be put around the application, if anything.

        ``now`` says the time that answers are dated by, unless it is to be the wall clock's.
        """
        self._wanted_port = port or 0
        self._now = now or SystemClock().now
        self._around = around
        self._server: _QuietServer | None = None
        self._thread: threading.Thread | None = None
        self._environment = ExitStack()

    @property
    def port(self) -> int:
        """Return the port it listens on; RuntimeError before ``start`` and after ``stop``."""
        if self._server is None:
            raise RuntimeError("the embedded account's server is not running")
        return self._server.port

    @property
    def url(self) -> str:
        """Return what AWS_ENDPOINT_URL must be."""
        return f"http://{_HOST}:{self.port}"

    @property
    def application(self) -> Any:
        """Return the WSGI application that answers; RuntimeError before ``start`` and after ``stop``."""
        if self._server is None:
            raise RuntimeError("the embedded account's server is not running")
        return self._server.app

    def start(self) -> None:
        """Forget moto's state and serve; EnvironmentUnfitError when the port is taken."""
        self.listen()
        self.answer()

    def listen(self) -> None:
        """Forget moto's state and take the port, as ``start``. Who calls waits for ``answer``."""
        _hush()
        listener = _listen(self._wanted_port)
        BackendDict.reset()
        reset_model_data()
        with listener:
            application: Application = _one_at_a_time(_Dispatcher())
            around = self._around(application) if self._around else application
            self._server = _QuietServer(listener, around, self._now)
        self._environment.enter_context(serving(self._server.port))

    def answer(self) -> None:
        """Begin to answer those who wait, and all who come; RuntimeError before ``listen``. Begun already: nothing."""
        if self._server is None:
            raise RuntimeError("the embedded account's server is not running")
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_NOTICE_STOP_WITHIN_S,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port. A call that is being answered may still get its answer. Stopped already: nothing."""
        if self._server is None:
            return
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server = self._thread = None
        self._environment.close()


class _Dispatcher(DomainDispatcherApplication):
    """moto's, but it looks a host's service up once: moto lists its own directory for each call."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._services: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        if host not in self._services:
            self._services[host] = super().get_backend_for_host(host)
        return self._services[host]


def _one_at_a_time(application: Application) -> Application:
    """Let DynamoDB's calls wait for each other, so that a transaction is one.

    moto writes it item by item, and takes a refused one back by putting whole tables back as they were before it.
    """
    turn = threading.Lock()

    def answer(environ: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
        if not str(environ.get("HTTP_X_AMZ_TARGET", "")).startswith("DynamoDB"):
            return application(environ, begin)
        with turn:
            return application(environ, begin)

    return answer


class _QuietHandler(MotoRequestHandler):
    # Werkzeug sends headers and body apart; without this the second waits for the first one's acknowledgement.
    disable_nagle_algorithm = True
    server: "_QuietServer"

    def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002  http.server's name
        """Date every answer by the account's clock, as AWS does: whoever asks can tell what time it is here."""
        return format_datetime(self.server.now(), usegmt=True)

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  werkzeug's name
        """Say nothing."""


class _QuietServer(ThreadedWSGIServer):
    def __init__(self, listener: socket.socket, application: Application, now: Callable[[], datetime]) -> None:
        self.now = now
        # Given a socket, werkzeug does not bind, and so does not print and exit when the port is taken.
        super().__init__(_HOST, listener.getsockname()[1], application, handler=_QuietHandler, fd=listener.fileno())

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  werkzeug's name
        """Say nothing."""


def _hush() -> None:
    # Without a handler of their own, these write warnings to stderr. What an application configures still gets them.
    for name in ("moto", "werkzeug"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise EnvironmentUnfitError(
                f"port {port} of {_HOST} is in use", advice="Stop what listens there, or choose another with --port"
            ) from error
        raise EnvironmentUnfitError(
            f"cannot listen on port {port} of {_HOST}: {error.strerror}", advice="Choose another with --port"
        ) from error
    return listener
