"""What a step may reach: AWS by region, the store, the clock, the database engines and a source of randomness."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from aurora_restore.aws.executions import Executions
from aurora_restore.aws.keys import Keys
from aurora_restore.aws.networks import Networks
from aurora_restore.aws.rds import Rds
from aurora_restore.aws.secrets import Secrets
from aurora_restore.aws.topics import Topic
from aurora_restore.clock import Clock
from aurora_restore.database.engine import Engine, TimeLeft, endless, engine_for
from aurora_restore.database.tls import NO_BUNDLE, Tls
from aurora_restore.store.journal import Store


@dataclass(frozen=True)
class World:
    """Everything outside, handed in. ``client`` makes the boto3 client of a service in a region.

    ``time_left`` says for how many seconds the step may still begin something before its function is ended.
    """

    stack: str
    client: Callable[[str, str | None], Any]
    store: Store
    topic: Topic
    executions: Executions
    clock: Clock
    random: Random
    tls: Tls = NO_BUNDLE
    engine_for: Callable[[str], Engine] = engine_for
    time_left: TimeLeft = endless

    def rds(self, region: str) -> Rds:
        """Return RDS in a region."""
        return Rds(self.client("rds", region), region)

    def keys(self, region: str) -> Keys:
        """Return KMS in a region."""
        return Keys(self.client("kms", region), region)

    def networks(self, region: str) -> Networks:
        """Return EC2's networks in a region."""
        return Networks(self.client("ec2", region), region)

    def secrets(self, region: str) -> Secrets:
        """Return Secrets Manager in a region."""
        return Secrets(self.client("secretsmanager", region), region)
