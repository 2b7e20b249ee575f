"""Deliberate defects, each breaking a promise: an oracle that does not see them would be worth nothing."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from aurora_restore import safety
from aurora_restore.aws import door, rds
from aurora_restore.aws.rds import Rds
from aurora_restore.aws.topics import Topic
from aurora_restore.database.engine import DesiredState
from aurora_restore.database_request import Logins
from aurora_restore.names import SnapshotRole
from aurora_restore.operation import Intent, Operation, Step, Verdict
from aurora_restore.shape import ClusterShape
from aurora_restore.steps import (
    announcement,
    archive_snapshot,
    check_copy_status,
    check_restore_status,
    checks,
    database_users,
    ending,
    setup_db_users,
    snapshot_check,
    user_secrets,
)
from aurora_restore.store.audit import Audit
from aurora_restore.store.journal import Journal
from aurora_restore.store.operations import Operations
from tests.faults.variations import SOURCE
from tests.steps.sessions import FakeSession

Replacement = tuple[Any, str, Callable[..., Any]]


@dataclass(frozen=True)
class Defect:
    """A mistake that somebody could make: what it replaces, the promise it breaks, and a scenario that shows it."""

    name: str
    promise: str
    scenario: str
    replacements: tuple[Replacement, ...]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Have the defect in the code, and take it out again."""
        with ExitStack() as stack:
            for owner, name, made in self.replacements:
                sound = getattr(owner, name)
                stack.callback(setattr, owner, name, sound)
                setattr(owner, name, made)
            yield


def _nothing_refused(_: Any) -> Iterator[str]:
    yield from ()


def _copy_is_there_at_once(journal: Journal, world: Any) -> Verdict:
    operation, target = journal.operation, journal.operation.wanted.target
    copy = world.rds(target.region).snapshot(operation.snapshot_identifier(SnapshotRole.COPY, target.cluster))
    journal.keep(restore_from=copy)
    return Verdict.done("it will be there")


def _keep_lock_on_failure(operation: Operation, world: Any, sound: Any = ending._own_lock) -> Any:
    return None if "failed" in str(operation.restored or "failed") else sound(operation, world)


def _announce_late(journal: Journal, action: str, subject: str, why: str, **changes: Any) -> Intent:
    journal.keep(**changes)
    late = getattr(journal, "late", [])
    journal.late = [*late, (action, subject, why)]  # type: ignore[attr-defined]
    return Intent(operation_id=journal.operation.operation_id, sequence=0, action=action, subject=subject)


def _judge_late(
    journal: Journal, verdict: Verdict, sound: Any = Journal.judge, intend: Any = Journal.intend
) -> Operation:
    for action, subject, why in getattr(journal, "late", []):
        intend(journal, action, subject, why)
    judged: Operation = sound(journal, verdict)
    return judged


def _name_by_attempt(
    operation: Operation, role: SnapshotRole, cluster: str, sound: Any = Operation.snapshot_identifier
) -> str:
    record = operation.steps.get(Step.COPY_SNAPSHOT)
    suffix = f"-{record.calls}" if record and role is SnapshotRole.COPY else ""
    return f"{sound(operation, role, cluster)}{suffix}"


def _modify_source(client: Rds, _: str, parameters: Mapping[str, Any]) -> None:
    door.demand(client._client.modify_db_cluster, DBClusterIdentifier=SOURCE, ApplyImmediately=True, **parameters)


def _not_found_on_any_error(method: Any, *, tolerate: frozenset[str] = frozenset(), **parameters: Any) -> Any:
    try:
        return method(**parameters)
    except ClientError as error:
        if tolerate:
            return None
        raise door.translate(error) from None


def _publish_twice(topic: Topic, *, subject: str, text: str, event: dict[str, Any], sound: Any = Topic.publish) -> str:
    sound(topic, subject=subject, text=text, event={**event, "outcome": "succeeded-or-not"})
    return str(sound(topic, subject=subject, text=text, event=event))


def _notify_nobody(journal: Journal, world: Any) -> None:
    journal.keep(notified_at=world.clock.now())


def _tell_password(journal: Journal, world: Any, sound: Any = setup_db_users.run) -> Verdict:
    verdict: Verdict = sound(journal, world)
    secret = world.secrets(journal.operation.wanted.target.region).find(journal.operation.master_secret_arn)
    return verdict.model_copy(update={"reason": f"{verdict.reason}; logged in with {secret.password}"})


def _no_instances_needed(*_: Any) -> None:
    """Ask for none."""


def _no_readers_needed(shape: ClusterShape, instances: Any, sound: Any = check_restore_status._about_instances) -> Any:
    return sound(shape.model_copy(update={"instances": shape.instances[:1]}), instances)


def _anybodys(_: Operation) -> dict[str, str]:
    return {}


def _prune_all(archives: Any, **_: Any) -> tuple[Any, ...]:
    return tuple(archives)


def _without_condition(store: Any, thing: Any, *, sound: Any) -> Any:
    return replace(sound(store, thing), condition="", names={}, values={})


def _write_anyway(store: Operations, operation: Operation, sound: Any = Operations.write) -> Any:
    return _without_condition(store, operation, sound=sound)


def _append_anyway(audit: Audit, event: Any, sound: Any = Audit.append) -> Any:
    return _without_condition(audit, event, sound=sound)


def _skip_final_snapshot(client: Rds, intent: Intent, warrant: Any, cluster: Any) -> None:
    door.call(
        client._client.delete_db_cluster,
        tolerate=rds._NO_CLUSTER,
        DBClusterIdentifier=cluster.identifier,
        SkipFinalSnapshot=True,
    )


