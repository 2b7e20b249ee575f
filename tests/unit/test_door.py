"""The door to AWS: what each refusal becomes, and that none is taken for another."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PaginationError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from aurora_restore import aws
from aurora_restore.aws import door
from aurora_restore.aws.door import call, demand, pages, translate
from aurora_restore.errors import (
    AccessDeniedError,
    AuroraRestoreError,
    AwsRefusedError,
    AwsUnavailableError,
    CapacityError,
    ConfigurationError,
    ConflictError,
    CopyQuotaError,
    EnvironmentUnfitError,
    KeyUnusableError,
    NotReadyError,
    QuotaExceededError,
    ResourceNotFoundError,
    ThrottledError,
    TransientError,
)


def refusal(
    code: str, message: str = "No.", *, status: int = 400, operation: str = "DescribeDBClusters", **more: Any
) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response | more, operation)


def raising(error: Exception) -> Callable[..., Any]:
    def method(**_: Any) -> Any:
        raise error

    return method


@pytest.mark.parametrize(("code", "kind"), [(code, door._BY_CODE[code]) for code in sorted(door._BY_CODE)])
def test_each_code_of_the_table_becomes_its_error(code: str, kind: type[AuroraRestoreError]) -> None:
    """With the operation and the code in the message: without them nobody can look it up."""
    with pytest.raises(kind) as refused:
        demand(raising(refusal(code, "It is so.")))
    assert type(refused.value) is kind
    assert refused.value.what == f"DescribeDBClusters was refused with {code}: It is so"


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("InternalServiceError", 500, AwsUnavailableError),
        ("DependencyTimeoutException", 503, AwsUnavailableError),
        ("502", 502, AwsUnavailableError),
        ("InstanceQuotaExceeded", 400, QuotaExceededError),
        ("DBClusterNotFoundFault", 404, ResourceNotFoundError),
        ("KMSKeyNotAccessibleFault", 400, KeyUnusableError),
        ("InvalidParameterCombination", 400, AwsRefusedError),
        ("InvalidRestoreFault", 400, AwsRefusedError),
        ("SomethingNew", 400, AwsRefusedError),
    ],
)
def test_a_code_beside_the_table_is_judged_by_its_form(code: str, status: int, kind: type[AuroraRestoreError]) -> None:
    """5xx passes by itself; what is not known is refused for good and shown, never retried in the dark."""
    assert type(translate(refusal(code, status=status))) is kind


def test_a_page_in_place_of_an_answer_passes_by_itself_and_is_not_repeated() -> None:
    """A proxy, a sign-in page, a server that is starting: its HTML tells nobody anything."""
    page = "<!doctype html>\n<title>500 Internal Server Error</title>"
    told = translate(refusal("500", page, status=500))
    assert type(told) is AwsUnavailableError
    assert told.what == "DescribeDBClusters was refused with 500: a page in place of an answer"
    with pytest.raises(AwsUnavailableError) as refused:
        call(raising(ResponseParserError(f"invalid XML received: {page}")))
    assert "html" not in str(refused.value)


def test_one_code_for_two_quotas_is_told_apart_by_its_message() -> None:
    """Both messages are AWS's own: copies in flight pass by themselves, a full account does not."""
    in_flight = translate(refusal("SnapshotQuotaExceeded", "Cannot copy more than 5 snapshots across regions"))
    assert type(in_flight) is CopyQuotaError
    full = translate(refusal("SnapshotQuotaExceededFault", "Cannot create more than 100 manual snapshots"))
    assert type(full) is QuotaExceededError
    assert "Delete manual snapshots" in full.advice


@pytest.mark.parametrize("code", ["Throttling", "AccessDenied", "InternalFailure", "SomethingNew"])
def test_mistake_5_only_the_tolerated_code_means_not_found(code: str) -> None:
    """Throttling taken for "not there" would re-create, or delete: only the code itself answers None."""
    missing = frozenset({"DBClusterNotFoundFault"})
    assert call(raising(refusal("DBClusterNotFoundFault")), tolerate=missing) is None
    with pytest.raises(AuroraRestoreError) as refused:
        call(raising(refusal(code)), tolerate=missing)
    assert not isinstance(refused.value, ResourceNotFoundError)


@pytest.mark.parametrize("status", [429, 500])
def test_every_throttle_of_the_services_in_use_passes_by_itself(status: int) -> None:
    """botocore's models name them differently in each service; one that is missed fails an operation for nothing."""
    session = botocore.session.get_session()
    for service in ("rds", "dynamodb", "sns", "kms", "secretsmanager", "stepfunctions", "ssm", "ec2"):
        model = session.get_service_model(service)
        for shape in map(model.shape_for, model.shape_names):
            error = shape.metadata.get("error", {})
            if error.get("httpStatusCode") == status or "hrottl" in error.get("code", ""):
                code = error.get("code", shape.name)
                assert isinstance(translate(refusal(code, status=error["httpStatusCode"])), TransientError), code


