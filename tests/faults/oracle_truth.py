"""Judges what the operator is told: that a success is one, and that a message says what stands."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from aurora_restore.embedded.aurora_records import Cluster
from tests.faults.evidence import Call, Evidence, Scene

# What the restored cluster must have of the one it replaces (I9); the rest of its shape has tests of its own.
_KEPT = (
    "db_cluster_parameter_group", "db_subnet_group", "security_group_ids", "port", "backup_retention_period",
    "preferred_backup_window", "preferred_maintenance_window", "deletion_protection", "copy_tags_to_snapshot",
    "iam_database_authentication_enabled", "enabled_cloudwatch_logs_exports",
)  # fmt: skip
_KEPT_OF_INSTANCES = ("db_instance_class", "promotion_tier", "parameter_group")

_NOBODY_GETS_IN = ("logins are closed", "users cannot log in")


def _success_is_one(evidence: Evidence) -> Iterator[str]:
    for call, event, _ in _messages(evidence):
        if event["outcome"] == "succeeded" and call.before is not None:
            yield from _flaws(evidence, call.before, event)


def _flaws(evidence: Evidence, scene: Scene, event: dict[str, Any]) -> Iterator[str]:
    region, name = evidence.target
    cluster = scene.cluster(region, name)
    if cluster is None or cluster.status != "available":
        yield f"success was told while {name} is {cluster.status if cluster else 'not there'}"
        return
    tags = {tag["Key"]: tag["Value"] for tag in cluster.tag_list}
    if tags.get("aurora-restore:operation") != event["operation_id"]:
        yield f"success was told, and {name} is not the cluster that {event['operation_id']} restored"
    if event["endpoint"] is None or event["port"] != cluster.port:
        yield f"the endpoint that was told is not that of {name}"
    before = evidence.began.cluster(region, name)
    there = {each.db_instance_identifier: each for each in scene.instances(region, name)}
    wanted = {each.db_instance_identifier: each for each in evidence.began.instances(region, name)}
    unready = [each for each in there.values() if each.status != "available"]
    if not there or unready or (before is not None and set(there) != set(wanted)):
        shown = ", ".join(f"{each} ({instance.status})" for each, instance in there.items())
        yield f"success was told with the instances {shown or 'none'}"
    if before is not None:
        lost = [field for field in _KEPT if getattr(before, field) != getattr(cluster, field)]
        lost += [
            f"{name}.{field}"
            for name in set(there) & set(wanted)
            for field in _KEPT_OF_INSTANCES
            if getattr(there[name], field) != getattr(wanted[name], field)
        ]
        lost += ["roles"] if _roles(before) != _roles(cluster) else []
        known = " ".join(event["not_restored"])
        yield from (f"the restored cluster lost {field}, and nobody was told" for field in lost if field not in known)


def _roles(cluster: Cluster) -> set[tuple[str, str]]:
    return {(role.role_arn, role.feature_name) for role in cluster.roles}


def _failure_is_told_as_it_is(evidence: Evidence) -> Iterator[str]:
    for call, event, text in _messages(evidence):
        if event["outcome"] != "succeeded" and call.before is not None:
            yield from _untruths(evidence, call, call.before, event, text)


def _untruths(evidence: Evidence, call: Call, scene: Scene, event: dict[str, Any], text: str) -> Iterator[str]:
    region, name = evidence.target
    operation = event["operation_id"]
    tried = [
        each
        for each in evidence.handled(operation)
        if each.action in {"DeleteDBInstance", "DeleteDBCluster"} and each.number < call.number
    ]
    deleted = [each for each in tried if each.had_effect]
    old = (evidence.ended.state.get(operation, {}).get("old_target") or {}).get("resource_id")
    now = scene.cluster(region, name)
    stands = now is not None and now.db_cluster_resource_id == old and now.status != "deleting"
    if "Nothing was deleted" in text and deleted:
        yield f"it was told that nothing was deleted, after {len(deleted)} deletions"
    if "The target is as it was" in text and old and not stands and not evidence.meddled:
        yield "it was told that the target is as it was, and it is not"
    if "old target is deleted" in text and (stands or not old):
        yield "it was told that the old target is deleted, and it stands"
    if "the deletion of the target began" in text.lower() and not tried:
        yield "it was told that the deletion began, and it did not"
    for arn in re.findall(r"data is safe in (\S+?)\.?$", text, re.MULTILINE):
        snapshot = scene.snapshot(arn)
        if snapshot is None or snapshot.status != "available":
            yield f"it was told that the data is safe in {arn}, which is {snapshot.status if snapshot else 'gone'}"
    for arn in re.findall(r"final snapshot: (arn:\S+?)\.?$", text, re.MULTILINE):
        if scene.snapshot(arn) is None:
            yield f"it was told of a final snapshot {arn}, which is not there"


def _nothing_burns_unseen(evidence: Evidence) -> Iterator[str]:
    """An operation that deleted the target and failed says so, and where the data is."""
    for call, event, text in _messages(evidence):
        gone = [
            each
            for each in evidence.handled(event["operation_id"])
            if each.action == "DeleteDBCluster" and each.had_effect and each.number < call.number
        ]
        if event["outcome"] != "succeeded" and gone and "delet" not in text:
            yield "the target was deleted, and nobody was told"


def _closed_is_closed(evidence: Evidence) -> Iterator[str]:
    """Who is said not to get in does not, where nothing came after the message (I7)."""
    region, name = evidence.target
    messages = list(_messages(evidence))
    cluster = evidence.ended.cluster(region, name)
    volume = evidence.volumes.get(cluster.db_cluster_resource_id) if cluster else None
    if volume is None or not messages:
        return
    _, _, text = messages[-1]
    able = set(volume.logins) - {volume.master}
    if able and any(claim in text for claim in _NOBODY_GETS_IN):
        yield f"it was told that nobody can log in, and {', '.join(sorted(able))} can"


def _messages(evidence: Evidence) -> Iterator[tuple[Call, dict[str, Any], str]]:
    for call in evidence.handled():
        if call.action == "Publish" and call.had_effect:
            bodies = json.loads(call.parameters["Message"])
            yield call, json.loads(bodies["default"]), bodies["email"]


TRUTHS: tuple[tuple[str, Callable[[Evidence], Iterator[str]]], ...] = (
    ("I9", _success_is_one),
    ("truth", _failure_is_told_as_it_is),
    ("truth", _nothing_burns_unseen),
    ("truth", _closed_is_closed),
)
