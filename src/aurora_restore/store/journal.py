"""An operation being worked on: a change of its record and the event of its audit go out in one transaction (I5)."""

from collections.abc import Sequence
from typing import Any

from aurora_restore.aws.tables import Table, Write
from aurora_restore.clock import Clock
from aurora_restore.operation import Intent, Operation, Step, Verdict
from aurora_restore.safety import guard_source
from aurora_restore.store.audit import Audit, AuditEvent, EventKind
from aurora_restore.store.lock import Locks
from aurora_restore.store.operations import Operations


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
        event = AuditEvent.following(
            self.operation.audit_hash,
            operation_id=changed.operation_id,
            sequence=self.operation.audit_sequence + 1,
            at=self._store.clock.now(),
            step=self._step,
            kind=kind,
            action=action,
            subject=subject,
            detail=detail,
        )
        chained = changed.with_(audit_sequence=event.sequence, audit_hash=event.hash)
        return self._save(chained, [self._store.audit.append(event), *writes])

    def _save(self, changed: Operation, writes: Sequence[Write] = ()) -> Operation:
        numbered = changed.with_(version=self.operation.version + 1)
        self._store.state.write([self._store.operations.write(numbered), *writes])
        self.operation = numbered
        return numbered
