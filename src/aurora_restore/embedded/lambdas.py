"""Lambda without Docker: the embedded account runs the pipeline's handlers in its own process."""

import json
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import TextIOBase
from typing import Any, Final

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaFunction
from moto.awslambda_simple import models as moto_lambda
from moto.core.base_backend import BackendDict
from moto.core.config import default_user_config

from aurora_restore.clock import Clock

# These are Lambda's edge, where events and results are JSON of any shape.
Json = dict[str, Any]
Handler = Callable[[Json, Any], Json]
Load = Callable[["FunctionRecord"], Handler]
# Gets the function's name and the event; may raise in the handler's place.
Before = Callable[[str, Json], None]
# Gets the function's name, the event and the result; may raise although the handler has had its effect.
After = Callable[[str, Json, Json], None]

_KEPT_LOG_WRITES: Final = 20_000


class FunctionKilledError(Exception):
    """Raised by an interceptor: the function's process ended without an answer."""

    def __init__(self, error_type: str = "Runtime.ExitError", reason: str = "Runtime exited without a reason") -> None:
        """Take the error's name as the state machine sees it, such as ``Runtime.ExitError`` or ``Lambda.Unknown``."""
        self.error_type = error_type
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class FunctionRecord:
    """What Lambda knows of a function, as far as it decides what runs: all of it comes from who created it."""

    name: str
    handler: str
    region: str
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FunctionContext:
    """The second argument of a handler, with the names that Lambda gives it."""

    function_name: str
    function_version: str
    invoked_function_arn: str
    aws_request_id: str
    memory_limit_in_mb: int
    log_group_name: str
    log_stream_name: str
    ends_at: datetime
    clock: Clock = field(repr=False)

    def get_remaining_time_in_millis(self) -> int:
        """Return how much of the function's timeout is left by the account's clock, at least 0."""
        return max(int((self.ends_at - self.clock.now()).total_seconds() * 1000), 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What Lambda answers to a call: a JSON document, and whether it describes an error."""

    body: bytes
    is_error: bool = False


class FunctionLog(TextIOBase):
    """The stream that functions log to: it keeps the last lines in memory, and shows none on stdout or stderr."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self._written: deque[str] = deque(maxlen=_KEPT_LOG_WRITES)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str, /) -> int:
        """Keep the text, and return its length."""
        self._written.append(text)
        return len(text)

    def text(self) -> str:
        """Return what was logged and is kept."""
        return "".join(self._written.copy())


class FunctionHost:
    """Stands where Lambda stands: runs a function's handler once for a call, and answers as Lambda answers.

    Which code that is, says the function itself: its handler string and its environment, whoever created it.

    A handler gets the event decoded from JSON, never the caller's object. What it raises becomes an answer with the
    class name and the message, and without a stack trace, because that could hold values (I6).

    Tests make functions fail without touching them, by adding to ``before`` and ``after`` what raises
    FunctionKilledError, or the exception that the handler itself should seem to have raised.
    """

    def __init__(self, clock: Clock, load: Load | None = None) -> None:
        """Take the clock that says how much time a function has left, and what makes a handler of a record.

        ``load`` raises FunctionKilledError when the record leads to none.
        """
        self.before: list[Before] = []
        self.after: list[After] = []
        self.log = FunctionLog()
        self._clock = clock
        self._load = load or _nothing
        self._loaded: dict[FunctionRecord, Handler] = {}
        self._stand_ins: dict[str, Handler] = {}

    def register(self, function_name: str, handler: Handler) -> None:
        """Run this handler for calls of that function, in place of its own: for tests."""
        self._stand_ins[function_name] = handler

    def run(self, function: LambdaFunction, event: Json) -> Answer:
        """Call the function's handler, and return its result or its failure."""
        context = self._context_for(function)
        try:
            handler = self._stand_ins.get(context.function_name) or self._own_handler(function)
            return Answer(_encoded(self._call(handler, event, context)))
        except (FunctionKilledError, SystemExit) as end:
            error_type = end.error_type if isinstance(end, FunctionKilledError) else "Runtime.ExitError"
            return _failure(error_type, f"RequestId: {context.aws_request_id} Error: {end}", context)
        except Exception as error:  # noqa: BLE001  the edge of Lambda: whatever a function raises is an answer
            return _failure(type(error).__name__, str(error), context)

    def _own_handler(self, function: LambdaFunction) -> Handler:
        record = FunctionRecord(
            name=function.function_name,
            handler=str(function.handler),
            region=function.region,
            environment=tuple(sorted(function.environment_vars.items())),
        )
        if record not in self._loaded:
            self._loaded[record] = self._load(record)
        return self._loaded[record]

    def _call(self, handler: Handler, event: Json, context: FunctionContext) -> Json:
        for intercept_event in self.before:
            intercept_event(context.function_name, event)
        result = handler(event, context)
        for intercept_result in self.after:
            intercept_result(context.function_name, event, result)
        return result

    def _context_for(self, function: LambdaFunction) -> FunctionContext:
        now = self._clock.now()
        return FunctionContext(
            function_name=function.function_name,
            function_version="$LATEST",
            invoked_function_arn=function.function_arn,
            aws_request_id=str(uuid.uuid4()),
            memory_limit_in_mb=int(function.memory_size),
            log_group_name=f"/aws/lambda/{function.function_name}",
            log_stream_name=f"{now:%Y/%m/%d}/[$LATEST]embedded",
            ends_at=now + timedelta(seconds=int(function.timeout)),
            clock=self._clock,
        )


def _nothing(record: FunctionRecord) -> Handler:
    raise FunctionKilledError("Runtime.ImportModuleError", f"Unable to import module '{record.handler}'")


def install(host: FunctionHost) -> None:
    """Make moto call this host for every function, without Docker, and interpret state machines.

    Replaces an earlier host, and forgets the functions that were created in moto until now.
    """
    default_user_config["lambda"]["use_docker"] = False
    default_user_config["stepfunctions"]["execute_state_machine"] = True
    # moto looks the dictionary up by this name at every request, so this needs no patch of its code.
    moto_lambda.lambda_simple_backends = BackendDict(_backend_for(host), "lambda")


def backends() -> Any:
    """Return moto's backends of Lambda that call the host, by account and region."""
    return moto_lambda.lambda_simple_backends


def _backend_for(host: FunctionHost) -> type[moto_lambda.LambdaSimpleBackend]:
    class HostedLambdaBackend(moto_lambda.LambdaSimpleBackend):
        """moto's Lambda, except that a call reaches the host."""

        def create_function(self, spec: Json) -> LambdaFunction:
            made: LambdaFunction = super().create_function(spec)
            # Nobody runs it, and nine copies of a bundle are a hundred megabytes.
            made.code_bytes = b""
            return made

        def invoke(
            self,
            function_name: str,
            qualifier: str | None,
            body: Any,
            headers: Any,
            response_headers: Any,
        ) -> str | bytes | None:
            function = self.get_function(function_name, qualifier)
            event = _decoded(body)
            invocation = headers.get("X-Amz-Invocation-Type", "RequestResponse")
            if invocation == "DryRun":
                return b""
            answer = host.run(function, event)
            if invocation == "Event":
                return b""
            if answer.is_error:
                response_headers["x-amz-function-error"] = "Unhandled"
            return answer.body

    return HostedLambdaBackend


def _decoded(body: str | bytes | None) -> Json:
    try:
        event: Json = json.loads(body or "{}")
    except ValueError as error:
        raise LambdaClientError(
            "InvalidRequestContentException", "Could not parse request body into json: it is not valid JSON"
        ) from error
    return event


def _encoded(result: Json) -> bytes:
    try:
        return json.dumps(result).encode()
    except (TypeError, ValueError) as error:
        # json's own message shows the type only, but its notes show the path to the value (I6): say neither.
        raise FunctionKilledError("Runtime.MarshalError", "the result is not JSON serializable") from error


def _failure(error_type: str, message: str, context: FunctionContext) -> Answer:
    description = {
        "errorType": error_type,
        "errorMessage": message,
        "requestId": context.aws_request_id,
        "stackTrace": [],
    }
    return Answer(json.dumps(description).encode(), is_error=True)
