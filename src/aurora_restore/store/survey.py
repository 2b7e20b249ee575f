"""How things stand in all of the State table, read at once: nobody calls a function for what no longer moves."""

from dataclasses import dataclass

from aurora_restore.aws.tables import Table
from aurora_restore.names import LOCK_PREFIX
from aurora_restore.operation import Operation
from aurora_restore.store import lock, operations
from aurora_restore.store.lock import Lock


@dataclass(frozen=True, slots=True)
class Survey:
    """Every operation and every lock that there is."""

    operations: tuple[Operation, ...]
    locks: tuple[Lock, ...]


def survey(state: Table) -> Survey:
    """Return what the State table holds; costs reading all of it."""
    items = state.scan()
    return Survey(
        operations=tuple(operations.parse(item) for item in items if not item["id"].startswith(LOCK_PREFIX)),
        locks=tuple(lock.parse(item) for item in items if item["id"].startswith(LOCK_PREFIX)),
    )
