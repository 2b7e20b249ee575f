"""What a plan says of an operation, and when a plan no longer fits the world."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aurora_restore import names
from aurora_restore.clusters import Cluster
from aurora_restore.database_request import Password
from aurora_restore.errors import RequestError
from aurora_restore.estimates import Quota
from aurora_restore.names import SnapshotRole
from aurora_restore.operation import OldTarget, Operation, OperationStatus, Step, StepRecord, Verdict
from aurora_restore.plan_document import PlanDocument, flatten, shown
from aurora_restore.plan_parts import Fate, Seen, Setting
from aurora_restore.planning import Plan
from aurora_restore.request import RestoreRequest
from aurora_restore.shape import ClusterShape
from aurora_restore.snapshots import Snapshot, SnapshotStatus
from tests.unit import descriptions

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
KEY = "arn:aws:kms:us-west-2:1:key/target"
SHAPE = ClusterShape.capture(descriptions.cluster(), [descriptions.instance(), descriptions.instance("a-reader")])
TARGET = Cluster.parse(descriptions.cluster(StorageEncrypted=True, KmsKeyId=KEY))
SOURCE = Cluster.parse(
    descriptions.cluster(
        DBClusterIdentifier="orders-prod",
        DBClusterArn="arn:aws:rds:us-east-1:1:cluster:orders-prod",
        DbClusterResourceId="cluster-S",
        StorageEncrypted=True,
        KmsKeyId="arn:aws:kms:us-east-1:1:key/source",
    )
)
OLD = OldTarget(
    arn=TARGET.arn,
    resource_id=TARGET.resource_id,
    protected=False,
    tagged=False,
    instances=("the-writer", "a-reader"),
    shape=SHAPE,
)


def a_snapshot(identifier: str = "rds:orders-prod-1", **changes: Any) -> Snapshot:
    plain: dict[str, Any] = {
        "identifier": identifier,
        "arn": f"arn:aws:rds:us-east-1:1:cluster-snapshot:{identifier}",
        "region": "us-east-1",
        "cluster": "orders-prod",
        "cluster_resource_id": "cluster-S",
        "kind": "automated",
        "status": SnapshotStatus.AVAILABLE,
        "created_at": NOW - timedelta(hours=2),
        "progress_percent": 100,
        "engine": "aurora-postgresql",
        "engine_version": "16.4",
        "encrypted": True,
        "kms_key_arn": "arn:aws:kms:us-east-1:1:key/source",
        "size_gib": 40,
        "port": 5432,
    }
    return Snapshot(**plain | changes)


def a_request(**changes: Any) -> RestoreRequest:
    plain: dict[str, Any] = {
        "name": "nightly",
        "source": {"cluster": "orders-prod", "region": "us-east-1"},
        "target": {"cluster": "orders-staging", "region": "us-west-2", "kms_key": KEY},
        "replace": {"allow": True, "confirm": "orders-staging"},
        "users": [
            {"name": "app", "secret": "staging/app", "grants": ["readwrite"]},
            {"name": "job", "iam": True, "grants": [{"privileges": ["SELECT"], "schema": "public", "table": "t"}]},
        ],
    }
    return RestoreRequest.parse(plain | changes)


def seen(**changes: Any) -> Seen:
    plain: dict[str, Any] = {
        "at": NOW,
        "stack": "blue",
        "state_machine_arn": "machine",
        "source": SOURCE,
        "snapshot": a_snapshot(),
        "candidates": (a_snapshot(), a_snapshot("copy", kind="manual", copied_from="x")),
        "target": TARGET,
        "old_target": OLD,
        "kms_key_arn": KEY,
        "shape": SHAPE,
        "not_restored": ("write forwarding between regions",),
        "problems": (),
        "secrets": {"staging/app": True},
    }
    return Seen(**plain | changes)


def setting(plan: Plan, name: str) -> Setting:
    return next(each for each in plan.settings if each.name == name)


def test_a_plan_without_obstacles_says_what_is_restored_copied_and_deleted() -> None:
    """And why; what could not be read is unknown, not zero."""
    plan = Plan.make(a_request(), seen())
    assert plan.obstacles == ()
    assert plan.snapshot is not None
    assert plan.snapshot.age_hours == 2
    assert "it is the only one of orders-prod; not counted" in plan.snapshot.why
    assert [(copy.role, copy.region) for copy in plan.copies] == [
        (SnapshotRole.COPY, "us-west-2"),
        (SnapshotRole.FINAL, "us-west-2"),
    ]
    assert plan.deletion is not None
    assert (plan.deletion.size_gib, plan.deletion.connections, plan.deletion.refusals) == (None, None, ())
    assert plan.lost == ("write forwarding between regions",)


def test_the_clauses_of_the_warrant_that_would_fail_are_named() -> None:
    """I2: the same function judges the plan and the deletion."""
    protected = OLD.model_copy(update={"protected": True})
    plan = Plan.make(a_request(replace={"allow": False}), seen(old_target=protected, snapshot=None, candidates=()))
    assert plan.deletion is not None
    refusals = "; ".join(plan.deletion.refusals)
    for clause in ("replace.allow", "replace.confirm", "deletion protection", "no snapshot to restore from"):
        assert clause in refusals
    assert plan.deletion.protection == "on; it stops the operation"
    assert plan.obstacles == plan.deletion.refusals


def test_a_key_that_cannot_be_used_refuses_the_warrant() -> None:
    """The problem is named once: as what preflight found."""
    plan = Plan.make(a_request(), seen(kms_key_arn=None, problems=("target.kms_key: it is Disabled",)))
    assert plan.deletion is not None
    assert "cannot be used" in plan.deletion.refusals[0]
    assert plan.obstacles == ("target.kms_key: it is Disabled",)


def test_every_setting_is_kept_overridden_new_or_removed() -> None:
    """I9, before it happens: from what to what, and by what."""
    target = {
        "cluster": "orders-staging",
        "region": "us-west-2",
        "backup_retention_days": 7,
        "instances": [{"class": "db.r6g.xlarge", "promotion_tier": 3}],
    }
    request = a_request(target=target)
    newer = SHAPE.model_copy(update={"engine_version": "16.6"}).overridden(request.target)
    plan = Plan.make(request, seen(shape=newer, kms_key_arn="other"))
    retention = setting(plan, "backup_retention_days")
    assert (retention.fate, retention.before, retention.after, retention.why) == (
        Fate.OVERRIDDEN,
        5,
        7,
        "the request",
    )
    assert setting(plan, "engine_version").why == "the snapshot's"
    assert setting(plan, "kms_key").why == "the snapshot's key"
    assert setting(plan, "the-writer.instance_class").after == "db.r6g.xlarge"
    assert setting(plan, "a-reader").fate is Fate.REMOVED
    assert setting(plan, "subnet_group").fate is Fate.KEPT
    assert {each.name for each in plan.settings} >= flatten(newer).keys()


def test_a_shape_that_a_failed_operation_captured_is_said_to_be_that() -> None:
    """What stands there now is half made, and not what is kept."""
    half_made = OLD.model_copy(update={"shape": SHAPE.model_copy(update={"backup_retention_days": 1})})
    plan = Plan.make(a_request(), seen(old_target=half_made, shape_from="op-1"))
    assert plan.shape_from == "op-1"
    assert setting(plan, "backup_retention_days").why == "the request or what op-1 captured"


def test_a_new_target_has_nothing_to_delete_and_all_its_settings_are_new() -> None:
    """And one cluster more is needed of the quota."""
    plan = Plan.make(a_request(), seen(target=None, old_target=None))
    assert plan.deletion is None
    assert {each.fate for each in plan.settings} == {Fate.NEW}
    assert [use.needed for use in plan.quotas] == [1, 1, 2]
    assert Plan.make(a_request(), seen(shape=None, problems=("x",))).settings == ()


def test_a_snapshot_that_is_still_to_be_taken_is_planned_as_its_source_is() -> None:
    """It is copied where it has to be, and then dropped."""
    request = a_request(source={"cluster": "orders-prod", "region": "us-east-1", "snapshot": "new"})
    plan = Plan.make(request, seen(snapshot=None))
    assert [copy.role for copy in plan.copies] == [SnapshotRole.NEW, SnapshotRole.COPY, SnapshotRole.FINAL]
    assert "deleted again once it is copied" in plan.copies[0].why
    assert plan.snapshot is not None
    assert plan.snapshot.identifier is None
    assert plan.obstacles == ()
    assert ("us-east-1", 1) in {(use.region, use.needed) for use in plan.quotas}
    assert plan.to_file().pinned_request().source.snapshot == "new"
    gone = Plan.make(request, seen(snapshot=None, source=None, problems=("there is no cluster",)))
    assert gone.pinned.copy_plan is None


def test_a_named_snapshot_says_how_many_newer_ones_there_are() -> None:
    """Whoever names last week's learns that it is last week's."""
    named = a_snapshot("old", created_at=NOW - timedelta(days=7))
    request = a_request(source={"cluster": "orders-prod", "region": "us-east-1", "snapshot": "old"})
    plan = Plan.make(request, seen(snapshot=named, candidates=(named, a_snapshot()), source=None))
    assert plan.snapshot is not None
    assert plan.snapshot.why == "source.snapshot names it; newer ones that are there: 1"
    assert plan.obstacles == ()


def test_users_say_how_they_log_in_and_what_becomes_of_their_secrets() -> None:
    """What only the data can tell is said to be so."""
    plan = Plan.make(a_request(), seen())
    app, job = plan.users
    assert (app.login, app.secret_exists, app.grants) == ("secret staging/app", True, ("readwrite",))
    assert (job.login, job.secret_exists) == ("IAM token", None)
    assert job.grants == ("SELECT on schema public, table t",)
    assert "known only after the restore" in plan.logins[0]
    kept = Plan.make(a_request(logins="keep", users=[]), seen())
    assert "stay, with the source's passwords" in kept.logins[0]


def test_the_database_work_is_told_without_its_text() -> None:
    """Files by name, hash and size; what must hold, and who asks; what becomes of production's leftovers."""
    text = "SELECT 'Größe'"
    plan = Plan.make(
        a_request(
            sql=[{"file": "mask.sql", "text": text, "database": "orders"}],
            verify=[
                {"table": "public.orders", "rows_at_least": 1000},
                {"query": "SELECT true", "returns": True, "user": "job"},
                {"table": "shops"},
            ],
            keep=["cron-jobs"],
            ownership=[{"from": "orders_owner", "to": "app", "database": "orders"}],
        ),
        seen(),
    )
    (script,) = plan.scripts
    assert (script.file, script.database, script.size_bytes) == ("mask.sql", "orders", 16)
    assert script.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert [(check.name, check.expects, check.user) for check in plan.checks] == [
        ("table public.orders", "at least 1,000 rows", "app"),
        ("verify[1]", "the query returns true", "job"),
        ("table shops", "exists", "app"),
    ]
    stopped, *left = plan.leftovers
    assert stopped.startswith("Subscriptions are disabled and detached, replication slots are dropped, user mappings")
    assert left == [
        "Production's cron-jobs stay as they come (keep).",
        "What orders_owner owns in database orders becomes app's.",
    ]


