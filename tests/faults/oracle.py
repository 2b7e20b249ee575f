"""Judges a run by what the account saw, what is written and what is told: by the promises, whatever the steps do."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from tests.faults.evidence import Call, Evidence, Item, Scene
from tests.faults.oracle_database import DATABASE_CHECKS
from tests.faults.oracle_truth import TRUTHS

# How RDS calls what a changing call names, and which of these are clusters' ARNs too.
_NAMING = ("DBClusterIdentifier", "ResourceName", "SourceDBClusterIdentifier")
_DELETIONS = frozenset({"DeleteDBInstance", "DeleteDBCluster"})
_OPERATION, _ROLE = "aurora-restore:operation", "aurora-restore:role"


class Violation(NamedTuple):
    """A promise that does not hold, and what shows it."""

    promise: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.sentence}"


def judge(evidence: Evidence) -> list[Violation]:
    """Return every promise that the evidence shows to be broken."""
    found: list[Violation] = []
    for promise, check in _CHECKS:
        found.extend(Violation(promise, sentence) for sentence in check(evidence))
    return list(dict.fromkeys(found))


def _something_went_wrong(evidence: Evidence) -> Iterator[str]:
    """A scenario whose fault never happened shows nothing."""
    if evidence.unsprung:
        yield f"{evidence.unsprung} faults of the scenario did not happen"


def _source_is_untouched(evidence: Evidence) -> Iterator[str]:
    region, name = evidence.source
    arn = f"arn:aws:rds:{region}:123456789012:cluster:{name}"
    for call in evidence.handled():
        named = {call.parameters.get(member) for member in _NAMING}
        here = call.service == "rds" and call.region == region
        if here and call.changes and named & {name, arn} and call.action != "CreateDBClusterSnapshot":
            yield f"{call.action} names the source"
    before, after = evidence.began.cluster(region, name), evidence.ended.cluster(region, name)
    if before is not None and (after is None or after.db_cluster_resource_id != before.db_cluster_resource_id):
        yield "the source is not there any more"


def _deletion_is_warranted(evidence: Evidence) -> Iterator[str]:
    for call in evidence.handled():
        if call.action in _DELETIONS and call.had_effect and call.before is not None:
            for reason in _unwarranted(evidence, call, call.before):
                yield f"{call.action} {_subject(call)} although {reason}"


def _unwarranted(evidence: Evidence, call: Call, scene: Scene) -> Iterator[str]:
    region, name = evidence.target
    cluster = scene.cluster(region, _cluster_named(call, scene))
    if cluster is None:
        return
    record = scene.state.get(call.caller.operation if call.caller else "", {})
    captured = record.get("old_target") or {}
    replace = evidence.request.get("replace") or {}
    # What stood there before the first operation is no business of the next one.
    began = evidence.began.cluster(region, name) if _is_first(evidence, record) else None
    if cluster.db_cluster_identifier != name or call.region != region:
        yield f"the target is {name} in {region}"
    if (region, cluster.db_cluster_identifier) == evidence.source:
        yield "it is the source"
    if not replace.get("allow") or replace.get("confirm") != name:
        yield "the request does not allow it"
    if captured.get("resource_id") != cluster.db_cluster_resource_id or not record.get("shape"):
        yield "its shape is not what is stored"
    if began is not None and began.db_cluster_resource_id != cluster.db_cluster_resource_id:
        yield "it is not the cluster that the operation found"
    protected = cluster.deletion_protection or (began is not None and began.deletion_protection)
    if protected and replace.get("protection") != "lift":
        yield "it is protected"
    wants_final = call.action == "DeleteDBCluster" and replace.get("final_snapshot", True)
    if wants_final and not call.parameters.get("FinalDBSnapshotIdentifier"):
        yield "no final snapshot is taken"
    yield from _not_restorable(evidence, scene, record)


def _is_first(evidence: Evidence, record: Item) -> bool:
    return all(str(record.get("requested_at")) <= str(item["requested_at"]) for item in evidence.operations.values())


def _not_restorable(evidence: Evidence, scene: Scene, record: Item) -> Iterator[str]:
    region, _ = evidence.target
    source = evidence.began.cluster(*evidence.source)
    snapshot = scene.snapshot((record.get("restore_from") or {}).get("arn", ""))
    if snapshot is None:
        yield "there is no snapshot to restore from"
        return
    if snapshot.status != "available":
        yield f"the snapshot is {snapshot.status}"
    if snapshot.place.region != region:
        yield f"the snapshot is in {snapshot.place.region}"
    if snapshot.kms_key_id and snapshot.kms_key_id not in scene.usable_keys:
        yield "the snapshot's key cannot be used"
    if source is not None and snapshot.db_cluster_resource_id != source.db_cluster_resource_id:
        yield "the snapshot is not the source's"


def _cluster_named(call: Call, scene: Scene) -> str:
    if call.action == "DeleteDBCluster":
        return str(call.parameters["DBClusterIdentifier"])
    instance = scene.records(call.region).instances.get(str(call.parameters["DBInstanceIdentifier"]))
    return instance.db_cluster_identifier if instance else ""


def _only_own_snapshots_go(evidence: Evidence) -> Iterator[str]:
    """Nothing that the pipeline did not make for this target may be pruned, and never the last archive."""
    target = "/".join(evidence.target)
    for call in evidence.handled():
        if call.action == "DeleteDBClusterSnapshot" and call.before is not None:
            name = str(call.parameters["DBClusterSnapshotIdentifier"])
            snapshot = call.before.records(call.region).snapshots.get(name)
            tags = {} if snapshot is None else {tag["Key"]: tag["Value"] for tag in snapshot.tag_list}
            if snapshot is not None and tags.get("aurora-restore:target") != target:
                yield f"{name} is deleted, and is not this target's"
    kept = Counter(_tags(each).get(_ROLE) for each in evidence.ended.snapshots() if _is_mine(each, target))
    made = Counter(_tags(each).get(_ROLE) for each in evidence.began.snapshots() if _is_mine(each, target))
    for role in ("archive", "final"):
        if made[role] and not kept[role]:
            yield f"no {role} snapshot of the target is left"


def _is_mine(snapshot: Any, target: str) -> bool:
    return _tags(snapshot).get("aurora-restore:target") == target


def _tags(record: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in record.tag_list}


def _one_at_a_time(evidence: Evidence) -> Iterator[str]:
    region, name = evidence.target
    changes = [call for call in evidence.handled() if call.changes and call.service in {"rds", "secretsmanager"}]
    order = [operation for operation, _ in groupby(call.caller.operation for call in changes if call.caller)]
    if len(order) != len(set(order)):
        yield f"the operations {', '.join(order)} took turns on {region}/{name}"


def _it_ends(evidence: Evidence) -> Iterator[str]:
    for arn, status in evidence.executions.items():
        if status == "RUNNING":
            yield f"{arn} does not end"
    running = [key for key, item in evidence.operations.items() if item["status"] == "running"]
    if not evidence.unreachable:
        yield from (f"the operation {key} never ended" for key in running)
        yield from (f"{key} is still held" for key in evidence.ended.state if key.startswith("lock#"))
    first = {} if evidence.first_ended is None else evidence.first_ended.state
    for key, item in first.items():
        holder = first.get(str(item.get("operation_id")), {}) if key.startswith("lock#") else {}
        if holder.get("status") not in {None, "running"}:
            yield f"{item['operation_id']} has ended and still holds {key}"
    for key, item in evidence.operations.items():
        if key in evidence.outcomes and item["status"] != evidence.outcomes[key]:
            failure = item.get("failure") or {}
            yield (
                f"{key} was to end as {evidence.outcomes[key]} and has {item['status']}: "
                f"{failure.get('step')}, {failure.get('error')}: {failure.get('message')}"
            )


def _nothing_is_made_twice(evidence: Evidence) -> Iterator[str]:
    made = [call for call in evidence.handled() if call.had_effect and call.caller is not None]
    for action, member in (
        ("CopyDBClusterSnapshot", "TargetDBClusterSnapshotIdentifier"),
        ("CreateDBClusterSnapshot", "DBClusterSnapshotIdentifier"),
        ("DeleteDBCluster", "FinalDBSnapshotIdentifier"),
        ("RestoreDBClusterFromSnapshot", "DBClusterIdentifier"),
    ):
        calls = Counter(call.caller.operation for call in made if call.caller and call.action == action)
        # What was taken back when its operation was stopped may be made again.
        calls.subtract(_operations_taking_back(made, action, member))
        yield from (f"{operation} did {action} {count} times" for operation, count in calls.items() if count > 1)
        names = {call.parameters.get(member) for call in made if call.action == action}
        if len(names) > len(evidence.operations):
            yield f"{action} was done under the names {', '.join(map(str, names))}"


def _operations_taking_back(made: list[Call], action: str, member: str) -> Iterator[str]:
    names = {call.parameters.get(member) for call in made if call.action == action}
    for call in made:
        is_copy = call.action == "DeleteDBClusterSnapshot" and action == "CopyDBClusterSnapshot"
        if is_copy and call.caller and call.parameters["DBClusterSnapshotIdentifier"] in names:
            yield call.caller.operation


def _nothing_is_left_unrecorded(evidence: Evidence) -> Iterator[str]:
    """Whatever an operation made and left is tagged with it, and its audit names it."""
    written = {
        key: json.dumps([item, evidence.audit.get(key, [])], default=str) for key, item in evidence.operations.items()
    }
    old = {each.arn for records in evidence.began.places.values() for each in records.all()}
    made = {
        str(call.parameters.get(member))
        for call in evidence.handled()
        if call.had_effect
        for member in _MAKING.get(call.action, ())
    }
    for records in evidence.ended.places.values():
        for each in records.all():
            name = each.arn.rpartition(":")[2]
            if each.arn in old or name not in made:
                continue
            owner = _tags(each).get(_OPERATION)
            known = [key for key, text in written.items() if name in text]
            if not known:
                yield f"{name} was made, and no record and no audit names it"
            if owner not in evidence.operations and not name.startswith("aurora-restore-final"):
                yield f"{name} was made, and is not tagged with its operation"


_MAKING = {
    "CopyDBClusterSnapshot": ("TargetDBClusterSnapshotIdentifier",),
    "CreateDBClusterSnapshot": ("DBClusterSnapshotIdentifier",),
    "DeleteDBCluster": ("FinalDBSnapshotIdentifier",),
    "RestoreDBClusterFromSnapshot": ("DBClusterIdentifier",),
    "CreateDBInstance": ("DBInstanceIdentifier",),
}


def _changes_are_announced(evidence: Evidence) -> Iterator[str]:
    announced: Counter[tuple[str, str]] = Counter()
    for call in evidence.handled():
        if call.action in {"TransactWriteItems", "PutItem"} and call.had_effect:
            announced.update(_intents(call))
        elif call.changes and call.caller is not None and call.status is not None:
            key = (call.caller.operation, call.action)
            # Another operation may end one that was left: then the intent is in that one's audit.
            keys = [key, *(each for each in announced if each[1] == call.action and announced[each] > 0)]
            held = next((each for each in keys if announced[each] > 0), None)
            if held is None:
                yield f"{call.action} {_subject(call)} was not announced"
            else:
                announced[held] -= 1


def _nothing_is_overwritten(evidence: Evidence) -> Iterator[str]:
    """The audit is only ever appended to: a chain that was written anew would verify too."""
    written: Counter[tuple[str, str]] = Counter()
    for call in evidence.handled():
        if call.action in {"TransactWriteItems", "PutItem"} and call.had_effect:
            events = (item for item in _items(call) if "sequence" in item)
            written.update((item["operation_id"]["S"], item["sequence"]["N"]) for item in events)
    twice = [key for key, times in written.items() if times > 1]
    yield from (f"event {number} of {key} was written more than once" for key, number in twice)


def _intents(call: Call) -> Iterator[tuple[str, str]]:
    for item in _items(call):
        if item.get("kind", {}).get("S") == "intent":
            yield item["operation_id"]["S"], item["action"]["S"]


def _items(call: Call) -> list[Item]:
    writes = call.parameters.get("TransactItems") or [{"Put": call.parameters}]
    return [write["Put"]["Item"] for write in writes if "Put" in write]


def _chain_is_whole(evidence: Evidence) -> Iterator[str]:
    for key, item in evidence.operations.items():
        previous = ""
        for number, event in enumerate(evidence.audit.get(key, []), start=1):
            content = {"step": None} | {name: value for name, value in event.items() if name != "hash"}
            digest = hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
            if (event["sequence"], event["previous_hash"], event["hash"]) != (number, previous, digest):
                yield f"event {number} of {key} does not fit into the chain"
            previous = event["hash"]
        if previous != item.get("audit_hash", ""):
            yield f"the audit of {key} does not end where its record says"


def _secrets_are_kept(evidence: Evidence) -> Iterator[str]:
    hidden = {value for value in evidence.passwords if len(value) > 6}
    hidden |= {str(json.loads(text).get("password")) for text in evidence.secrets.values()}
    calls = [json.dumps(call.parameters) for call in evidence.handled() if call.service != "secretsmanager"]
    places = {
        "the log": evidence.log,
        "a call's parameters": "\n".join(calls),
        "the history": evidence.history,
        "the tables": json.dumps([evidence.ended.state, evidence.audit], default=str),
    }
    for place, text in places.items():
        # As it is, or as JSON in JSON shows it.
        if any(value in text or json.dumps(value)[1:-1] in text for value in hidden):
            yield f"a password is in {place}"


def _logins_are_as_asked(evidence: Evidence) -> Iterator[str]:
    region, name = evidence.target
    if not _succeeded(evidence) or evidence.request.get("logins") == "keep":
        return
    cluster = evidence.ended.cluster(region, name)
    volume = evidence.volumes.get(cluster.db_cluster_resource_id) if cluster else None
    if cluster is None or volume is None:
        return
    wanted = {user["name"]: user.get("secret") for user in evidence.request["users"]}
    if set(volume.logins) != {*wanted, volume.master}:
        yield f"{', '.join(sorted(volume.logins))} can log in, and {', '.join(sorted(wanted))} were asked for"
    for user, secret in wanted.items():
        held = json.loads(evidence.secrets.get(str(secret), "{}")).get("password")
        if secret and volume.logins.get(user) != held:
            yield f"the password of {user} is not the one in {secret}"
    origin = evidence.volumes[evidence.began.cluster(*evidence.source).db_cluster_resource_id]  # type: ignore[union-attr]
    if set(volume.logins.values()) & set(origin.logins.values()):
        yield "a password of production works"
    if volume.data != origin.data:
        yield f"the restored cluster holds {volume.data}"


def _it_is_told(evidence: Evidence) -> Iterator[str]:
    told: dict[str, set[str]] = {}
    for call in evidence.handled():
        if call.action == "Publish" and call.had_effect:
            event = json.loads(json.loads(call.parameters["Message"])["default"])
            attributes = call.parameters["MessageAttributes"]
            told.setdefault(event["operation_id"], set()).add(attributes["deduplication_id"]["StringValue"])
    for key, item in evidence.operations.items():
        sent = told.pop(key, set())
        if item["status"] == "running":
            continue
        if not sent and not evidence.unreachable:
            yield f"nobody was told how {key} ended"
        outcomes = {each.rpartition(":")[2] for each in sent}
        if len(sent) > 1 and not item.get("executions", 1) > 1:
            yield f"{key} was told {len(sent)} times: {', '.join(sorted(sent))}"
        if sent and item["status"] not in outcomes and not any(item["status"] in each for each in sent):
            yield f"{key} has {item['status']}, and was told as {', '.join(outcomes)}"
        if sent and not item.get("notified_at") and not evidence.unreachable:
            yield f"{key} was told, and its record does not know"


def _succeeded(evidence: Evidence) -> bool:
    """Say whether the operation that ended last on the target has succeeded."""
    ended = sorted(evidence.operations.values(), key=lambda item: str(item.get("ended_at", "")))
    return bool(ended) and ended[-1]["status"] == "succeeded"


def _subject(call: Call) -> str:
    named = [
        value for key, value in call.parameters.items() if key.endswith(("Identifier", "ResourceName", "SecretId"))
    ]
    return str(named[0]) if named else ""


_CHECKS: tuple[tuple[str, Callable[[Evidence], Iterator[str]]], ...] = (
    ("scenario", _something_went_wrong),
    ("I1", _source_is_untouched),
    ("I2", _deletion_is_warranted),
    ("I2", _only_own_snapshots_go),
    ("I3", _one_at_a_time),
    ("I4", _it_ends),
    ("I4", _nothing_is_made_twice),
    ("I4", _nothing_is_left_unrecorded),
    ("I5", _changes_are_announced),
    ("I5", _chain_is_whole),
    ("I5", _nothing_is_overwritten),
    ("I6", _secrets_are_kept),
    ("I7", _logins_are_as_asked),
    ("I8", _it_is_told),
    *DATABASE_CHECKS,
    *TRUTHS,
)
