"""The shape: captured from descriptions, changed by the request, rendered to calls that RDS's model accepts."""

from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from aurora_restore.request import Target
from aurora_restore.shape import ClusterShape, InstanceShape, missing_for_new, tag_list, tags_of
from tests.unit.descriptions import ROLE, cluster, instance

RDS = botocore.session.get_session().get_service_model("rds")


def captured(**changes: Any) -> ClusterShape:
    return ClusterShape.capture(cluster(**changes), [instance("a-reader", PromotionTier=0), instance()])


def target(**changes: Any) -> Target:
    document = {"cluster": "orders-staging", "region": "us-west-2"} | changes
    return Target.model_validate(document)


def fits_the_model(operation: str, parameters: dict[str, Any]) -> bool:
    shape = RDS.operation_model(operation).input_shape
    assert shape is not None
    report = ParamValidator().validate(parameters, shape)
    return not report.has_errors()


def restored(shape: ClusterShape, **changes: Any) -> dict[str, Any]:
    parameters = {"cluster": "orders-staging", "snapshot": "arn:s", "kms_key": "arn:k", "tags": {"op": "1"}} | changes
    return shape.render_restore(**parameters)


def as_described(shape: ClusterShape, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what RDS would say of a cluster that has everything that was asked for."""
    same = {
        "EngineVersion",
        "Engine",
        "EngineMode",
        "Port",
        "StorageType",
        "CopyTagsToSnapshot",
        "ServerlessV2ScalingConfiguration",
    }
    asked = {name: value for name, value in parameters.items() if name in same}
    return cluster(
        **asked,
        DBSubnetGroup=parameters["DBSubnetGroupName"],
        DBClusterParameterGroup=parameters["DBClusterParameterGroupName"],
        VpcSecurityGroups=[{"VpcSecurityGroupId": group} for group in parameters["VpcSecurityGroupIds"]],
        EnabledCloudwatchLogsExports=parameters["EnableCloudwatchLogsExports"],
        IAMDatabaseAuthenticationEnabled=parameters["EnableIAMDatabaseAuthentication"],
        DeletionProtection=parameters["DeletionProtection"],
        TagList=parameters["Tags"],
        AssociatedRoles=[],
        BackupRetentionPeriod=1,
        PreferredBackupWindow="09:00-09:30",
        PreferredMaintenanceWindow="wed:01:00-wed:01:30",
        Status="available",
    )


def test_mistake_1_every_rendered_call_fits_botocore_s_model() -> None:
    """A parameter that RDS does not have (DBClusterSnapshotIdentifier in a restore) is found before AWS sees it."""
    shape = captured()
    assert fits_the_model("RestoreDBClusterFromSnapshot", restored(shape))
    assert not fits_the_model("RestoreDBClusterFromSnapshot", {**restored(shape), "DBClusterSnapshotIdentifier": "x"})
    bare = ClusterShape.capture(cluster(EnabledCloudwatchLogsExports=[], BackupRetentionPeriod=1))
    settings = {"DBClusterIdentifier": "orders-staging", **shape.render_settings(bare)}
    assert fits_the_model("ModifyDBCluster", settings)
    for each in shape.instances:
        rendered = each.render(cluster="orders-staging", engine=shape.engine, tags={"op": "1"})
        assert fits_the_model("CreateDBInstance", rendered)


def test_mistake_9_the_restore_takes_groups_and_subnets_of_the_target() -> None:
    """Everything that omitted means a default is passed: the target's own, captured from it."""
    parameters = restored(captured())
    assert parameters["VpcSecurityGroupIds"] == ["sg-a", "sg-b"]
    assert parameters["DBClusterParameterGroupName"] == "staging-16"
    assert parameters["DBSubnetGroupName"] == "private"
    assert parameters["EngineVersion"] == "16.4"
    assert parameters["StorageType"] == "aurora-iopt1"
    assert parameters["Port"] == 5544
    assert parameters["ServerlessV2ScalingConfiguration"]["MinCapacity"] == 0.5


def test_a_half_made_cluster_is_not_protected() -> None:
    """Protection comes at the end: until then a failed restore must be removable."""
    shape = captured()
    assert shape.deletion_protection
    assert restored(shape)["DeletionProtection"] is False
    asked = ClusterShape.capture(as_described(shape, restored(shape)))
    assert shape.render_settings(asked)["DeletionProtection"] is True


def test_the_shape_captures_to_itself_once_restored_and_set() -> None:
    """I9: what is asked for in the restore and in the settings afterwards is all that the shape holds."""
    shape = captured()
    description = as_described(shape, restored(shape, tags={}))
    wanted = shape.render_settings(ClusterShape.capture(description))
    assert set(wanted) == {
        "BackupRetentionPeriod",
        "PreferredBackupWindow",
        "PreferredMaintenanceWindow",
        "DeletionProtection",
    }
    description |= wanted
    description["AssociatedRoles"] = [{"RoleArn": ROLE, "FeatureName": "s3Import", "Status": "ACTIVE"}]
    again = ClusterShape.capture(description)
    assert again.render_settings(shape) == {}
    assert again == shape.model_copy(update={"instances": ()})


def test_an_instance_s_shape_captures_to_itself() -> None:
    """I9, for instances: what is rendered and described again is the same shape."""
    shape = InstanceShape.capture(instance())
    rendered = shape.render(cluster="orders-staging", engine="aurora-postgresql", tags={})
    described = {
        **{member: value for member, value in rendered.items() if member not in {"Tags", "EnablePerformanceInsights"}},
        "DBParameterGroups": [{"DBParameterGroupName": rendered["DBParameterGroupName"]}],
        "PerformanceInsightsEnabled": rendered["EnablePerformanceInsights"],
        "TagList": rendered["Tags"],
    }
    assert InstanceShape.capture(described) == shape


def test_settings_hold_only_what_differs() -> None:
    """So that nothing is asked for once all is as it should be, and nothing for ever."""
    shape = captured()
    assert shape.render_settings(shape) == {}
    changed = shape.model_copy(update={"log_exports": ("instance",), "backup_window": None})
    assert shape.render_settings(changed) == {
        "CloudwatchLogsExportConfiguration": {"EnableLogTypes": ["postgresql"], "DisableLogTypes": ["instance"]},
        "PreferredBackupWindow": "03:10-03:50",
    }


def test_monitoring_that_is_off_is_not_rendered() -> None:
    """A role without an interval, or insights' key without insights, is an error in RDS."""
    plain = instance(MonitoringInterval=0, PerformanceInsightsEnabled=False)
    rendered = InstanceShape.capture(plain).render(cluster="c", engine="e", tags={})
    assert not [member for member in rendered if member.startswith(("Monitoring", "PerformanceInsights", "Enable"))]


def test_the_writer_comes_first_and_the_readers_by_tier() -> None:
    """The writer is made first; a failover must not turn the order round."""
    described = [instance("z-1", PromotionTier=1), instance("a-2", PromotionTier=2), instance("the-writer")]
    names = [each.identifier for each in ClusterShape.capture(cluster(), described).instances]
    assert names == ["the-writer", "z-1", "a-2"]


def test_a_promotion_tier_of_zero_stays_zero() -> None:
    """Zero is the highest tier, not none."""
    assert InstanceShape.capture(instance(PromotionTier=0)).promotion_tier == 0
    assert InstanceShape.capture(instance(PromotionTier=None)).promotion_tier == 1


def test_roles_that_are_leaving_and_reserved_tags_are_not_captured() -> None:
    """A role on its way out is not given back, and AWS's tags cannot be given by us."""
    shape = captured()
    assert [(role.arn, role.feature) for role in shape.roles] == [(ROLE, "s3Import")]
    assert shape.tags == {"team": "shop"}


def test_a_bare_description_has_a_shape_too() -> None:
    """RDS leaves out what is not set."""
    shape = ClusterShape.capture(
        {"Engine": "aurora-mysql", "EngineVersion": "8.0", "Port": 3306, "DBSubnetGroup": "default"}
    )
    assert (shape.engine_mode, shape.storage_type, shape.backup_retention_days) == ("provisioned", "aurora", 1)
    assert shape.serverless is None
    assert shape.roles == ()
    assert captured(ServerlessV2ScalingConfiguration={"MinCapacity": None}).serverless is None
    bare = InstanceShape.capture({"DBInstanceIdentifier": "i", "DBInstanceClass": "db.r6g.large"})
    assert bare.parameter_group is None
    assert bare.auto_minor_version_upgrade


def test_a_request_without_overrides_keeps_the_shape() -> None:
    """None in the request keeps what was captured."""
    assert captured().overridden(target()) == captured()


def test_each_override_changes_its_own_field_only() -> None:
    """False and empty are wishes too, not silence (mistake 8)."""
    shape = captured()
    for field, wish, value in [
        ("deletion_protection", False, False),
        ("iam_authentication", False, False),
        ("log_exports", [], ()),
        ("tags", {}, {}),
        ("security_groups", ["sg-2", "sg-1"], ("sg-1", "sg-2")),
        ("engine_version", "17.7", "17.7"),
        ("port", 6000, 6000),
    ]:
        assert shape.overridden(target(**{field: wish})) == shape.model_copy(update={field: value})
    serverless = shape.overridden(target(serverless={"min_acu": 1, "max_acu": 2})).serverless
    assert serverless is not None
    assert serverless.render() == {"MinCapacity": 1, "MaxCapacity": 2}


def test_requested_instances_keep_the_place_of_the_captured_ones() -> None:
    """Another class does not cost the instance its name, its parameter group or its tags."""
    shape = captured().overridden(target(instances=[{"class": "db.r8g.large", "promotion_tier": 2}]))
    (only,) = shape.instances
    assert (only.identifier, only.instance_class, only.promotion_tier) == ("the-writer", "db.r8g.large", 2)
    assert only.parameter_group == "staging-instance-16"
    assert only.tags == {"number": "1"}
    assert only.availability_zone is None
    own = captured().overridden(target(instances=[{"class": "db.r8g.large", "parameter_group": "other"}]))
    assert own.instances[0].parameter_group == "other"


@pytest.mark.parametrize("survivor", ["orders-staging-1", "orders-staging-2", "by-hand"])
def test_an_added_instance_never_takes_a_captured_one_s_name(survivor: str) -> None:
    """After a failover the writer may be number 2: a reader of the same name would silently never be made."""
    shape = ClusterShape.capture(cluster(), [instance(survivor)])
    wanted = shape.overridden(target(instances=[{"class": "db.r6g.large"}] * 4))
    names = [each.identifier for each in wanted.instances]
    assert names[0] == survivor
    assert len(set(names)) == 4


def test_a_new_target_s_shape_comes_from_the_request() -> None:
    """And what would be left to AWS's defaults is named before."""
    assert missing_for_new(target()) == ("target.instances", "target.subnet_group", "target.security_groups")
    wanted = target(instances=[{"class": "db.r6g.large"}], subnet_group="private", security_groups=["sg-1"])
    assert missing_for_new(wanted) == ()
    shape = ClusterShape.from_request(
        wanted, engine="aurora-postgresql", engine_version="16.4", port=5432, storage_type="aurora"
    )
    assert shape.instances[0].identifier == "orders-staging-1"
    assert fits_the_model("RestoreDBClusterFromSnapshot", restored(shape, kms_key=None))


def test_tags_are_read_and_written_in_rds_s_form() -> None:
    """A tag without a value has an empty one."""
    assert tags_of({"TagList": [{"Key": "a"}, {"Key": "b", "Value": "1"}]}) == {"a": "", "b": "1"}
    assert tags_of({}) == {}
    assert tag_list({"b": "1", "a": ""}) == [{"Key": "a", "Value": ""}, {"Key": "b", "Value": "1"}]
