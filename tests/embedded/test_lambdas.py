"""Functions of the embedded account, called as any client calls them."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from aurora_restore.embedded import lambdas
from aurora_restore.embedded.clock import VirtualClock
from aurora_restore.embedded.lambdas import Answer, FunctionHost, FunctionKilledError
from aurora_restore.embedded.server import EmbeddedServer
from aurora_restore.errors import EnvironmentUnfitError, ThrottledError
from tests.embedded.emulator import Emulator, emulator

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def running() -> Iterator[Emulator]:
    """An emulator at noon."""
    with emulator(VirtualClock(NOON)) as it:
        yield it


def echo(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return {"got": event}


def fail(event: dict[str, Any], context: Any) -> dict[str, Any]:
    password = event["password"]
    raise ThrottledError(f"AWS asked to slow down after {len(password)} calls")


def test_a_function_answers_with_its_result(running: Emulator) -> None:
    """A call reaches the handler, and its result the caller, as JSON."""
    running.function("echo", echo)
    answer = running.invoke("echo", {"a": [1, None, "ü"]})
    assert answer["Payload"] == {"got": {"a": [1, None, "ü"]}}
    assert (answer["StatusCode"], answer.get("FunctionError")) == (200, None)


def test_a_function_may_be_called_by_its_arn(running: Emulator) -> None:
    """The state machine names functions by ARN."""
    arn = running.function("echo", echo)
    assert running.invoke(arn, {})["Payload"] == {"got": {}}


def test_an_exception_is_answered_with_its_class_and_message(running: Emulator) -> None:
    """The class name is what Retry and Catch see; a trace is never answered, because it could hold values (I6)."""
    running.function("fail", fail)
    answer = running.invoke("fail", {"password": "abc"})
    assert answer["FunctionError"] == "Unhandled"
    payload = answer["Payload"]
    assert payload.pop("requestId")
    assert payload == {
        "errorType": "ThrottledError",
        "errorMessage": "AWS asked to slow down after 3 calls",
        "stackTrace": [],
    }


def test_a_result_that_is_not_json_is_an_error_without_the_value(running: Emulator) -> None:
    """Lambda cannot answer with an object, and the answer does not show it (I6)."""

    def tell(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return {"secret": b"testing"}

    running.function("secretive", tell)
    answer = running.invoke("secretive", {})
    assert answer["Payload"]["errorType"] == "Runtime.MarshalError"
    assert "testing" not in str(answer["Payload"])


def test_a_function_that_exits_is_a_runtime_error(running: Emulator) -> None:
    """A handler cannot end the embedded account."""

    def leave(event: dict[str, Any], context: Any) -> dict[str, Any]:
        raise SystemExit(3)

    running.function("leave", leave)
    assert running.invoke("leave", {})["Payload"]["errorType"] == "Runtime.ExitError"


def test_an_unknown_function_is_not_found(running: Emulator) -> None:
    """Neither a name that nobody created, nor a function without a handler, can be called."""
    running.function("empty", echo)
    lambdas.install(FunctionHost(running.clock))
    for name in ("absent", "empty"):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            running.invoke(name, {})


def test_a_payload_that_is_not_json_is_refused(running: Emulator) -> None:
    """The handler is not called."""
    running.function("echo", echo)
    with pytest.raises(ClientError, match="InvalidRequestContentException"):
        running.lambdas.invoke(FunctionName="echo", Payload=b"{")


def test_the_context_is_that_of_lambda(running: Emulator) -> None:
    """Handlers and the logger find the names that they know, and the time that is left by the account's clock."""
    seen: list[Any] = []

    def look(event: dict[str, Any], context: Any) -> dict[str, Any]:
        before = context.get_remaining_time_in_millis()
        running.clock.sleep(20)
        seen.append((before, context.get_remaining_time_in_millis(), context))
        return {}

    arn = running.function("look", look)
    running.invoke("look", {})
    running.invoke("look", {})
    before, after, context = seen[0]
    assert (before, after) == (120_000, 100_000)
    assert (context.function_name, context.invoked_function_arn, context.memory_limit_in_mb) == ("look", arn, 128)
    assert (context.log_group_name, context.log_stream_name) == ("/aws/lambda/look", "2026/03/01/[$LATEST]embedded")
    assert context.aws_request_id != seen[1][2].aws_request_id
    running.clock.sleep(1000)
    assert context.get_remaining_time_in_millis() == 0


def test_a_dry_run_and_an_event_answer_nothing(running: Emulator) -> None:
    """A dry run does not call the handler, an event calls it once, whatever it raises."""
    calls: list[str] = []

    def count(event: dict[str, Any], context: Any) -> dict[str, Any]:
        calls.append(event["how"])
        raise ThrottledError("AWS asked to slow down")

    running.function("count", count)
    for how in ("DryRun", "Event"):
        answer = running.lambdas.invoke(FunctionName="count", InvocationType=how, Payload=f'{{"how": "{how}"}}')
        assert answer["Payload"].read() == b""
    assert calls == ["Event"]


