"""From a step to a Lambda handler: parse, bind log keys, run, persist, measure, serialise; and ``except Exception``."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from random import SystemRandom
from types import ModuleType
from typing import Any

from aws_lambda_powertools import Logger
from pydantic import BaseModel, ConfigDict

from aurora_restore import measurements, metric_log
from aurora_restore.aws.clients import Clients
from aurora_restore.aws.executions import Executions
from aurora_restore.aws.tables import Table
from aurora_restore.aws.topics import Topic
from aurora_restore.clock import Clock, SystemClock
from aurora_restore.database.engine import TimeLeft, endless, engine_for
from aurora_restore.database.tls import Tls, bundle_path
from aurora_restore.errors import AuroraRestoreError, ConfigurationError, UnexpectedError
from aurora_restore.measurements import Measurement
from aurora_restore.names import operation_of
from aurora_restore.operation import Operation, Step, StepStatus, Verdict, wait_seconds
from aurora_restore.steps.limits import check_limit
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal, Store
from aurora_restore.store.survey import survey

Event = Mapping[str, Any]
Result = dict[str, Any]
Handler = Callable[[Event, object], Result]


# What a step needs at its end to write down how far it has come.
_RESERVE_S = 30


class Settings(BaseModel):
    """What a function of a deployment must be told: its environment variables in AWS."""

    model_config = ConfigDict(frozen=True)

    stack: str
    state_table: str
    audit_table: str
    topic_arn: str
    # A file with the certificates that database servers are verified against.
    ca_bundle: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read AURORA_RESTORE_STACK, …_STATE_TABLE, …_AUDIT_TABLE and …_TOPIC_ARN; raises ConfigurationError.

        AURORA_RESTORE_CA_BUNDLE may be missing: see ``bundle_path``.
        """
        names = {field: f"AURORA_RESTORE_{field.upper()}" for field in cls.model_fields}
        needed = (names[field] for field, about in cls.model_fields.items() if about.is_required())
        missing = sorted(name for name in needed if not environment.get(name))
        if missing:
            raise ConfigurationError(f"the function's environment lacks {', '.join(missing)}", advice="Deploy again")
        return cls(**{field: environment[name] for field, name in names.items() if environment.get(name)})

    def as_environment(self) -> dict[str, str]:
        """Return the environment variables that ``from_environment`` reads."""
        given = self.model_dump(exclude_none=True)
        return {f"AURORA_RESTORE_{field.upper()}": value for field, value in given.items()}


def open_world(settings: Settings, client: Callable[[str, str | None], Any], clock: Clock) -> World:
    """Return the world of a deployment, on a clock and through the clients that are handed in."""
    dynamodb = client("dynamodb", None)
    store = Store(Table(dynamodb, settings.state_table), Table(dynamodb, settings.audit_table), clock)
    tls = Tls(bundle_path(settings.ca_bundle))
    return World(
        stack=settings.stack,
        client=client,
        store=store,
        topic=Topic(client("sns", None), settings.topic_arn),
        executions=Executions(client("stepfunctions", None)),
        clock=clock,
        random=SystemRandom(),
        tls=tls,
        engine_for=partial(engine_for, tls=tls),
    )


