"""One operation at a time per target (I3): a lock is an item that its holder removes, or its holder's end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aurora_restore import names
from aurora_restore.aws.tables import Table, Write

# Longer than any operation may run; the table's TTL removes what even the failure path could not.
_EXPIRY = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Lock:
    """A target's lock and who holds it."""

    id: str
    operation_id: str
    execution_arn: str
    acquired_at: datetime


class Locks:
    """The lock items of the State table."""

    def __init__(self, table: Table) -> None:
        """Take the State table; its key is id."""
        self._table = table

    def held(self, region: str, cluster: str) -> Lock | None:
        """Return the lock of a target, if somebody holds it."""
        item = self._table.get({"id": names.lock_id(region, cluster)})
        return None if item is None else parse(item)

    def take(self, lock: Lock, *, abandoned_by: str | None = None) -> Write:
        """Return the write that takes a lock if it is free, ours already, or was left by the ended ``abandoned_by``."""
        free = "attribute_not_exists(#id)"
        ours = "#holder = :ours"
        abandoned = "#execution = :ended"
        clauses = [free, ours, *([abandoned] if abandoned_by else [])]
        return Write(
            table=self._table.name,
            item={
                "id": lock.id,
                "operation_id": lock.operation_id,
                "execution_arn": lock.execution_arn,
                "acquired_at": lock.acquired_at.isoformat(),
                "expires_at": int((lock.acquired_at + _EXPIRY).timestamp()),
            },
            condition=" OR ".join(f"({clause})" for clause in clauses),
            names={"#id": "id", "#holder": "operation_id", **({"#execution": "execution_arn"} if abandoned_by else {})},
            values={":ours": lock.operation_id, **({":ended": abandoned_by} if abandoned_by else {})},
        )

    def free(self, lock: Lock) -> Write:
        """Return the write that frees a lock that is still this holder's."""
        return Write(
            table=self._table.name,
            key={"id": lock.id},
            condition="#holder = :ours",
            names={"#holder": "operation_id"},
            values={":ours": lock.operation_id},
        )


def parse(item: dict[str, Any]) -> Lock:
    """Return the lock in an item of the State table."""
    return Lock(item["id"], item["operation_id"], item["execution_arn"], datetime.fromisoformat(item["acquired_at"]))
