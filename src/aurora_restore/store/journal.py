"""An operation being worked on: a change of its record and the event of its audit go out in one transaction (I5)."""

from collections.abc import Mapping, Sequence
from typing import Any

from aurora_restore.aws.tables import Table, Write
from aurora_restore.clock import Clock
from aurora_restore.operation import Intent, Operation, Step, Verdict
from aurora_restore.safety import guard_source
from aurora_restore.store.audit import Audit, AuditEvent, EventKind
from aurora_restore.store.lock import Locks
from aurora_restore.store.operations import Operations

# DynamoDB takes a hundred items in a transaction; the record is one of them.
MANY_INTENTS = 50


class Store:
    """The two tables, opened."""

    def __init__(self, state: Table, audit: Table, clock: Clock) -> None:
        """Take the State and the Audit table, and the clock that events are dated by."""
        self.state = state
        self.operations = Operations(state)
        self.audit = Audit(audit)
        self.locks = Locks(state)
        self.clock = clock


class Journal:
    """The one way to change an operation. A write that loses against another raises ConflictError, changing nothing."""

    def __init__(self, store: Store, operation: Operation, step: Step) -> None:
        """Take the operation as it was read, or a new one of version 0, and the step that works on it."""
        self._store = store
        self._step = step
        self.operation = operation

    def intend(self, action: str, subject: str, why: str, **changes: Any) -> Intent:
        """Write down a change of the world before it is made; return the permission to make it once.

        Raises SourceWouldChangeError when it would change the source (I1).
        """
        guard_source(self.operation.source_arn, action=action, subject=subject)
        asking = self.operation.with_(**changes).asking(self._step, self._store.clock.now())
        self._commit(asking, EventKind.INTENT, action, subject, why)
        sequence = self.operation.audit_sequence
        return Intent(operation_id=self.operation.operation_id, sequence=sequence, action=action, subject=subject)

    def intend_all(self, action: str, subjects: Mapping[str, str]) -> dict[str, Intent]:
        """Write down the same change of several things at once, all or none; return the permission for each subject.

        ``subjects`` are at most ``MANY_INTENTS``, each with why. The record is written once for all of them, and it is
        large where there are many. Raises SourceWouldChangeError when one of them would change the source (I1).
        """
        for subject in subjects:
            guard_source(self.operation.source_arn, action=action, subject=subject)
        asking = self.operation.asking(self._step, self._store.clock.now())
        chained, writes = asking, []
        intents: dict[str, Intent] = {}
        for subject, why in subjects.items():
            chained, write = self._chained(chained, EventKind.INTENT, action, subject, why)
            writes.append(write)
            intents[subject] = Intent(
                operation_id=chained.operation_id, sequence=chained.audit_sequence, action=action, subject=subject
            )
        self._save(chained, writes)
        return intents

    def note(
        self, action: str, subject: str, detail: str, *, writes: Sequence[Write] = (), **changes: Any
    ) -> Operation:
        """Write down what happened, with what it changes in the record and in other items, all or nothing."""
        return self._commit(self.operation.with_(**changes), EventKind.OUTCOME, action, subject, detail, writes)

    def begin(self) -> Operation:
        """Begin the step: its first call is an event; a later one is counted with whatever is written next."""
        begun = self.operation.begun(self._step, self._store.clock.now())
        if begun.steps[self._step].calls == 1:
            return self._commit(begun, EventKind.OUTCOME, "BeginStep", begun.operation_id, f"{self._step} begins")
        self.operation = begun
        return begun

    def judge(self, verdict: Verdict) -> Operation:
        """Write down the step's verdict; one that ends the step is an event, one that waits is not."""
        now = self._store.clock.now()
        judged = self.operation.judged(self._step, verdict, now)
        if judged.finished(self._step) is None:
            return self._save(judged)
        return self._commit(
            judged, EventKind.OUTCOME, "EndStep", judged.operation_id, f"{verdict.status}: {verdict.reason}"
        )

    def keep(self, **changes: Any) -> Operation:
        """Write changes of the record that record no change of the world."""
        return self._save(self.operation.with_(**changes))

    def _commit(
        self, changed: Operation, kind: EventKind, action: str, subject: str, detail: str, writes: Sequence[Write] = ()
    ) -> Operation:
        chained, event = self._chained(changed, kind, action, subject, detail)
        return self._save(chained, [event, *writes])

    def _chained(
        self, changed: Operation, kind: EventKind, action: str, subject: str, detail: str
    ) -> tuple[Operation, Write]:
        """Return the record with one event more in its chain, and the write that adds the event."""
        event = AuditEvent.following(
            changed.audit_hash,
            operation_id=changed.operation_id,
            sequence=changed.audit_sequence + 1,
            at=self._store.clock.now(),
            step=self._step,
            kind=kind,
            action=action,
            subject=subject,
            detail=detail,
        )
        chained = changed.with_(audit_sequence=event.sequence, audit_hash=event.hash)
        return chained, self._store.audit.append(event)

    def _save(self, changed: Operation, writes: Sequence[Write] = ()) -> Operation:
        numbered = changed.with_(version=self.operation.version + 1)
        self._store.state.write([self._store.operations.write(numbered), *writes])
        self.operation = numbered
        return numbered