def test_a_function_can_be_killed_before_its_effect(running: Emulator) -> None:
    """A test can make the process die before the handler was called."""
    calls: list[Any] = []

    def count(event: dict[str, Any], context: Any) -> dict[str, Any]:
        calls.append(event)
        return {}

    def kill(name: str, event: dict[str, Any]) -> None:
        raise FunctionKilledError

    running.function("count", count)
    running.host.before.append(kill)
    assert running.invoke("count", {})["Payload"]["errorType"] == "Runtime.ExitError"
    assert calls == []


def test_a_function_can_be_killed_after_its_effect(running: Emulator) -> None:
    """A test can lose the answer of a handler that has done its work."""
    calls: list[Any] = []

    def count(event: dict[str, Any], context: Any) -> dict[str, Any]:
        calls.append(event)
        return {"done": True}

    def kill(name: str, event: dict[str, Any], result: dict[str, Any]) -> None:
        assert (name, result) == ("count", {"done": True})
        raise FunctionKilledError("Lambda.Unknown")

    running.function("count", count)
    running.host.after.append(kill)
    assert running.invoke("count", {"n": 1})["Payload"]["errorType"] == "Lambda.Unknown"
    assert calls == [{"n": 1}]


def test_functions_log_to_the_host_and_nowhere_else(running: Emulator, capfd: pytest.CaptureFixture[str]) -> None:
    """What a function logs is kept for who asks, and never mixes with the output of our commands."""
    logger = logging.Logger("a function's")
    logger.addHandler(logging.StreamHandler(running.host.log))

    def speak(event: dict[str, Any], context: Any) -> dict[str, Any]:
        logger.warning("the copy is %s %% done", 30)
        return {}

    running.function("speak", speak)
    running.invoke("speak", {})
    assert running.host.log.text() == "the copy is 30 % done\n"
    assert tuple(capfd.readouterr()) == ("", "")


def fail_in_every_way() -> None:
    """Make calls that are refused, functions and executions that fail, and the emulator itself break."""

    class BrokenHost(FunctionHost):
        def run(self, function: Any, event: dict[str, Any]) -> Answer:  # noqa: ARG002
            raise RuntimeError("a mistake of the emulator")

    definition = {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail", "Error": "RequestError"}}}
    with emulator(VirtualClock(NOON)) as running:
        running.function("fail", fail)
        running.invoke("fail", {"password": "abc"})
        assert running.ended(running.start(running.machine(definition)))["status"] == "FAILED"
        broken = BrokenHost(running.clock)
        lambdas.install(broken)
        running.function("breaks", echo)
        broken.register("breaks", echo)
        for name in ("absent", "breaks"):
            with pytest.raises(ClientError):
                running.invoke(name, {})


def test_the_emulator_is_silent_and_ignores_the_users_configuration() -> None:
    """Whatever fails in it, stdout and stderr stay clean without logging set up, and a broken profile is no matter."""
    program = "\n".join(
        [
            "from aurora_restore.embedded.environment import sealed",
            "with sealed():",
            "    from tests.embedded import test_lambdas as it",
            "it.fail_in_every_way()",
        ]
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "AWS_PROFILE": "absent", "HTTP_PROXY": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_the_users_aws_configuration_is_out_of_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it runs, boto3 finds no profile, and no proxy stands before loopback; then all is as before."""
    for name in ("MOTO_PORT", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"NO_PROXY": "example.com", "AWS_PROFILE": "absent", "AWS_ACCESS_KEY_ID": "elsewhere"}.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    server = EmbeddedServer()
    server.start()
    assert os.environ["MOTO_PORT"] == str(server.port)
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "example.com,localhost,127.0.0.1"
    assert ("AWS_PROFILE" in os.environ, os.environ["AWS_ACCESS_KEY_ID"]) == (False, "testing")
    server.stop()
    assert dict(os.environ) == before


def test_accounts_follow_one_another_in_a_process() -> None:
    """Each starts empty, on the port of the one before, which has let go of it."""
    with emulator(VirtualClock(NOON)) as first:
        first.function("echo", echo)
        port = first.server.port
    with pytest.raises(RuntimeError, match="not running"):
        _ = first.server.url
    server = EmbeddedServer(port)
    server.start()
    try:
        assert server.port == port
        assert Emulator(server, first.clock, first.host).lambdas.list_functions()["Functions"] == []
    finally:
        server.stop()
        server.stop()


def test_a_port_in_use_is_refused_with_advice(running: Emulator) -> None:
    """The message says which port, and what to do."""
    with pytest.raises(EnvironmentUnfitError, match=rf"port {running.server.port} .* in use.*--port"):
        EmbeddedServer(running.server.port).start()
    running.function("echo", echo)
    assert running.invoke("echo", {})["Payload"] == {"got": {}}
