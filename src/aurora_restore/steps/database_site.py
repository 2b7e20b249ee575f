"""The restored database as step 7 works on it: where it is, how one gets in, and how much time is left."""

from dataclasses import dataclass, field

from aurora_restore.aws.secrets import Secrets
from aurora_restore.database.engine import Endpoint, Engine, Login, TimeLeft
from aurora_restore.errors import NotReadyError
from aurora_restore.operation import DatabaseWork, Operation, Restored, require
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal

# Where a cluster was made without a database of its own: one that every user may enter.
_FIRST_DATABASE = {"aurora-postgresql": "postgres", "aurora-mysql": "information_schema"}


class Budget:
    """The time that is left to this call of the step."""

    def __init__(self, time_left: TimeLeft) -> None:
        """Take what tells the time that is left; it is asked at once for what there is at all."""
        self.left = time_left
        self._all = time_left()

    def allows(self, wanted_s: float) -> bool:
        """Say whether what may take ``wanted_s`` can be begun: if so much is left, or nearly all there ever is."""
        return self.left() >= min(wanted_s, 0.9 * self._all)

    @property
    def is_over(self) -> bool:
        """Say whether nothing more can be begun."""
        return self.left() < 0


@dataclass(frozen=True)
class Site:
    """Everything that the parts of step 7 need."""

    journal: Journal
    world: World
    engine: Engine
    endpoint: Endpoint
    master: Login = field(repr=False)
    secrets: Secrets
    budget: Budget

    @property
    def operation(self) -> Operation:
        """Return the operation as it stands now."""
        return self.journal.operation

    @property
    def work(self) -> DatabaseWork:
        """Return how far the step is."""
        return self.operation.database_work

    @property
    def cluster_arn(self) -> str:
        """Return the ARN of the restored cluster: the subject of all that is done to its databases."""
        return restored(self.operation).arn

    def database(self, named: str | None) -> str:
        """Return the database that is meant: the one that is named, or the cluster's first."""
        engine = require(self.operation.shape, "shape").engine
        return named or restored(self.operation).database or _FIRST_DATABASE[engine]

    def keep(self, **changes: object) -> None:
        """Write down how far the step is now."""
        self.journal.keep(database_work=self.work.model_copy(update=changes))


def restored(operation: Operation) -> Restored:
    """Return the restored cluster."""
    return require(operation.restored, "restored cluster")


def open_site(journal: Journal, world: World) -> Site:
    """Return the site of the journal's operation; NotReadyError while the master's secret cannot be seen."""
    operation = journal.operation
    there = restored(operation)
    secrets = world.secrets(operation.wanted.target.region)
    return Site(
        journal=journal,
        world=world,
        engine=world.engine_for(require(operation.shape, "shape").engine),
        endpoint=Endpoint(there.endpoint, there.port),
        master=_master(secrets, operation),
        secrets=secrets,
        budget=Budget(world.time_left),
    )


def _master(secrets: Secrets, operation: Operation) -> Login:
    arn = require(operation.master_secret_arn, "managed master secret")
    secret = secrets.find(arn)
    if secret is None:
        raise NotReadyError(f"the master user's secret {arn} cannot be seen yet")
    return Login(secret.username, secret.password)
