"""The audit: a chain of events, each holding the hash of the one before: none can be changed or removed unseen."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from aurora_restore.aws.tables import Table, Write
from aurora_restore.errors import AuditBrokenError
from aurora_restore.operation import Step

GENESIS = ""


class EventKind(StrEnum):
    """Why an event was written."""

    INTENT = "intent"
    OUTCOME = "outcome"


class AuditEvent(BaseModel):
    """One event: who did what to which thing, when, and why."""

    model_config = ConfigDict(frozen=True)

    operation_id: str
    sequence: int
    at: datetime
    step: Step | None
    kind: EventKind
    action: str
    subject: str
    detail: str
    previous_hash: str
    hash: str

    @classmethod
    def following(cls, previous_hash: str, **content: Any) -> Self:
        """Return the event that comes after the one with ``previous_hash``."""
        unsealed = cls(previous_hash=previous_hash, hash="", **content)
        return unsealed.model_copy(update={"hash": unsealed.digest()})

    def digest(self) -> str:
        """Return the SHA-256 over everything in the event but its own hash."""
        content = self.model_dump(mode="json", exclude={"hash"})
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Audit:
    """The Audit table. It is only ever appended to."""

    def __init__(self, table: Table) -> None:
        """Take the table; its key is operation_id and sequence."""
        self._table = table

    def append(self, event: AuditEvent) -> Write:
        """Return the write that adds an event, and refuses to replace one."""
        return Write(
            table=self._table.name,
            item=event.model_dump(mode="json", exclude_none=True),
            condition="attribute_not_exists(#sequence)",
            names={"#sequence": "sequence"},
            values={},
        )

    def events(self, operation_id: str) -> list[AuditEvent]:
        """Return an operation's events in their order."""
        items = self._table.query("operation_id", operation_id, limit=100_000)
        return [AuditEvent.model_validate({"step": None, **item}) for item in items]


def verify(events: Sequence[AuditEvent], *, head: str) -> int:
    """Return how many events the chain has, after proving it whole up to ``head``, the hash in the State table.

    Raises AuditBrokenError naming the first event that is wrong, missing or too many.
    """
    previous = GENESIS
    for expected, event in enumerate(events, start=1):
        if event.sequence != expected:
            raise AuditBrokenError(f"audit event {expected} is missing: {event.sequence} follows {expected - 1}")
        if event.previous_hash != previous or event.hash != event.digest():
            raise AuditBrokenError(f"audit event {expected} ({event.action}) was changed after it was written")
        previous = event.hash
    if previous != head:
        raise AuditBrokenError(f"the audit ends after {len(events)} events, but the State table knows a later one")
    return len(events)
