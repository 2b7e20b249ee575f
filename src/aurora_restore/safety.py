"""The deletion warrant: the only code that may permit a delete (I2), and the guard of the source (I1). Pure."""

from collections.abc import Iterator
from dataclasses import InitVar, dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from aurora_restore.errors import DeletionNotWarrantedError, SourceWouldChangeError
from aurora_restore.names import STACK_TAG
from aurora_restore.request import Protection, Replace
from aurora_restore.snapshots import Snapshot, SnapshotStatus

_SEAL: Final = object()

# I1: the only calls that may name the source cluster. They make snapshots of it and change nothing in it.
ALLOWED_ON_SOURCE: Final = frozenset({"CreateDBClusterSnapshot"})


class ClusterIdentity(BaseModel):
    """What makes a cluster that one and no other. The resource id survives a rename; a name does not."""

    model_config = ConfigDict(frozen=True)

    arn: str
    resource_id: str
    name: str
    region: str

    @property
    def account(self) -> str:
        """Return the account in the ARN."""
        return self.arn.split(":")[4]


class DeletionEvidence(BaseModel):
    """Everything that the warrant is judged on, read immediately before."""

    model_config = ConfigDict(frozen=True)

    target: ClusterIdentity
    target_tags: dict[str, str]
    target_protected: bool
    stack: str
    source: ClusterIdentity
    replace: Replace
    restore_from: Snapshot | None
    restore_key_usable: bool
    captured_resource_id: str | None
    final_snapshot: str
    final_snapshot_free: bool


@dataclass(frozen=True, slots=True)
class DeletionWarrant:
    """The permission to delete one cluster, that one and no other. Only ``issue_warrant`` makes it."""

    target_arn: str
    resource_id: str
    final_snapshot: str | None
    lift_protection: bool
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        """Refuse a warrant that was not issued here."""
        if seal is not _SEAL:
            raise DeletionNotWarrantedError(self.target_arn, ["the warrant was not issued by safety.issue_warrant"])

    def covers(self, arn: str) -> bool:
        """Say whether the warrant is for this cluster."""
        return arn == self.target_arn


def issue_warrant(evidence: DeletionEvidence) -> DeletionWarrant:
    """Return the permission to delete the target.

    Raises DeletionNotWarrantedError with every clause of I2 that does not hold.
    """
    refusals = [*_about_target(evidence), *_about_request(evidence), *_about_restore(evidence)]
    if refusals:
        raise DeletionNotWarrantedError(evidence.target.name, refusals)
    return DeletionWarrant(
        target_arn=evidence.target.arn,
        resource_id=evidence.target.resource_id,
        final_snapshot=evidence.final_snapshot if evidence.replace.final_snapshot else None,
        lift_protection=evidence.target_protected,
        seal=_SEAL,
    )


def _about_target(evidence: DeletionEvidence) -> Iterator[str]:
    target, source = evidence.target, evidence.source
    same_place = (target.account, target.region, target.name) == (source.account, source.region, source.name)
    if same_place or target.arn == source.arn or target.resource_id == source.resource_id:
        yield f"{target.name} is the source cluster itself ({target.resource_id})"
    if evidence.captured_resource_id is None:
        yield "the shape of the target is not captured and stored"
    elif evidence.captured_resource_id != target.resource_id:
        yield (
            f"the cluster {target.name} is not the one whose shape was captured: it is {target.resource_id} now "
            f"and was {evidence.captured_resource_id}; somebody made it again meanwhile"
        )


def _about_request(evidence: DeletionEvidence) -> Iterator[str]:
    replace, name = evidence.replace, evidence.target.name
    if not replace.allow:
        yield "the request does not allow it: set replace.allow to true"
    tagged = evidence.target_tags.get(STACK_TAG) == evidence.stack
    if not tagged and replace.confirm != name:
        yield f"the target was not made by this pipeline and is not confirmed: set replace.confirm to {name}"
    if evidence.target_protected and replace.protection is not Protection.LIFT:
        yield "the target has deletion protection: set replace.protection to lift, or switch it off yourself"
    if replace.final_snapshot and not evidence.final_snapshot_free:
        yield f"the final snapshot's name {evidence.final_snapshot} is taken by a snapshot of another making"


def _about_restore(evidence: DeletionEvidence) -> Iterator[str]:
    snapshot, region = evidence.restore_from, evidence.target.region
    if snapshot is None:
        yield "there is no snapshot to restore from"
    elif snapshot.status is not SnapshotStatus.AVAILABLE:
        yield f"the snapshot {snapshot.identifier} is {snapshot.status}, not available"
    if snapshot is not None and snapshot.region != region:
        yield f"the snapshot {snapshot.identifier} is in {snapshot.region}, the target in {region}"
    if not evidence.restore_key_usable:
        yield f"the key of the restored cluster cannot be used in {region}"


def guard_source(source_arn: str | None, *, action: str, subject: str) -> None:
    """Let a changing call pass unless it names the source cluster (I1).

    Raises SourceWouldChangeError.
    """
    if subject == source_arn and action not in ALLOWED_ON_SOURCE:
        raise SourceWouldChangeError(
            f"{action} would have changed the source cluster {subject}",
            advice="This is a mistake in the pipeline: nothing was done; please report it",
        )