class Function:
    """One step as a Lambda function: callable with an event, any number of times, from anywhere."""

    def __init__(self, step: Step, world: Callable[[], World], logger: Logger) -> None:
        """Take the step, how to get its world (asked at the first event), and where to log."""
        self._step = step
        self._world = world
        self._logger = logger
        # What is measured is measured of a stack, and that is known once the world has been found.
        self._found: World | None = None

    def elsewhere(self, world: Callable[[], World], logger: Logger) -> "Function":
        """Return the same step's function for another world than the one that this process's environment leads to."""
        return Function(self._step, world, logger)

    def __call__(self, event: Event, context: object) -> Result:
        """Run the step once and return its small result; raises our errors only, and none holds a secret (I6)."""
        self._logger.append_keys(step=self._step.value, operation_id=str(event.get("operation_id")))
        try:
            result = self._run(self._called_with(event), context)
        except AuroraRestoreError as error:
            self._measure(event, measurements.of_error(self._step, error))
            self._logger.warning("step raised", error=type(error).__name__, reason=str(error))
            raise
        except Exception as error:  # noqa: BLE001  the edge of a function: Lambda would log whatever it holds
            # What we did not foresee may hold anything, so only its type and place go on (I6).
            ours = UnexpectedError(
                f"{type(error).__name__} in {self._step} at {_place(error)}", advice="This is a bug: please report it"
            )
            self._measure(event, measurements.of_error(self._step, ours))
            self._logger.error("unexpected", error=type(error).__name__, place=_place(error))  # noqa: TRY400
            raise ours from None
        self._logger.info("step answered", **{key: result[key] for key in ("status", "reason", "wait_seconds")})
        return result

    def _called_with(self, event: Event) -> Event:
        return event if self._step is not Step.SNS_NOTIFICATION else _notification().as_call(event) or event

    def _run(self, event: Event, context: object) -> Result:
        world = replace(self._world(), time_left=_time_left(context))
        self._found = world
        if self._step is Step.SNS_NOTIFICATION and _notification().is_watch(event):
            return self._watch(event, world)
        journal = self._open(world, event)
        known = journal.operation.finished(self._step)
        if known is not None:
            return self._result(journal.operation, known, 0)
        journal.begin()
        verdict = self._act(journal, world, event)
        now = world.clock.now()
        if verdict.status is StepStatus.WAIT:
            check_limit(journal.operation, self._step, journal.operation.waited_s(self._step, now), verdict.reason)
        operation = journal.judge(verdict)
        if operation.finished(self._step) is not None:
            self._measure(event, measurements.of_ended_step(operation, self._step))
        return self._result(operation, verdict, wait_seconds(operation.quiet_s(self._step, now)))

    def _watch(self, event: Event, world: World) -> Result:
        seen = survey(world.store.state, since=world.clock.now() - measurements.FORGOTTEN_AFTER)
        since = [lock.acquired_at for lock in seen.locks]
        self._measure(event, measurements.of_survey(seen.operations, since, world.clock.now()))
        reason = f"{len(seen.operations)} operations and {len(since)} locks were looked at"
        return {"status": StepStatus.DONE.value, "reason": reason, "wait_seconds": 0}

    def _measure(self, event: Event, measured: Iterable[Measurement]) -> None:
        """Log what is measured. The step has had its effect: whatever goes wrong here must not become its failure."""
        if self._found is None:
            return
        operation_id = operation_of(str(event["operation_id"])) if "operation_id" in event else None
        try:
            metric_log.write(metric_log.of(self._logger), self._found.stack, measured, operation_id=operation_id)
        except Exception as error:  # noqa: BLE001  a number that is not written must not end what has been done
            self._logger.error("not measured", error=type(error).__name__, place=_place(error))  # noqa: TRY400

    def _open(self, world: World, event: Event) -> Journal:
        execution, execution_arn = str(event["operation_id"]), str(event["execution_arn"])
        document = event.get("request")
        if self._step is Step.SNAPSHOT_CHECK:
            from aurora_restore.steps import snapshot_check  # noqa: PLC0415  as in _act

            return snapshot_check.accept(world, execution=execution, execution_arn=execution_arn, document=document)
        if self._step is Step.SNS_NOTIFICATION:
            opened: Journal = _notification().open_ended(
                world, execution=execution, execution_arn=execution_arn, document=document
            )
            return opened
        return Journal(world.store, world.store.operations.load(operation_of(execution)), self._step)

    def _act(self, journal: Journal, world: World, event: Event) -> Verdict:
        # Imported when needed: a cold start pays for its own step only.
        module = import_module(f"aurora_restore.steps.{self._step.module}")
        more = (event.get("outcome") or {},) if self._step is Step.SNS_NOTIFICATION else ()
        verdict: Verdict = module.run(journal, world, *more)
        return verdict

    def _result(self, operation: Operation, verdict: Verdict, wait_s: int) -> Result:
        return {
            "operation_id": operation.operation_id,
            "status": verdict.status.value,
            "reason": verdict.reason,
            "wait_seconds": wait_s,
            "outcome": operation.status.value,
        }


def _notification() -> ModuleType:
    """Return the module of step 9, of which eight functions import nothing: a cold start pays for its own step only."""
    return import_module("aurora_restore.steps.sns_notification")


def _time_left(context: object) -> TimeLeft:
    """Return what tells how long a step may begin things, by the context that Lambda hands over."""
    remaining_ms: Callable[[], int] | None = getattr(context, "get_remaining_time_in_millis", None)
    return endless if remaining_ms is None else lambda: remaining_ms() / 1000 - _RESERVE_S


def _place(error: BaseException) -> str:
    """Return file and line of where an exception was raised; never its message."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "unknown" if trace is None else f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"  # noqa: PTH119


@cache
def _world_of_this_function() -> World:
    return open_world(Settings.from_environment(os.environ), Clients(), SystemClock())


def _function(step: Step) -> Function:
    return Function(step, _world_of_this_function, Logger(service="aurora-restore"))


snapshot_check_handler = _function(Step.SNAPSHOT_CHECK)
copy_snapshot_handler = _function(Step.COPY_SNAPSHOT)
check_copy_status_handler = _function(Step.CHECK_COPY_STATUS)
delete_rds_handler = _function(Step.DELETE_RDS)
restore_snapshot_handler = _function(Step.RESTORE_SNAPSHOT)
check_restore_status_handler = _function(Step.CHECK_RESTORE_STATUS)
setup_db_users_handler = _function(Step.SETUP_DB_USERS)
archive_snapshot_handler = _function(Step.ARCHIVE_SNAPSHOT)
sns_notification_handler = _function(Step.SNS_NOTIFICATION)
