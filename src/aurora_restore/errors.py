"""The error tree. Its class names are the contract of ``workflow/restore.asl.json``: what it retries and catches.

AuroraRestoreError
├── RequestError                    the user must change the request              never retried
├── ConfigurationError              the deployment is wrong                       never retried
│   ├── AccessDeniedError           IAM or a key's policy said no
│   ├── DeploymentNotFoundError     there is no such stack here
│   └── EnvironmentUnfitError       this machine or network cannot do it
├── SafetyError                     we refuse; a person must look                 never retried
│   ├── DeletionNotWarrantedError   a clause of I2 does not hold
│   ├── SourceWouldChangeError      a change would have named the source (I1)
│   ├── TargetLockedError           another operation works on the target (I3)
│   └── ForeignResourceError        the name we need belongs to somebody else
├── PreconditionError               the world is not as the step needs it         never retried
│   ├── PreflightError              what would have failed late, all of it at once
│   ├── PlanOutdatedError           the world is not as it was when the plan was made
│   ├── ResourceNotFoundError       a thing that must be there is not
│   ├── KeyUnusableError            a KMS key is missing, disabled or elsewhere
│   ├── QuotaExceededError          a quota is full and waiting will not help
│   └── OperationNotFoundError      there is no such operation
├── FailedByAwsError                AWS or the database tried and failed          never retried
│   ├── SnapshotFailedError         a snapshot or its copy ended as failed
│   ├── RestoreFailedError          cluster or instance ended in a terminal status
│   ├── StepTimedOutError           the step's own limit has passed
│   ├── AwsRefusedError             AWS refused a call as we made it
│   ├── UnknownStatusError          AWS answered with a status nobody has classified
│   ├── DatabaseRefusedError        the database refused a statement or a login
│   ├── ScriptFailedError           SQL of the request was refused, or let somebody in who is not listed
│   └── VerificationFailedError     the restored data is not what the request says it must be
├── AuditBrokenError                the audit chain does not verify               never retried
├── UnexpectedError                 a mistake of ours; the log has the trace      never retried
├── ConflictError                   somebody else moved the operation             retried: re-read, then decide
└── TransientError                  passes by itself                              retried
    ├── ThrottledError              AWS asked us to slow down
    ├── AwsUnavailableError         5xx, a lost connection, a lost answer
    ├── NotReadyError               the thing is in a transitional state
    ├── CapacityError               AWS has no such instance to give now
    ├── CopyQuotaError              five copies are in flight in the region already
    └── DatabaseUnreachableError    the endpoint does not answer yet
"""

from collections.abc import Iterable
from dataclasses import dataclass


class AuroraRestoreError(Exception):
    """What went wrong, to which thing, and what to do about it. Never holds a secret (I6)."""

    def __init__(self, what: str, *, advice: str = "") -> None:
        """Take what happened, as a sentence without its full stop, and what the user can do about it."""
        self.what = what
        self.advice = advice
        super().__init__(f"{what}. {advice}" if advice else what)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it is, what was found there, what is expected; and its line, where it stands in a file."""

    path: str
    found: str
    expected: str
    line: int | None = None

    def __str__(self) -> str:
        """Return the mistake as one line."""
        place = self.path if self.line is None else f"line {self.line}, {self.path}"
        return f"{place}: found {self.found}; expected {self.expected}"


def _as_list(headline: str, problems: Iterable[str]) -> str:
    return "\n".join([headline, *(f"  - {problem}" for problem in problems)])


class RequestError(AuroraRestoreError):
    """The request is wrong; ``problems`` holds every mistake in it."""

    def __init__(self, problems: Iterable[Problem], *, origin: str = "the request") -> None:
        """Take all mistakes at once, and the file or input they were found in."""
        self.problems = tuple(problems)
        count = len(self.problems)
        headline = f"{origin} has {count} {'mistake' if count == 1 else 'mistakes'}:"
        super().__init__(_as_list(headline, map(str, self.problems)))


class ConfigurationError(AuroraRestoreError):
    """The deployment, not the request, is wrong."""


class AccessDeniedError(ConfigurationError):
    """IAM or a key's policy refused a call."""


class DeploymentNotFoundError(ConfigurationError):
    """There is no pipeline of this stack name in this account and region."""


class EnvironmentUnfitError(ConfigurationError):
    """This machine, its network or its credentials cannot do what was asked."""


