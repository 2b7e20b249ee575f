"""The store on a DynamoDB that moto emulates: conditions, transactions, pages, numbers, and the chain of the audit."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from threading import Thread
from typing import Any

import pytest

from aurora_restore.aws.tables import Table, Write
from aurora_restore.errors import (
    AuditBrokenError,
    ConflictError,
    OperationNotFoundError,
    ResourceNotFoundError,
    SourceWouldChangeError,
)
from aurora_restore.names import lock_id
from aurora_restore.operation import Operation, OperationStatus, Step, Verdict
from aurora_restore.request import RestoreRequest
from aurora_restore.store.audit import AuditEvent, EventKind, verify
from aurora_restore.store.journal import Journal, Store
from aurora_restore.store.lock import Lock
from aurora_restore.store.survey import survey
from tests.steps.world import NOON, WEST, Country
from tests.unit.test_request import FULL

_numbers = count(1)


@pytest.fixture
def store(country: Country) -> Store:
    dynamodb = country.account.client("dynamodb")
    settings = country.settings
    return Store(Table(dynamodb, settings.state_table), Table(dynamodb, settings.audit_table), country.account.clock)


@pytest.fixture
def operation() -> Operation:
    import yaml  # noqa: PLC0415

    number = next(_numbers)
    return Operation(
        operation_id=f"stored-{number}",
        execution_arn=f"arn:execution:{number}",
        stack="aurora-restore",
        target=f"{WEST}/target-{number}",
        requested_at=NOON + timedelta(seconds=number),
        request=RestoreRequest.parse(yaml.safe_load(FULL)),
        source_arn="arn:source",
    )


@pytest.fixture
def journal(store: Store, operation: Operation) -> Iterator[Journal]:
    """A journal whose operation is written, and whose chain verifies whatever a test does with it."""
    journal = Journal(store, operation, Step.SNAPSHOT_CHECK)
    journal.note("AcceptRequest", operation.target, "so")
    yield journal
    stored = store.operations.load(operation.operation_id)
    events = store.audit.events(operation.operation_id)
    assert verify(events, head=stored.audit_hash) == len(events) == stored.audit_sequence


def test_an_operation_is_read_as_it_was_written(store: Store, journal: Journal) -> None:
    """Request, times, halves of a capacity unit and Nones, down to the version."""
    assert store.operations.load(journal.operation.operation_id) == journal.operation
    assert journal.operation.version == 1


def test_the_record_of_a_thousand_users_fits_into_an_item(store: Store, operation: Operation) -> None:
    """DynamoDB takes 400 KB. What would not fit would be found when the old target is gone and the users are made."""
    grants = [{"preset": "readwrite", "database": "orders"}]
    users: list[dict[str, Any]] = [
        {"name": f"app_{number}", "secret": f"orders-staging/app_{number}", "grants": grants} for number in range(1_000)
    ]
    whole = operation.with_(
        request=RestoreRequest.parse(operation.wanted.document() | {"users": users, "verify": []}),
        user_secrets={
            user["name"]: f"arn:aws:secretsmanager:us-west-2:123456789012:secret:{user['secret']}-AbCdEf"
            for user in users
        },
        logins=tuple(user["name"] for user in users),
    )
    journal = Journal(store, whole, Step.SETUP_DB_USERS)
    journal.note("SetupUsers", whole.target, "so")
    item = store.operations.write(journal.operation).item or {}
    size_bytes = sum(len(str(value).encode()) for value in item.values())
    assert size_bytes < 400_000
    assert store.operations.load(whole.operation_id) == journal.operation


def test_what_is_not_there_is_none_or_an_error(store: Store) -> None:
    """Who asks for it in words is told where to look."""
    assert store.operations.find("nobody") is None
    with pytest.raises(OperationNotFoundError, match=r"no operation nobody\. List what there is"):
        store.operations.load("nobody")


def test_transactions_leave_each_other_alone(store: Store, journal: Journal) -> None:
    """I5: a reader finds every event that a record counts, and a refused transaction undoes its own part only."""
    number = journal.operation.operation_id
    late = Journal(store, journal.operation, Step.SNAPSHOT_CHECK)
    journal.begin()

    def lose() -> None:
        while writer.is_alive():
            with pytest.raises(ConflictError):
                late.note("TooLate", "the world", "so")

    writer = Thread(target=lambda: [journal.note("Noted", "the world", "so") for _ in range(40)])
    loser = Thread(target=lose)
    writer.start()
    loser.start()
    while loser.is_alive():
        counted = store.operations.load(number).audit_sequence
        assert len(store.audit.events(number)) >= counted
    writer.join()
    assert store.operations.load(number) == journal.operation


def test_a_write_that_lost_the_race_changes_nothing(store: Store, journal: Journal) -> None:
    """Neither state nor audit: version and sequence are conditions of one transaction (I5)."""
    late = Journal(store, journal.operation, Step.SNAPSHOT_CHECK)
    journal.begin()
    for act in (
        late.begin,
        lambda: late.note("X", "y", "z"),
        lambda: late.keep(kms_key_arn="x"),
        lambda: late.intend("X", "y", "z"),
    ):
        with pytest.raises(ConflictError):
            act()
    assert late.operation.version == 1
    assert [event.action for event in store.audit.events(late.operation.operation_id)] == ["AcceptRequest", "BeginStep"]


def test_a_second_first_write_is_a_conflict(store: Store, operation: Operation, journal: Journal) -> None:
    """Two calls of the first step at once: one of them makes the operation."""
    with pytest.raises(ConflictError):
        Journal(store, operation, Step.SNAPSHOT_CHECK).note("AcceptRequest", "x", "y")


def test_an_audit_event_is_never_replaced(store: Store, journal: Journal) -> None:
    """Even where the state's condition would hold."""
    (event,) = store.audit.events(journal.operation.operation_id)
    with pytest.raises(ConflictError):
        store.state.write([store.audit.append(event)])


