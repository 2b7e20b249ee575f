"""Step Functions on the embedded account's clock.

This is the one module that replaces parts of a library at run time: moto's interpreter of state machines takes the time
from the wall in the middle of its code (waits, retries, timestamps), and mistakes a stop for a failure. All that is
replaced is listed in ``install``, which fails when moto does not have it; the rest is subclassing.
"""

import json
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar, Final

from moto.core.base_backend import BackendDict
from moto.stepfunctions import models as moto_records
from moto.stepfunctions.parser import models as moto_states
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.evaluation_details import ExecutionDetails
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped, ProgramTimedOut
from moto.stepfunctions.parser.asl.utils.boto_client import boto_client_for
from moto.stepfunctions.parser.backend.execution import Execution

from aurora_restore.embedded.clock import EmbeddableClock
from aurora_restore.errors import EnvironmentUnfitError

_MOTOS_RETRY: Final = retrier_decl.RetrierDecl._eval_body  # noqa: SLF001  see install
_MOTOS_SET_ERROR: Final = Environment.set_error
# How long, in wall seconds, a stop waits for an execution that has not begun. It takes a hundredth of that.
_BEGIN_WITHIN_S: Final = 10.0


# Told of an execution that was stopped or timed out, as EventBridge tells it: the event's detail.
OnStopped = Callable[[dict[str, str]], None]

_listeners: list[OnStopped] = []
_watchers: list[Callable[[], None]] = []


def install(
    clock: EmbeddableClock,
    functions_client: Callable[[str], Any] | None = None,
    on_stopped: OnStopped | None = None,
    on_change: Callable[[], None] | None = None,
) -> None:
    """Make moto's state machines read this clock, instead of the wall's or an earlier call's; forget those there are.

    They call functions through the boto3 client that ``functions_client`` returns for a region; if it is not given,
    through a new one for each call, as moto does. That takes longer than the call. ``on_stopped`` stands where
    EventBridge does: it is called, in a thread of its own, for an execution that was stopped or timed out.
    ``on_change`` is called whenever an execution's status changes.

    EnvironmentUnfitError when the installed moto is not built as expected.
    """
    waiting = _Waiting(clock)
    kept = BackendDict(_Backend, "stepfunctions")
    _listeners[:] = [] if on_stopped is None else [on_stopped]
    _watchers[:] = [] if on_change is None else [on_change]

    def wait(_: WaitFunction, env: Environment, wait_seconds: int) -> None:
        waiting.let_pass(wait_seconds, env)

    def retry(retrier: retrier_decl.RetrierDecl, env: Environment) -> None:
        # The retrier sleeps without saying for which execution.
        waiting.here.env = env
        _MOTOS_RETRY(retrier, env)

    def sleep(seconds: float) -> None:
        waiting.let_pass(seconds, waiting.here.env)

    def client_for(region: str, service: str, state_credentials: Any = None) -> Any:
        if functions_client is None or service != "lambda":
            return boto_client_for(region, service, state_credentials)
        return functions_client(region)

    _replace(
        (lambda_eval_utils, "boto_client_for", client_for),
        (Environment, "set_error", _set_error),
        (WaitFunction, "_wait_interval", wait),
        (retrier_decl.RetrierDecl, "_eval_body", retry),
        (retrier_decl, "time", SimpleNamespace(sleep=sleep)),
        (EventManager, "_get_current_timestamp", staticmethod(clock.now)),
        (moto_states, "Execution", type("ClockedExecution", (_ClockedExecution,), {"waiting": waiting})),
        (moto_states, "stepfunctions_parser_backends", kept),
        # CloudFormation would make its state machines where none runs.
        (moto_records, "stepfunctions_backends", kept),
    )


def stop_executions() -> None:
    """Abort every execution that runs, so that none outlives its account. A function that runs is not interrupted.

    Nobody is told: the account ends with them.
    """
    _listeners.clear()
    for execution in executions():
        execution.stop(stop_date=datetime.now(UTC), error="", cause="")


def backends() -> Any:
    """Return moto's backends of Step Functions that interpret, by account and region."""
    return moto_states.stepfunctions_parser_backends


def executions() -> list[Any]:
    """Return every execution, of all state machines."""
    return [
        execution
        for account in backends().values()
        for backend in account.values()
        for machine in backend.state_machines
        for execution in machine.executions
    ]


def is_running(execution: Execution) -> bool:
    """Say whether an execution has not ended."""
    return execution.exec_status == ExecutionStatus.RUNNING


def remembered(execution: Execution) -> dict[str, Any]:
    """Return what is to be kept of an execution: all but the running program and its history.

    One that runs is kept as aborted, because it does not survive its process.
    """
    kept = {**vars(execution), "exec_worker": None, "_activity_store": {}, "_cloud_watch_logging_session": None}
    if is_running(execution):
        kept |= {"_exec_status": ExecutionStatus.ABORTED, "_stop_date": _now(execution)}
    return kept


def _now(execution: Execution) -> datetime | None:
    return execution.waiting.clock.now() if isinstance(execution, _ClockedExecution) else None