def test_what_a_user_has_besides_grants_is_told() -> None:
    """Where it may come from, what it is in, its limits and its settings."""
    user = {
        "name": "app",
        "secret": "staging/app",
        "password": "keep",
        "host": "10.0.%",
        "roles": ["reporting"],
        "connection_limit": 5,
        "valid_until": "2027-01-31T00:00:00Z",
        "settings": {"statement_timeout": "30s"},
    }
    (planned,) = Plan.make(a_request(users=[user]), seen()).users
    assert planned.password is Password.KEEP
    assert planned.more == (
        "from 10.0.%",
        "in reporting",
        "at most 5 connections",
        "until 2027-01-31 00:00 UTC",
        "statement_timeout = 30s",
    )


def own(role: SnapshotRole, days: int, **changes: Any) -> Snapshot:
    tags = names.pipeline_tags("blue", f"op-{days}", "us-west-2/orders-staging", role)
    return a_snapshot(f"{role}-{days}", tags=tags, created_at=NOW - timedelta(days=days), **changes)


def test_what_will_be_pruned_counts_the_snapshots_that_the_operation_adds() -> None:
    """Archives and finals apart; what is not available is not touched."""
    there = (
        own(SnapshotRole.ARCHIVE, 1),
        own(SnapshotRole.COPY, 2),
        own(SnapshotRole.FINAL, 3),
        own(SnapshotRole.ARCHIVE, 4, status=SnapshotStatus.FAILED),
    )
    plan = Plan.make(a_request(archive={"keep": 2}), seen(own_snapshots=there))
    assert [each.identifier for each in plan.pruned] == ["copy-2"]
    local = a_snapshot(region="us-west-2", kms_key_arn=KEY)
    unchanged = Plan.make(a_request(archive={"keep": 2}), seen(own_snapshots=there, snapshot=local))
    assert unchanged.pruned == ()
    assert [copy.role for copy in unchanged.copies] == [SnapshotRole.FINAL]


