"""Derived names: legal wherever they go, and always the same."""

import re
from datetime import UTC, datetime

import botocore.session
from hypothesis import assume, given
from hypothesis import strategies as st

from aurora_restore import names
from aurora_restore.names import SnapshotRole

clusters = st.from_regex(r"[a-z](-?[a-z0-9]){0,61}", fullmatch=True).filter(lambda name: len(name) <= 63)
operations = st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True)
roles = st.sampled_from(SnapshotRole)
# "1 to 63 letters, numbers, or hyphens; first a letter; no hyphen at the end, no two together" (RDS's model).
LEGAL = re.compile(r"[a-z](-?[a-z0-9])*")


@given(roles, operations, clusters)
def test_a_snapshot_s_name_is_legal_and_stable(role: SnapshotRole, operation: str, cluster: str) -> None:
    """Even of a cluster whose own name is as long as RDS allows; the same operation always finds its own."""
    name = names.snapshot_identifier(role, operation, cluster)
    assert len(name) <= 63
    assert LEGAL.fullmatch(name)
    assert name == names.snapshot_identifier(role, operation, cluster)


@given(roles, operations, operations, clusters)
def test_no_two_operations_share_a_snapshot_s_name(role: SnapshotRole, one: str, other: str, cluster: str) -> None:
    """Not even where the cluster's name is so long that its end is cut off."""
    assume(one != other)
    assert names.snapshot_identifier(role, one, cluster) != names.snapshot_identifier(role, other, cluster)


@given(operations, clusters)
def test_the_roles_of_an_operation_s_snapshots_have_different_names(operation: str, cluster: str) -> None:
    """New, copy and final stand beside each other in one region."""
    assert len({names.snapshot_identifier(role, operation, cluster) for role in SnapshotRole}) == len(SnapshotRole)


@given(clusters, st.integers(1, 16))
def test_an_instance_s_name_is_legal(cluster: str, number: int) -> None:
    """63 characters, and no hyphen beside the one before the number."""
    name = names.instance_identifier(cluster, number)
    assert len(name) <= 63
    assert LEGAL.fullmatch(name)


@given(st.from_regex(r"[a-z][a-z0-9-]{0,39}", fullmatch=True), st.datetimes(timezones=st.just(UTC)))
def test_an_operation_s_id_is_an_execution_s_name(name: str, at: datetime) -> None:
    """Any request's name makes an id that Step Functions and RDS's tags take."""
    made = names.operation_id(name, at, "a1b2")
    assert names.is_operation_id(made)
    assert made.startswith(name)


def test_an_id_that_cannot_be_a_tag_is_none() -> None:
    """Step Functions takes more characters than a tag's value does."""
    assert not any(map(names.is_operation_id, ["", "a b", "a!b", "ü", "a" * 81, "a.b"]))


def test_mistake_12_every_name_is_under_the_stack_s_own_prefix() -> None:
    """Permissions can name what the pipeline may touch, because all of it is called aurora-restore."""
    assert names.snapshot_identifier(SnapshotRole.COPY, "nightly-1", "orders").startswith("aurora-restore-copy-orders-")
    assert names.parameter_name("blue") == "/aurora-restore/blue"


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=5)))
def test_no_reserved_tag_is_carried_on(tags: dict[str, str]) -> None:
    """AWS's own tags make a copy fail; an earlier operation's would make foreign things look ours."""
    carried = names.without_reserved(tags)
    assert carried.items() <= tags.items()
    assert not any(key.lower().startswith(("aws:", "aurora-restore:")) for key in carried)
    assert all(key in carried or ":" in key for key in tags)


def test_aws_s_tags_are_not_carried_on_in_any_spelling() -> None:
    """AWS reserves the prefix whatever its case."""
    tags = {"aws:cloudformation:stack-name": "x", "AWS:x": "y", "aurora-restore:operation": "old", "team": "shop"}
    assert names.without_reserved(tags) == {"team": "shop"}


def test_the_pipeline_s_tags_tell_stack_operation_target_and_role() -> None:
    """By these it knows its things again, and there are no more of them than the preflight counts."""
    tags = names.pipeline_tags("blue", "nightly-1", "us-west-2/orders", SnapshotRole.COPY)
    assert set(tags.values()) == {"blue", "nightly-1", "us-west-2/orders", "copy"}
    assert len(tags) == names.PIPELINE_TAGS
    assert names.ROLE_TAG not in names.pipeline_tags("blue", "nightly-1", "us-west-2/orders")


def test_the_names_obey_the_limits_that_botocore_s_model_documents() -> None:
    """63 is RDS's own number for cluster snapshots: a newer model that says otherwise is noticed here."""
    rds = botocore.session.get_session().get_service_model("rds")
    for operation, member in (
        ("CreateDBClusterSnapshot", "DBClusterSnapshotIdentifier"),
        ("CopyDBClusterSnapshot", "TargetDBClusterSnapshotIdentifier"),
    ):
        shape = rds.operation_model(operation).input_shape
        assert shape is not None
        documented = shape.members[member].documentation
        assert "1 to 63 letters, numbers, or hyphens" in documented


def test_locks_and_targets_are_told_apart_by_region() -> None:
    """The same name in two regions is two targets, and a lock is never taken for an operation."""
    assert names.lock_id("us-east-1", "a") != names.lock_id("us-west-2", "a")
    assert names.target_id("us-east-1", "a") == "us-east-1/a"
    assert not names.is_operation_id(names.lock_id("us-east-1", "a"))
