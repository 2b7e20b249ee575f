"""What moto's interpreter of state machines does on our clock: all that the pipeline's definition stands on."""

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.stepfunctions.parser.asl.component.common.retry.retrier_decl import RetrierDecl

from aurora_restore.embedded import states
from aurora_restore.embedded.clock import EmbeddedClock, VirtualClock
from aurora_restore.embedded.lambdas import FunctionKilledError
from aurora_restore.errors import EnvironmentUnfitError, RequestError, ThrottledError
from tests.embedded.emulator import Emulator, emulator

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def running() -> Iterator[Emulator]:
    """An emulator at noon, in which waiting takes no time."""
    with emulator(VirtualClock(NOON)) as it:
        yield it


@pytest.fixture
def on_the_wall() -> Iterator[Emulator]:
    """An emulator in which a second takes a second."""
    with emulator(EmbeddedClock(speed=1)) as it:
        yield it


def machine(**states_by_name: dict[str, Any]) -> dict[str, Any]:
    """Return a definition that starts at the first of these states."""
    return {"StartAt": next(iter(states_by_name)), "States": states_by_name}


def task(function_arn: str, **fields: Any) -> dict[str, Any]:
    """Return a state that calls a function as the pipeline's states do."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {
            "FunctionName": function_arn,
            "Payload": {
                "operation_id.$": "$$.Execution.Name",
                "execution_arn.$": "$$.Execution.Id",
                "request.$": "$$.Execution.Input",
                "started_at.$": "$$.Execution.StartTime",
                "state.$": "$$.State.Name",
                "outcome.$": "$",
            },
        },
        "OutputPath": "$.Payload",
        "TimeoutSeconds": 120,
        **({} if "Next" in fields else {"End": True}),
        **fields,
    }


class Step:
    """A function that waits so many times before it is done, and raises what it is told to raise."""

    def __init__(self, *, waits: int = 0, raises: list[Exception] | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        self.called_at: list[datetime] = []
        self._waits = waits
        self._raises = list(raises or [])

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        self.events.append(event)
        self.called_at.append(context.clock.now())
        if self._raises:
            raise self._raises.pop(0)
        status = "WAIT" if len(self.events) <= self._waits else "DONE"
        return {"operation_id": event["operation_id"], "status": status, "wait_seconds": 300}

    @property
    def gaps_s(self) -> list[float]:
        """Return the seconds between one call and the next."""
        return [(after - before).total_seconds() for before, after in itertools.pairwise(self.called_at)]


def wait_loop(function_arn: str) -> dict[str, Any]:
    """Return the shape of every step of the pipeline."""
    return machine(
        Step=task(function_arn, Next="IsDone"),
        IsDone={
            "Type": "Choice",
            "Choices": [{"Variable": "$.status", "StringEquals": "WAIT", "Next": "Wait"}],
            "Default": "Done",
        },
        Wait={"Type": "Wait", "SecondsPath": "$.wait_seconds", "Next": "Step"},
        Done={"Type": "Succeed"},
    )


def test_a_function_sees_execution_and_state(running: Emulator) -> None:
    """The context object gives name, ARN, input, start and state, and the payload is the whole of the outcome."""
    step = Step()
    definition = machine(Check=task(running.function("step", step)))
    output = running.output(definition, {"name": "nightly", "n": [1]})
    assert output == {"operation_id": "operation-1", "status": "DONE", "wait_seconds": 300}
    assert step.events == [
        {
            "operation_id": "operation-1",
            "execution_arn": "arn:aws:states:us-east-1:123456789012:execution:machine:operation-1",
            "request": {"name": "nightly", "n": [1]},
            "started_at": "2026-03-01T12:00:00.000Z",
            "state": "Check",
            "outcome": {"name": "nightly", "n": [1]},
        }
    ]


def test_hours_of_waiting_take_no_time(running: Emulator) -> None:
    """A step that is called until it is done waits on the account's clock: 48 waits of five minutes are four hours."""
    step = Step(waits=48)
    running.output(wait_loop(running.function("step", step)))
    assert step.gaps_s == [300.0] * 48
    assert running.clock.now() == NOON + timedelta(hours=4)


