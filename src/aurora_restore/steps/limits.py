"""How long each step may take: every loop in the state machine ends because its step does."""

from aurora_restore.errors import StepTimedOutError
from aurora_restore.operation import Operation, Step

_SHORT_MINUTES = 30


def limit_minutes(operation: Operation, step: Step) -> int:
    """Return a step's limit in minutes, from the request's timeouts."""
    request = operation.wanted
    limits = request.timeouts
    crosses = request.source.region != request.target.region
    return {
        Step.SNAPSHOT_CHECK: limits.snapshot_minutes,
        Step.CHECK_COPY_STATUS: limits.copy_limit_minutes(crosses_regions=crosses),
        Step.DELETE_RDS: limits.delete_minutes,
        Step.CHECK_RESTORE_STATUS: limits.restore_minutes,
        Step.SETUP_DB_USERS: limits.users_minutes,
    }.get(step, _SHORT_MINUTES)


def check_limit(operation: Operation, step: Step, waited_s: float, reason: str) -> None:
    """Let a step wait on while it may; raises StepTimedOutError with what it was waiting for."""
    minutes = limit_minutes(operation, step)
    if waited_s > minutes * 60:
        raise StepTimedOutError(
            f"{step} has waited for {minutes} minutes and gives up; the last thing seen: {reason}",
            advice="If AWS is merely slow, raise the limit in timeouts and start again",
        )
