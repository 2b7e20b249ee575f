"""Step 1: accepts or refuses, takes the lock, judges the snapshot, captures the target; and changes nothing else."""

from datetime import timedelta
from typing import Any

import pytest

from aurora_restore.errors import (
    ConflictError,
    ForeignResourceError,
    NotReadyError,
    PreconditionError,
    PreflightError,
    RequestError,
    SnapshotFailedError,
    StepTimedOutError,
    TargetLockedError,
    ThrottledError,
    UnknownStatusError,
)
from aurora_restore.names import SnapshotRole, snapshot_identifier
from aurora_restore.operation import OperationStatus, Step
from aurora_restore.store.lock import Lock
from tests.steps.world import EAST, ENGINE, NOON, SOURCE, WEST, Stage

CHECK = Step.SNAPSHOT_CHECK


def problems(stage: Stage) -> str:
    """Return what the preflight says; nothing may have been changed."""
    with pytest.raises(PreflightError) as refused:
        stage.call(CHECK)
    assert stage.changes() == []
    return "\n".join(refused.value.problems)


def copied_west(stage: Stage, name: str, source: str) -> None:
    stage.client("rds").copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=source,
        TargetDBClusterSnapshotIdentifier=name,
        SourceRegion=EAST,
        KmsKeyId=stage.region().key,
    )
    stage.clock.advance(60)


def test_the_newest_snapshot_is_taken_and_the_shape_is_stored(stage: Stage) -> None:
    """The verdict says which, how old, how large, and what comes next."""
    result = stage.call(CHECK)
    assert result["status"] == "DONE"
    assert "is good (1." in result["reason"]
    assert "it will be copied, because it is in us-east-1 and the target in us-west-2" in result["reason"]
    operation = stage.operation()
    assert operation.shape is not None
    assert operation.shape.parameter_group == "orders-staging-16"
    assert len(operation.shape.instances) == 2
    assert operation.old_target is not None
    assert operation.source_arn == stage.show(SOURCE, EAST)["DBClusterArn"]
    assert operation.kms_key_arn == operation.secrets_key_arn == stage.region().key
    assert stage.holder() == stage.operation_id
    assert stage.changes() == []


def test_a_request_that_cannot_be_read_is_refused_with_all_its_mistakes(bare: Stage) -> None:
    """And leaves neither operation nor lock."""
    bare.request = {"name": "x", "target": {"cluster": bare.target}}
    with pytest.raises(RequestError) as refused:
        bare.call(CHECK)
    assert len(refused.value.problems) == 2
    assert bare.world.store.operations.find(bare.operation_id) is None
    assert bare.calls[-1].action == "GetItem"


def test_an_execution_s_name_that_cannot_be_a_tag_is_refused(stage: Stage) -> None:
    """RDS would refuse the copy's tag an hour later."""
    with pytest.raises(RequestError, match="because it becomes a tag"):
        stage.call(CHECK, operation="nightly!1")


def test_an_id_of_another_execution_is_refused(stage: Stage) -> None:
    """An operation is one execution's; a second one of the same name starts nothing."""
    stage.call(CHECK)
    with pytest.raises(PreconditionError, match=r"exists already\. Start it under another name"):
        stage.call(CHECK, execution_arn="arn:aws:states:us-west-2:123456789012:execution:other:x")


def test_mistake_13_a_second_operation_on_a_locked_target_is_refused(stage: Stage) -> None:
    """I3: two restores would delete each other's cluster. The message names the holder and how to watch it."""
    held = hold(stage)
    stage.running.add(stage.arn_of(held))
    with pytest.raises(TargetLockedError, match=f"{held} has worked on us-west-2/{stage.target}") as locked:
        stage.call(CHECK)
    assert f"aurora-restore watch {held}" in locked.value.advice
    assert stage.changes() == []
    assert stage.holder() == held


