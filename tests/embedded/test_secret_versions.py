"""The emulated Secrets Manager knows a secret's versions as AWS's does, whoever moves their labels."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from aurora_restore.embedded.account import EmbeddedAccount
from aurora_restore.embedded.clock import VirtualClock
from aurora_restore.embedded.dataplane import RecordsOnly

FIRST, SECOND, THIRD = "1" * 32, "2" * 32, "3" * 32


@pytest.fixture
def secrets() -> Iterator[Any]:
    """Return a client of an account with a secret that has a version, and another that is pending."""
    with EmbeddedAccount(RecordsOnly(), VirtualClock(datetime(2026, 3, 1, tzinfo=UTC))) as account:
        client = account.client("secretsmanager")
        client.create_secret(Name="app", SecretString="old", ClientRequestToken=FIRST)
        put(client, "new", SECOND)
        yield client


def put(client: Any, value: str, token: str, label: str = "AWSPENDING") -> None:
    """Give the secret a version."""
    client.put_secret_value(SecretId="app", SecretString=value, ClientRequestToken=token, VersionStages=[label])


def labels(client: Any) -> dict[str, list[str]]:
    """Return the labels of all versions."""
    found: dict[str, list[str]] = client.describe_secret(SecretId="app")["VersionIdsToStages"]
    return {version: sorted(labels) for version, labels in found.items()}


def test_who_asks_for_no_version_gets_the_current_one(secrets: Any) -> None:
    """Before and after its label has moved: so ask the consumers of a rehearsal. The next value takes its place."""
    assert secrets.get_secret_value(SecretId="app")["SecretString"] == "old"
    secrets.update_secret_version_stage(
        SecretId="app", VersionStage="AWSCURRENT", MoveToVersionId=SECOND, RemoveFromVersionId=FIRST
    )
    assert secrets.get_secret_value(SecretId="app")["SecretString"] == "new"
    put(secrets, "newest", THIRD, "AWSCURRENT")
    assert secrets.get_secret_value(SecretId="app")["SecretString"] == "newest"
    assert labels(secrets)[THIRD] == ["AWSCURRENT"]
    assert labels(secrets)[SECOND] == ["AWSPREVIOUS"]


def test_a_version_keeps_its_value(secrets: Any) -> None:
    """Another value under its id is refused; the same one is the same version."""
    with pytest.raises(secrets.exceptions.ResourceExistsException):
        put(secrets, "other", SECOND)
    put(secrets, "new", SECOND)
    assert secrets.get_secret_value(SecretId="app", VersionId=SECOND)["SecretString"] == "new"
    assert labels(secrets) == {FIRST: ["AWSCURRENT"], SECOND: ["AWSPENDING"]}
