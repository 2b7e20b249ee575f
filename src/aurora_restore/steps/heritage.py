"""The shape that an operation took with it when it failed: what stands in the target's place now does not have it."""

from collections.abc import Iterable

from aurora_restore.clusters import Cluster
from aurora_restore.operation import Operation, OperationStatus


def heir_of(former: Iterable[Operation], target: Cluster | None) -> Operation | None:
    """Return the operation whose stored shape is the target's true one, or None where what stands there has it.

    That is one which deleted the target, or began to, and has not succeeded: since then there is no target, or half
    of one. Without this the next operation would find nothing to keep, or keep what a failure left (I9).
    ``former`` are the operations on the target, newest first.
    """
    for operation in former:
        if operation.status is OperationStatus.SUCCEEDED:
            return None
        if operation.shape is not None and _stands_for(operation, target):
            return operation
    return None


def _stands_for(operation: Operation, target: Cluster | None) -> bool:
    if target is None:
        return operation.deletion_began
    if operation.owns(target.tags):
        return True
    old = operation.old_target
    return operation.deletion_began and old is not None and old.resource_id == target.resource_id
