"""What a plan is made of: what was seen of the world, and a record for each thing that would happen. Pure."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from aurora_restore.clusters import Cluster
from aurora_restore.database_request import Password
from aurora_restore.estimates import Quota
from aurora_restore.names import SnapshotRole
from aurora_restore.operation import OldTarget, Operation
from aurora_restore.shape import ClusterShape
from aurora_restore.snapshots import Snapshot


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Seen(_Record):
    """What was read of the world. ``secrets``: by name, whether it exists; None and missing keys: not known.

    ``shape_from`` names the earlier operation that had captured the shape and did not bring it back.
    """

    at: datetime
    stack: str
    state_machine_arn: str
    source: Cluster | None
    snapshot: Snapshot | None
    candidates: tuple[Snapshot, ...]
    target: Cluster | None
    old_target: OldTarget | None
    kms_key_arn: str | None
    shape: ClusterShape | None
    shape_from: str | None = None
    not_restored: tuple[str, ...]
    problems: tuple[str, ...]
    own_snapshots: tuple[Snapshot, ...] = ()
    secrets: Mapping[str, bool] = {}
    quotas: tuple[Quota, ...] = ()
    history: tuple[Operation, ...] = ()
    target_gib: float | None = None
    connections: int | None = None


class Choice(_Record):
    """The snapshot to restore from; ``identifier`` is None for one that is still to be taken."""

    why: str
    identifier: str | None = None
    arn: str | None = None
    kind: str | None = None
    created_at: datetime | None = None
    age_hours: float | None = None
    size_gib: int | None = None
    kms_key_arn: str | None = None


class Copy(_Record):
    """A snapshot that the operation makes."""

    role: SnapshotRole
    of: str
    region: str
    kms_key_arn: str | None
    why: str


class Deletion(_Record):
    """The cluster that will be deleted. ``refusals``: the clauses of I2 that do not hold."""

    cluster: str
    arn: str
    resource_id: str
    status: str
    size_gib: float | None
    connections: int | None
    instances: tuple[str, ...]
    protection: str
    final_snapshot: bool
    refusals: tuple[str, ...]


class Fate(StrEnum):
    """What becomes of a setting of the target."""

    KEPT = "kept"
    OVERRIDDEN = "overridden"
    NEW = "new"
    REMOVED = "removed"


class Setting(_Record):
    """One setting of the target: what it was and will be, and why it changes."""

    name: str
    fate: Fate
    before: Any
    after: Any
    why: str = ""


class PlannedUser(_Record):
    """A user of the request; ``secret_exists`` is None where that is not known or there is none."""

    name: str
    login: str
    secret_exists: bool | None
    grants: tuple[str, ...]
    password: Password | None = None
    more: tuple[str, ...] = ()


class PlannedScript(_Record):
    """An SQL file that is run: by its hash, because whoever reads the plan has the file."""

    file: str
    sha256: str
    size_bytes: int
    database: str | None
    timeout_minutes: int


class PlannedCheck(_Record):
    """Something that must hold in the restored database, and the user who asks."""

    name: str
    expects: str
    user: str


class Pruned(_Record):
    """A snapshot of this pipeline's that the operation deletes at its end."""

    identifier: str
    created_at: datetime | None
    size_gib: int
