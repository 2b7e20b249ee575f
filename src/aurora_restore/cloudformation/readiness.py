"""What can be done with a stack in the status that it is in. Pure."""

from enum import Enum

from aurora_restore.aws.stacks import Stack
from aurora_restore.errors import PreconditionError

_IN_USE = frozenset({"CREATE_COMPLETE", "IMPORT_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"})
# The first creation failed, and CloudFormation updates no such stack.
_NEVER_WAS = frozenset({"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"})


class Way(Enum):
    """How to come to a stack that is as the template says."""

    CREATE = "create it"
    RENEW = "delete what is left of a creation that failed, then create it"
    UPDATE = "update it"


def way_to_deploy(stack: Stack | None) -> Way:
    """Return how to deploy; raises PreconditionError when something else has to happen first."""
    if stack is None or stack.status in {"DELETE_COMPLETE", "REVIEW_IN_PROGRESS"}:
        return Way.CREATE
    if stack.status in _IN_USE:
        return Way.UPDATE
    if stack.status in _NEVER_WAS:
        return Way.RENEW
    raise PreconditionError(f"the stack {stack.name} cannot be updated: it is {stack.status}", advice=_advice(stack))


def check_deletable(stack: Stack) -> None:
    """Pass if the stack can be deleted now; raises PreconditionError."""
    if stack.status.endswith("_IN_PROGRESS") and stack.status not in {"REVIEW_IN_PROGRESS", "DELETE_IN_PROGRESS"}:
        raise PreconditionError(
            f"the stack {stack.name} cannot be deleted now: it is {stack.status}", advice=_advice(stack)
        )


def _advice(stack: Stack) -> str:
    match stack.status:
        case "UPDATE_ROLLBACK_FAILED":
            return (
                "Mend what its events name, then: "
                f"aws cloudformation continue-update-rollback --stack-name {stack.name}"
            )
        case "DELETE_FAILED":
            return f"Mend what its events name, then: aurora-restore destroy --stack {stack.name}"
        case _:
            return f"Wait until that has ended: {watch_command(stack.name)}"


def watch_command(stack: str) -> str:
    """Return the command that shows what CloudFormation does with a stack."""
    return f"aws cloudformation describe-stack-events --stack-name {stack} --max-items 20"