def test_a_lock_left_behind_is_taken_over_and_its_holder_s_end_is_told(stage: Stage) -> None:
    """I4, I8: a stopped execution cannot free its lock or tell anybody; the next operation does both."""
    held = hold(stage)
    assert stage.call(CHECK)["status"] == "DONE"
    assert stage.holder() == stage.operation_id
    former = stage.operation(held)
    assert former.status is OperationStatus.FAILED
    assert former.failure is not None
    assert (former.failure.error, former.failure.step) == ("ExecutionEnded", CHECK)
    assert held in stage.messages()[0]["subject"]
    assert stage.operation().took_over_from == held
    assert f"left by {held}" in [event.detail for event in stage.events()]


def test_a_takeover_that_is_killed_still_tells_the_former_holder_s_end(stage: Stage) -> None:
    """I8: the lock is taken, the message is lost to a throttle: the retry knows whom it has taken it from."""
    held = hold(stage)
    sns = stage.client("sns")
    refuse = _throttled(sns)
    with pytest.raises(ThrottledError):
        stage.call(CHECK)
    assert stage.holder() == stage.operation_id
    sns.meta.events.unregister("before-send.sns.Publish", refuse)
    stage.call(CHECK)
    assert stage.operation(held).notified_at is not None
    stage.call(CHECK)
    assert len([message for message in stage.messages() if held in message["subject"]]) == 2


def _throttled(client: Any) -> Any:
    from botocore.awsrequest import AWSResponse  # noqa: PLC0415

    body = b"<ErrorResponse><Error><Code>Throttled</Code><Message>Slow</Message></Error></ErrorResponse>"

    def refuse(request: Any, **_: Any) -> Any:
        headers: Any = {"content-type": "text/xml"}
        response: Any = AWSResponse(request.url, 429, headers, None)
        response._content = body
        return response

    client.meta.events.register("before-send.sns.Publish", refuse)
    return refuse


def test_a_lock_without_an_operation_is_taken_over(stage: Stage) -> None:
    """A holder that never got so far as to write its record has nothing to be told."""
    locks, table = stage.world.store.locks, stage.world.store.state
    lock = Lock(f"lock#{WEST}/{stage.target}", "ghost", stage.arn_of("ghost"), NOON)
    table.write([locks.take(lock)])
    stage.call(CHECK)
    assert stage.holder() == stage.operation_id
    assert stage.messages() == []


def test_a_lock_that_is_lost_in_a_race_is_a_conflict(stage: Stage) -> None:
    """Two that saw the same abandoned lock: one gets it, the other reads again."""
    store = stage.world.store
    theirs = Lock(f"lock#{WEST}/{stage.target}", "theirs", "arn:theirs", NOON)
    store.state.write([store.locks.take(theirs)])
    ours = Lock(theirs.id, "ours", "arn:ours", NOON)
    with pytest.raises(ConflictError):
        store.state.write([store.locks.take(ours)])
    with pytest.raises(ConflictError):
        store.state.write([store.locks.take(ours, abandoned_by="arn:somebody-else")])
    store.state.write([store.locks.take(ours, abandoned_by="arn:theirs")])
    with pytest.raises(ConflictError):
        store.state.write([store.locks.free(theirs)])
    store.state.write([store.locks.free(ours)])
    assert stage.holder() is None


def hold(stage: Stage) -> str:
    """Let another operation hold the target, begun by its first step as ours is; return its id."""
    name = f"holder-{stage.number}"
    stage.call(CHECK, operation=name)
    assert stage.holder() == name
    return name


def test_a_refused_request_keeps_its_lock_until_it_has_been_told(stage: Stage) -> None:
    """The notification frees it, not the refusal: so that it is freed once, with the outcome."""
    stage.ask(replace={"allow": False, "confirm": stage.target})
    problems(stage)
    assert stage.holder() == stage.operation_id
    assert stage.operation().shape is None


# What is refused before anything is changed


