"""Judges what became of the database: SQL once, one new password an operation (I4), and who could see it (I7)."""

from collections import defaultdict
from collections.abc import Iterator

from tests.faults.evidence import Evidence


def sql_is_run_once(evidence: Evidence) -> Iterator[str]:
    """Of the files of a request that succeeded, each statement ran once, and no mark is left."""
    region, name = evidence.target
    operations = sorted(evidence.operations.values(), key=lambda item: str(item.get("ended_at", "")))
    cluster = evidence.ended.cluster(region, name)
    volume = evidence.volumes.get(cluster.db_cluster_resource_id) if cluster else None
    if volume is None or not operations or operations[-1]["status"] != "succeeded":
        return
    wanted = [line for script in evidence.request.get("sql", ()) for line in script["text"].split(";\n")]
    ran = [statement for contents in volume.contents.values() for statement in contents.ran]
    if [statement.strip() for statement in wanted] != ran:
        yield f"the SQL that was run is {ran}"
    if any(contents.marked for contents in volume.contents.values()):
        yield "marks of SQL files are left in the database"


def nobody_is_in_before_sql_is_run(evidence: Evidence) -> Iterator[str]:
    """Files may mask what no user is to see: until all have run nobody but the master can log in."""
    for volume in evidence.volumes.values():
        for name in sorted({name for contents in volume.contents.values() for name in contents.watchers}):
            yield f"{name} could log in while SQL was run"


def passwords_are_rotated_once(evidence: Evidence) -> Iterator[str]:
    """An operation gives a secret one version, however often its step is called."""
    made: dict[tuple[str, str], set[str]] = defaultdict(set)
    for call in evidence.handled():
        if call.action == "PutSecretValue" and call.had_effect and call.caller is not None:
            place = (call.caller.operation, str(call.parameters["SecretId"]))
            made[place].add(str(call.parameters["ClientRequestToken"]))
    for (operation, secret), versions in made.items():
        if len(versions) > 1:
            yield f"{operation} made {len(versions)} versions of {secret}"


DATABASE_CHECKS = (
    ("I4", sql_is_run_once),
    ("I4", passwords_are_rotated_once),
    ("I7", nobody_is_in_before_sql_is_run),
)
