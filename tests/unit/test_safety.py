"""I2 and I1: no warrant unless every clause holds, and none but for the one cluster."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest

from aurora_restore.errors import DeletionNotWarrantedError, SourceWouldChangeError
from aurora_restore.names import STACK_TAG
from aurora_restore.request import Protection, Replace
from aurora_restore.safety import (
    ALLOWED_ON_SOURCE,
    ClusterIdentity,
    DeletionEvidence,
    DeletionWarrant,
    guard_source,
    issue_warrant,
)
from aurora_restore.snapshots import SnapshotStatus
from tests.unit.test_snapshots import snapshot


def identity(name: str, resource_id: str, region: str = "us-west-2", account: str = "1") -> ClusterIdentity:
    arn = f"arn:aws:rds:{region}:{account}:cluster:{name}"
    return ClusterIdentity(arn=arn, resource_id=resource_id, name=name, region=region)


SOURCE = identity("orders-prod", "cluster-S", "us-east-1")
TARGET = identity("orders-staging", "cluster-T")
READY = snapshot("copy", region="us-west-2")


def evidence(**changes: Any) -> DeletionEvidence:
    plain: dict[str, Any] = {
        "target": TARGET,
        "target_tags": {},
        "target_protected": False,
        "stack": "blue",
        "source": SOURCE,
        "replace": {"allow": True, "confirm": "orders-staging", "final_snapshot": True, "protection": "respect"},
        "restore_from": READY,
        "restore_key_usable": True,
        "captured_resource_id": "cluster-T",
        "final_snapshot": "final",
        "final_snapshot_free": True,
    } | changes
    replace = Replace.model_validate(plain["replace"], strict=False)
    return DeletionEvidence(**plain | {"replace": replace})


# One way to break each clause of I2, and what its refusal says.
BREAKS: Mapping[str, tuple[dict[str, Any], str]] = {
    "snapshot exists": ({"restore_from": None}, "no snapshot to restore from"),
    "snapshot available": (
        {"restore_from": READY.model_copy(update={"status": SnapshotStatus.COPYING})},
        "is copying, not available",
    ),
    "snapshot where the restore is": (
        {"restore_from": READY.model_copy(update={"region": "us-east-1"})},
        "is in us-east-1, the target in us-west-2",
    ),
    "key usable": ({"restore_key_usable": False}, "key of the restored cluster cannot be used"),
    "shape captured": ({"captured_resource_id": None}, "shape of the target is not captured"),
    "same cluster as captured": ({"captured_resource_id": "cluster-U"}, "somebody made it again meanwhile"),
    "request allows": ({"allow": False}, "the request does not allow it"),
    "confirmed or tagged": ({"confirm": None}, "is not confirmed: set replace.confirm to orders-staging"),
    "not protected": ({"target_protected": True}, "deletion protection"),
    "final snapshot possible": ({"final_snapshot_free": False}, "name final is taken"),
    "not the source": ({"source": TARGET}, "is the source cluster itself"),
}
_OF_REQUEST = {"allow", "confirm"}


def broken(*clauses: str) -> DeletionEvidence:
    changes: dict[str, Any] = {}
    replace: dict[str, Any] = {"allow": True, "confirm": "orders-staging"}
    for clause in clauses:
        for field, value in BREAKS[clause][0].items():
            (replace if field in _OF_REQUEST else changes)[field] = value
    return evidence(replace=replace, **changes)


def test_a_warrant_is_issued_when_every_clause_holds() -> None:
    """It names the one cluster, its final snapshot, and does not lift what need not be lifted."""
    warrant = issue_warrant(evidence())
    assert (warrant.target_arn, warrant.resource_id) == (TARGET.arn, TARGET.resource_id)
    assert warrant.final_snapshot == "final"
    assert not warrant.lift_protection
    assert warrant.covers(TARGET.arn)
    assert not warrant.covers(SOURCE.arn)


def test_no_warrant_is_ever_issued_while_any_clause_fails() -> None:
    """All 2,047 combinations of broken clauses: refused, and every broken clause is told."""
    for size in range(1, len(BREAKS) + 1):
        for clauses in combinations(BREAKS, size):
            with pytest.raises(DeletionNotWarrantedError) as refused:
                issue_warrant(broken(*clauses))
            told = "\n".join(refused.value.refusals)
            assert [clause for clause in _in_force(clauses) if BREAKS[clause][1] not in told] == []


def _in_force(clauses: tuple[str, ...]) -> list[str]:
    """Leave out a break of a field that a later one breaks otherwise: the evidence has the later one only."""
    later = {field: clause for clause in clauses for field in BREAKS[clause][0]}
    return [clause for clause in clauses if clause in later.values()]


@pytest.mark.parametrize(
    "source",
    [
        identity("orders-staging", "cluster-X"),
        TARGET.model_copy(update={"resource_id": "cluster-T", "name": "renamed", "arn": f"{TARGET.arn}-renamed"}),
        TARGET.model_copy(update={"resource_id": "cluster-X", "region": "eu-west-1"}),
    ],
)
def test_the_source_is_known_by_place_arn_or_resource_id(source: ClusterIdentity) -> None:
    """A rename changes the name, a restore the resource id: any one of them is enough to refuse (I1, I2)."""
    with pytest.raises(DeletionNotWarrantedError, match="is the source cluster itself"):
        issue_warrant(evidence(source=source))


def test_the_same_name_in_another_account_or_region_is_not_the_source() -> None:
    """A recovery drill restores orders-prod as orders-prod elsewhere."""
    issue_warrant(evidence(source=identity("orders-staging", "cluster-S", account="2")))
    issue_warrant(evidence(source=identity("orders-staging", "cluster-S", region="us-east-1")))


def test_the_pipeline_s_own_cluster_needs_no_confirmation() -> None:
    """Its tag says who made it; another stack's tag says nothing."""
    issue_warrant(evidence(replace={"allow": True}, target_tags={STACK_TAG: "blue"}))
    with pytest.raises(DeletionNotWarrantedError, match="not confirmed"):
        issue_warrant(evidence(replace={"allow": True}, target_tags={STACK_TAG: "green"}))