def test_everything_that_would_fail_late_is_told_at_once(stage: Stage) -> None:
    """A dozen problems, one message: nobody learns them one night at a time."""
    stage.clock.advance(48 * 3600)
    stage.client("rds").modify_db_cluster(
        DBClusterIdentifier=stage.target, DeletionProtection=True, ApplyImmediately=True
    )
    stage.clock.advance(60)
    secrets = stage.client("secretsmanager")
    secrets.create_secret(Name=f"{stage.target}/other", SecretString='{"username": "else", "password": "testing"}')
    stage.ask(
        source={"max_age_hours": 24},
        target={
            "kms_key": "alias/nowhere",
            "subnet_group": "nowhere",
            "parameter_group": "nothing",
            "instances": [{"class": "db.serverless", "parameter_group": "orders-staging-instance-17"}],
            "iam_authentication": False,
        },
        replace={"allow": False, "confirm": stage.target},
        users=[
            {"name": "app", "secret": f"{stage.target}/other"},
            {"name": "oncall", "iam": True},
            {"name": "postgres", "secret": f"{stage.target}/postgres"},
            {"name": "former", "secret": f"{stage.target}/former", "valid_until": "2020-01-31T00:00:00+01:00"},
        ],
    )
    told = problems(stage)
    for sentence in (
        "hours old and source.max_age_hours is 24",
        "target.kms_key: there is no key alias/nowhere in us-west-2",
        "there is no DB subnet group nowhere in us-west-2",
        "there is no DB cluster parameter group nothing in us-west-2",
        "the DB parameter group orders-staging-instance-17 is for aurora-postgresql17",
        "has no serverless range: give target.serverless",
        "does not allow its deletion: set replace.allow to true",
        "has deletion protection: set replace.protection to lift",
        f"the secret {stage.target}/other is for the user else, not for app",
        "the user oncall logs in with IAM, which is off",
        "the user postgres is the master user, whose password RDS manages: leave it out",
        "the user former: valid_until, 2020-01-31 00:00 +01:00, has passed: nobody could log in as it",
    ):
        assert sentence in told


def test_a_snapshot_that_is_too_old_is_refused(stage: Stage) -> None:
    """The message has its age, the limit, and the way out."""
    stage.clock.advance(25 * 3600)
    stage.ask(source={"max_age_hours": 24})
    assert "raise it, or ask for source.snapshot: new" in problems(stage)


def test_a_source_without_a_snapshot_is_refused(bare: Stage) -> None:
    """And the message says how to get one."""
    assert f"the cluster {SOURCE} has no available snapshot" in problems(bare)


def test_a_new_snapshot_of_no_cluster_is_refused(bare: Stage) -> None:
    """There is nothing to take it of."""
    bare.ask(source={"snapshot": "new"})
    assert f"there is no cluster {SOURCE} in us-east-1 to take a snapshot of" in problems(bare)


def test_a_new_snapshot_of_a_source_that_is_busy_is_refused(stage: Stage) -> None:
    """RDS would refuse it."""
    stage.client("rds", EAST).modify_db_cluster(DBClusterIdentifier=SOURCE, BackupRetentionPeriod=3)
    stage.ask(source={"snapshot": "new"})
    assert f"the source {SOURCE} is modifying" in problems(stage)


def test_a_source_that_is_gone_can_be_restored_from_its_snapshot(stage: Stage) -> None:
    """Disasters happen to sources: what is left of it is in the snapshot."""
    stage.client("rds", EAST).create_db_cluster_snapshot(
        DBClusterIdentifier=SOURCE, DBClusterSnapshotIdentifier="saved"
    )
    stage.clock.advance(60)
    remove(stage, SOURCE, EAST)
    stage.ask(source={"snapshot": "saved"})
    assert stage.call(CHECK)["status"] == "DONE"
    operation = stage.operation()
    assert operation.source_arn == f"arn:aws:rds:us-east-1:123456789012:cluster:{SOURCE}"
    assert operation.snapshot is not None
    assert operation.source_resource_id == operation.snapshot.cluster_resource_id