def _take_no_lock(*_: Any) -> None:
    """Let anybody work on the target."""


def _open_at_once(*arguments: Any, opens: bool, sound: Any = database_users._desired) -> DesiredState:
    state: DesiredState = sound(*arguments, opens=True)
    return state


def _keep_logins(**asked: Any) -> DesiredState:
    return DesiredState(**{**asked, "logins": Logins.KEEP})


def _another_version(*_: str) -> str:
    return uuid.uuid4().hex


def _run_unmarked(session: FakeSession, statements: Any, *_: Any) -> None:
    session.contents.ran.extend(statement.text for statement in statements)


def _always_safe(arn: str, *, stands: bool | None) -> str:
    return f"The data is safe in {arn}."


def _tag_with_another(
    operation: Operation, role: SnapshotRole | None = None, sound: Any = Operation.pipeline_tags
) -> Any:
    return {**sound(operation, role), "aurora-restore:operation": f"{uuid.uuid4()}"}


DEFECTS: tuple[Defect, ...] = (
    Defect(
        "deletes before the copy is available", "I2", "renewal/nothing",
        ((check_copy_status, "run", _copy_is_there_at_once), (safety, "_about_restore", _nothing_refused)),
    ),
    Defect(
        "does not release the lock on failure", "I4", "operation/copy-fails",
        ((ending, "_own_lock", _keep_lock_on_failure),),
    ),
    Defect(
        "writes the audit after the act", "I5", "renewal/nothing",
        ((Journal, "intend", _announce_late), (Journal, "judge", _judge_late), (rds, "_expect", _take_no_lock)),
    ),
    Defect(
        "makes a second copy when retried", "I4", "renewal/CopySnapshot.CopyDBClusterSnapshot.1:killed-after",
        ((Operation, "snapshot_identifier", _name_by_attempt),),
    ),
    Defect("names the source in a modification", "I1", "at-home/nothing", ((Rds, "_modify", _modify_source),)),
    Defect(
        "does not check the warrant's clauses", "I2", "operation/target-made-anew-by-another-at-DeleteRDS.GetItem.1",
        (
            (safety, "_about_target", _nothing_refused),
            (safety, "_about_request", _nothing_refused),
            (safety, "_about_restore", _nothing_refused),
        ),
    ),
    Defect(
        "takes any error for 'not found'", "I4", "renewal/DeleteRDS.DescribeDBClusters.1:unavailable",
        ((rds, "call", _not_found_on_any_error),),
    ),
    Defect("tells the end twice", "I8", "renewal/nothing", ((Topic, "publish", _publish_twice),)),
    Defect("tells nobody", "I8", "renewal/nothing", ((ending, "_notify", _notify_nobody),)),
    Defect("logs a password", "I6", "renewal/nothing", ((setup_db_users, "run", _tell_password),)),
    Defect(
        "calls a cluster without readers done", "I9", "renewal/nothing",
        ((check_restore_status, "_about_instances", _no_readers_needed),
         (check_restore_status, "_differences", lambda *_: ())),
    ),
    Defect(
        "calls a cluster without instances done", "I4", "renewal/nothing",
        ((check_restore_status, "_about_instances", _no_instances_needed),
         (check_restore_status, "_differences", lambda *_: ())),
    ),
    Defect("prunes what others made", "I2", "renewal/nothing", ((archive_snapshot, "_mine", _anybodys),)),
    Defect(
        "prunes the last archive", "I2", "renewal/nothing",
        ((archive_snapshot, "to_prune", _prune_all), (archive_snapshot, "_needed", lambda _: set())),
    ),
    Defect(
        "writes state and audit unconditionally", "I5", "renewal/CopySnapshot.TransactWriteItems.2:twice-at-once",
        ((Operations, "write", _write_anyway), (Audit, "append", _append_anyway)),
    ),
    Defect("takes no final snapshot", "I2", "renewal/nothing", ((Rds, "delete_cluster", _skip_final_snapshot),)),
    Defect(
        "takes no lock", "I3", "operation/another-begins-at-DeleteRDS.DeleteDBCluster.1",
        ((snapshot_check, "_take_lock", _take_no_lock),),
    ),
    Defect(
        "makes another password when it is called again", "I4", "renewal/SetupDBUsers.PutSecretValue.1:killed-after",
        ((user_secrets, "secret_version", _another_version),),
    ),
    Defect(
        "runs SQL again when it is called again", "I4", "renewal/SetupDBUsers.PutItem.3:killed-before",
        ((FakeSession, "marks", lambda *_: {}), (FakeSession, "run", _run_unmarked)),
    ),
    Defect(
        "says that logins are closed and closes none", "truth", "operation/database-refuses-to-stop-a-leftover",
        ((database_users, "_close", lambda site: site.keep(closed=True)),),
    ),
    Defect(
        "says that users are shut out and shuts out none", "truth", "operation/a-check-does-not-hold",
        ((checks, "shut_users_out", lambda site: site.keep(opened=False, shut=True)),),
    ),
    Defect("lets users in before SQL is run", "I7", "renewal/nothing", ((database_users, "_desired", _open_at_once),)),
    Defect("leaves production's logins", "I7", "renewal/nothing", ((database_users, "DesiredState", _keep_logins),)),
    Defect(
        "says that lost data is safe", "truth", "operation/copy-disappears-before-the-restore",
        ((announcement, "_about_data", _always_safe),),
    ),
    Defect(
        "tags its things with another operation", "I4", "renewal/nothing",
        ((Operation, "pipeline_tags", _tag_with_another),),
    ),
)  # fmt: skip
"""What is planted, where it shows, and what it breaks."""