def test_an_execution_carries_the_clocks_dates(running: Emulator) -> None:
    """Start, end and every event of the history are dated by the account's clock."""
    execution = running.start(running.machine(wait_loop(running.function("step", Step(waits=2)))))
    ended = running.ended(execution)
    assert (ended["startDate"], ended["stopDate"]) == (NOON, NOON + timedelta(minutes=10))
    events = running.history(execution)
    assert (events[0]["type"], events[0]["timestamp"]) == ("ExecutionStarted", NOON)
    assert (events[-1]["type"], events[-1]["timestamp"]) == ("ExecutionSucceeded", NOON + timedelta(minutes=10))
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))


def test_the_history_comes_in_one_page(running: Emulator) -> None:
    """Whoever follows nextToken gets all events once. moto knows neither maxResults nor reverseOrder."""
    execution = running.start(running.machine(wait_loop(running.function("step", Step(waits=3)))))
    running.ended(execution)
    pages = running.states.get_paginator("get_execution_history").paginate(
        executionArn=execution, maxResults=1000, reverseOrder=False
    )
    assert [event["id"] for page in pages for event in page["events"]] == [e["id"] for e in running.history(execution)]


def test_result_selector_and_result_path_shape_the_outcome(running: Emulator) -> None:
    """A part of the answer can be put beside the input."""
    definition = machine(
        Step=task(
            running.function("step", Step()),
            OutputPath="$",
            ResultSelector={"status.$": "$.Payload.status"},
            ResultPath="$.outcome",
        )
    )
    assert running.output(definition, {"kept": 1}) == {"kept": 1, "outcome": {"status": "DONE"}}


def test_an_error_is_retried_by_its_class_name(running: Emulator) -> None:
    """The interval grows by the rate up to the longest delay; other errors do not use up these attempts."""
    step = Step(raises=[ThrottledError("slow down") for _ in range(5)])
    retry = {
        "ErrorEquals": ["ThrottledError"],
        "IntervalSeconds": 10,
        "BackoffRate": 2,
        "MaxDelaySeconds": 60,
        "MaxAttempts": 5,
    }
    assert running.output(machine(Step=task(running.function("step", step), Retry=[retry])))["status"] == "DONE"
    assert step.gaps_s == [10, 20, 40, 60, 60]


def test_full_jitter_stays_within_the_delay(running: Emulator) -> None:
    """With JitterStrategy FULL a retry comes at some time up to the delay."""
    step = Step(raises=[ThrottledError("slow down") for _ in range(5)])
    retry = {
        "ErrorEquals": ["ThrottledError"],
        "IntervalSeconds": 100,
        "BackoffRate": 1,
        "MaxAttempts": 5,
        "JitterStrategy": "FULL",
    }
    running.output(machine(Step=task(running.function("step", step), Retry=[retry])))
    assert all(0 <= gap_s <= 100 for gap_s in step.gaps_s)
    assert len(set(step.gaps_s)) > 1


@pytest.mark.parametrize("error_type", ["Runtime.ExitError", "Lambda.Unknown", "Sandbox.Timedout"])
def test_a_killed_function_is_retried(running: Emulator, error_type: str) -> None:
    """What Lambda reports when a process dies can be named in Retry."""
    step = Step()
    kills = iter([FunctionKilledError(error_type)])

    def kill_once(name: str, event: dict[str, Any], result: dict[str, Any]) -> None:
        for kill in kills:
            raise kill

    running.host.after.append(kill_once)
    retry = {"ErrorEquals": [error_type], "IntervalSeconds": 30, "MaxAttempts": 1}
    running.output(machine(Step=task(running.function("step", step), Retry=[retry])))
    assert step.gaps_s == [30]


