"""How things stand in all of the State table, read at once: nobody calls a function for what no longer moves."""

from dataclasses import dataclass
from datetime import UTC, datetime

from aurora_restore.aws.tables import Filter, Table
from aurora_restore.names import LOCK_PREFIX
from aurora_restore.operation import Operation, OperationStatus
from aurora_restore.store import lock, operations
from aurora_restore.store.lock import Lock


@dataclass(frozen=True, slots=True)
class Survey:
    """Every operation that runs or has ended lately, and every lock that there is."""

    operations: tuple[Operation, ...]
    locks: tuple[Lock, ...]


def survey(state: Table, *, since: datetime) -> Survey:
    """Return the locks, what runs, and what has ended after ``since``; costs reading all of the State table."""
    locks = "attribute_not_exists(#status)"
    runs = "#status = :running"
    ended_lately = "#ended_at > :since"
    items = state.scan(
        Filter(
            condition=f"{locks} OR {runs} OR {ended_lately}",
            names={"#status": "status", "#ended_at": "ended_at"},
            values={":running": OperationStatus.RUNNING.value, ":since": since.astimezone(UTC).isoformat()},
        )
    )
    return Survey(
        operations=tuple(operations.parse(item) for item in items if not item["id"].startswith(LOCK_PREFIX)),
        locks=tuple(lock.parse(item) for item in items if item["id"].startswith(LOCK_PREFIX)),
    )
