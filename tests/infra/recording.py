"""What IAM was asked while whole operations ran: one embedded account, every call of every function taken down."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse
from moto.kms.models import kms_backends
from moto.secretsmanager.models import secretsmanager_backends

from aurora_restore.embedded.aurora_records import Place
from aurora_restore.operation import Step
from tests.faults.evidence import Call
from tests.faults.harness import Rig, Send
from tests.infra.authorisations import ACCOUNT, UnknownCallError, asked_by
from tests.infra.evaluation import Authorisation


@dataclass
class Recording:
    """For each step, what IAM was asked, with the operations that made AWS ask it; and how many calls there were."""

    asked: dict[Step, dict[Authorisation, set[str]]] = field(default_factory=lambda: {step: {} for step in Step})
    calls: dict[Step, int] = field(default_factory=lambda: dict.fromkeys(Step, 0))
    # Calls that nobody has said of what IAM is asked for them.
    unknown: set[str] = field(default_factory=set)

    def all(self) -> Iterator[tuple[Step, Authorisation]]:
        """Yield everything that was asked, with the step whose role was asked about."""
        for step, asked in self.asked.items():
            for each in asked:
                yield step, each

    def add(self, step: Step, action: str, asked: Iterable[Authorisation]) -> None:
        """Take a call down."""
        self.calls[step] += 1
        for each in asked:
            self.asked[step].setdefault(each, set()).add(action)


class SeenAccount:
    """The embedded account, as far as it says what a call is about."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def key_arn(self, region: str, key: str) -> str:
        """Return the ARN of the key that an id, an ARN or an alias means."""
        backend = kms_backends[ACCOUNT][region]
        return str(backend.describe_key(backend.any_id_to_key_id(key)).arn)

    def secret(self, region: str, name: str) -> tuple[str, Mapping[str, str], str | None]:
        """Return a secret's ARN, tags and key; for one that is not there an ARN that ends with its name."""
        found = secretsmanager_backends[ACCOUNT][region].secrets.get(name)
        if found is None:
            return f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{name}", {}, None
        return str(found.arn), _plain(found.tags), getattr(found, "kms_key_id", None)

    def tags(self, arn: str) -> Mapping[str, str]:
        """Return the tags of a cluster, an instance or a snapshot."""
        _, _, _, region, _, kind, name = arn.split(":", 6)
        records = self._rig.aurora._world.places.get(Place(ACCOUNT, region))
        if records is None:
            return {}
        known: Mapping[str, Mapping[str, Any]] = {
            "cluster": records.clusters,
            "db": records.instances,
            "cluster-snapshot": records.snapshots,
        }
        found = known[kind].get(name)
        return {} if found is None else _plain(found.tag_list)

    def cluster(self, region: str, name: str) -> Mapping[str, Any]:
        """Return what RDS says of a cluster."""
        found: Mapping[str, Any] = self._rig.client("rds", region).describe_db_clusters(DBClusterIdentifier=name)[
            "DBClusters"
        ][0]
        return found


def _plain(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


class RecordingRig(Rig):
    """A rig that takes down what IAM is asked for each call that a function makes."""

    def __init__(self) -> None:
        super().__init__()
        self.recording = Recording()
        self._seen = SeenAccount(self)

    def _through_traps(self, call: Call, send: Send) -> AWSResponse:
        if call.caller is not None:
            try:
                asked = list(asked_by(call, self._seen))
            except UnknownCallError as error:
                self.recording.unknown.add(str(error))
            else:
                self.recording.add(Step(call.caller.step), call.action, asked)
        return super()._through_traps(call, send)