def test_attempts_start_anew_when_a_state_is_entered_again(running: Emulator) -> None:
    """A wait loop of many turns does not use up the retries of a step."""
    step = Step(waits=3)
    definition = wait_loop(running.function("step", step))
    definition["States"]["Step"]["Retry"] = [{"ErrorEquals": ["ThrottledError"], "MaxAttempts": 1}]
    calls = itertools.count()

    def throttle_every_other_call(name: str, event: dict[str, Any]) -> None:
        if next(calls) % 2 == 0:
            raise ThrottledError("slow down")

    running.host.before.append(throttle_every_other_call)
    assert running.output(definition)["status"] == "DONE"
    assert len(step.events) == 4


def test_an_uncaught_error_fails_the_execution_with_its_name(running: Emulator) -> None:
    """Name and cause of the error are the execution's; the cause is the function's answer."""
    step = Step(raises=[RequestError([])])
    ended = running.ended(running.start(running.machine(machine(Step=task(running.function("step", step))))))
    assert (ended["status"], ended["error"]) == ("FAILED", "RequestError")
    assert json.loads(ended["cause"])["errorMessage"] == "the request has 0 mistakes:"


def test_an_exhausted_retry_is_caught(running: Emulator) -> None:
    """After the last attempt, Catch replaces the state's input by the error, and the next state sees it."""
    step, notify = Step(raises=[ThrottledError("slow down")] * 3), Step()
    definition = machine(
        Step=task(
            running.function("step", step),
            Retry=[{"ErrorEquals": ["ThrottledError"], "IntervalSeconds": 1, "MaxAttempts": 2}],
            Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": "$", "Next": "Notify"}],
        ),
        Notify=task(running.function("notify", notify)),
    )
    running.output(definition)
    assert len(step.events) == 3
    outcome = notify.events[0]["outcome"]
    assert (sorted(outcome), outcome["Error"]) == (["Cause", "Error"], "ThrottledError")
    assert json.loads(outcome["Cause"])["errorMessage"] == "slow down"


def test_a_caught_error_can_stand_beside_the_input(running: Emulator) -> None:
    """Catch with a ResultPath keeps what the state got."""
    definition = machine(
        Step=task(
            running.function("step", Step(raises=[ThrottledError("slow down")])),
            Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Done"}],
        ),
        Done={"Type": "Succeed"},
    )
    output = running.output(definition, {"kept": 1})
    assert (output["kept"], output["failure"]["Error"]) == (1, "ThrottledError")


def test_a_fail_state_reads_error_and_cause_from_its_input(running: Emulator) -> None:
    """The execution ends with the error that was caught, after somebody was told of it."""
    definition = machine(Failed={"Type": "Fail", "ErrorPath": "$.Error", "CausePath": "$.Cause"})
    ended = running.ended(running.start(running.machine(definition), {"Error": "RequestError", "Cause": "because"}))
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "RequestError", "because")


def test_a_fail_state_takes_the_cause_from_an_intrinsic(running: Emulator) -> None:
    """States.Format and States.StringToJson work where the definition may want them."""
    definition = machine(
        Parse={
            "Type": "Pass",
            "Parameters": {"failure.$": "States.StringToJson($.Cause)", "id.$": "$$.Execution.Name"},
            "Next": "Failed",
        },
        Failed={
            "Type": "Fail",
            "Error": "RequestError",
            "CausePath": "States.Format('{}: {}', $.id, $.failure.errorMessage)",
        },
    )
    ended = running.ended(running.start(running.machine(definition), {"Cause": '{"errorMessage": "because"}'}))
    assert ended["cause"] == "operation-1: because"


def test_a_path_that_leads_nowhere_is_a_runtime_error_that_is_caught(running: Emulator) -> None:
    """moto's States.ALL catches States.Runtime, AWS's does not: the definition must not lean on it."""
    definition = machine(
        Step=task(
            running.function("step", Step()),
            Parameters={"FunctionName": "step", "Payload": {"absent.$": "$.absent"}},
            Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Done"}],
        ),
        Done={"Type": "Succeed"},
    )
    assert running.output(definition)["Error"] == "States.Runtime"


