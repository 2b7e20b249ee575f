"""RDS: what is there, parsed; and the changes, each of which takes an intent, and a deletion a warrant besides."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aurora_restore.aws.door import Answer, call, demand, pages
from aurora_restore.clusters import Cluster, Instance
from aurora_restore.errors import DeletionNotWarrantedError, UnexpectedError
from aurora_restore.operation import Intent
from aurora_restore.safety import DeletionWarrant
from aurora_restore.shape import AssociatedRole, ClusterShape, Parameters, tag_list, tags_of
from aurora_restore.snapshots import Snapshot, SnapshotStatus

_NO_CLUSTER = frozenset({"DBClusterNotFoundFault", "DBClusterNotFound"})
_NO_INSTANCE = frozenset({"DBInstanceNotFound", "DBInstanceNotFoundFault"})
_NO_SNAPSHOT = frozenset({"DBClusterSnapshotNotFoundFault"})
_NO_SUBNET_GROUP = frozenset({"DBSubnetGroupNotFoundFault"})
_NO_PARAMETER_GROUP = frozenset(
    {"DBParameterGroupNotFound", "DBParameterGroupNotFoundFault", "DBClusterParameterGroupNotFound"}
)
_CLUSTER_EXISTS = frozenset({"DBClusterAlreadyExistsFault"})
_INSTANCE_EXISTS = frozenset({"DBInstanceAlreadyExists", "DBInstanceAlreadyExistsFault"})
_SNAPSHOT_EXISTS = frozenset({"DBClusterSnapshotAlreadyExistsFault"})
_ROLE_EXISTS = frozenset({"DBClusterRoleAlreadyExists", "DBClusterRoleAlreadyExistsFault"})


class Rds:
    """RDS in one region."""

    def __init__(self, client: Any, region: str) -> None:
        """Take a boto3 RDS client and the region it is for."""
        self._client = client
        self.region = region

    def cluster(self, name: str) -> Cluster | None:
        """Return the cluster, or None when RDS says in so many words that there is none (mistake 5)."""
        answer = call(self._client.describe_db_clusters, tolerate=_NO_CLUSTER, DBClusterIdentifier=name)
        return Cluster.parse(answer["DBClusters"][0]) if answer and answer["DBClusters"] else None

    def login_token(self, host: str, port: int, user: str) -> str:
        """Return a token with which a user logs in to a database for 15 minutes, in a password's place.

        It is signed here with this role's credentials, without a call: whether it may, the database finds out.
        """
        return str(self._client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user))

    def instances(self, cluster: str) -> tuple[Instance, ...]:
        """Return all instances of a cluster, those that are leaving too."""
        return tuple(Instance.parse(description) for description in self._instances(cluster))

    def instance(self, name: str) -> Instance | None:
        """Return an instance, of whatever cluster, or None."""
        answer = call(self._client.describe_db_instances, tolerate=_NO_INSTANCE, DBInstanceIdentifier=name)
        return Instance.parse(answer["DBInstances"][0]) if answer and answer["DBInstances"] else None

    def shape(self, name: str) -> ClusterShape:
        """Return the shape of a cluster that exists, its instances included."""
        answer = demand(self._client.describe_db_clusters, DBClusterIdentifier=name)
        return ClusterShape.capture(answer["DBClusters"][0], self._instances(name))

    def snapshots(self, cluster: str) -> tuple[Snapshot, ...]:
        """Return every snapshot made of a cluster of this name, from all pages (mistake 3)."""
        found = pages(self._client, "describe_db_cluster_snapshots", "DBClusterSnapshots", DBClusterIdentifier=cluster)
        return tuple(self._snapshot(description) for description in found)

    def own_snapshots(self, tags: Mapping[str, str]) -> tuple[Snapshot, ...]:
        """Return the manual snapshots in this region that carry all these tags."""
        found = pages(self._client, "describe_db_cluster_snapshots", "DBClusterSnapshots", SnapshotType="manual")
        # Chosen before they are parsed: a status that nobody knows, of somebody else's snapshot, is not our trouble.
        return tuple(self._snapshot(each) for each in found if tags.items() <= tags_of(each).items())

    def snapshot(self, name: str) -> Snapshot | None:
        """Return the snapshot of this identifier or ARN, or None."""
        # The model asks for the type of an automated one ("must also be specified"); open whether RDS insists.
        automated = name.rpartition(":cluster-snapshot:")[2].startswith("rds:")
        answer = call(
            self._client.describe_db_cluster_snapshots,
            tolerate=_NO_SNAPSHOT,
            DBClusterSnapshotIdentifier=name,
            **({"SnapshotType": "automated"} if automated else {}),
        )
        return self._snapshot(answer["DBClusterSnapshots"][0]) if answer and answer["DBClusterSnapshots"] else None

    def subnet_group_vpc(self, name: str) -> str | None:
        """Return the VPC of a DB subnet group, or None when there is no such group."""
        answer = call(self._client.describe_db_subnet_groups, tolerate=_NO_SUBNET_GROUP, DBSubnetGroupName=name)
        return str(answer["DBSubnetGroups"][0]["VpcId"]) if answer and answer["DBSubnetGroups"] else None

    def offers(self, *, engine: str, version: str, instance_class: str) -> bool:
        """Say whether instances of this class can be ordered here for this version of the engine."""
        describe = self._client.describe_orderable_db_instance_options
        answer = demand(describe, Engine=engine, EngineVersion=version, DBInstanceClass=instance_class)
        return bool(answer["OrderableDBInstanceOptions"])

    def cluster_family(self, group: str) -> str | None:
        """Return the family of a DB cluster parameter group, such as aurora-postgresql16, or None if there is none."""
        describe = self._client.describe_db_cluster_parameter_groups
        answer = call(describe, tolerate=_NO_PARAMETER_GROUP, DBClusterParameterGroupName=group)
        return _family(answer, "DBClusterParameterGroups")

    def instance_family(self, group: str) -> str | None:
        """Return the family of a DB parameter group, or None when there is none."""
        describe = self._client.describe_db_parameter_groups
        answer = call(describe, tolerate=_NO_PARAMETER_GROUP, DBParameterGroupName=group)
        return _family(answer, "DBParameterGroups")

    def quotas(self) -> Mapping[str, tuple[int, int]]:
        """Return the account's quotas in this region by name: how much is used, and the limit."""
        answer = demand(self._client.describe_account_attributes)
        return {quota["AccountQuotaName"]: (quota["Used"], quota["Max"]) for quota in answer["AccountQuotas"]}

    def create_snapshot(self, intent: Intent, *, name: str, cluster: str, tags: Mapping[str, str]) -> None:
        """Take a snapshot of a cluster, unless one of this name is there."""
        _expect(intent, "CreateDBClusterSnapshot")
        call(
            self._client.create_db_cluster_snapshot,
            tolerate=_SNAPSHOT_EXISTS,
            DBClusterSnapshotIdentifier=name,
            DBClusterIdentifier=cluster,
            Tags=tag_list(tags),
        )

    def copy_snapshot(
        self, intent: Intent, *, source: Snapshot, name: str, kms_key: str | None, tags: Mapping[str, str]
    ) -> None:
        """Start the copy of a snapshot into this region, unless one of this name is there."""
        _expect(intent, "CopyDBClusterSnapshot")
        crosses = source.region != self.region
        call(
            self._client.copy_db_cluster_snapshot,
            tolerate=_SNAPSHOT_EXISTS,
            SourceDBClusterSnapshotIdentifier=source.arn,
            TargetDBClusterSnapshotIdentifier=name,
            CopyTags=False,
            Tags=tag_list(tags),
            **({"KmsKeyId": kms_key} if kms_key else {}),
            **({"SourceRegion": source.region} if crosses else {}),
        )

    def delete_snapshot(self, intent: Intent, snapshot: Snapshot) -> None:
        """Delete a manual snapshot, unless it is gone."""
        _expect(intent, "DeleteDBClusterSnapshot", snapshot.arn)
        call(
            self._client.delete_db_cluster_snapshot,
            tolerate=_NO_SNAPSHOT,
            DBClusterSnapshotIdentifier=snapshot.identifier,
        )

    def lift_protection(self, intent: Intent, warrant: DeletionWarrant, cluster: Cluster) -> None:
        """Switch a cluster's deletion protection off."""
        _warranted(intent, warrant, cluster)
        self._modify(cluster.identifier, {"DeletionProtection": False})

    def start_cluster(self, intent: Intent, warrant: DeletionWarrant, cluster: Cluster) -> None:
        """Start a stopped cluster, because a stopped one cannot be deleted."""
        _warranted(intent, warrant, cluster)
        demand(self._client.start_db_cluster, DBClusterIdentifier=cluster.identifier)

    def delete_instance(self, intent: Intent, warrant: DeletionWarrant, cluster: Cluster, instance: str) -> None:
        """Delete an instance of the warrant's cluster, unless it is gone."""
        _warranted(intent, warrant, cluster)
        call(
            self._client.delete_db_instance,
            tolerate=_NO_INSTANCE,
            DBInstanceIdentifier=instance,
            SkipFinalSnapshot=True,
        )

    def delete_cluster(self, intent: Intent, warrant: DeletionWarrant, cluster: Cluster) -> None:
        """Delete the warrant's cluster, with the final snapshot that the warrant names."""
        _warranted(intent, warrant, cluster)
        final: Parameters = (
            {"SkipFinalSnapshot": False, "FinalDBSnapshotIdentifier": warrant.final_snapshot}
            if warrant.final_snapshot
            else {"SkipFinalSnapshot": True}
        )
        call(self._client.delete_db_cluster, tolerate=_NO_CLUSTER, DBClusterIdentifier=cluster.identifier, **final)

    def restore(self, intent: Intent, parameters: Parameters) -> bool:
        """Start a restore; return False when a cluster of this name is there already."""
        _expect(intent, "RestoreDBClusterFromSnapshot")
        return self._create(self._client.restore_db_cluster_from_snapshot, _CLUSTER_EXISTS, parameters)

    def create_instance(self, intent: Intent, parameters: Parameters) -> bool:
        """Start the making of an instance; return False when one of this name is there already."""
        _expect(intent, "CreateDBInstance")
        return self._create(self._client.create_db_instance, _INSTANCE_EXISTS, parameters)

    def modify(self, intent: Intent, cluster: Cluster, parameters: Parameters) -> None:
        """Change settings of a cluster, at once."""
        _expect(intent, "ModifyDBCluster", cluster.arn)
        self._modify(cluster.identifier, parameters)

    def enable_data_api(self, intent: Intent, cluster: Cluster) -> None:
        """Switch a cluster's Data API on."""
        _expect(intent, "EnableHttpEndpoint", cluster.arn)
        demand(self._client.enable_http_endpoint, ResourceArn=cluster.arn)

    def add_role(self, intent: Intent, cluster: Cluster, role: AssociatedRole) -> None:
        """Give a cluster an IAM role, unless it has it."""
        _expect(intent, "AddRoleToDBCluster", cluster.arn)
        call(
            self._client.add_role_to_db_cluster,
            tolerate=_ROLE_EXISTS,
            DBClusterIdentifier=cluster.identifier,
            RoleArn=role.arn,
            **({"FeatureName": role.feature} if role.feature else {}),
        )

    def tag(self, intent: Intent, arn: str, tags: Mapping[str, str]) -> None:
        """Add tags to a thing."""
        _expect(intent, "AddTagsToResource", arn)
        demand(self._client.add_tags_to_resource, ResourceName=arn, Tags=tag_list(tags))

    def _modify(self, name: str, parameters: Parameters) -> None:
        demand(self._client.modify_db_cluster, DBClusterIdentifier=name, ApplyImmediately=True, **parameters)

    def _create(self, method: Callable[..., Any], exists: frozenset[str], parameters: Parameters) -> bool:
        return call(method, tolerate=exists, **parameters) is not None

    def _instances(self, cluster: str) -> Sequence[Answer]:
        by_cluster = [{"Name": "db-cluster-id", "Values": [cluster]}]
        return pages(self._client, "describe_db_instances", "DBInstances", Filters=by_cluster)

    def _snapshot(self, description: Answer) -> Snapshot:
        return Snapshot(
            identifier=description["DBClusterSnapshotIdentifier"],
            arn=description["DBClusterSnapshotArn"],
            region=self.region,
            cluster=description["DBClusterIdentifier"],
            cluster_resource_id=description.get("DbClusterResourceId") or "",
            kind=description["SnapshotType"],
            status=SnapshotStatus.of(description["Status"]),
            created_at=description.get("SnapshotCreateTime"),
            progress_percent=description.get("PercentProgress") or 0,
            engine=description["Engine"],
            engine_version=description["EngineVersion"],
            encrypted=bool(description.get("StorageEncrypted")),
            kms_key_arn=description.get("KmsKeyId"),
            size_gib=description.get("AllocatedStorage") or 0,
            port=description.get("Port") or 0,
            storage_type=description.get("StorageType") or "aurora",
            copied_from=description.get("SourceDBClusterSnapshotArn") or None,
            tags=tags_of(description),
        )


def _family(answer: Answer | None, key: str) -> str | None:
    return None if not answer or not answer[key] else str(answer[key][0]["DBParameterGroupFamily"])


def _expect(intent: Intent, action: str, subject: str | None = None) -> None:
    """Refuse a change that is not the one that the audit announced (I5)."""
    if intent.action != action or subject not in {None, intent.subject}:
        raise UnexpectedError(f"{action} on {subject} was announced as {intent.action} on {intent.subject}")


def _warranted(intent: Intent, warrant: DeletionWarrant, cluster: Cluster) -> None:
    if not warrant.covers(cluster.arn) or cluster.resource_id != warrant.resource_id:
        raise DeletionNotWarrantedError(cluster.identifier, [f"the warrant {intent.sequence} is for another cluster"])
