"""Clusters and instances as they stand, and what no restore can give back."""

from typing import Any

import pytest

from aurora_restore.clusters import Cluster, Instance
from aurora_restore.errors import UnknownStatusError
from aurora_restore.statuses import Meaning
from tests.unit.descriptions import cluster, instance


def test_a_cluster_is_read_with_its_status_and_members() -> None:
    """What the steps decide on."""
    found = Cluster.parse(cluster(KmsKeyId="arn:key", StorageEncrypted=True))
    assert found.meaning is Meaning.READY
    assert found.members == ("a-reader", "the-writer")
    assert (found.kms_key_arn, found.encrypted) == ("arn:key", True)
    assert found.master_secret is None
    assert found.not_restorable == ()
    assert found.endpoint == ""


def test_the_managed_secret_is_read_by_arn_and_status_only() -> None:
    """I6: there is nothing else in it to read."""
    found = Cluster.parse(cluster(MasterUserSecret={"SecretArn": "arn:secret", "SecretStatus": "creating"}))
    assert found.master_secret is not None
    assert (found.master_secret.arn, found.master_secret.status) == ("arn:secret", "creating")


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("CustomEndpoints", ["analytics"], "custom endpoints"),
        ("ActivityStreamStatus", "started", "activity stream"),
        ("GlobalClusterIdentifier", "world", "global cluster"),
        ("GlobalWriteForwardingStatus", "enabled", "write forwarding"),
        ("LocalWriteForwardingStatus", "enabling", "local write forwarding"),
        ("ReadReplicaIdentifiers", ["other"], "replication"),
        ("LimitlessDatabase", {"Status": "active"}, "Limitless"),
    ],
)
def test_what_no_restore_brings_back_is_told(field: str, value: Any, word: str) -> None:
    """I9: what cannot be restored is reported, not lost in silence."""
    assert word in "; ".join(Cluster.parse(cluster(**{field: value})).not_restorable)


@pytest.mark.parametrize("field", ["ActivityStreamStatus", "GlobalWriteForwardingStatus", "LocalWriteForwardingStatus"])
@pytest.mark.parametrize("status", ["stopped", "disabled"])
def test_what_is_off_is_not_told(field: str, status: str) -> None:
    """A long list of nothings hides the one thing that matters."""
    assert Cluster.parse(cluster(**{field: status})).not_restorable == ()


def test_an_instance_knows_its_cluster_and_its_status() -> None:
    """An unknown status is an error that shows it."""
    found = Instance.parse(instance())
    assert (found.cluster, found.meaning) == ("orders-staging", Meaning.READY)
    with pytest.raises(UnknownStatusError):
        _ = Instance.parse(instance(DBInstanceStatus="dreaming")).meaning
    with pytest.raises(UnknownStatusError):
        _ = Cluster.parse(cluster(Status="dreaming")).meaning