def test_protection_is_lifted_only_on_demand() -> None:
    """And the warrant says that it is to be lifted, so that it is lifted before the first instance goes."""
    replace = {"allow": True, "confirm": "orders-staging", "protection": Protection.LIFT}
    assert issue_warrant(evidence(target_protected=True, replace=replace)).lift_protection
    assert not issue_warrant(evidence(replace=replace)).lift_protection


def test_without_a_final_snapshot_its_name_does_not_matter() -> None:
    """Who declines it in words gets none, and is not held up by a name."""
    replace = {"allow": True, "confirm": "orders-staging", "final_snapshot": False}
    assert issue_warrant(evidence(replace=replace, final_snapshot_free=False)).final_snapshot is None


def test_nobody_else_makes_a_warrant() -> None:
    """A warrant made by hand is refused as it is made."""
    with pytest.raises(DeletionNotWarrantedError, match="not issued by"):
        DeletionWarrant(
            target_arn=TARGET.arn, resource_id="cluster-T", final_snapshot=None, lift_protection=True, seal=object()
        )


def test_a_refusal_lists_its_reasons() -> None:
    """One line each, under the target's name."""
    with pytest.raises(DeletionNotWarrantedError) as refused:
        issue_warrant(broken("request allows", "key usable"))
    assert str(refused.value).splitlines()[0] == "refused to delete orders-staging:"
    assert len(str(refused.value).splitlines()) == 3


def test_no_change_names_the_source_but_a_snapshot_of_it() -> None:
    """I1: the guard knows the one call that may."""
    assert {"CreateDBClusterSnapshot"} == ALLOWED_ON_SOURCE
    guard_source(SOURCE.arn, action="CreateDBClusterSnapshot", subject=SOURCE.arn)
    guard_source(SOURCE.arn, action="DeleteDBCluster", subject=TARGET.arn)
    guard_source(None, action="DeleteDBCluster", subject=TARGET.arn)
    for action in ("DeleteDBCluster", "ModifyDBCluster", "AddTagsToResource"):
        with pytest.raises(SourceWouldChangeError, match=f"{action} would have changed the source"):
            guard_source(SOURCE.arn, action=action, subject=SOURCE.arn)