def test_a_step_that_waits_is_no_event_but_is_kept(store: Store, journal: Journal) -> None:
    """A day of polling must not fill the audit; the record shows how far it is."""
    journal.begin()
    for _ in range(3):
        journal.begin()
        journal.judge(Verdict.wait("40 %"))
    stored = store.operations.load(journal.operation.operation_id)
    assert stored.steps[Step.SNAPSHOT_CHECK].calls == 4
    assert len(store.audit.events(stored.operation_id)) == 2
    journal.judge(Verdict.done("there"))
    assert store.audit.events(stored.operation_id)[-1].detail == "DONE: there"


def test_an_intent_is_in_the_audit_before_it_is_a_permission(store: Store, journal: Journal) -> None:
    """I5: number, action and subject are those of the event."""
    intent = journal.intend("CopyDBClusterSnapshot", "arn:snapshot", "why", kms_key_arn="arn:key")
    event = store.audit.events(journal.operation.operation_id)[-1]
    assert (event.sequence, event.kind, event.action, event.subject) == (
        2,
        EventKind.INTENT,
        intent.action,
        "arn:snapshot",
    )
    assert intent.sequence == 2
    assert store.operations.load(journal.operation.operation_id).kms_key_arn == "arn:key"


def test_an_intent_against_the_source_is_refused_and_not_written(store: Store, journal: Journal) -> None:
    """I1."""
    with pytest.raises(SourceWouldChangeError):
        journal.intend("ModifyDBCluster", "arn:source", "by mistake")
    assert len(store.audit.events(journal.operation.operation_id)) == 1


def test_operations_of_a_target_come_newest_first(store: Store, operation: Operation) -> None:
    """From the index, and no more than asked for."""
    for age in range(4):
        each = operation.with_(operation_id=f"{operation.operation_id}-{age}", requested_at=NOON - timedelta(days=age))
        Journal(store, each, Step.SNAPSHOT_CHECK).note("AcceptRequest", "x", "y")
    found = store.operations.of_target(operation.target, limit=3)
    assert [each.operation_id[-2:] for each in found] == ["-0", "-1", "-2"]


