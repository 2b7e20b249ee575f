"""Operations as JSON documents: what ``--json`` prints. docs/reference/cli.md describes every field."""

from datetime import datetime
from typing import Any

from aurora_restore.operation import Operation, OperationStatus, Step
from aurora_restore.steps.advice import what_to_do
from aurora_restore.steps.announcement import standing


def steps_document(operation: Operation) -> list[dict[str, Any]]:
    """Return the steps that have begun, in order; status is DONE, SKIP, WAIT, RUNNING or FAILED, times in UTC."""
    return [
        {
            "name": step.value,
            "status": _step_status(operation, step),
            "reason": record.verdict.reason if record.verdict else "",
            "started_at": _time(record.started_at),
            "ended_at": _time(record.ended_at or _end_of_failed(operation, step)),
        }
        for step in Step
        if (record := operation.steps.get(step)) is not None
    ]


def _end_of_failed(operation: Operation, step: Step) -> datetime | None:
    """Return when a step failed: its record has no end, but with it the operation ended."""
    return operation.ended_at if _has_failed(operation, step) else None


def _has_failed(operation: Operation, step: Step) -> bool:
    return operation.failure is not None and operation.failure.step is step


def _step_status(operation: Operation, step: Step) -> str:
    record = operation.steps[step]
    if _has_failed(operation, step):
        return "FAILED"
    return record.verdict.status.value if record.verdict else "RUNNING"


def summary_document(operation: Operation) -> dict[str, Any]:
    """Return an operation as one element of a list."""
    region, _, cluster = operation.target.partition("/")
    return {
        "operation_id": operation.operation_id,
        "status": operation.status.value,
        "target": {"cluster": cluster, "region": region},
        "requested_at": _time(operation.requested_at),
        "ended_at": _time(operation.ended_at),
        "failure": operation.failure.model_dump(mode="json") if operation.failure else None,
    }


def operation_document(operation: Operation, *, state: str = "") -> dict[str, Any]:
    """Return everything about an operation that a person or a script wants to know; secrets as ARNs (I6).

    ``state``: as ``Pipeline.state`` says, where that is not the status in the record.
    """
    status = state or operation.status.value
    needs_somebody = status not in {OperationStatus.RUNNING, OperationStatus.SUCCEEDED}
    return {
        **summary_document(operation),
        "status": status,
        "execution_arn": operation.execution_arn,
        "stack": operation.stack,
        "source": _source(operation),
        "target": _target(operation),
        "steps": steps_document(operation),
        "final_snapshot": operation.final_snapshot_arn,
        "archive": operation.archive_arn,
        "scripts": [script.model_dump(mode="json") for script in operation.database_work.scripts],
        "checks": list(operation.database_work.checks),
        "not_restored": list(operation.not_restored),
        "stands": standing(operation) if needs_somebody else [],
        "advice": advice(operation, status) if needs_somebody else None,
    }


def advice(operation: Operation, state: str) -> str:
    """Return what a person does after an operation that did not succeed, or whose execution was stopped."""
    if state != "stopped":
        return what_to_do(operation)
    end = f"To have its end recorded and told: aurora-restore abort {operation.operation_id}."
    if operation.shape is None:
        return f"It had not begun: start the request again when it is wanted, which takes its lock over. {end}"
    return f"To go on where it was stopped: aurora-restore resume {operation.operation_id}. {end}"


def _source(operation: Operation) -> dict[str, Any] | None:
    if operation.request is None:
        return None
    snapshot = operation.snapshot
    taken = snapshot and {
        "identifier": snapshot.identifier,
        "arn": snapshot.arn,
        "created_at": _time(snapshot.created_at),
    }
    return {
        "cluster": operation.request.source.cluster,
        "region": operation.request.source.region,
        "arn": operation.source_arn,
        "snapshot": taken,
    }


def _target(operation: Operation) -> dict[str, Any]:
    region, _, cluster = operation.target.partition("/")
    restored = operation.restored
    return {
        "cluster": cluster,
        "region": region,
        "arn": restored.arn if restored else None,
        "endpoint": restored.endpoint if restored else None,
        "reader_endpoint": restored.reader_endpoint if restored else None,
        "port": restored.port if restored else None,
        "logins": list(operation.logins),
        "user_secrets": dict(operation.user_secrets),
        "master_secret": operation.master_secret_arn,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
