"""The door: RDS calls about clusters, instances and snapshots go to the emulated Aurora, all others to moto."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from moto.core.parse import XFormedDict
from moto.core.responses import ActionResult, EmptyResult
from moto.rds.responses import RDSResponse

from aurora_restore.embedded import aurora_neighbours as neighbours
from aurora_restore.embedded import aurora_rules as rules
from aurora_restore.embedded.aurora_clusters import Clusters
from aurora_restore.embedded.aurora_instances import Instances
from aurora_restore.embedded.aurora_records import Place
from aurora_restore.embedded.aurora_rules import Params, Refused
from aurora_restore.embedded.aurora_settings import Modification
from aurora_restore.embedded.aurora_snapshots import Snapshots
from aurora_restore.embedded.aurora_tags import Tagging
from aurora_restore.embedded.aurora_world import World

_Operation: TypeAlias = Callable[[Place, Params], Any]


@dataclass(slots=True)
class Refusal:
    """How the next calls of an action are answered, instead of well."""

    code: str
    message: str
    times: int
    after_effect: bool


class Operations:
    """The emulated Aurora's operations, all on one world."""

    def __init__(self, world: World) -> None:
        """Work on this world."""
        self.world = world
        self.snapshots = Snapshots(world)
        self.clusters = Clusters(world, self.snapshots)
        self.modification = Modification(world)
        self.instances = Instances(world)
        self.tagging = Tagging(world)
        # By action, for example "CreateDBInstance".
        self.refusals: dict[str, Refusal] = {}

    def call(self, action: str, operation: _Operation, place: Place, params: Params) -> Any:
        """Do one operation alone in the world, unless its action is to be refused."""
        with self.world.lock:
            refusal = self._refusal(action)
            if refusal and not refusal.after_effect:
                raise Refused(refusal.code, refusal.message)
            answer = operation(place, params)
            if refusal:
                raise Refused(refusal.code, refusal.message)
            return answer

    def _refusal(self, action: str) -> Refusal | None:
        refusal = self.refusals.get(action)
        if refusal:
            refusal.times -= 1
            if refusal.times <= 0:
                del self.refusals[action]
        return refusal


