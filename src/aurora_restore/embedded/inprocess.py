"""Calls of boto3 clients answered in the caller's thread by the account's own application, without a socket.

The loopback server takes half as long again for the same answers. A call to any other place than the account is
refused, so that none can leave this process by mistake.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import EndpointConnectionError

_Headers = list[tuple[str, str]]
_Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class InProcess:
    """Stands where the network stands, between boto3's clients and one account."""

    def __init__(self, url: str, application: _Application) -> None:
        """Take the account's address, and the WSGI application that answers there."""
        self._url = url
        self._place = urlsplit(url).netloc
        self._application: _Application | None = application

    def connect(self, client: Any) -> Any:
        """Let every call of a boto3 client come here, however often it is connected; return the client."""
        client.meta.events.register("before-send", self._answer, unique_id=f"in-process {self._place}")
        return client

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """Answer a request.

        Raises RuntimeError when it is for another place than the account, EndpointConnectionError after ``close``.
        """
        url = urlsplit(request.url)
        if url.netloc != self._place:
            raise RuntimeError(f"a call to {url.netloc} would have left the embedded account")
        if self._application is None:
            raise EndpointConnectionError(endpoint_url=self._url)
        begun: list[tuple[str, _Headers]] = []

        def begin(status: str, headers: _Headers, _: object = None) -> None:
            begun.append((status, headers))

        body = b"".join(self._application(_environ(request, url), begin))
        status, headers = begun[-1]
        # The type stubs know urllib3's response only, of which botocore uses these two methods.
        return AWSResponse(request.url, int(status.split()[0]), dict(headers), Body(body))  # type: ignore[arg-type]

    def close(self) -> None:
        """Answer nothing any more."""
        self._application = None

    def _answer(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        return self.send(request)


class Body(io.BytesIO):
    """The body of an answer, read as botocore reads urllib3's."""

    def stream(self, **_: object) -> Iterator[bytes]:
        """Yield all of it."""
        yield self.read()


def _environ(request: AWSPreparedRequest, url: SplitResult) -> dict[str, Any]:
    body = _bytes(request.body)
    headers = {f"HTTP_{name.upper().replace('-', '_')}": _text(value) for name, value in request.headers.items()}
    path = url.path or "/"
    uri = f"{path}?{url.query}" if url.query else path
    return {
        **headers,
        "HTTP_HOST": url.netloc,
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        # WSGI's text is latin-1, whatever the bytes mean.
        "PATH_INFO": unquote(path, "latin-1"),
        "QUERY_STRING": url.query,
        "REQUEST_URI": uri,
        "RAW_URI": uri,
        "SERVER_NAME": url.hostname or "",
        "SERVER_PORT": str(url.port or 80),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": url.hostname or "",
        "CONTENT_TYPE": headers.get("HTTP_CONTENT_TYPE", ""),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def _bytes(body: Any) -> bytes:
    if hasattr(body, "read"):
        body = body.read()
    return body.encode() if isinstance(body, str) else bytes(body or b"")


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