def test_an_absent_function_is_lambdas_error(running: Emulator) -> None:
    """A refused call comes as ``Lambda.`` and the error's code."""
    ended = running.ended(running.start(running.machine(machine(Step=task("absent")))))
    assert (ended["status"], ended["error"]) == ("FAILED", "Lambda.ResourceNotFoundException")


def test_a_task_that_takes_too_long_times_out_by_the_wall(on_the_wall: Emulator) -> None:
    """A function works in wall time, so its task's timeout is measured by the wall; Catch sees States.Timeout."""
    release = Event()

    def linger(event: dict[str, Any], context: Any) -> dict[str, Any]:
        release.wait(60)
        return {}

    definition = machine(
        Step=task(
            on_the_wall.function("linger", linger),
            TimeoutSeconds=1,
            Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "Done"}],
        ),
        Done={"Type": "Succeed"},
    )
    assert on_the_wall.output(definition)["Error"] == "States.Timeout"
    release.set()


def test_an_execution_times_out_by_the_clock(running: Emulator) -> None:
    """A definition's own timeout counts the hours that pass on the account's clock, and not a second longer."""
    definition = {**wait_loop(running.function("step", Step(waits=100))), "TimeoutSeconds": 7000}
    execution = running.start(running.machine(definition))
    assert running.ended(execution)["status"] == "TIMED_OUT"
    assert running.clock.now() == NOON + timedelta(seconds=7000)
    assert running.history(execution)[-1]["type"] == "ExecutionTimedOut"


def test_an_execution_times_out_in_a_retry(running: Emulator) -> None:
    """The timeout holds while an error is retried, too."""
    step = Step(raises=[ThrottledError("slow down")] * 100)
    retry = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 600, "MaxAttempts": 99, "BackoffRate": 1}
    definition = {**machine(Step=task(running.function("step", step), Retry=[retry])), "TimeoutSeconds": 3000}
    assert running.ended(running.start(running.machine(definition)))["status"] == "TIMED_OUT"
    assert running.clock.now() == NOON + timedelta(seconds=3000)


def test_an_execution_is_stopped_while_it_waits(on_the_wall: Emulator) -> None:
    """A wait of a year at wall speed ends with StopExecution, and the execution is ABORTED at once."""
    definition = machine(Wait={"Type": "Wait", "Seconds": 365 * 86400, "End": True})
    execution = on_the_wall.start(on_the_wall.machine(definition))
    stopped = on_the_wall.states.stop_execution(executionArn=execution)
    ended = on_the_wall.states.describe_execution(executionArn=execution)
    assert (ended["status"], ended["stopDate"]) == ("ABORTED", stopped["stopDate"])
    assert on_the_wall.last_event(execution) == "ExecutionAborted"


def test_an_execution_is_stopped_while_it_retries(on_the_wall: Emulator) -> None:
    """The delay before a retry ends with StopExecution, too, and the function is not called again."""
    is_called = Event()

    def fail(event: dict[str, Any], context: Any) -> dict[str, Any]:
        is_called.set()
        raise ThrottledError("slow down")

    retry = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 86400, "MaxAttempts": 1}
    definition = machine(Step=task(on_the_wall.function("fail", fail), Retry=[retry]))
    execution = on_the_wall.start(on_the_wall.machine(definition))
    assert is_called.wait(60)
    on_the_wall.states.stop_execution(executionArn=execution)
    assert on_the_wall.ended(execution)["status"] == "ABORTED"
    assert on_the_wall.last_event(execution) == "ExecutionAborted"


