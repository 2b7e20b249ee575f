"""Clusters and instances as they stand: what a describe call says, parsed. Settings are in the shape."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from aurora_restore.shape import ClusterShape, Description, InstanceShape, tags_of
from aurora_restore.statuses import Meaning, cluster_meaning, instance_meaning


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Instance(_Record):
    """One instance of a cluster, as it stands."""

    identifier: str
    arn: str
    status: str
    cluster: str | None
    shape: InstanceShape
    tags: dict[str, str]

    @classmethod
    def parse(cls, description: Description) -> Self:
        """Read it from a DBInstance."""
        return cls(
            identifier=description["DBInstanceIdentifier"],
            arn=description["DBInstanceArn"],
            status=description["DBInstanceStatus"],
            cluster=description.get("DBClusterIdentifier"),
            shape=InstanceShape.capture(description),
            tags=tags_of(description),
        )

    @property
    def meaning(self) -> Meaning:
        """Return what its status means; raises UnknownStatusError."""
        return instance_meaning(self.status)


class MasterSecret(_Record):
    """The secret in which RDS manages the master user's password."""

    arn: str
    status: str


class Cluster(_Record):
    """A cluster, as it stands. ``shape`` holds its settings without its instances."""

    identifier: str
    arn: str
    resource_id: str
    status: str
    engine: str
    endpoint: str
    reader_endpoint: str | None
    port: int
    master_user: str
    database: str | None
    members: tuple[str, ...]
    kms_key_arn: str | None
    encrypted: bool
    global_cluster: str | None
    master_secret: MasterSecret | None
    tags: dict[str, str]
    shape: ClusterShape
    not_restorable: tuple[str, ...]

    @classmethod
    def parse(cls, description: Description) -> Self:
        """Read it from a DBCluster."""
        secret = description.get("MasterUserSecret")
        return cls(
            identifier=description["DBClusterIdentifier"],
            arn=description["DBClusterArn"],
            resource_id=description["DbClusterResourceId"],
            status=description["Status"],
            engine=description["Engine"],
            endpoint=description.get("Endpoint") or "",
            reader_endpoint=description.get("ReaderEndpoint"),
            port=description["Port"],
            master_user=description["MasterUsername"],
            database=description.get("DatabaseName"),
            members=tuple(member["DBInstanceIdentifier"] for member in description.get("DBClusterMembers", ())),
            kms_key_arn=description.get("KmsKeyId"),
            encrypted=bool(description.get("StorageEncrypted")),
            global_cluster=description.get("GlobalClusterIdentifier") or None,
            master_secret=MasterSecret(arn=secret["SecretArn"], status=secret["SecretStatus"]) if secret else None,
            tags=tags_of(description),
            shape=ClusterShape.capture(description),
            not_restorable=tuple(_not_restorable(description)),
        )

    @property
    def meaning(self) -> Meaning:
        """Return what its status means; raises UnknownStatusError."""
        return cluster_meaning(self.status)


_ON = ("starting", "started", "enabled", "enabling")


def _not_restorable(description: Description) -> list[str]:
    """Return a sentence for each setting that is on and that nothing here can make again (I9)."""
    found: dict[str, Any] = {
        "custom endpoints: make them again with aws rds create-db-cluster-endpoint": description.get("CustomEndpoints"),
        "the database activity stream: start it again with aws rds start-activity-stream": description.get(
            "ActivityStreamStatus"
        )
        in _ON,
        "membership of the global cluster: add it again once the restore is checked": description.get(
            "GlobalClusterIdentifier"
        ),
        "write forwarding between regions": description.get("GlobalWriteForwardingStatus") in _ON,
        "local write forwarding: switch it on again with aws rds modify-db-cluster": description.get(
            "LocalWriteForwardingStatus"
        )
        in _ON,
        "zero-ETL and replication to other clusters: the new cluster has another resource id": description.get(
            "ReadReplicaIdentifiers"
        ),
        "replication from another cluster": description.get("ReplicationSourceIdentifier"),
        "AWS Backup's recovery point": description.get("AwsBackupRecoveryPointArn"),
        "the Limitless database's shard groups": description.get("LimitlessDatabase"),
        "the Serverless v1 scaling configuration": description.get("ScalingConfigurationInfo"),
        "the internet access gateway": description.get("InternetAccessGatewayEnabled"),
    }
    return [sentence for sentence, value in found.items() if value]