def test_a_quota_that_is_too_small_is_an_obstacle_and_an_unknown_one_is_not() -> None:
    """The operation would have failed after hours, with SnapshotQuotaExceeded."""
    full = Quota(region="us-west-2", name="ManualClusterSnapshots", used=99, limit=100)
    plan = Plan.make(a_request(), seen(quotas=(full,)))
    assert "ManualClusterSnapshots in us-west-2 is 100, 99 are used and 2 more needed" in plan.obstacles[0]
    assert [use.limit for use in plan.quotas] == [100, None, None]


def earlier(minutes: int, **changes: Any) -> Operation:
    began = NOW - timedelta(days=1)
    took = StepRecord(started_at=began, ended_at=began + timedelta(minutes=minutes), verdict=Verdict.done("done"))
    plain: dict[str, Any] = {
        "operation_id": f"op-{minutes}",
        "execution_arn": "x",
        "stack": "blue",
        "status": OperationStatus.SUCCEEDED,
        "target": "us-west-2/orders-staging",
        "requested_at": began,
        "request": a_request(),
        "old_target": OLD,
        "steps": {Step.CHECK_COPY_STATUS: took, Step.DELETE_RDS: took, Step.SNAPSHOT_CHECK: took},
    }
    return Operation(**plain | changes)


