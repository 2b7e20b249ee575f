"""From a step to a Lambda function: what goes in, what comes out, and what never does (I6)."""

import importlib
import io
import json

import pytest
from aws_lambda_powertools import Logger

from aurora_restore import runtime
from aurora_restore.errors import (
    AuroraRestoreError,
    ConfigurationError,
    OperationNotFoundError,
    PreflightError,
    StepTimedOutError,
    UnexpectedError,
)
from aurora_restore.operation import Step
from aurora_restore.runtime import Function, Settings
from aurora_restore.steps.limits import check_limit, limit_minutes
from tests.steps.world import Stage

SECRET = "testing-hunter2"


def logged(step: Step, world: object, event: dict[str, str]) -> tuple[AuroraRestoreError, str]:
    """Call a function that raises; return what it raised and logged."""
    log = io.StringIO()
    function = Function(step, world, Logger(service=f"raising-{step}-{id(log)}", stream=log))  # type: ignore[arg-type]
    with pytest.raises(AuroraRestoreError) as raised:
        function(event, None)
    return raised.value, log.getvalue()


def test_an_unexpected_error_shows_its_type_and_place_and_nothing_else() -> None:
    """I6: its message could hold a password; neither Lambda nor the log may see it."""

    def world() -> None:
        raise ValueError(f"could not use {SECRET}")

    error, log = logged(Step.COPY_SNAPSHOT, world, {"operation_id": "x", "execution_arn": "y"})
    assert isinstance(error, UnexpectedError)
    assert "ValueError in CopySnapshot at test_runtime.py:" in str(error)
    assert error.__suppress_context__
    assert SECRET not in f"{error}{log}"
    assert json.loads(log)["error"] == "ValueError"


def test_an_event_without_an_id_is_an_unexpected_error(bare: Stage) -> None:
    """A hand-started function, with nothing in its hands."""
    error, _ = logged(Step.COPY_SNAPSHOT, lambda: bare.world, {})
    assert "KeyError in CopySnapshot" in str(error)


def test_our_own_errors_go_out_as_they_are_and_are_logged(stage: Stage) -> None:
    """The class's name is what the state machine retries and catches; the log has the operation and the step."""
    stage.ask(replace={"allow": False, "confirm": stage.target})
    with pytest.raises(PreflightError):
        stage.call(Step.SNAPSHOT_CHECK)
    line = json.loads(stage.log.splitlines()[-1])
    assert (line["level"], line["error"], line["step"]) == ("WARNING", "PreflightError", "SnapshotCheck")
    assert line["operation_id"] == stage.operation_id
    assert "replace.allow" in line["reason"]


def test_an_answer_is_logged_with_its_reason(stage: Stage) -> None:
    """An operator follows an operation in the log alone."""
    stage.call(Step.SNAPSHOT_CHECK)
    line = json.loads(stage.log.splitlines()[-1])
    assert (line["level"], line["status"]) == ("INFO", "DONE")
    assert "is good" in line["reason"]


def test_a_step_of_no_operation_is_refused(bare: Stage) -> None:
    """With what there is."""
    with pytest.raises(OperationNotFoundError, match="aurora-restore history"):
        bare.call(Step.DELETE_RDS)


def test_every_step_has_its_handler_and_its_module() -> None:
    """One name a step everywhere; a handler asks for its world only when it is called."""
    for step in Step:
        handler = getattr(runtime, f"{step.module}_handler")
        assert isinstance(handler, Function)
        assert handler._step is step
        assert callable(importlib.import_module(f"aurora_restore.steps.{step.module}").run)


def test_settings_come_from_the_environment_or_are_missed_by_name() -> None:
    """All that are missing, at once."""
    environment = {f"AURORA_RESTORE_{name}": name.lower() for name in ("STACK", "STATE_TABLE", "AUDIT_TABLE")}
    with pytest.raises(ConfigurationError, match=r"lacks AURORA_RESTORE_TOPIC_ARN\. Deploy again"):
        Settings.from_environment(environment)
    settings = Settings.from_environment(environment | {"AURORA_RESTORE_TOPIC_ARN": "arn:topic"})
    assert (settings.stack, settings.state_table, settings.topic_arn) == ("stack", "state_table", "arn:topic")
    with pytest.raises(ConfigurationError, match=r"AUDIT_TABLE, .*STACK, .*STATE_TABLE, .*TOPIC_ARN"):
        Settings.from_environment({"AURORA_RESTORE_STACK": ""})


def test_a_deployed_function_opens_its_world_from_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a process; without its settings it says what is missing."""
    runtime._world_of_this_function.cache_clear()
    for name in ("STACK", "STATE_TABLE", "AUDIT_TABLE", "TOPIC_ARN"):
        monkeypatch.delenv(f"AURORA_RESTORE_{name}", raising=False)
    with pytest.raises(ConfigurationError):
        runtime.copy_snapshot_handler({"operation_id": "x", "execution_arn": "y"}, None)
    for name in ("STACK", "STATE_TABLE", "AUDIT_TABLE", "TOPIC_ARN"):
        monkeypatch.setenv(f"AURORA_RESTORE_{name}", "x")
    for name, value in {"AWS_DEFAULT_REGION": "us-west-2", "AWS_ACCESS_KEY_ID": "testing"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    world = runtime._world_of_this_function()
    assert world.stack == "x"
    assert world is runtime._world_of_this_function()
    runtime._world_of_this_function.cache_clear()


def test_each_step_waits_as_long_as_the_request_allows(stage: Stage) -> None:
    """Exactly the limit is within it; the default of a copy depends on how far it goes."""
    stage.ask(timeouts={"snapshot_minutes": 1, "delete_minutes": 3, "restore_minutes": 4, "users_minutes": 5})
    stage.call(Step.SNAPSHOT_CHECK)
    operation = stage.operation()
    assert [limit_minutes(operation, step) for step in Step] == [1, 30, 1440, 3, 30, 4, 5, 30, 30]
    check_limit(operation, Step.DELETE_RDS, 180, "so")
    with pytest.raises(StepTimedOutError, match="the last thing seen: so"):
        check_limit(operation, Step.DELETE_RDS, 180.1, "so")


def test_mistake_11_no_step_waits_in_its_function(stage: Stage) -> None:
    """A step answers WAIT and ends; the state machine waits. On a clock that stands still, no step hangs."""
    at = stage.clock.now()
    assert stage.call(Step.SNAPSHOT_CHECK)["status"] == "DONE"
    stage.call(Step.COPY_SNAPSHOT)
    assert stage.call(Step.CHECK_COPY_STATUS)["status"] == "WAIT"
    assert stage.call(Step.CHECK_COPY_STATUS)["status"] == "WAIT"
    assert stage.clock.now() == at
