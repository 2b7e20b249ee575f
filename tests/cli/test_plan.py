"""plan and run --plan, on an embedded account, as a user calls them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from aurora_restore.cli.exits import ExitCode
from aurora_restore.embedded import sample
from tests.cli.conftest import World
from tests.cli.terminal import aurora_restore

READS = ("Describe", "List", "Get", "Query", "Scan")


@contextmanager
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect the operations that any boto3 client of this process is asked for."""
    made: list[str] = []
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def count(self: BaseClient, operation_name: str, api_params: Any) -> Any:
        made.append(operation_name)
        return original(self, operation_name, api_params)

    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", count)
        yield made


def test_a_plan_reads_only_and_fits_eighty_columns(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No call changes anything, and everything that matters is said."""
    monkeypatch.setenv("COLUMNS", "80")
    with calls(monkeypatch) as made:
        answer = aurora_restore("plan", world.request(tmp_path))
    assert answer.code == ExitCode.DONE, answer.err
    assert "DescribeDBClusters" in made
    assert [name for name in made if not name.startswith(READS)] == []
    assert [line for line in answer.out.splitlines() if len(line) > 80] == []
    for words in (
        world.sample.snapshot,
        "a copy of",
        "orders-staging-1, orders-staging-2",
        "would be issued",
        "Kept as it is",
        "staging_app: readwrite",
        "orders-staging/app, which will be made",
        "of 100 used, 2 more needed",
        "rough figure",
        "state transitions x $0.025 / 1,000",
        "Nothing that was seen would stop it",
    ):
        assert words in answer.out, words


def test_a_plan_that_cannot_run_says_why_and_is_not_written(world: World, tmp_path: Path) -> None:
    """Exit 2, for scripts; the JSON document holds the same."""
    out = tmp_path / "it.plan"
    file = world.request(
        tmp_path,
        replace={"allow": False},
        target={**sample.request()["target"], "backup_retention_days": 7, "instances": [{"class": "db.r6g.xlarge"}]},
        source={**sample.request()["source"], "snapshot": "new"},
    )
    answer = aurora_restore("plan", file, "--out", str(out))
    assert answer.code == ExitCode.USAGE
    assert "set replace.allow to true" in answer.out
    assert "backup_retention_days: 5 -> 7, by the request" in answer.out
    assert "orders-staging-2 (db.t4g.medium): not made again" in answer.out
    assert "is not written" in answer.err
    assert not out.exists()
    document = aurora_restore("plan", file, "--json").document
    assert document["can_run"] is False
    assert document["problems"]
    assert document["deletion"]["connections"] is None


def test_what_aws_does_not_tell_is_unknown_and_what_it_tells_is_shown(world: World, tmp_path: Path) -> None:
    """A plan does without quotas and figures; it fails for neither."""
    world.account.aurora.refuse_next("DescribeAccountAttributes", "AccessDenied", times=2)
    figure = {
        "Dimensions": [{"Name": "DBClusterIdentifier", "Value": sample.TARGET}],
        "Timestamp": datetime.now(UTC) - timedelta(minutes=10),
    }
    world.account.client("cloudwatch", sample.TARGET_REGION).put_metric_data(
        Namespace="AWS/RDS",
        MetricData=[
            {**figure, "MetricName": "DatabaseConnections", "Value": 17},
            {**figure, "MetricName": "VolumeBytesUsed", "Value": 3 * 1024**3},
        ],
    )
    answer = aurora_restore("plan", world.request(tmp_path))
    assert answer.code == ExitCode.DONE, answer.err
    assert "unknown, 2 more needed in us-west-2" in answer.out
    assert "17 when last measured" in answer.out
    assert "3.0 GiB" in answer.out


def test_what_was_planned_is_run_and_the_audit_names_the_plan(world: World, tmp_path: Path) -> None:
    """The snapshot of the plan is restored; a second run finds the target made again, and is refused."""
    plan = str(tmp_path / "it.plan")
    planned = aurora_restore("plan", world.request(tmp_path, name="planned"), "--out", plan, "--json")
    assert planned.code == ExitCode.DONE, planned.err
    ran = aurora_restore("run", "--plan", plan, "--json")
    assert ran.code == ExitCode.DONE, ran.err
    assert ran.document["source"]["snapshot"]["arn"] == planned.document["snapshot"]["arn"]
    events = aurora_restore("audit", ran.document["operation_id"], "--verify", "--json").document["events"]
    accepted = next(event for event in events if event["action"] == "AcceptRequest")
    assert accepted["detail"].endswith(f"as planned in {planned.document['sha256']}")

    again = aurora_restore("run", "--plan", plan)
    assert again.code == ExitCode.USAGE
    assert "the target cluster is cluster-" in again.err
    history = aurora_restore("history", "--json").document["operations"]
    assert len([one for one in history if one["operation_id"].startswith("planned")]) == 1
    figures = aurora_restore("plan", world.request(tmp_path, name="planned"))
    assert "1 earlier operation" in figures.out
    assert "orders-staging/app, which gets a new password" in figures.out


def test_a_newer_snapshot_counts_only_where_latest_is_asked_for(world: World, tmp_path: Path) -> None:
    """Whoever named a snapshot gets that one."""
    named = {**sample.request()["source"], "snapshot": world.sample.snapshot}
    latest, fixed = str(tmp_path / "latest.plan"), str(tmp_path / "fixed.plan")
    assert aurora_restore("plan", world.request(tmp_path), "--out", latest).code == ExitCode.DONE
    assert aurora_restore("plan", world.request(tmp_path, name="fixed", source=named), "--out", fixed).code == 0
    # One a minute has a name of its own.
    world.account.clock.sleep(60)
    newer = world.account.aurora.take_automated_snapshot(sample.SOURCE_REGION, sample.SOURCE)
    refused = aurora_restore("run", "--plan", latest, "--json")
    assert refused.code == ExitCode.USAGE
    assert newer in refused.document["error"]["differences"][0]
    assert refused.document["error"]["type"] == "PlanOutdatedError"
    assert aurora_restore("run", "--plan", fixed, "--json").code == ExitCode.DONE


@pytest.mark.parametrize("words", [[], ["FILE", "--plan", "PLAN"], ["--plan", "no-such.plan"]])
def test_run_takes_a_request_or_a_plan(words: list[str], tmp_path: Path) -> None:
    """Neither, both, or one that is not there is a mistake of usage."""
    answer = aurora_restore("run", *words)
    assert answer.code == ExitCode.USAGE
    assert "Error" in answer.err


def test_a_plan_does_not_overwrite_its_request(world: World, tmp_path: Path) -> None:
    """The same name typed twice, or a link to it, loses nobody's work."""
    request = Path(world.request(tmp_path))
    before, link = request.read_text(), tmp_path / "link"
    link.symlink_to(request)
    for out in (request, link):
        answer = aurora_restore("plan", str(request), "--out", str(out))
        assert (answer.code, request.read_text()) == (ExitCode.USAGE, before)
        assert "is the request itself" in answer.err


def test_a_plan_that_somebody_changed_is_refused(world: World, tmp_path: Path) -> None:
    """It is what was looked at, or it is not run."""
    plan = tmp_path / "it.plan"
    aurora_restore("plan", world.request(tmp_path), "--out", str(plan))
    document = json.loads(plan.read_text())
    document["request"]["replace"]["final_snapshot"] = False
    plan.write_text(json.dumps(document))
    answer = aurora_restore("run", "--plan", str(plan))
    assert answer.code == ExitCode.USAGE
    assert "changed after it was written" in answer.err
    plan.write_text("no JSON")
    assert aurora_restore("run", "--plan", str(plan)).code == ExitCode.USAGE
    assert aurora_restore("plan", world.request(tmp_path), "--out", str(tmp_path / "none" / "x")).code == ExitCode.USAGE