@pytest.mark.parametrize(
    ("reasons", "kind"),
    [
        ([{"Code": "None"}, {"Code": "ConditionalCheckFailed"}], ConflictError),
        ([{"Code": "TransactionConflict"}], ConflictError),
        ([{"Code": "ThrottlingError"}, {"Code": "None"}], ThrottledError),
        ([{"Code": "ProvisionedThroughputExceeded"}], ThrottledError),
        ([{"Code": "ItemCollectionSizeLimitExceeded"}], AwsRefusedError),
        ([], AwsRefusedError),
    ],
)
def test_a_cancelled_transaction_is_judged_by_its_reasons(
    reasons: list[dict[str, str]], kind: type[AuroraRestoreError]
) -> None:
    """A lost race is read again, a throttle repeated, and an item too large is refused for good."""
    assert type(translate(refusal("TransactionCanceledException", CancellationReasons=reasons))) is kind


def test_a_refused_permission_says_where_to_look() -> None:
    """The policy of the role or of the key; for credentials, how they are set up."""
    assert "policy" in translate(refusal("AccessDenied")).advice
    assert "credentials" in translate(refusal("ExpiredToken")).advice
    assert issubclass(AccessDeniedError, ConfigurationError)
    assert translate(refusal("Throttling")).advice == ""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EndpointConnectionError(endpoint_url="http://127.0.0.1"), AwsUnavailableError),
        (ConnectTimeoutError(endpoint_url="http://127.0.0.1"), AwsUnavailableError),
        (ReadTimeoutError(endpoint_url="http://127.0.0.1"), AwsUnavailableError),
        (HTTPClientError(error="reset"), AwsUnavailableError),
        (ParamValidationError(report="Unknown parameter"), AwsRefusedError),
        (PaginationError(message="a loop"), AwsRefusedError),
        (NoCredentialsError(), EnvironmentUnfitError),
        (PartialCredentialsError(provider="env", cred_var="x"), EnvironmentUnfitError),
        (NoRegionError(), EnvironmentUnfitError),
        (ProfileNotFound(profile="x"), EnvironmentUnfitError),
    ],
)
def test_no_answer_at_all_is_one_of_our_errors_too(error: BotoCoreError, kind: type[AuroraRestoreError]) -> None:
    """A lost connection passes by itself; a machine without credentials and a call that cannot be made do not."""
    with pytest.raises(kind) as refused:
        call(raising(error), tolerate=frozenset({"anything"}))
    assert type(refused.value) is kind
    assert refused.value.__cause__ is None


def test_a_mistake_of_ours_is_not_hidden_by_the_door() -> None:
    """What is not AWS's stays what it is, for the one place that catches it."""
    with pytest.raises(ZeroDivisionError):
        call(raising(ZeroDivisionError()))


def test_an_answer_comes_through_as_it_is() -> None:
    """And where there is none to come, an empty one."""
    assert call(lambda **given: given, a=1) == {"a": 1}
    assert demand(lambda: None) == {}


class Pager:
    """A client with pages, the last of which may be refused."""

    def __init__(self, *found: list[int], last: Exception | None = None) -> None:
        self._found = found
        self._last = last

    def get_paginator(self, operation: str) -> "Pager":
        assert operation == "list_things"
        return self

    def paginate(self, **given: Any) -> Any:
        assert given == {"Kind": "x"}
        yield from ({"Things": page} for page in self._found)
        if self._last:
            raise self._last


def test_mistake_3_all_pages_are_read() -> None:
    """The newest may be on the last one."""
    found: list[Any] = pages(Pager([1, 2], [3], []), "list_things", "Things", Kind="x")
    assert found == [1, 2, 3]


def test_half_of_the_pages_are_none() -> None:
    """A list that breaks off is an error, not a shorter list."""
    with pytest.raises(ThrottledError):
        pages(Pager([1], last=refusal("Throttling")), "list_things", "Things", Kind="x")


def test_every_code_of_rds_that_says_a_state_is_wrong_is_waited_for() -> None:
    """Invalid…State of what the pipeline touches is transitional (aurora-facts)."""
    for code in ("InvalidDBClusterStateFault", "InvalidDBInstanceState", "InvalidDBClusterSnapshotStateFault"):
        assert type(translate(refusal(code))) is NotReadyError
    assert type(translate(refusal("InsufficientDBInstanceCapacity"))) is CapacityError


def test_only_the_package_aws_catches_boto_s_errors() -> None:
    """One door: no second place translates, or forgets to."""
    for module in pkgutil.iter_modules(aws.__path__):
        loaded = importlib.import_module(f"aurora_restore.aws.{module.name}")
        assert module.name == "door" or not hasattr(loaded, "ClientError")
