"""What is known of a run afterwards: each call and who made it, the world before and after, what was written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from aurora_restore.embedded.aurora_records import Cluster, Instance, Place, Records, Snapshot
from tests.faults.databases import Volume

ACCOUNT = "123456789012"
EAST, WEST = "us-east-1", "us-west-2"
_READING = ("Describe", "Get", "List", "Query", "Scan", "BatchGet")

Item: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Caller:
    """The invocation of a function that made a call."""

    operation: str
    step: str
    invocation: int


@dataclass
class Scene:
    """The world at a moment: Aurora's records, the keys that can be used, and the items of the State table."""

    at: datetime
    places: Mapping[Place, Records]
    usable_keys: frozenset[str]
    state: Mapping[str, Item]

    def records(self, region: str) -> Records:
        """Return a region's records."""
        place = Place(ACCOUNT, region)
        return self.places.get(place) or Records(place)

    def cluster(self, region: str, name: str) -> Cluster | None:
        """Return a cluster, or None."""
        return self.records(region).clusters.get(name)

    def instances(self, region: str, cluster: str) -> list[Instance]:
        """Return the instances of a cluster."""
        return [each for each in self.records(region).instances.values() if each.db_cluster_identifier == cluster]

    def snapshot(self, arn: str) -> Snapshot | None:
        """Return the snapshot of an ARN, or None."""
        found = [each for records in self.places.values() for each in records.snapshots.values() if each.arn == arn]
        return found[0] if found else None

    def snapshots(self) -> list[Snapshot]:
        """Return all snapshots everywhere."""
        return [each for records in self.places.values() for each in records.snapshots.values()]


@dataclass
class Call:
    """One call to AWS, as the emulator saw it. ``before`` is kept for calls that an oracle asks about."""

    number: int
    at: datetime
    caller: Caller | None
    service: str
    region: str
    action: str
    parameters: Mapping[str, Any]
    ordinal: int = 0
    status: int | None = None
    before: Scene | None = None

    @property
    def had_effect(self) -> bool:
        """Say whether it was done, answered or not."""
        return self.status is not None and self.status < 300

    @property
    def changes(self) -> bool:
        """Say whether it changes the world outside of the pipeline's own tables."""
        return self.service not in {"dynamodb", "lambda", "states"} and not self.action.startswith(_READING)

    @property
    def site(self) -> str:
        """Return where in an operation it stands: step, action, and which of this step's calls of the action."""
        return f"{self.caller.step if self.caller else 'outside'}.{self.action}.{self.ordinal}"


@dataclass
class Evidence:
    """All that an oracle may look at."""

    request: Mapping[str, Any]
    began: Scene
    ended: Scene
    calls: list[Call]
    audit: dict[str, list[Item]]
    executions: dict[str, str]
    history: str
    log: str
    secrets: dict[str, str]
    volumes: Mapping[str, Volume]
    passwords: set[str]
    # What the scenario knows: nobody could be told; somebody else changed the target; how each operation ends.
    unreachable: bool = False
    meddled: bool = False
    outcomes: dict[str, str] = field(default_factory=dict)
    unsprung: int = 0
    first_ended: Scene | None = None

    @property
    def target(self) -> tuple[str, str]:
        """Return the region and the name of the target."""
        return self.request["target"]["region"], self.request["target"]["cluster"]

    @property
    def source(self) -> tuple[str, str]:
        """Return the region and the name of the source."""
        return self.request["source"]["region"], self.request["source"]["cluster"]

    @property
    def operations(self) -> dict[str, Item]:
        """Return the records of operations, by id."""
        return {key: item for key, item in self.ended.state.items() if not key.startswith("lock#")}

    def handled(self, operation: str | None = None) -> list[Call]:
        """Return the calls that the functions made, all or one operation's."""
        return [call for call in self.calls if call.caller is not None and operation in {None, call.caller.operation}]
