"""A relay between a client and a server on loopback that counts how often the talk turns."""

import selectors
import socket
from threading import Thread
from types import TracebackType
from typing import Self

_BYTES = 1 << 16


class Relay:
    """Passes bytes on to ``server`` while the block runs.

    A round trip is a turn of the client after the server has spoken, or its first one; a client that sends on without
    waiting makes one of many statements.
    """

    def __init__(self, server: int) -> None:
        """Take the server's port."""
        self.round_trips = 0
        self.connections = 0
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self._stop, self._stopped = socket.socketpair()
        self._thread = Thread(target=self._relay)

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End every connection."""
        self._stop.send(b"x")
        self._thread.join()
        for one in (self._listener, self._stop, self._stopped):
            one.close()

    def _relay(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._stopped, selectors.EVENT_READ)
            server_spoke: dict[socket.socket, bool] = {}
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._stopped:
                        return
                    if key.fileobj is self._listener:
                        self._accept(selector, server_spoke)
                    elif isinstance(key.fileobj, socket.socket) and key.fd == key.fileobj.fileno():
                        # Else its other end was closed a moment ago, and it with it.
                        self._pass_on(selector, key.fileobj, key.data, server_spoke)

    def _accept(self, selector: selectors.BaseSelector, server_spoke: dict[socket.socket, bool]) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._server))
        self.connections += 1
        server_spoke[client] = True
        selector.register(client, selectors.EVENT_READ, (server, client, True))
        selector.register(server, selectors.EVENT_READ, (client, client, False))

    def _pass_on(
        self,
        selector: selectors.BaseSelector,
        source: socket.socket,
        way: tuple[socket.socket, socket.socket, bool],
        server_spoke: dict[socket.socket, bool],
    ) -> None:
        target, client, by_client = way
        try:
            data = source.recv(_BYTES)
            target.sendall(data)
        except OSError:
            data = b""
        if not data:
            for one in (source, target):
                selector.unregister(one)
                one.close()
            return
        self.round_trips += by_client and server_spoke[client]
        server_spoke[client] = not by_client