def test_the_time_is_the_median_of_like_operations_and_says_so() -> None:
    """What failed, was resumed, or came from elsewhere says nothing about how long AWS takes."""
    history = (
        earlier(10),
        earlier(30),
        earlier(20),
        earlier(600, executions=2),
        earlier(600, status=OperationStatus.FAILED),
        earlier(600, request=None),
    )
    times = {each.step: each for each in Plan.make(a_request(), seen(history=history)).times}
    assert times[Step.CHECK_COPY_STATUS].seconds == 20 * 60
    assert times[Step.CHECK_COPY_STATUS].basis == "median of 3 earlier operations"
    assert times[Step.CHECK_RESTORE_STATUS].basis == "rough figure"
    elsewhere = a_request(source={"cluster": "orders-prod", "region": "eu-west-1", "snapshot": "new"})
    other = earlier(600, request=elsewhere, old_target=None)
    rough = Plan.make(a_request(), seen(history=(other,)))
    assert {each.basis for each in rough.times} == {"rough figure"}


def test_the_cost_states_its_formula_and_what_it_leaves_out() -> None:
    """A figure without its ground is worth nothing."""
    cost = Plan.make(a_request(), seen(target_gib=12.3)).cost
    assert cost.dollars == round(cost.transitions * 0.025 / 1000, 4)
    assert f"{cost.transitions} state transitions" in cost.formula
    left_out = "; ".join(cost.left_out)
    assert "40 GiB" in left_out
    assert "12.3 GiB" in left_out
    assert "between regions" in left_out


