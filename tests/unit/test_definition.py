"""The state machine: every step is called until it is done, and whatever fails is told."""

import inspect
import json
from typing import Any

import botocore.session
import pytest
from statelint.config import Config
from statelint.linter import Linter

from aurora_restore import errors
from aurora_restore.errors import ConflictError, TransientError
from aurora_restore.operation import Step, StepStatus
from aurora_restore.workflow.definition import definition, definition_text

STATES: dict[str, dict[str, Any]] = json.loads(definition_text())["States"]
LOOPED = [step for step in Step if step is not Step.SNS_NOTIFICATION]
FOREIGN = ("Lambda.", "States.", "Runtime.", "Sandbox.")
ERRORS = {name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, BaseException)}


def tasks() -> list[str]:
    return [name for name, state in STATES.items() if state["Type"] == "Task"]


def retried(state: str) -> list[str]:
    return [name for retry in STATES[state]["Retry"] for name in retry["ErrorEquals"]]


def test_every_step_is_a_task_of_its_name_that_calls_its_function() -> None:
    """One name a step everywhere, and no task that is not a step."""
    assert tasks() == [step.value for step in Step]
    for step in Step:
        assert STATES[step]["Parameters"]["FunctionName"] == f"${{{step.function_name}}}"


@pytest.mark.parametrize("step", LOOPED)
def test_every_step_is_called_until_it_is_done(step: Step) -> None:
    """Task, choice and wait make its loop; the wait is as long as the step says."""
    choice = STATES[STATES[step]["Next"]]
    leads_to = {rule["StringEquals"]: rule["Next"] for rule in choice["Choices"]}
    following = list(Step)[list(Step).index(step) + 1]
    assert {rule["Variable"] for rule in choice["Choices"]} == {"$.status"}
    assert set(leads_to) == set(StepStatus)
    assert leads_to[StepStatus.DONE] == leads_to[StepStatus.SKIP] == following
    wait = STATES[leads_to[StepStatus.WAIT]]
    assert (wait["Type"], wait["SecondsPath"], wait["Next"]) == ("Wait", "$.wait_seconds", step)


@pytest.mark.parametrize("state", [name for name, state in STATES.items() if state["Type"] == "Choice"])
def test_mistake_4_the_default_of_a_choice_is_never_the_wait(state: str) -> None:
    """What a step says in a word that nobody knows is a failure, not a reason to wait for ever."""
    default = STATES[state]["Default"]
    assert STATES[default]["Type"] != "Wait"
    assert default in {"UnknownStatus", "NotRestored"}


def test_an_unknown_status_ends_in_the_notification_as_an_error() -> None:
    """It looks like what a Catch hands on."""
    assert STATES["UnknownStatus"]["Next"] == "SNSNotification"
    assert set(STATES["UnknownStatus"]["Result"]) == {"Error", "Cause"}


@pytest.mark.parametrize("task", tasks())
def test_every_task_is_limited_retried_and_caught(task: str) -> None:
    """No task may hang, hammer, or fail unseen."""
    state = STATES[task]
    assert 0 < state["TimeoutSeconds"] <= 900
    for retry in state["Retry"]:
        assert retry["JitterStrategy"] == "FULL"
        assert retry["MaxAttempts"] > 0
        assert retry["MaxDelaySeconds"] >= retry["IntervalSeconds"] > 0
        assert "States.ALL" not in retry["ErrorEquals"]
    assert state["Catch"][-1]["ErrorEquals"] == ["States.ALL"]


@pytest.mark.parametrize("step", LOOPED)
def test_mistake_13_every_failure_goes_to_the_notification(step: Step) -> None:
    """Somebody is told, and the lock is freed; the error takes the place of the state's input."""
    for catch in STATES[step]["Catch"]:
        assert catch["Next"] == Step.SNS_NOTIFICATION
        assert catch["ResultPath"] == "$"


def test_an_operation_that_failed_fails_its_execution() -> None:
    """The executions' alarm sees it; and a notification that fails says so under its own name."""
    (rule,) = STATES["IsRestored"]["Choices"]
    assert (rule["Variable"], rule["StringEquals"], rule["Next"]) == ("$.outcome", "succeeded", "Restored")
    assert STATES["NotRestored"]["Type"] == "Fail"
    assert STATES[STATES["SNSNotification"]["Catch"][0]["Next"]]["Error"] == "NotificationFailed"


