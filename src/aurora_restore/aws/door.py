"""The one door to AWS: every call goes through ``call``, and every ClientError becomes one of our errors here."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from botocore.parsers import ResponseParserError

from aurora_restore.errors import (
    AccessDeniedError,
    AuroraRestoreError,
    AwsRefusedError,
    AwsUnavailableError,
    CapacityError,
    ConflictError,
    CopyQuotaError,
    EnvironmentUnfitError,
    KeyUnusableError,
    NotReadyError,
    QuotaExceededError,
    ResourceNotFoundError,
    ThrottledError,
)

Answer = dict[str, Any]

_CREDENTIALS = "Set up credentials as for the aws command: a profile, an SSO session, or AWS_ACCESS_KEY_ID"
_REGION = "Set AWS_REGION, or a region in the profile"
_POLICY = "Add the permission to the role or to the key's policy, or look for an explicit deny"

# RDS drops "Fault" from some codes on the wire and keeps it on others (botocore's model, error.code): both are listed.
_BY_CODE: Mapping[str, type[AuroraRestoreError]] = {
    **dict.fromkeys(
        (
            "Throttled",
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "TooManyRequestsException",
            "ProvisionedThroughputExceededException",
            "TransactionInProgressException",
            "KMSThrottling",
            "LimitExceededException",
        ),
        ThrottledError,
    ),
    # Mostly 5xx; a request that AWS gave up waiting for is 400 or 408.
    **dict.fromkeys(
        (
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "RequestTimeout",
            "RequestTimeoutException",
            "ServiceUnavailable",
        ),
        AwsUnavailableError,
    ),
    **dict.fromkeys(
        (
            "InvalidDBClusterStateFault",
            "InvalidDBInstanceState",
            "InvalidDBInstanceStateFault",
            "InvalidDBClusterSnapshotStateFault",
        ),
        NotReadyError,
    ),
    **dict.fromkeys(
        (
            "InsufficientDBInstanceCapacity",
            "InsufficientDBInstanceCapacityFault",
            "InsufficientDBClusterCapacityFault",
            "InsufficientStorageClusterCapacity",
        ),
        CapacityError,
    ),
    **dict.fromkeys(
        ("KMSKeyNotAccessibleFault", "DisabledException", "KMSInvalidStateException", "EncryptionFailure"),
        KeyUnusableError,
    ),
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccessDeniedException",
            "UnauthorizedOperation",
            "AuthorizationError",
            "AuthorizationErrorException",
        ),
        AccessDeniedError,
    ),
    **dict.fromkeys(
        (
            "ExpiredToken",
            "ExpiredTokenException",
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "InvalidSignatureException",
        ),
        EnvironmentUnfitError,
    ),
    "ConditionalCheckFailedException": ConflictError,
    "TransactionConflictException": ConflictError,
}


def call(method: Callable[..., Any], *, tolerate: frozenset[str] = frozenset(), **parameters: Any) -> Answer | None:
    """Return AWS's answer to ``method(**parameters)``, or None where it refuses with a code in ``tolerate``.

    Raises our errors only: see ``translate``.
    """
    try:
        answer: Answer = method(**parameters)
    except ClientError as error:
        if error.response["Error"].get("Code") in tolerate:
            return None
        raise translate(error) from None
    except BotoCoreError as error:
        raise _without_answer(error) from None
    except ResponseParserError:
        # A proxy's page. What it says is nobody's to repeat.
        raise AwsUnavailableError("AWS did not answer: something else did, with what is no answer of AWS's") from None
    return answer


def demand(method: Callable[..., Any], **parameters: Any) -> Answer:
    """Return AWS's answer where no refusal is tolerated."""
    return call(method, **parameters) or {}


def pages(client: Any, operation: str, key: str, **parameters: Any) -> list[Answer]:
    """Return every element of ``key`` in all pages of a describe or list operation."""
    found: list[Answer] = []

    def walk(**parameters: Any) -> Answer:
        for page in client.get_paginator(operation).paginate(**parameters):
            found.extend(page[key])
        return {}

    call(walk, **parameters)
    return found


def translate(error: ClientError) -> AuroraRestoreError:
    """Return our error for AWS's: transient, for a person, or refused for good. Never guesses "not found" ."""
    code = error.response["Error"].get("Code", "Unknown")
    message = error.response["Error"].get("Message", "")
    if message.lstrip().startswith("<"):
        message = "a page in place of an answer"
    what = f"{error.operation_name} was refused with {code}: {message.rstrip('.')}"
    if code == "TransactionCanceledException":
        return _cancelled(error, what)
    if code.startswith("SnapshotQuotaExceeded"):
        # One code, two meanings: copies in flight pass by themselves, a full account does not (aurora-facts).
        in_flight = "cop" in message.lower()
        return CopyQuotaError(what) if in_flight else QuotaExceededError(what, advice="Delete manual snapshots")
    kind = _BY_CODE.get(code) or _by_form(error, code)
    return kind(what, advice=_advice(kind))


def _by_form(error: ClientError, code: str) -> type[AuroraRestoreError]:
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400) >= 500:
        return AwsUnavailableError
    if "QuotaExceeded" in code:
        return QuotaExceededError
    if "NotFound" in code:
        return ResourceNotFoundError
    return AwsRefusedError


def _cancelled(error: ClientError, what: str) -> AuroraRestoreError:
    codes = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
    if codes & {"ThrottlingError", "ProvisionedThroughputExceeded"}:
        return ThrottledError(what)
    if codes & {"ConditionalCheckFailed", "TransactionConflict"}:
        return ConflictError(what)
    return AwsRefusedError(what)


def _advice(kind: type[AuroraRestoreError]) -> str:
    if kind is AccessDeniedError:
        return _POLICY
    return _CREDENTIALS if kind is EnvironmentUnfitError else ""


def _without_answer(error: BotoCoreError) -> AuroraRestoreError:
    if isinstance(error, ParamValidationError):
        return AwsRefusedError(f"the call does not fit AWS's model: {error}")
    if isinstance(error, NoRegionError):
        return EnvironmentUnfitError("no AWS region is chosen", advice=_REGION)
    if isinstance(error, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
        return EnvironmentUnfitError(str(error).rstrip("."), advice=_CREDENTIALS)
    if isinstance(error, BotoConnectionError | HTTPClientError):
        return AwsUnavailableError(f"AWS did not answer: {error}")
    return AwsRefusedError(f"the AWS SDK refused: {error}")