@pytest.mark.parametrize("error", [None, ThrottledError("slow down")])
def test_an_execution_is_stopped_while_a_function_runs(on_the_wall: Emulator, error: Exception | None) -> None:
    """It is ABORTED at once and for good, as in AWS; the function ends as it ends, and nothing follows it."""
    is_called, release = Event(), Event()

    def linger(event: dict[str, Any], context: Any) -> dict[str, Any]:
        is_called.set()
        release.wait(60)
        if error:
            raise error
        return {}

    after = Step()
    anything = ["States.ALL"]
    definition = machine(
        Step=task(
            on_the_wall.function("linger", linger),
            Retry=[{"ErrorEquals": anything}],
            Catch=[{"ErrorEquals": anything, "Next": "After"}],
            Next="After",
        ),
        After=task(on_the_wall.function("after", after)),
    )
    execution = on_the_wall.start(on_the_wall.machine(definition))
    assert is_called.wait(60)
    on_the_wall.states.stop_execution(executionArn=execution)
    assert on_the_wall.states.describe_execution(executionArn=execution)["status"] == "ABORTED"
    release.set()
    assert on_the_wall.last_event(execution) == "ExecutionAborted"
    assert after.events == []
    assert on_the_wall.states.describe_execution(executionArn=execution)["status"] == "ABORTED"


def test_an_ended_execution_stays_as_it_ended(running: Emulator) -> None:
    """Stopping it changes nothing."""
    execution = running.start(running.machine(machine(Done={"Type": "Succeed"})))
    ended = running.ended(execution)
    running.clock.sleep(60)
    running.states.stop_execution(executionArn=execution)
    again = running.states.describe_execution(executionArn=execution)
    assert (again["status"], again["stopDate"]) == ("SUCCEEDED", ended["stopDate"])


def test_starting_twice_with_the_same_input_is_one_execution(on_the_wall: Emulator) -> None:
    """A client may repeat a start whose answer was lost; another input under the name is refused."""
    machine_arn = on_the_wall.machine(machine(Wait={"Type": "Wait", "Seconds": 86400, "End": True}))
    execution = on_the_wall.start(machine_arn, {"n": 1})
    assert on_the_wall.start(machine_arn, {"n": 1}) == execution
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        on_the_wall.start(machine_arn, {"n": 2})
    assert len(on_the_wall.states.list_executions(stateMachineArn=machine_arn)["executions"]) == 1


def test_a_name_is_not_free_after_the_execution_has_ended(running: Emulator) -> None:
    """As in AWS, where it is kept for 90 days, even for the same input."""
    machine_arn = running.machine(machine(Done={"Type": "Succeed"}))
    running.ended(running.start(machine_arn, {"n": 1}))
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        running.start(machine_arn, {"n": 1})


def test_executions_without_a_name_get_one_each(running: Emulator) -> None:
    """As in AWS, a start need not name the execution."""
    machine_arn = running.machine(machine(Done={"Type": "Succeed"}))
    started = {running.states.start_execution(stateMachineArn=machine_arn)["executionArn"] for _ in range(2)}
    assert len(started) == 2
    assert all(running.ended(execution)["status"] == "SUCCEEDED" for execution in started)


def test_a_broken_definition_is_refused(running: Emulator) -> None:
    """A state machine that cannot run cannot be created. moto's error has no code."""
    with pytest.raises(ClientError, match=r"CreateStateMachine.*No .*States"):
        running.machine({"StartAt": "A"})


def test_executions_run_side_by_side(running: Emulator) -> None:
    """Several at once, each with a wait loop of its own, all end."""
    machine_arn = running.machine(wait_loop(running.function("step", Step(waits=5))))
    executions = [running.start(machine_arn, name=name) for name in ("one", "two", "three")]
    assert {running.ended(execution)["status"] for execution in executions} == {"SUCCEEDED"}


def test_moto_is_built_as_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that we replace in moto is there; a moto without it is refused in words, and not half patched."""
    states.install(VirtualClock(NOON))
    monkeypatch.delattr(RetrierDecl, "_eval_body")
    monkeypatch.delattr("moto.stepfunctions.parser.asl.component.eval_component.EvalComponent._eval_body")
    with pytest.raises(EnvironmentUnfitError, match=r"moto has no RetrierDecl\._eval_body"):
        states.install(VirtualClock(NOON))