def remove(stage: Stage, name: str, region: str) -> None:
    rds = stage.client("rds", region)
    for instance in stage.instances(name, region):
        rds.delete_db_instance(DBInstanceIdentifier=instance["DBInstanceIdentifier"], SkipFinalSnapshot=True)
    rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
    stage.clock.advance(60)
    assert not stage.exists(name, region)


def test_a_source_that_was_renamed_to_the_target_is_still_the_source(bare: Stage) -> None:
    """I1: the name says orders-staging, the resource id says production."""
    bare.make_source(snapshot=False)
    bare.client("rds", EAST).create_db_cluster_snapshot(DBClusterIdentifier=SOURCE, DBClusterSnapshotIdentifier="kept")
    bare.clock.advance(60)
    bare.client("rds", EAST).modify_db_cluster(
        DBClusterIdentifier=SOURCE, NewDBClusterIdentifier=bare.target, ApplyImmediately=True
    )
    bare.clock.advance(60)
    bare.ask(source={"snapshot": "kept"}, target={"region": EAST, "kms_key": bare.region(EAST).key})
    assert f"the target {bare.target} is the source cluster itself" in problems(bare)


def test_an_encrypted_snapshot_from_another_region_needs_a_key(stage: Stage) -> None:
    """A key works in its own region only."""
    del stage.request["target"]["kms_key"]
    assert "give a key there in target.kms_key" in problems(stage)


@pytest.mark.parametrize("key", ["arn:aws:kms:us-east-1:123456789012:key/x", "arn:nonsense"])
def test_a_key_of_another_region_is_refused(stage: Stage, key: str) -> None:
    """By its ARN, however broken."""
    stage.ask(target={"kms_key": key})
    assert f"the key {key} is in another region than us-west-2" in problems(stage)


def test_a_disabled_key_is_refused(stage: Stage) -> None:
    """Here of the snapshot itself, where the request names none."""
    kms = stage.client("kms", EAST)
    made = kms.create_key()["KeyMetadata"]
    key = made["Arn"]
    stage.make_cluster(f"s{stage.number}", EAST, instances=0, KmsKeyId=key)
    stage.aurora.take_automated_snapshot(EAST, f"s{stage.number}")
    kms.disable_key(KeyId=made["KeyId"])
    stage.ask(source={"cluster": f"s{stage.number}"}, target={"region": EAST})
    del stage.request["target"]["kms_key"]
    assert f"the key {key} in us-east-1 is Disabled" in problems(stage)


def test_a_new_target_needs_what_aws_would_guess(bare: Stage) -> None:
    """Subnets, security groups and instances have no sensible default."""
    bare.make_source()
    bare.ask(replace={})
    told = problems(bare)
    for name in ("target.instances", "target.subnet_group", "target.security_groups"):
        assert f"there is no target {bare.target} yet whose shape could be kept: give {name}" in told


def test_a_target_without_instances_needs_some(bare: Stage) -> None:
    """There is no shape of an instance to keep."""
    bare.make_source()
    bare.make_cluster(bare.target, WEST, instances=0)
    assert "has no instances whose shape could be kept: give target.instances" in problems(bare)


def test_an_instance_s_name_that_is_taken_is_told(bare: Stage) -> None:
    """A new target's first instance would be refused after the cluster is restored."""
    bare.make_source()
    bare.make_cluster(f"other-{bare.number}", WEST, instances=0)
    bare.client("rds").create_db_instance(
        DBInstanceIdentifier=f"{bare.target}-1",
        DBClusterIdentifier=f"other-{bare.number}",
        Engine=ENGINE,
        DBInstanceClass="db.r6g.large",
    )
    bare.ask(
        target={
            "subnet_group": "private",
            "security_groups": [bare.region().security_group],
            "instances": [{"class": "db.r6g.large"}],
        }
    )
    assert f"an instance {bare.target}-1 exists already and belongs to other-{bare.number}" in problems(bare)


