"""Which snapshot, is it good enough, which copies: decided without AWS."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore.errors import ResourceNotFoundError, UnknownStatusError
from aurora_restore.snapshots import (
    Snapshot,
    SnapshotStatus,
    find,
    plan_copy,
    refusals,
    restore_key,
    to_prune,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY, OTHER = "arn:aws:kms:us-east-1:1:key/a", "arn:aws:kms:us-east-1:1:key/b"


def snapshot(identifier: str = "kept", *, hours: float = 1, **changes: Any) -> Snapshot:
    plain: dict[str, Any] = {
        "identifier": identifier,
        "arn": f"arn:aws:rds:us-east-1:1:cluster-snapshot:{identifier}",
        "region": "us-east-1",
        "cluster": "orders-prod",
        "cluster_resource_id": "cluster-A",
        "kind": "manual",
        "status": SnapshotStatus.AVAILABLE,
        "created_at": NOON - timedelta(hours=hours),
        "progress_percent": 100,
        "engine": "aurora-postgresql",
        "engine_version": "16.4",
        "encrypted": True,
        "kms_key_arn": KEY,
        "size_gib": 10,
        "port": 5432,
    }
    return Snapshot(**plain | changes)


def latest(*snapshots: Snapshot, wanted: str = "latest") -> str:
    return find(snapshots, wanted, cluster="orders-prod").identifier


@given(st.permutations([5.0, 1.0, 30.0, 2.0, 9.0]))
def test_mistake_3_the_latest_is_the_youngest_whatever_the_order(hours: list[float]) -> None:
    """AWS lists by name: the last element, or the fourth, is any snapshot."""
    assert latest(*(snapshot(f"s{each:g}", hours=each) for each in hours)) == "s1"


def test_mistake_3_only_an_available_snapshot_of_this_cluster_is_the_latest() -> None:
    """Younger ones do not count while they are made, have failed, are another cluster's, or are copies."""
    good = snapshot("good", hours=9)
    others = [
        *(snapshot(f"is-{each}", hours=1, status=each) for each in SnapshotStatus if each != "available"),
        snapshot("foreign", cluster="billing"),
        # Its time is when it was copied: its data may be years old.
        snapshot("copied", copied_from="arn:elsewhere"),
        snapshot("untimed", created_at=None),
    ]
    assert latest(*others, good) == "good"


@pytest.mark.parametrize(("wanted", "name"), [("latest-automated", "night"), ("latest-manual", "hand")])
def test_the_latest_of_a_kind_is_of_that_kind(wanted: str, name: str) -> None:
    """An older one of the wanted kind wins over a younger one of the other."""
    both = (snapshot("rds:noon", kind="automated" if name == "hand" else "manual", hours=1), snapshot(name, hours=8))
    kind = "automated" if name == "night" else "manual"
    assert latest(both[0], both[1].model_copy(update={"kind": kind}), wanted=wanted) == name


@pytest.mark.parametrize(("wanted", "kind"), [("latest", "available snapshot"), ("latest-manual", "manual snapshot")])
def test_no_usable_snapshot_is_told_with_what_there_is(wanted: str, kind: str) -> None:
    """One that is being made is seen but not taken, and the message says what to do."""
    with pytest.raises(
        ResourceNotFoundError, match=rf"no available.*{kind[-8:]} \(1 in other states or kinds\)"
    ) as none:
        latest(snapshot(status=SnapshotStatus.CREATING), wanted=wanted)
    assert "source.snapshot: new" in none.value.advice


def test_a_named_snapshot_is_found_by_identifier_and_by_arn() -> None:
    """Whatever its state: whether it is good enough is judged apart, with a better message."""
    failed = snapshot("kept", status=SnapshotStatus.FAILED)
    assert latest(failed, wanted="kept") == "kept"
    assert latest(failed, wanted=failed.arn) == "kept"
    with pytest.raises(ResourceNotFoundError, match="the cluster orders-prod has no snapshot lost"):
        latest(failed, wanted="lost")


def test_a_snapshot_of_another_cluster_is_not_found_by_its_name() -> None:
    """A typing mistake must not restore billing into orders."""
    with pytest.raises(ResourceNotFoundError):
        latest(snapshot("kept", cluster="billing"), wanted="kept")


def test_a_good_snapshot_is_not_refused() -> None:
    """Exactly as old as allowed is not too old."""
    assert not list(refusals(snapshot(hours=24), now=NOON, max_age_hours=24))
    assert not list(refusals(snapshot(hours=9999), now=NOON, max_age_hours=None))