def test_the_newest_operations_are_no_locks(store: Store, journal: Journal) -> None:
    """Locks live in the same table."""
    lock = Lock(f"lock#{journal.operation.target}", journal.operation.operation_id, "arn:e", NOON)
    journal.note("TakeLock", lock.id, "free", writes=[store.locks.take(lock)])
    found = [each.operation_id for each in store.operations.newest(limit=1000)]
    assert journal.operation.operation_id in found
    assert lock.id not in found


def test_a_lock_is_its_holder_s_until_freed_or_left(store: Store, operation: Operation) -> None:
    """I3: the three ways to get it, each a clause of one condition."""
    region, cluster = operation.target.split("/")
    ours = Lock(f"lock#{operation.target}", "ours", "arn:ours", NOON)
    theirs = Lock(ours.id, "theirs", "arn:theirs", NOON)
    store.state.write([store.locks.take(ours)])
    assert store.locks.held(region, cluster) == ours
    store.state.write([store.locks.take(ours)])
    for refused in (
        store.locks.take(theirs),
        store.locks.take(theirs, abandoned_by="arn:somebody"),
        store.locks.free(theirs),
    ):
        with pytest.raises(ConflictError):
            store.state.write([refused])
    store.state.write([store.locks.take(theirs, abandoned_by="arn:ours")])
    assert store.locks.held(region, cluster) == theirs
    with pytest.raises(ConflictError):
        store.state.write([store.locks.free(ours)])
    store.state.write([store.locks.free(theirs)])
    assert store.locks.held(region, cluster) is None


def test_a_lock_expires_after_any_operation_is_over(store: Store, operation: Operation) -> None:
    """The table's time-to-live removes what even the failure path could not."""
    lock = Lock(f"lock#{operation.target}", "x", "arn:x", NOON)
    store.state.write([store.locks.take(lock)])
    item = store.state.get({"id": lock.id})
    assert item is not None
    assert timedelta(seconds=item["expires_at"] - NOON.timestamp()) >= timedelta(days=16)


def test_all_pages_of_a_long_audit_are_read(store: Store, operation: Operation) -> None:
    """DynamoDB answers a megabyte at a time."""
    previous = ""
    for sequence in range(1, 8):
        event = AuditEvent.following(
            previous,
            operation_id=operation.operation_id,
            sequence=sequence,
            at=NOON,
            step=None,
            kind=EventKind.OUTCOME,
            action="X",
            subject="y",
            detail="z" * 200_000,
        )
        previous = event.hash
        store.state.write([store.audit.append(event)])
    events = store.audit.events(operation.operation_id)
    assert verify(events, head=previous) == 7
    assert len(store.audit._table.query("operation_id", operation.operation_id, limit=2)) == 2


def chain(length: int) -> list[AuditEvent]:
    events: list[AuditEvent] = []
    for sequence in range(1, length + 1):
        events.append(
            AuditEvent.following(
                events[-1].hash if events else "",
                operation_id="x",
                sequence=sequence,
                at=NOON,
                step=Step.DELETE_RDS,
                kind=EventKind.INTENT,
                action="DeleteDBCluster",
                subject="arn:x",
                detail="why",
            )
        )
    return events


def test_a_whole_chain_verifies() -> None:
    """Any length, none included."""
    for length in (0, 1, 5):
        events = chain(length)
        assert verify(events, head=events[-1].hash if events else "") == length


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"detail": "another reason"}, "audit event 3 .* was changed"),
        ({"subject": "arn:y"}, "audit event 3 .* was changed"),
        ({"at": NOON + timedelta(seconds=1)}, "audit event 3 .* was changed"),
        ({"step": None}, "audit event 3 .* was changed"),
        ({"previous_hash": "x"}, "audit event 3 .* was changed"),
        ({"hash": "x"}, "audit event 3 .* was changed"),
        ({"sequence": 9}, "audit event 3 is missing: 9 follows 2"),
    ],
)
def test_a_changed_event_breaks_the_chain(change: dict[str, Any], said: str) -> None:
    """Whatever is changed, the first wrong event is named."""
    events = chain(5)
    events[2] = events[2].model_copy(update=change)
    with pytest.raises(AuditBrokenError, match=said):
        verify(events, head=events[-1].hash)


