"""The operations that are recorded: every way through the pipeline that makes a function call AWS in another way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from botocore.awsrequest import AWSResponse

from aurora_restore.embedded.aurora_records import Durations
from aurora_restore.names import pipeline_tags, resumption
from aurora_restore.operation import Step
from tests.faults.evidence import EAST, WEST, Call
from tests.faults.faults import at, trap
from tests.faults.harness import Rig, Send, Trap
from tests.faults.variations import SOURCE, TARGET, equip, key_arn, make_cluster, make_source, make_target
from tests.infra.recording import RecordingRig

STACK = "aurora-restore"
OPERATION, NEXT = "op-1", "op-2"
_QUICK = Durations(**{each.name: 60 for each in fields(Durations)})
_MONITORING = "arn:aws:iam::123456789012:role/rds-monitoring"
_OURS = pipeline_tags(STACK, "earlier", f"{WEST}/{TARGET}")


@dataclass(frozen=True)
class Recorded:
    """One world, the request made in it, and what happens then."""

    name: str
    make: Callable[[Rig], None]
    request: Mapping[str, Any]
    play: Callable[[Rig, Mapping[str, Any]], None]
    ends: str = "SUCCEEDED"


def prepared(rig: RecordingRig) -> RecordingRig:
    """Give the account its networks, keys and parameter groups; return it."""
    for region, name in ((EAST, SOURCE), (WEST, TARGET)):
        equip(rig, region, name)
    return rig


def record(rig: RecordingRig) -> None:
    """Run all operations; raises AssertionError where one ends otherwise than it must."""
    for each in OPERATIONS:
        rig.empty(_QUICK)
        each.make(rig)
        each.play(rig, _completed(rig, each.request))
        ended = list(rig.executions.values())
        assert ended[-1] == each.ends, f"{each.name} ended in {ended}"
        rig.traps.clear()
        rig.deaf = False


# Worlds


def _renewal(rig: Rig) -> None:
    """The target has all that a restore loses and IAM is asked for; earlier operations left snapshots to prune."""
    make_source(rig)
    key = key_arn(rig, WEST)
    make_target(rig, CopyTagsToSnapshot=True)
    _add_instance(
        rig,
        f"{TARGET}-3",
        MonitoringInterval=60,
        MonitoringRoleArn=_MONITORING,
        EnablePerformanceInsights=True,
        PerformanceInsightsKMSKeyId=key,
    )
    for number in range(3):
        _snapshot(rig, f"aurora-restore-copy-{TARGET}-{number}", _OURS | {"aurora-restore:role": "archive"})
    stale = '{"username": "report", "password": "testing-report", "host": "old.example", "port": 1}'
    rig.client("secretsmanager", WEST).create_secret(Name=f"{TARGET}/report/login", SecretString=stale, KmsKeyId=key)
    rig.aurora.take_automated_snapshot(EAST, SOURCE)


def _freely_named(rig: Rig) -> None:
    """The target's instances have names of their own and this stack's tag, and are serverless; the Data API is on."""
    make_source(rig)
    make_cluster(
        rig, WEST, TARGET, TARGET, instances=0, ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 8}
    )
    for name in ("blue", "green"):
        _add_instance(rig, name, DBInstanceClass="db.serverless", Tags=_tag_list(_OURS))
    rig.client("rds", WEST).enable_http_endpoint(ResourceArn=f"arn:aws:rds:{WEST}:123456789012:cluster:{TARGET}")


def _unencrypted(rig: Rig) -> None:
    """Production and target are in one region, and nothing is encrypted: there is nothing to copy, and no key."""
    rds = rig.client("rds", EAST)
    for name in (SOURCE, TARGET):
        rds.create_db_cluster(
            DBClusterIdentifier=name,
            Engine="aurora-postgresql",
            EngineVersion="16.4",
            MasterUsername="postgres",
            MasterUserPassword="testing-production",
            DatabaseName="orders",
            DBSubnetGroupName="private",
        )
        rig.clock.advance(60)
        _add_instance(rig, f"{name}-1", EAST, DBClusterIdentifier=name)
    rig.aurora.take_automated_snapshot(EAST, SOURCE)
    rig.clock.advance(3600)


def _protected(rig: Rig) -> None:
    make_source(rig)
    make_target(rig, DeletionProtection=True)


def _stopped(rig: Rig) -> None:
    make_source(rig)
    make_target(rig)
    rig.client("rds", WEST).stop_db_cluster(DBClusterIdentifier=TARGET)
    rig.clock.advance(3600)


def _add_instance(rig: Rig, name: str, region: str = WEST, **settings: Any) -> None:
    rig.client("rds", region).create_db_instance(
        **{
            "DBInstanceIdentifier": name,
            "DBClusterIdentifier": TARGET,
            "Engine": "aurora-postgresql",
            "DBInstanceClass": "db.r6g.large",
        }
        | settings
    )
    rig.clock.advance(60)


def _snapshot(rig: Rig, name: str, tags: Mapping[str, str]) -> None:
    rig.client("rds", WEST).create_db_cluster_snapshot(
        DBClusterSnapshotIdentifier=name, DBClusterIdentifier=TARGET, Tags=_tag_list(tags)
    )
    rig.clock.advance(3600)


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


# What happens


def _undisturbed(rig: Rig, request: Mapping[str, Any]) -> None:
    rig.run(OPERATION, request)


def _watched(rig: Rig, request: Mapping[str, Any]) -> None:
    """The rule that looks around every quarter of an hour calls the last function, after an operation."""
    rig.run(OPERATION, request)
    rig._invoke(Step.SNS_NOTIFICATION, {"watch": True})


def _with_other_groups(rig: Rig, request: Mapping[str, Any]) -> None:
    """RDS restores with another parameter group than it was asked for: the pipeline sets it afterwards."""

    def meddle(rig: Rig, _: Call, send: Send) -> AWSResponse:
        cluster = rig.scene().records(WEST).clusters[TARGET]
        cluster.db_cluster_parameter_group = "default.aurora-postgresql16"
        rig.aurora._world.records(cluster.place).clusters[
            TARGET
        ].db_cluster_parameter_group = "default.aurora-postgresql16"
        return send()

    rig.traps.append(Trap(at("CheckRestoreStatus.DescribeDBClusters.1"), meddle))
    rig.run(OPERATION, request)


def _failed_and_resumed(rig: Rig, request: Mapping[str, Any]) -> None:
    """Somebody takes the permission to restore away, and gives it back: the second execution goes on."""
    rig.traps.append(trap("RestoreSnapshot.RestoreDBClusterFromSnapshot.1", "denied"))
    assert rig.run(OPERATION, request) == "FAILED"
    rig.traps.clear()
    rig.run(resumption(OPERATION, 2), request)


def _stopped_while_copying(rig: Rig, request: Mapping[str, Any]) -> None:
    """Somebody stops the execution: EventBridge's event about it ends the operation, and its copy."""
    _stop_at(rig, "CheckCopyStatus.DescribeDBClusterSnapshots.1")
    rig.run(OPERATION, request)