def test_a_target_that_somebody_is_deleting_is_refused(stage: Stage) -> None:
    """Its shape is half gone already."""
    rds = stage.client("rds")
    for instance in stage.instances():
        rds.delete_db_instance(DBInstanceIdentifier=instance["DBInstanceIdentifier"], SkipFinalSnapshot=True)
    rds.delete_db_cluster(DBClusterIdentifier=stage.target, SkipFinalSnapshot=True)
    assert "is being deleted by somebody else: wait until it is gone" in problems(stage)


def test_a_member_of_a_global_cluster_is_refused(stage: Stage) -> None:
    """RDS deletes none. The emulator has no global clusters: its answer is edited."""
    client = stage.client("rds")

    def join(parsed: dict[str, Any], **_: Any) -> None:
        for cluster in parsed["DBClusters"]:
            cluster["GlobalClusterIdentifier"] = "world"

    client.meta.events.register("after-call.rds.DescribeDBClusters", join)
    try:
        assert "is a member of the global cluster world: remove it from there first" in problems(stage)
    finally:
        client.meta.events.unregister("after-call.rds.DescribeDBClusters", join)


def test_a_network_that_does_not_fit_is_refused(stage: Stage) -> None:
    """A security group that is not there, and one of another VPC than the subnet group's."""
    ec2 = stage.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    elsewhere = ec2.create_security_group(GroupName=f"far-{stage.number}", Description="x", VpcId=vpc)["GroupId"]
    stage.ask(target={"security_groups": [elsewhere, "sg-00000000"]})
    told = problems(stage)
    assert "there is no security group sg-00000000 in us-west-2" in told
    assert f"the security group {elsewhere} is in {vpc}, the subnet group private in vpc-" in told


def test_an_instance_class_that_is_not_offered_is_refused(stage: Stage) -> None:
    """A misspelt class would be refused when the cluster is restored already."""
    stage.ask(target={"instances": [{"class": "db.r99.huge"}]})
    assert "us-west-2 offers no db.r99.huge for aurora-postgresql 16.4" in problems(stage)


def test_an_older_engine_version_is_refused(stage: Stage) -> None:
    """Data of 16.4 does not go into 15.8: AWS would say so after the old target is gone."""
    stage.ask(target={"engine_version": "15.8", "parameter_group": None})
    del stage.request["target"]["parameter_group"]
    assert "15.8 is older than the snapshot's 16.4" in problems(stage)


def test_a_mysql_source_is_taken_and_does_not_fit_a_postgresql_target(bare: Stage) -> None:
    """The engine comes with the snapshot; and what of the request MySQL has no like of is said all at once."""
    bare.make_cluster("shop", EAST, instances=0, Engine="aurora-mysql", EngineVersion="8.0.mysql_aurora.3.10.1")
    bare.aurora.take_automated_snapshot(EAST, "shop")
    bare.make_target()
    reader = {
        "name": "reader",
        "secret": "reader",
        "settings": {"work_mem": "4MB"},
        "grants": [{"preset": "readonly", "schema": "s"}],
    }
    bare.ask(source={"cluster": "shop"}, users=[reader], keep=["cron-jobs"])
    told = problems(bare)
    assert "settings are PostgreSQL's" in told
    assert "give database: s" in told
    assert "MySQL has no cron-jobs" in told
    assert "the target is aurora-postgresql and the snapshot aurora-mysql: they do not fit" in told


@pytest.mark.parametrize("becomes", [None, "8.0.mysql_aurora.3.10.1"])
def test_a_mysql_of_before_roles_is_refused_unless_it_becomes_a_newer_one(bare: Stage, becomes: str | None) -> None:
    """Aurora MySQL 2: step 7 could close no login there, hours later, and the old target would be gone."""
    bare.make_cluster("shop", EAST, instances=0, Engine="aurora-mysql", EngineVersion="5.7.mysql_aurora.2.12.5")
    bare.aurora.take_automated_snapshot(EAST, "shop")
    bare.ask(source={"cluster": "shop"}, target={"engine_version": becomes} if becomes else {})
    assert ("the copy would be of Aurora MySQL 5.7.mysql_aurora.2.12.5" in problems(bare)) is (becomes is None)