class AuroraResponse(RDSResponse):
    """moto's RDS, with the emulated Aurora for clusters, instances and cluster snapshots."""

    operations: ClassVar[Operations | None] = None

    def _do(self, choose: Callable[[Operations], _Operation]) -> Any:
        operations = AuroraResponse.operations
        if operations is None:
            raise RuntimeError("the emulated Aurora is not installed")
        place = Place(self.current_account, self.region)
        return operations.call(self._get_action(), choose(operations), place, _plain(self.params))

    def _one(self, member: str, choose: Callable[[Operations], _Operation]) -> ActionResult:
        return ActionResult({member: self._do(choose)})

    def _page(self, member: str, choose: Callable[[Operations], _Operation]) -> ActionResult:
        shown, marker = self._do(choose)
        return ActionResult({member: shown, "Marker": marker})

    def _nothing(self, choose: Callable[[Operations], _Operation]) -> ActionResult:
        self._do(choose)
        return EmptyResult()

    # Each of these is the RDS action of its name. moto looks them up by name.

    def create_db_cluster(self) -> ActionResult:
        return self._one("DBCluster", lambda to: to.clusters.create)

    def restore_db_cluster_from_snapshot(self) -> ActionResult:
        return self._one("DBCluster", lambda to: to.clusters.restore)

    def modify_db_cluster(self) -> ActionResult:
        return self._one("DBCluster", lambda to: to.modification.modify)

    def delete_db_cluster(self) -> ActionResult:
        return self._one("DBCluster", lambda to: to.clusters.delete)

    def start_db_cluster(self) -> ActionResult:
        return self._one("DBCluster", lambda to: to.clusters.start)

    def stop_db_cluster(self) -> ActionResult:
        return self._one("DBCluster", lambda to: to.clusters.stop)

    def failover_db_cluster(self) -> ActionResult:
        return self._one("DBCluster", lambda to: to.clusters.failover)

    def describe_db_clusters(self) -> ActionResult:
        return self._page("DBClusters", lambda to: to.clusters.describe)

    def describe_db_cluster_endpoints(self) -> ActionResult:
        return self._one("DBClusterEndpoints", lambda to: to.clusters.endpoints)

    def enable_http_endpoint(self) -> ActionResult:
        return ActionResult(self._do(lambda to: to.clusters.enable_http_endpoint))

    def add_role_to_db_cluster(self) -> ActionResult:
        return self._nothing(lambda to: to.clusters.add_role)

    def remove_role_from_db_cluster(self) -> ActionResult:
        return self._nothing(lambda to: to.clusters.remove_role)

    def create_db_instance(self) -> ActionResult:
        return self._one("DBInstance", lambda to: to.instances.create)

    def modify_db_instance(self) -> ActionResult:
        return self._one("DBInstance", lambda to: to.instances.modify)

    def reboot_db_instance(self) -> ActionResult:
        return self._one("DBInstance", lambda to: to.instances.reboot)

    def delete_db_instance(self) -> ActionResult:
        return self._one("DBInstance", lambda to: to.instances.delete)

    def describe_db_instances(self) -> ActionResult:
        return self._page("DBInstances", lambda to: to.instances.describe)

    def describe_orderable_db_instance_options(self) -> ActionResult:
        wanted = self.params.get("DBInstanceClass")
        classes = [wanted] if wanted else rules.COMMON_CLASSES
        options = rules.orderable(self.params["Engine"], self.params.get("EngineVersion"), classes)
        return ActionResult({"OrderableDBInstanceOptions": options})

    def create_db_cluster_snapshot(self) -> ActionResult:
        return self._one("DBClusterSnapshot", lambda to: to.snapshots.create)

    def copy_db_cluster_snapshot(self) -> ActionResult:
        return self._one("DBClusterSnapshot", lambda to: to.snapshots.copy)

    def delete_db_cluster_snapshot(self) -> ActionResult:
        return self._one("DBClusterSnapshot", lambda to: to.snapshots.delete)

    def describe_db_cluster_snapshots(self) -> ActionResult:
        return self._page("DBClusterSnapshots", lambda to: to.snapshots.describe)

    def describe_db_cluster_snapshot_attributes(self) -> ActionResult:
        return self._one("DBClusterSnapshotAttributesResult", lambda to: to.snapshots.attributes)

    def modify_db_cluster_snapshot_attribute(self) -> ActionResult:
        return self._one("DBClusterSnapshotAttributesResult", lambda to: to.snapshots.share)

    def describe_account_attributes(self) -> ActionResult:
        return self._one("AccountQuotas", lambda to: to.snapshots.quotas)

    # AWS has the default groups always, moto only those that somebody made.

    def describe_db_cluster_parameter_groups(self) -> ActionResult:
        self._make_default(self.params.get("DBClusterParameterGroupName"), neighbours.cluster_parameter_group)
        return super().describe_db_cluster_parameter_groups()

    def describe_db_parameter_groups(self) -> ActionResult:
        self._make_default(self.params.get("DBParameterGroupName"), neighbours.instance_parameter_group)
        return super().describe_db_parameter_groups()

    def describe_db_subnet_groups(self) -> ActionResult:
        if self.params.get("DBSubnetGroupName") == "default":
            neighbours.subnet_group(Place(self.current_account, self.region), None)
        return super().describe_db_subnet_groups()

    def _make_default(self, name: str | None, make: Callable[[Place, str | None, str], str]) -> None:
        family = (name or "").removeprefix("default.")
        if name != family and rules.is_family(family):
            make(Place(self.current_account, self.region), name, family)

    def list_tags_for_resource(self) -> ActionResult:
        if not Tagging.knows(self.params["ResourceName"]):
            return super().list_tags_for_resource()
        return self._one("TagList", lambda to: to.tagging.show)

    def add_tags_to_resource(self) -> ActionResult:
        if not Tagging.knows(self.params["ResourceName"]):
            return super().add_tags_to_resource()
        return self._nothing(lambda to: to.tagging.add)

    def remove_tags_from_resource(self) -> ActionResult:
        if not Tagging.knows(self.params["ResourceName"]):
            return super().remove_tags_from_resource()
        return self._nothing(lambda to: to.tagging.remove)


def _plain(value: Any) -> Any:
    """Return moto's parsed parameters as plain mappings with names in snake case, all the way down."""
    match value:
        case XFormedDict():
            return {name: _plain(value[name]) for name in value}
        case Mapping():
            return {name: _plain(each) for name, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case _:
            return value