def forgotten() -> Execution:
    """Return an execution that is nothing yet, to be given what was ``remembered``."""
    kind: type[Execution] = vars(moto_states)["Execution"]
    return kind.__new__(kind)


def _replace(*replacements: tuple[Any, str, object]) -> None:
    for owner, name, _ in replacements:
        if not hasattr(owner, name):
            raise EnvironmentUnfitError(
                f"the installed moto has no {owner.__name__}.{name}",
                advice="Install the version of moto that this package's extra 'embedded' asks for",
            )
    for owner, name, value in replacements:
        setattr(owner, name, value)


def _set_error(env: Environment, error: Any) -> None:
    # The interpreter trips over a stop in the middle of a state, and would then call the execution FAILED.
    if not isinstance(env.program_state(), ProgramStopped | ProgramTimedOut):
        _MOTOS_SET_ERROR(env, error)


class _Waiting:
    """Lets time pass for executions, but not beyond an execution's own timeout, nor after it was stopped."""

    def __init__(self, clock: EmbeddableClock) -> None:
        self.here = threading.local()
        self.clock = clock
        self._deadlines: dict[str, datetime] = {}

    def limit(self, execution_arn: str, timeout_s: float) -> None:
        self._deadlines[execution_arn] = self.clock.now() + timedelta(seconds=timeout_s)

    def let_pass(self, seconds: float, env: Environment) -> None:
        execution_arn = env.states.context_object.context_object_data["Execution"]["Id"]
        deadline = self._deadlines.get(execution_arn)
        left_s = (deadline - self.clock.now()).total_seconds() if deadline else seconds
        self.clock.pause(max(min(seconds, left_s), 0), is_over=lambda: not env.is_running())
        if left_s < seconds and env.is_running():
            env.set_timed_out()


class _ClockedExecution(Execution):
    """moto's execution with the clock's dates, and with a stop that takes effect at once, as in AWS."""

    waiting: ClassVar[_Waiting]

    def __init__(self, **details: Any) -> None:
        super().__init__(**{**details, "start_date": self.waiting.clock.now()})
        timeout_s = json.loads(self.state_machine.definition).get("TimeoutSeconds")
        if timeout_s is not None:
            self.waiting.limit(self.exec_arn, timeout_s)

    @property
    def exec_status(self) -> ExecutionStatus | None:
        return self._exec_status

    @exec_status.setter
    def exec_status(self, status: ExecutionStatus | None) -> None:
        was, self._exec_status = getattr(self, "_exec_status", None), status
        for watcher in _watchers:
            watcher()
        if status is not None and status != was and status in {ExecutionStatus.ABORTED, ExecutionStatus.TIMED_OUT}:
            detail = {
                "executionArn": self.exec_arn,
                "stateMachineArn": self.state_machine.arn,
                "name": self.name,
                "status": str(status.value),
                "input": json.dumps(self.input_data),
            }
            for listener in _listeners:
                threading.Thread(target=listener, args=(detail,), daemon=True).start()

    @property
    def stop_date(self) -> datetime | None:
        return self._stop_date

    @stop_date.setter
    def stop_date(self, wall: datetime | None) -> None:
        self._stop_date = wall and self.waiting.clock.now()

    def get_start_execution_details(self) -> ExecutionDetails:
        # The context object shows a time as AWS writes it.
        started_at = self.start_date.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return ExecutionDetails(self.exec_arn, self.name, self.role_arn, self.input_data, started_at)

    def to_history_output(self) -> Any:
        # An execution of an earlier process has no history; the audit of its operation has.
        return super().to_history_output() if self.exec_worker else {"events": []}

    def stop(self, stop_date: datetime, error: str | None, cause: str | None) -> None:
        if self.exec_status != ExecutionStatus.RUNNING:
            return
        env = self._begun()
        env.set_stop(stop_date=stop_date, error=error, cause=cause)
        # moto would say RUNNING until the function that runs has ended.
        if isinstance(env.program_state(), ProgramStopped):
            self.stop_date = stop_date
            self.exec_status = ExecutionStatus.ABORTED

    def _begun(self) -> Environment:
        give_up_s = time.monotonic() + _BEGIN_WITHIN_S
        while time.monotonic() < give_up_s:
            env = self.exec_worker.env if self.exec_worker else None
            if env is not None and env.program_state() is not None:
                return env
            time.sleep(0.005)
        raise RuntimeError(f"the execution {self.name} has not begun within {_BEGIN_WITHIN_S} s")


class _Backend(moto_states.StepFunctionsParserBackend):
    """moto's backend, but two starts at a time cannot both win a name, and an execution may be started without one."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._starting = threading.Lock()

    def start_execution(  # type: ignore[override]  # moto's two backends do not agree either
        self,
        state_machine_arn: str,
        name: str | None = None,
        execution_input: str | None = None,
        trace_header: str | None = None,
    ) -> Execution:
        if name is not None:
            self._validate_name(name)
        with self._starting:
            return super().start_execution(
                state_machine_arn, name or str(uuid.uuid4()), execution_input or "{}", trace_header or ""
            )