def test_a_forged_event_with_a_right_hash_breaks_the_chain_behind_it() -> None:
    """Whoever can compute hashes would have to rewrite all that follow, and the State table."""
    events = chain(5)
    content = events[2].model_dump(exclude={"hash", "previous_hash"}) | {"detail": "forged"}
    events[2] = AuditEvent.following(events[1].hash, **content)
    with pytest.raises(AuditBrokenError, match="audit event 4"):
        verify(events, head=events[-1].hash)


@pytest.mark.parametrize("left", [slice(0, 4), slice(1, 5), slice(0, 0)])
def test_a_removed_event_breaks_the_chain(left: slice) -> None:
    """At its end, where the State table knows a later one, or at its beginning."""
    events = chain(5)
    with pytest.raises(AuditBrokenError):
        verify(events[left], head=events[-1].hash)


def test_numbers_and_sets_survive_dynamodb(store: Store) -> None:
    """DynamoDB has decimals only; whole ones are whole again. A set written by another hand is read as a list."""
    item = {"id": "numbers", "half": 0.5, "whole": 7, "large": 2**60, "deep": [{"a": [1, 2.25, None, True, ""]}]}
    store.state.write([Write(store.state.name, "attribute_not_exists(#id)", {"#id": "id"}, {}, item=item)])
    assert store.state.get({"id": "numbers"}) == item
    store.state._client.put_item(TableName=store.state.name, Item={"id": {"S": "set"}, "tags": {"SS": ["b", "a"]}})
    assert store.state.get({"id": "set"}) == {"id": "set", "tags": ["a", "b"]}
    store.state._client.put_item(TableName=store.state.name, Item={"id": {"S": "odd"}, "raw": {"B": b"x"}})
    with pytest.raises((TypeError, ValueError)):
        store.state.get({"id": "odd"})
    for name in ("numbers", "set", "odd"):
        store.state._client.delete_item(TableName=store.state.name, Key={"id": {"S": name}})


def test_a_table_is_there_or_not(store: Store) -> None:
    """For whoever looks at a deployment; a query of a table that is not there is refused."""
    assert store.state.exists()
    missing = Table(store.state._client, "missing")
    assert not missing.exists()
    with pytest.raises(ResourceNotFoundError, match="ResourceNotFoundException"):
        missing.scan()


def test_a_look_sees_locks_and_what_runs_or_has_ended_lately(store: Store, operation: Operation) -> None:
    """However long the history is: what ended long ago is not answered."""
    ends = {"long-ago": NOON - timedelta(days=50), "lately": NOON - timedelta(days=3), "runs": None}
    number = next(_numbers)
    for name, ended_at in ends.items():
        status = OperationStatus.RUNNING if ended_at is None else OperationStatus.FAILED
        changes = {"operation_id": f"{name}-{number}", "status": status, "ended_at": ended_at}
        Journal(store, operation.with_(**changes), Step.SNAPSHOT_CHECK).note("AcceptRequest", operation.target, "so")
    lock = Lock(lock_id(WEST, f"looked-at-{number}"), f"runs-{number}", "arn:execution", NOON)
    store.state.write([store.locks.take(lock)])
    seen = survey(store.state, since=NOON - timedelta(days=40))
    ours = {each.operation_id for each in seen.operations} & {f"{name}-{number}" for name in ends}
    assert ours == {f"lately-{number}", f"runs-{number}"}
    assert lock in seen.locks