def test_a_plan_survives_its_file_and_names_the_snapshot_by_arn() -> None:
    """What was planned is what is restored, and the audit knows by which plan."""
    planned = Plan.make(a_request(), seen()).to_file()
    again = PlanDocument.parse(planned.document(), origin="nightly.plan")
    assert again == planned
    request = again.pinned_request()
    assert request.source.snapshot == a_snapshot().arn
    assert request.plan == planned.sha256
    assert RestoreRequest.parse(request.document()) == request


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"planned_at": "2026-01-01T00:00:00Z"}, "changed after it was written"),
        ({"sha256": "0" * 64}, "changed after it was written"),
    ],
)
def test_a_plan_that_was_changed_is_refused(change: dict[str, Any], found: str) -> None:
    """Its hash would say something else in the audit."""
    document = Plan.make(a_request(), seen()).to_file().document()
    with pytest.raises(RequestError, match=found):
        PlanDocument.parse({**document, **change}, origin="nightly.plan")


@pytest.mark.parametrize("document", [[], {}, {"name": "a request"}])
def test_what_is_no_plan_is_refused(document: object) -> None:
    with pytest.raises(RequestError, match="found no plan"):
        PlanDocument.parse(document, origin="nightly.plan")


def test_a_plan_of_another_format_is_refused() -> None:
    from aurora_restore.plan_document import digest  # noqa: PLC0415

    content: dict[str, Any] = {"format": 2}
    with pytest.raises(RequestError, match="another version"):
        PlanDocument.parse({**content, "sha256": digest(content)}, origin="nightly.plan")


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"state_machine_arn": "another"}, "the pipeline is another now, and was machine"),
        ({"snapshot": a_snapshot("newer")}, "the snapshot that source.snapshot chooses is arn"),
        (
            {"old_target": OLD.model_copy(update={"resource_id": "cluster-U"})},
            "the target cluster is cluster-U now, and was cluster-T",
        ),
        ({"target": None, "old_target": None}, "the target cluster is not there now, and was cluster-T"),
        ({"kms_key_arn": "other"}, "the key of the restored cluster is other now"),
        (
            {"shape": SHAPE.model_copy(update={"deletion_protection": False})},
            "the setting deletion_protection would be off now, and was on",
        ),
        ({"snapshot": a_snapshot(region="us-west-2", kms_key_arn=KEY)}, "a copy is not needed now"),
    ],
)
def test_a_world_that_differs_from_the_plan_is_told(changes: dict[str, Any], difference: str) -> None:
    planned = Plan.make(a_request(), seen()).pinned
    found = list(planned.differences(Plan.make(a_request(), seen(**changes)).pinned))
    assert any(sentence.startswith(difference) for sentence in found), found


def test_the_same_world_has_no_differences() -> None:
    """Later, and with other figures, it is the same all the same."""
    later = seen(at=NOW + timedelta(hours=1), connections=4, target_gib=2)
    assert list(Plan.make(a_request(), seen()).pinned.differences(Plan.make(a_request(), later).pinned)) == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "none"),
        (False, "off"),
        (0, "0"),
        ([], "none"),
        (["a", "b"], "a, b"),
        ({"min_acu": 0.5, "auto_pause_s": None}, "min_acu=0.5"),
        ("x", "x"),
    ],
)
def test_a_value_is_shown_in_words(value: object, words: str) -> None:
    assert shown(value) == words
