"""I9: every field of RDS's model is classified, and what the tables say of a field is what the code does with it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.model import ListShape, Shape, StructureShape

from aurora_restore.clusters import Cluster
from aurora_restore.shape import ClusterShape, InstanceShape
from aurora_restore.treatments import CLUSTER, INSTANCE, Treatment

RDS = botocore.session.get_session().get_service_model("rds")

# The statuses that say "on", for fields that are statuses and for which a made-up value would say nothing.
ON = {
    "ActivityStreamStatus": "started",
    "GlobalWriteForwardingStatus": "enabled",
    "LocalWriteForwardingStatus": "enabled",
    "StorageType": "aurora-iopt1",
}
# Told together with the field that switches them on.
TOLD_WITH = {
    "ActivityStreamKinesisStreamName": "ActivityStreamStatus",
    "ActivityStreamKmsKeyId": "ActivityStreamStatus",
    "ActivityStreamMode": "ActivityStreamStatus",
    "GlobalWriteForwardingRequested": "GlobalWriteForwardingStatus",
}
# Members of a shape that change another field of it, not their own rendering.
SWITCHES: dict[str, dict[str, Any]] = {
    "MonitoringRoleArn": {"MonitoringInterval": 60},
    "PerformanceInsightsKMSKeyId": {"PerformanceInsightsEnabled": True},
    "PerformanceInsightsRetentionPeriod": {"PerformanceInsightsEnabled": True},
}


def members(kind: str) -> Mapping[str, Shape]:
    shape = RDS.shape_for(kind)
    assert isinstance(shape, StructureShape)
    return shape.members


def example(name: str, shape: Shape) -> Any:
    """Return a value of a field of botocore's model that is not what a cluster has by default."""
    if name in ON:
        return ON[name]
    if isinstance(shape, StructureShape):
        return {member: example(member, inner) for member, inner in shape.members.items()}
    if isinstance(shape, ListShape):
        return [example(name, shape.member)]
    values = {"string": f"some-{name.lower()}", "integer": 17, "long": 17, "double": 2.5, "boolean": True}
    return values.get(shape.type_name, datetime(2026, 1, 1, tzinfo=UTC))


def described(kind: str, *, plain: bool, **changes: Any) -> dict[str, Any]:
    """Return a description with the fields that are always there, and all others, or only ``changes``."""
    known = members(kind)
    always = {
        "DBCluster": "DBClusterIdentifier DBClusterArn DbClusterResourceId Status Engine EngineVersion Port "
        "MasterUsername DBSubnetGroup",
        "DBInstance": "DBInstanceIdentifier DBInstanceArn DBInstanceStatus DBInstanceClass",
    }[kind]
    fields = always.split() if plain else list(known)
    return {**{field: example(field, known[field]) for field in fields}, **changes}


def fields(table: Mapping[str, Treatment], *treatments: Treatment) -> list[str]:
    return sorted(field for field, treatment in table.items() if treatment in treatments)


@pytest.mark.parametrize(("shape", "table"), [("DBCluster", CLUSTER), ("DBInstance", INSTANCE)])
def test_every_field_that_aws_has_is_classified(shape: str, table: Mapping[str, Treatment]) -> None:
    """I9: a field that AWS adds fails here until somebody has decided what becomes of it."""
    assert sorted(members(shape)) == sorted(table)


def rendered_cluster(description: dict[str, Any]) -> Any:
    """Return every call that makes a cluster of this description again."""
    plain = ClusterShape.capture(described("DBCluster", plain=True))
    shape = ClusterShape.capture(description)
    key = description.get("KmsKeyId")
    restore = shape.render_restore(cluster=description["DBClusterIdentifier"], snapshot="s", kms_key=key, tags={})
    return restore, shape.render_settings(plain), shape.roles, shape.http_endpoint


# Not of the shape: the operation carries the identifier, the key and the managed secret itself.
BY_THE_OPERATION = {"StorageEncrypted", "MasterUserSecret", "DBClusterMembers"}


@pytest.mark.parametrize(
    "field",
    sorted({*fields(CLUSTER, Treatment.RESTORED, Treatment.APPLIED, Treatment.RECREATED)} - BY_THE_OPERATION),
)
def test_a_setting_of_the_cluster_changes_the_calls_that_make_it_again(field: str) -> None:
    """I9: a field that is classified as kept is really in a call, with its value."""
    value = example(field, members("DBCluster")[field])
    with_it = described("DBCluster", plain=True, **SWITCHES.get(field, {}), **{field: value})
    without: dict[str, Any] = described("DBCluster", plain=True, **SWITCHES.get(field, {}))
    if field in without:
        without[field] = 18 if field == "Port" else "another"
    if field == "MonitoringInterval":
        with_it["MonitoringRoleArn"] = without["MonitoringRoleArn"] = "role"
    assert rendered_cluster(with_it) != rendered_cluster(without)


@pytest.mark.parametrize("field", sorted({*fields(INSTANCE, Treatment.RESTORED)} - {"DBClusterIdentifier", "Engine"}))
def test_a_setting_of_an_instance_changes_the_call_that_makes_it_again(field: str) -> None:
    """I9: an instance is made again with all that was its own; its cluster and engine come from the cluster."""
    value = example(field, members("DBInstance")[field])
    if field == "AutoMinorVersionUpgrade":
        value = False
    with_it = described("DBInstance", plain=True, **SWITCHES.get(field, {}), **{field: value})
    without = described("DBInstance", plain=True, **SWITCHES.get(field, {}))
    if field in without:
        without[field] = "another"
    calls = [InstanceShape.capture(each).render(cluster="c", engine="e", tags={}) for each in (with_it, without)]
    assert calls[0] != calls[1]


@pytest.mark.parametrize("field", fields(CLUSTER, Treatment.REPORTED))
def test_what_cannot_be_made_again_is_told(field: str) -> None:
    """I9: nothing is lost in silence."""
    told_with = TOLD_WITH.get(field, field)
    value = example(told_with, members("DBCluster")[told_with])
    cluster = Cluster.parse(described("DBCluster", plain=True, **{told_with: value}))
    assert len(cluster.not_restorable) == 1
    assert Cluster.parse(described("DBCluster", plain=True)).not_restorable == ()