def _abandoned(rig: Rig, request: Mapping[str, Any]) -> None:
    """The event about a stopped execution is lost: the next operation finds its lock, and tells of it."""
    rig.deaf = True
    _stop_at(rig, "CheckCopyStatus.DescribeDBClusterSnapshots.1")
    rig.run(OPERATION, request)
    rig.traps.clear()
    rig.run(NEXT, request)


def _stop_at(rig: Rig, site: str) -> None:
    def stop(rig: Rig, _: Call, send: Send) -> AWSResponse:
        rig.stop(OPERATION)
        return send()

    rig.traps.append(Trap(at(site), stop))


# Requests


def _request(**sections: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "name": "nightly",
        "source": {"cluster": SOURCE, "region": EAST},
        "target": {"cluster": TARGET, "region": WEST, "kms_key": "alias/orders"},
        "replace": {"allow": True, "confirm": TARGET},
        "users": [
            {"name": "app", "secret": f"{TARGET}/app/login", "grants": ["readwrite"]},
            {"name": "report", "secret": f"{TARGET}/report/login", "grants": ["readonly"]},
            {"name": "auditor", "iam": True, "grants": ["readonly"]},
        ],
        "archive": {"keep": 2},
    }
    return {
        name: {**value, **sections.get(name, {})} if isinstance(value, dict) else value for name, value in plain.items()
    }


def _completed(rig: Rig, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request with the security group that only the account knows, for a target that is not there yet."""
    if "instances" not in request["target"]:
        return dict(request)
    by_name = [{"Name": "group-name", "Values": ["orders"]}]
    groups = rig.client("ec2").describe_security_groups(Filters=by_name)["SecurityGroups"]
    return {**request, "target": {**request["target"], "security_groups": [groups[0]["GroupId"]]}}


_NEW = {
    "parameter_group": f"{TARGET}-16",
    "subnet_group": "private",
    "iam_authentication": True,
    "instances": [{"class": "db.r6g.large", "parameter_group": f"{TARGET}-instance-16"}],
}
_IAM = {"iam_authentication": True}

OPERATIONS = (
    Recorded("renewal across regions", _renewal, _request(), _undisturbed),
    Recorded("freely named serverless instances", _freely_named, _request(target=_IAM), _undisturbed),
    Recorded(
        "one region, unencrypted",
        _unencrypted,
        _request(target={"region": EAST, "kms_key": None, **_IAM}, replace={"final_snapshot": False}),
        _undisturbed,
    ),
    Recorded(
        "a new snapshot for a protected target",
        _protected,
        _request(source={"snapshot": "new"}, replace={"protection": "lift"}),
        _undisturbed,
    ),
    Recorded("a stopped target", _stopped, _request(), _with_other_groups),
    Recorded("failed, then resumed", _stopped, _request(), _failed_and_resumed),
    Recorded(
        "stopped while copying", _protected, _request(replace={"protection": "lift"}), _stopped_while_copying, "ABORTED"
    ),
    Recorded(
        "the first restore, watched",
        make_source,
        _request(target=_NEW, replace={"allow": False, "confirm": None}),
        _watched,
    ),
    Recorded("abandoned", _freely_named, _request(target=_IAM), _abandoned),
)
