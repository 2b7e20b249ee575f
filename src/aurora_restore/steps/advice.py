"""What a person does after an operation that did not succeed: the likeliest first, by what it failed with."""

from collections.abc import Mapping
from typing import Final

from aurora_restore.errors import (
    AuroraRestoreError,
    AwsRefusedError,
    DatabaseRefusedError,
    PreflightError,
    RequestError,
    RestoreFailedError,
    ScriptFailedError,
    SnapshotFailedError,
    SourceWouldChangeError,
    StepTimedOutError,
    TargetLockedError,
    UnexpectedError,
    VerificationFailedError,
)
from aurora_restore.operation import Operation, OperationStatus, Step

_NOT_BEGUN: Final = "This operation had not begun, and holds no lock."
# Resume goes on with the request that the record holds: whoever has corrected the file must not wait for that.
_REQUEST_OR_WORLD: Final = (
    "Where the request is wrong, correct it and start it anew: resume would go on with it as it was. "
    "Where it is right, mend what is wrong {place}, then go on where it ended: {resume}."
)
_REPORT: Final = (
    "This is a mistake in the pipeline: please report it, with the audit. Then go on where it ended: {resume}."
)
_GIVEN_UP: Final = (
    "Mend the cause above, then start the request anew: it replaces what RDS gave up. "
    "Only where RDS got over it by itself, go on where it ended: {resume}."
)
_DEFAULT: Final = (
    "Mend the cause above, then go on where it ended: {resume}. "
    "Where the request has to change for that, start it anew: resume goes on with it as it was."
)


def _by_name(advice: Mapping[type[AuroraRestoreError], str]) -> dict[str, str]:
    return {error.__name__: text for error, text in advice.items()}


_ADVICE: Final = _by_name(
    {
        RequestError: _REQUEST_OR_WORLD,
        PreflightError: _REQUEST_OR_WORLD,
        AwsRefusedError: _REQUEST_OR_WORLD,
        DatabaseRefusedError: _REQUEST_OR_WORLD,
        ScriptFailedError: (
            "Where the SQL is wrong, correct it and start the request anew: resume would run it as it was. "
            "Where the database is, mend it there, then go on where it ended: {resume}."
        ),
        VerificationFailedError: (
            "Where a check is wrong, or another snapshot is wanted, correct the request and start it anew: resume "
            "would make the same checks. Where the data is, mend it there, then have them made again: {resume}."
        ),
        StepTimedOutError: (
            "Look whether what it waited for is done by now, then go on, with the step's whole time again: {resume}. "
            "For the next time, raise the limit in timeouts."
        ),
        TargetLockedError: "Wait until the other operation has ended, then: {resume}.",
        SnapshotFailedError: _GIVEN_UP,
        RestoreFailedError: _GIVEN_UP,
        SourceWouldChangeError: _REPORT,
        UnexpectedError: _REPORT,
    }
)
_ANEW: Final = "Mend the cause above, then start the request again."
_NOT_BEGUN_ADVICE: Final = _by_name(
    {
        RequestError: "Correct the request, then start it again.",
        PreflightError: "Mend each line above, in the request or in AWS, then start the request again.",
        TargetLockedError: "Wait until the other operation has ended, then start the request again.",
    }
)


# The kinds of things in RDS's ARNs, and what its events call them.
_SOURCES: Final = {"cluster": "db-cluster", "db": "db-instance", "cluster-snapshot": "db-cluster-snapshot"}


def events_of(arn: str) -> str:
    """Return where a person sees why RDS has given something up: a cluster, an instance or a cluster's snapshot.

    Half a day of events: without a duration RDS shows the last hour, and a restore may take longer.
    """
    _, _, _, region, _, kind, name = arn.split(":", 6)
    return (
        f"Look at why: aws rds describe-events --region {region} --source-type {_SOURCES[kind]}"
        f" --source-identifier {name} --duration 720"
    )


def what_to_do(operation: Operation) -> str:
    """Return what a person does after an operation that did not succeed."""
    error = operation.failure.error if operation.failure is not None else ""
    was_aborted = operation.status is OperationStatus.ABORTED
    if operation.shape is None:
        first = "Start the request again when it is wanted." if was_aborted else _NOT_BEGUN_ADVICE.get(error, _ANEW)
        return f"{first} {_NOT_BEGUN}"
    if was_aborted:
        advice = "To go on where it was stopped: {resume}. To give it up, remove what is left of it, as said above."
    else:
        advice = _ADVICE.get(error, _DEFAULT)
    is_about_database = operation.current_step is Step.SETUP_DB_USERS and error != AwsRefusedError.__name__
    place = "in the database" if is_about_database else "in AWS"
    return advice.format(resume=f"aurora-restore resume {operation.operation_id}", place=place)