def test_a_bad_snapshot_is_refused_for_every_reason_at_once() -> None:
    """Each with the numbers that decided, and what to do."""
    bad = snapshot(hours=25.5, status=SnapshotStatus.COPYING, engine="mysql")
    reasons = list(refusals(bad, now=NOON, max_age_hours=24))
    assert "is copying, not available" in reasons[0]
    assert "25.5 hours old and source.max_age_hours is 24: raise it, or ask for source.snapshot: new" in reasons[1]
    assert "engine mysql, which is not Aurora" in reasons[2]


def test_an_unknown_snapshot_status_is_an_error_that_shows_it() -> None:
    """Never taken for good, and never waited for."""
    with pytest.raises(UnknownStatusError, match='"rewinding"'):
        SnapshotStatus.of("rewinding")


@pytest.mark.parametrize(
    ("own_key", "region", "key", "plan"),
    [
        (KEY, "us-east-1", KEY, "no copy"),
        (KEY, "us-east-1", None, "no copy"),
        (KEY, "us-east-1", OTHER, f"copy in the region under {OTHER}"),
        (KEY, "us-west-2", OTHER, f"copy across regions under {OTHER}"),
        (None, "us-east-1", None, "no copy"),
        # CopyDBClusterSnapshot refuses a key for an unencrypted snapshot: the restore encrypts.
        (None, "us-east-1", OTHER, "no copy"),
        (None, "us-west-2", OTHER, "copy across regions under None"),
        (None, "us-west-2", None, "copy across regions under None"),
    ],
)
def test_a_copy_is_needed_for_another_region_or_another_key_only(
    own_key: str | None, region: str, key: str | None, plan: str
) -> None:
    """The whole table: where, under which key, and that an unencrypted snapshot is copied without one."""
    found = plan_copy(
        snapshot(encrypted=own_key is not None, kms_key_arn=own_key), target_region=region, target_key_arn=key
    )
    way = f"copy {'across regions' if found.crosses_regions else 'in the region'} under {found.kms_key_arn}"
    assert (way if found.needed else "no copy") == plan
    assert found.reason


def test_the_restore_is_under_the_target_s_key_or_the_snapshot_s() -> None:
    """An unencrypted snapshot is encrypted on the way if the target wants a key."""
    assert restore_key(snapshot(), None) == KEY
    assert restore_key(snapshot(), OTHER) == OTHER
    assert restore_key(snapshot(encrypted=False, kms_key_arn=None), OTHER) == OTHER
    assert restore_key(snapshot(encrypted=False, kms_key_arn=None), None) is None


archives = st.lists(st.integers(0, 2000), max_size=12).map(
    lambda ages: [snapshot(f"a{index}", hours=hours) for index, hours in enumerate(ages)]
)


@given(archives, st.integers(1, 10), st.none() | st.integers(1, 60))
def test_the_newest_archive_is_never_pruned(kept: list[Snapshot], keep: int, keep_days: int | None) -> None:
    """Whatever the limits: one always stays, and those that stay are younger than those that go."""
    gone = to_prune(kept, keep=keep, keep_days=keep_days, now=NOON)
    staying = [each for each in kept if each not in gone]
    assert bool(staying) == bool(kept)
    assert len(staying) <= max(keep, 1)
    if gone:
        assert max(each.age_hours(NOON) for each in staying) <= min(each.age_hours(NOON) for each in gone)


@given(archives, st.integers(1, 10))
def test_without_a_limit_by_age_only_the_number_counts(kept: list[Snapshot], keep: int) -> None:
    """Exactly the surplus goes."""
    assert len(to_prune(kept, keep=keep, keep_days=None, now=NOON)) == max(0, len(kept) - keep)


def test_what_is_older_than_the_days_goes_even_if_the_number_would_keep_it() -> None:
    """The stricter of both limits decides; exactly as old as allowed stays."""
    kept = [snapshot("day", hours=24), snapshot("two", hours=48), snapshot("three", hours=48.1)]
    assert [each.identifier for each in to_prune(kept, keep=9, keep_days=2, now=NOON)] == ["three"]


def test_a_snapshot_still_being_made_counts_as_the_newest() -> None:
    """It has no time yet."""
    assert snapshot(created_at=None).age_hours(NOON) == 0