def test_more_tags_than_aws_takes_are_refused(stage: Stage) -> None:
    """48 tags of its own and the pipeline's four: the restore would be refused after the deletion."""
    many = [{"Key": f"tag-{number}", "Value": "x"} for number in range(48)]
    stage.client("rds").add_tags_to_resource(ResourceName=stage.show()["DBClusterArn"], Tags=many)
    assert f"the cluster {stage.target} would have 53 tags, 4 of them the pipeline's, and AWS takes 50" in problems(
        stage
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("no json", "is not a JSON object"),
        ("[1]", "is not a JSON object"),
        ('{"username": "admin"}', "is for the user admin, not for app"),
    ],
)
def test_a_secret_that_cannot_be_used_is_refused(stage: Stage, value: str, said: str) -> None:
    """Without a word of what is in it (I6)."""
    stage.client("secretsmanager").create_secret(Name=stage.secret, SecretString=value)
    told = problems(stage)
    assert said in told
    assert value not in told


@pytest.mark.parametrize("value", ['{"username": "app"}', '{"username": "app", "password": 12345}'])
def test_a_secret_without_a_password_to_keep_is_refused(stage: Stage, value: str) -> None:
    """For one that is rotated it does not matter."""
    stage.client("secretsmanager").create_secret(Name=stage.secret, SecretString=value)
    stage.ask(users=[{"name": "app", "secret": stage.secret, "password": "keep"}])
    assert f"the secret {stage.secret} holds no password to keep for app" in problems(stage)


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({"OwningService": "redshift"}, "belongs to redshift, which alone changes it"),
        ({"PrimaryRegion": EAST}, f"in {WEST} is a replica of the one in {EAST}"),
    ],
)
def test_a_secret_that_is_not_ours_to_change_is_refused(stage: Stage, described: dict[str, str], said: str) -> None:
    """Its new password would be refused when the old target is gone."""
    secrets = stage.client("secretsmanager")
    secrets.create_secret(Name=stage.secret, SecretString="{}")
    secrets.meta.events.register(
        "after-call.secrets-manager.DescribeSecret", lambda parsed, **_: parsed.update(described), unique_id="owned"
    )
    try:
        assert said in problems(stage)
    finally:
        secrets.meta.events.unregister("after-call.secrets-manager.DescribeSecret", unique_id="owned")


def test_a_secret_that_is_being_deleted_is_refused(stage: Stage) -> None:
    """Its name can be neither read nor used again; the message says how it comes back."""
    secrets = stage.client("secretsmanager")
    secrets.create_secret(Name=stage.secret, SecretString='{"password": "testing"}')
    secrets.delete_secret(SecretId=stage.secret)
    assert "is marked for deletion. Bring it back: aws secretsmanager restore-secret" in problems(stage)


def test_mistake_5_a_throttled_describe_is_not_an_absent_cluster(stage: Stage) -> None:
    """Taken for "no target", it would skip the deletion and fail the restore."""
    stage.aurora.refuse_next("DescribeDBClusters", "Throttling", "Rate exceeded")
    with pytest.raises(ThrottledError):
        stage.call(CHECK)
    assert stage.call(CHECK)["status"] == "DONE"
    assert stage.operation().old_target is not None


def test_an_unknown_status_of_a_snapshot_is_shown(stage: Stage) -> None:
    """A way in which AWS may fail that nobody knows yet."""
    stage.client("rds", EAST).create_db_cluster_snapshot(DBClusterIdentifier=SOURCE, DBClusterSnapshotIdentifier="odd")
    stage.aurora.fail_next("snapshot", "odd2", status="rewinding", at_percent=10)
    stage.clock.advance(60)
    stage.client("rds", EAST).create_db_cluster_snapshot(DBClusterIdentifier=SOURCE, DBClusterSnapshotIdentifier="odd2")
    stage.clock.advance(60)
    with pytest.raises(UnknownStatusError, match='"rewinding"'):
        stage.call(CHECK)