@pytest.mark.parametrize("task", tasks())
def test_what_is_retried_exists_and_passes_by_itself(task: str) -> None:
    """A name that no code raises is a retry that never happens; an error for a person must not be repeated."""
    for name in retried(task):
        if not name.startswith(FOREIGN):
            assert issubclass(ERRORS[name], TransientError | ConflictError), name


@pytest.mark.parametrize("task", tasks())
def test_everything_transient_is_retried_everywhere(task: str) -> None:
    """Retry matches names, not inheritance: each class has to be listed, and only once."""
    transient = {name for name, kind in ERRORS.items() if issubclass(kind, TransientError | ConflictError)}
    assert transient <= set(retried(task))
    assert len(retried(task)) == len(set(retried(task)))


@pytest.mark.parametrize("task", tasks())
def test_a_lost_function_is_called_again(task: str) -> None:
    """Lambda's own errors, among them the function that was killed and the one that never answered."""
    assert {"Lambda.ServiceException", "Lambda.TooManyRequestsException", "Sandbox.Timedout", "States.Timeout"} <= set(
        retried(task)
    )


@pytest.mark.parametrize("task", tasks())
def test_a_function_that_slept_for_weeks_is_waited_for(task: str) -> None:
    """Lambda takes an idle function's network away, refuses the call that wakes it, and needs a minute or two."""
    waking = {
        "ResourceNotReadyException", "ENINotReadyException", "ResourceConflictException", "EC2ThrottledException",
        "EC2UnexpectedException",
    }  # fmt: skip
    invoke = botocore.session.Session().get_service_model("lambda").operation_model("Invoke")
    assert waking <= {error.name for error in invoke.error_shapes}
    [retry] = [each for each in STATES[task]["Retry"] if "Lambda.ResourceNotReadyException" in each["ErrorEquals"]]
    assert {f"Lambda.{name}" for name in waking} <= set(retry["ErrorEquals"])
    waits = [retry["IntervalSeconds"] * retry["BackoffRate"] ** attempt for attempt in range(retry["MaxAttempts"])]
    # With full jitter a wait is half as long on average.
    assert sum(min(wait, retry["MaxDelaySeconds"]) for wait in waits) / 2 > 180


def test_mistake_7_no_task_is_given_more_than_it_needs() -> None:
    """Only the first and the last step see the request; no secret can be in what the others are handed."""
    for step in Step:
        given = set(STATES[step]["Parameters"]["Payload"])
        extra = {Step.SNAPSHOT_CHECK: {"request.$"}, Step.SNS_NOTIFICATION: {"request.$", "outcome.$"}}
        assert given == {"operation_id.$", "execution_arn.$"} | extra.get(step, set())


def test_the_whole_has_a_limit() -> None:
    """Longer than all steps' limits can be together, and far from Step Functions' year."""
    limit_s = json.loads(definition_text())["TimeoutSeconds"]
    assert 4 * 4320 * 60 < limit_s < 30 * 86_400


def test_every_state_is_reached() -> None:
    """A state that nothing leads to is a forgotten one."""
    text = definition_text()
    for name in STATES:
        assert f'"Next": "{name}"' in text or f'"Default": "{name}"' in text or f'"StartAt": "{name}"' in text


def test_statelint_finds_nothing() -> None:
    """Amazon's own checker of the language."""
    arns = {step.function_name: f"arn:aws:lambda:us-west-2:1:function:{step}" for step in Step}
    config = Config()
    assert not Linter.validate(definition(arns), config)
    assert Linter.validate(definition(arns).replace('"Type": "Wait"', '"Type": "Weight"'), config)


def test_every_function_gets_its_arn() -> None:
    """And one that is missing is an error at once, not a state machine that calls nobody."""
    arns = {step.function_name: f"arn:aws:lambda:us-west-2:1:function:{step}" for step in Step}
    filled = definition(arns)
    assert "${" not in filled
    assert all(arn in filled for arn in arns.values())
    with pytest.raises(KeyError):
        definition({})