class SafetyError(AuroraRestoreError):
    """The pipeline refuses, because it could destroy what it must not."""


class DeletionNotWarrantedError(SafetyError):
    """At least one clause of I2 does not hold; ``refusals`` holds every one that does not."""

    def __init__(self, target: str, refusals: Iterable[str]) -> None:
        """Take the target's name and a sentence for each clause that fails."""
        self.refusals = tuple(refusals)
        super().__init__(_as_list(f"refused to delete {target}:", self.refusals))


class SourceWouldChangeError(SafetyError):
    """A changing call would have named the source cluster (I1)."""


class TargetLockedError(SafetyError):
    """Another operation holds the target (I3)."""


class ForeignResourceError(SafetyError):
    """A thing with the name we need exists and is not this operation's."""


class PreconditionError(AuroraRestoreError):
    """The world is not as the step needs it; a person must change it."""


class PreflightError(PreconditionError):
    """Everything that would have failed later, found before anything was changed."""

    def __init__(self, problems: Iterable[str], *, stands: str = "nothing was changed") -> None:
        """Take a sentence for each problem; ``stands`` says what they have left undone."""
        self.problems = tuple(problems)
        count = len(self.problems)
        headline = f"{stands}, because {count} {'thing' if count == 1 else 'things'} would fail:"
        super().__init__(_as_list(headline, self.problems))


class PlanOutdatedError(PreconditionError):
    """The world differs from what was planned; ``differences`` holds every one, and nothing was started."""

    def __init__(self, differences: Iterable[str]) -> None:
        """Take a sentence for each difference."""
        self.differences = tuple(differences)
        headline = "nothing was started, because the world is not as it was planned:"
        super().__init__(_as_list(headline, self.differences))


class ResourceNotFoundError(PreconditionError):
    """A thing that must exist does not."""


class KeyUnusableError(PreconditionError):
    """A KMS key does not exist, is disabled, or is not usable here."""


class QuotaExceededError(PreconditionError):
    """A quota of the account is full, and waiting will not empty it."""


class OperationNotFoundError(PreconditionError):
    """The State table has no such operation."""


class FailedByAwsError(AuroraRestoreError):
    """AWS or the database accepted the work and then failed, or refused it for good."""


class SnapshotFailedError(FailedByAwsError):
    """A snapshot, or the copy of one, ended as failed."""


class RestoreFailedError(FailedByAwsError):
    """The cluster or one of its instances ended in a terminal status."""


class StepTimedOutError(FailedByAwsError):
    """A step waited as long as the request allows."""


class AwsRefusedError(FailedByAwsError):
    """AWS refused a call as it was made, and would refuse it again."""


class UnknownStatusError(FailedByAwsError):
    """AWS answered with a status that nobody has classified."""


class DatabaseRefusedError(FailedByAwsError):
    """The database refused a statement or a login."""


class ScriptFailedError(FailedByAwsError):
    """SQL of the request failed; the message has file and line, and nothing of the statement or the data (I6)."""


class VerificationFailedError(FailedByAwsError):
    """Checks of the request do not hold; ``faults`` has a sentence for each, none with data (I6).

    The users, who had been let in to make them, are closed again.
    """

    def __init__(self, faults: Iterable[str]) -> None:
        """Take a sentence for each check that does not hold."""
        self.faults = tuple(faults)
        super().__init__(_as_list("the restored database is not what it must be:", self.faults))


class AuditBrokenError(AuroraRestoreError):
    """The audit chain does not verify: an event was changed, removed or added."""


class UnexpectedError(AuroraRestoreError):
    """A mistake in this program. The message names only the exception's type: the rest could hold anything (I6)."""


class ConflictError(AuroraRestoreError):
    """Somebody else moved the operation between our read and our write: read again, then decide."""


class TransientError(AuroraRestoreError):
    """It passes by itself; the state machine tries again."""


class ThrottledError(TransientError):
    """AWS asked us to slow down."""


class AwsUnavailableError(TransientError):
    """AWS did not answer, or answered with 5xx. The call may have had its effect."""


class NotReadyError(TransientError):
    """The thing is in a transitional state, or not visible yet."""


class CapacityError(TransientError):
    """AWS has no such instance to give at the moment."""


class CopyQuotaError(TransientError):
    """As many copies as AWS allows are in flight in the region."""


class DatabaseUnreachableError(TransientError):
    """The database's endpoint does not answer yet."""