# A new snapshot


def test_a_new_snapshot_is_taken_once_and_waited_for(stage: Stage) -> None:
    """Announced, tagged as the operation's, and asked for once however often the step is called."""
    stage.ask(source={"snapshot": "new"})
    first = stage.call(CHECK)
    assert first["status"] == "WAIT"
    assert "% taken" in first["reason"]
    assert stage.finish(CHECK)["status"] == "DONE"
    (taken,) = stage.changes()
    assert (taken.action, taken.region) == ("CreateDBClusterSnapshot", EAST)
    name = snapshot_identifier(SnapshotRole.NEW, stage.operation_id, SOURCE)
    tags = stage.tags(stage.snapshots(EAST)[name])
    assert tags["aurora-restore:operation"] == stage.operation_id
    assert tags["aurora-restore:role"] == "new"


def test_a_new_snapshot_whose_answer_was_lost_is_not_taken_twice(stage: Stage) -> None:
    """I4: the retry finds it by its derived name."""
    stage.ask(source={"snapshot": "new"})
    stage.aurora.refuse_next("CreateDBClusterSnapshot", "InternalFailure", after_effect=True)
    stage.finish(CHECK, retry=(Exception,))
    own = [name for name in stage.snapshots(EAST) if name.startswith("aurora-restore-new")]
    assert len(own) == 1
    assert len(stage.changes()) == 1


def test_a_new_snapshot_that_fails_fails_the_operation(stage: Stage) -> None:
    """With AWS's word for it, and where to look."""
    stage.ask(source={"snapshot": "new"})
    name = snapshot_identifier(SnapshotRole.NEW, stage.operation_id, SOURCE)
    stage.aurora.fail_next("snapshot", name)
    with pytest.raises(SnapshotFailedError, match=f"{name} as failed. Look at why: .* --region us-east-1"):
        stage.finish(CHECK)


def test_a_snapshot_of_somebody_else_under_our_name_is_not_taken(stage: Stage) -> None:
    """ "Already exists" is success only if it is this operation's."""
    name = snapshot_identifier(SnapshotRole.NEW, stage.operation_id, SOURCE)
    stage.client("rds", EAST).create_db_cluster_snapshot(DBClusterIdentifier=SOURCE, DBClusterSnapshotIdentifier=name)
    stage.clock.advance(60)
    stage.ask(source={"snapshot": "new"})
    with pytest.raises(ForeignResourceError, match=f"{name} exists and is not of {stage.operation_id}"):
        stage.call(CHECK)


def test_a_new_snapshot_that_cannot_be_seen_yet_is_asked_for_again_later(stage: Stage) -> None:
    """Eventual consistency is transient."""
    stage.ask(source={"snapshot": "new"})
    stage.aurora.refuse_next("DescribeDBClusterSnapshots", "DBClusterSnapshotNotFoundFault", times=2)
    with pytest.raises(NotReadyError, match="cannot be seen yet"):
        stage.call(CHECK)
    assert stage.finish(CHECK)["status"] == "DONE"


def test_a_snapshot_that_takes_too_long_times_out(stage: Stage) -> None:
    """With the request's limit, and what was seen last."""
    stage.aurora = type(stage.aurora)(stage.aurora._operations)
    stage.ask(source={"snapshot": "new"}, timeouts={"snapshot_minutes": 1})
    stage.call(CHECK)
    begun = stage.operation().steps[CHECK].started_at
    name = snapshot_identifier(SnapshotRole.NEW, stage.operation_id, SOURCE)
    for records in stage.aurora._world.places.values():
        if name in records.snapshots:
            pending = records.snapshots[name].pending
            assert pending is not None
            pending.due_at += timedelta(hours=1)
    with pytest.raises(StepTimedOutError, match=r"SnapshotCheck has waited for 1 minutes and gives up; .*% taken"):
        stage.finish(CHECK)
    assert timedelta(seconds=60) < stage.clock.now() - begun < timedelta(seconds=75)
