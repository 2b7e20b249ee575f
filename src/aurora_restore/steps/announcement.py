"""The message about an operation's outcome: a text that a person reads in ten seconds, and JSON for machines."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from aurora_restore.operation import Operation, OperationStatus, Step
from aurora_restore.steps.advice import what_to_do

# SNS takes 256 KiB a message, in which the event stands twice, as text in JSON.
_LARGEST_EVENT_BYTES = 70_000
_LONG_FIELDS = ("user_secrets", "scripts", "checks", "not_restored")
# Nobody reads more of them in a message.
_MANY = 100


def announce(operation: Operation) -> tuple[str, str, dict[str, Any]]:
    """Return the subject, the text and the event of an operation that has ended. None of them holds a secret (I6)."""
    event = _fitting(_event(operation))
    headline = f"{operation.target} {'restored' if operation.status is OperationStatus.SUCCEEDED else 'NOT restored'}"
    subject = f"{headline}: {operation.operation_id}"
    body = _success(operation) if operation.status is OperationStatus.SUCCEEDED else _failure(operation)
    return subject, "\n".join([headline, "", *body, "", *_steps(operation), "", *_closing(operation)]), event


def duration(length: timedelta) -> str:
    """Return a length of time as people say it: 42 s, 7 min 5 s, 2 h 10 min."""
    seconds = round(length.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def _success(operation: Operation) -> list[str]:
    restored, snapshot = operation.restored, operation.snapshot
    lines = []
    if snapshot is not None:
        lines.append(f"From:     {snapshot.identifier} ({snapshot.cluster}, {snapshot.region}, {_taken(operation)})")
    if restored is not None:
        lines.append(f"Endpoint: {restored.endpoint}:{restored.port}")
    if operation.logins:
        lines.append(f"Logins:   {_listed(operation.logins)}")
    lines.extend(_database_work(operation))
    if operation.master_secret_arn:
        lines.append(f"Master:   its password is in {operation.master_secret_arn}")
    lost = operation.not_restored
    lines.extend(f"Lost:     {sentence}" for sentence in lost[:_MANY])
    if len(lost) > _MANY:
        lines.append(f"Lost:     and {len(lost) - _MANY:,} more")
    return lines


def _database_work(operation: Operation) -> Iterator[str]:
    work = operation.database_work
    if work.scripts:
        yield f"SQL:      {_listed([script.file for script in work.scripts])}"
    if work.checks:
        yield f"Checks:   {len(work.checks)} of {len(work.checks)} hold"


def _failure(operation: Operation) -> list[str]:
    failure = operation.failure
    if failure is None:
        return []
    lines = [f"Failed in {failure.step or 'the execution'}: {failure.error}", failure.message, "", "What stands now:"]
    lines.extend(f"  {sentence}" for sentence in standing(operation))
    return lines


def standing(operation: Operation) -> list[str]:
    """Return what a person must know after a failure: was anything deleted, what is half made, where is the data."""
    if Step.DELETE_RDS not in operation.steps:
        return ["Nothing was deleted. The target is as it was."]
    sentences = [_about_deletion(operation)] if operation.old_target is not None else []
    if operation.database_work.users_set:
        sentences.extend(_about_database(operation))
    elif Step.SETUP_DB_USERS in operation.steps:
        sentences.append(_about_logins(operation))
    elif Step.RESTORE_SNAPSHOT in operation.steps:
        sentences.append(f"The new cluster may be half made: look at {operation.target} before using it.")
    if operation.restore_from is not None:
        sentences.append(_about_data(operation.restore_from.arn, stands=operation.data_stands))
    return sentences


def _about_logins(operation: Operation) -> str:
    if operation.database_work.closed:
        return "The new cluster stands. Production's logins are closed; the users of the request are not all set up."
    return (
        "The new cluster stands, but its users are not all set up: logins that came with production's data may still"
        " work in it, with production's passwords."
    )


def _about_database(operation: Operation) -> Iterator[str]:
    work = operation.database_work
    if work.opened:
        yield "The new cluster stands, and the users of the request can log in to it."
    elif work.shut:
        yield (
            "The new cluster stands. Its users cannot log in: they were let in for the checks, and closed again because"
            " not all of these hold. Resumed, they are let in, and the checks made anew."
        )
    elif work.tidied or not operation.wanted.sql:
        yield (
            "The new cluster stands. Some of its users may be able to log in, and some not: it was letting them in, or"
            " closing them again."
        )
    else:
        yield (
            "The new cluster stands. Its users cannot log in yet: they are let in when all SQL files have run, and have"
            " let in nobody else."
        )
    ran = [script.file for script in work.scripts]
    if operation.wanted.sql:
        yield f"SQL files that were run: {_listed(ran) or 'none'}, of {len(operation.wanted.sql)}."


def _about_data(arn: str, *, stands: bool | None) -> str:
    match stands:
        case True:
            return f"The data is safe in {arn}."
        case False:
            return f"The snapshot to restore from is gone or not available: {arn}. Find out who deleted it."
        case None:
            return f"The data was last seen in {arn}."


def _about_deletion(operation: Operation) -> str:
    if operation.finished(Step.DELETE_RDS) is not None:
        return f"The old target is deleted; its final snapshot: {operation.final_snapshot_arn or 'none'}."
    if operation.deletion_began:
        return "The deletion of the target began; it may be gone in part."
    if operation.old_target is not None and operation.old_target.protected:
        return (
            "Nothing was deleted. The target's deletion protection may have been lifted: look, and switch it on again."
        )
    return "Nothing was deleted. The target is as it was."


def _steps(operation: Operation) -> list[str]:
    lines = ["Steps:"]
    for step in Step:
        record = operation.steps.get(step)
        if record is not None and step is not Step.SNS_NOTIFICATION:
            taken = duration((record.ended_at or operation.ended_at or record.started_at) - record.started_at)
            status = record.verdict.status if record.verdict and record.ended_at else "FAILED"
            lines.append(f"  {step:<20} {status:<6} {taken:>12}")
    return lines


def _closing(operation: Operation) -> list[str]:
    lines = [f"All about it: aurora-restore status {operation.operation_id}"]
    return lines if operation.status is OperationStatus.SUCCEEDED else [*lines, what_to_do(operation)]


def _taken(operation: Operation) -> str:
    created_at = operation.snapshot.created_at if operation.snapshot else None
    return f"taken {created_at:%Y-%m-%d %H:%M} UTC" if created_at else "time unknown"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MANY
    return ", ".join(names[:_MANY]) + (f" and {more:,} more" if more > 0 else "")


def _fitting(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event without what is too long to be sent (I8): the longest first."""
    left_out: list[str] = []
    for field in sorted(_LONG_FIELDS, key=lambda name: _size_bytes(event[name]), reverse=True):
        if _size_bytes(event) > _LARGEST_EVENT_BYTES:
            event = event | {field: type(event[field])()}
            left_out.append(field)
    return event | {"left_out": left_out}


def _size_bytes(content: object) -> int:
    return len(json.dumps(json.dumps(content)))


def _event(operation: Operation) -> dict[str, Any]:
    restored, failure = operation.restored, operation.failure
    return {
        "operation_id": operation.operation_id,
        "execution": operation.executions,
        "outcome": operation.status.value,
        "target": operation.target,
        "source": operation.source_arn,
        "snapshot": operation.snapshot.arn if operation.snapshot else None,
        "endpoint": restored.endpoint if restored else None,
        "port": restored.port if restored else None,
        "requested_at": operation.requested_at.isoformat(),
        "ended_at": operation.ended_at.isoformat() if operation.ended_at else None,
        "steps": {
            step.value: {
                "status": record.verdict.status.value if record.verdict else None,
                "seconds": round(((record.ended_at or record.started_at) - record.started_at).total_seconds()),
            }
            for step, record in operation.steps.items()
        },
        "user_secrets": operation.user_secrets,
        "master_secret": operation.master_secret_arn,
        "scripts": [script.model_dump(mode="json") for script in operation.database_work.scripts],
        "checks": list(operation.database_work.checks),
        "not_restored": list(operation.not_restored),
        "failure": failure.model_dump(mode="json") if failure else None,
    }
