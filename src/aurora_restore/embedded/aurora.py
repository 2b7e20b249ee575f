"""The emulated Aurora: clusters that are real databases, behind moto's RDS, as strict and as slow as AWS's."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from datetime import datetime
from typing import Literal

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.rds import urls

from aurora_restore.embedded.aurora_records import Durations, Place, Records
from aurora_restore.embedded.aurora_responses import AuroraResponse, Operations, Refusal
from aurora_restore.embedded.aurora_world import Failure, World
from aurora_restore.embedded.clock import EmbeddableClock
from aurora_restore.embedded.dataplane import DataPlane


class Aurora:
    """The emulated Aurora of one embedded account, for those who stand outside of its API."""

    def __init__(self, operations: Operations) -> None:
        """Take the operations that the API calls."""
        self._operations = operations
        self._world = operations.world

    def places(self) -> dict[Place, Records]:
        """Return all records, to be kept; they are plain values that can be pickled."""
        with self._world.lock:
            self._world.settle()
            return deepcopy(self._world.places)

    @contextmanager
    def standing_still(self) -> Iterator[dict[Place, Records]]:
        """Give the records themselves, which nothing changes meanwhile, not even time."""
        with self._world.lock:
            yield self._world.places

    def adopt(self, places: dict[Place, Records]) -> None:
        """Take all records from an earlier emulated Aurora with the same volumes, whose servers have ended.

        Databases that answered then answer again.
        """
        with self._world.lock:
            self._world.places = places
            for records in places.values():
                for cluster in records.clusters.values():
                    cluster.is_serving = False
                    self._world.serve(records, cluster)

    def settle(self) -> None:
        """Let everything happen that has become due, without waiting for somebody to read."""
        with self._world.lock:
            self._world.settle()

    def take_automated_snapshot(
        self, region: str, cluster: str, created_at: datetime | None = None, *, account: str = DEFAULT_ACCOUNT_ID
    ) -> str:
        """Let the cluster have an automated snapshot of its data as it is now, available at once.

        ``created_at`` is the age it shows; now, if it is not given. Returns its identifier, ``rds:<cluster>-<time>``.
        """
        with self._world.lock:
            return self._operations.snapshots.take_automated(Place(account, region), cluster, created_at)

    def fail_next(
        self,
        operation: Literal["snapshot", "copy", "restore", "instance"],
        identifier: str,
        *,
        status: str = "failed",
        at_percent: int = 60,
    ) -> None:
        """Let the next making of the thing with this identifier end in ``status`` when it is so far."""
        with self._world.lock:
            self._world.failures[operation, identifier] = Failure(status, at_percent)

    def refuse_next(
        self,
        action: str,
        code: str,
        message: str = "As the rehearsal wants it",
        *,
        times: int = 1,
        after_effect: bool = False,
    ) -> None:
        """Answer the next calls of an action, such as ``CreateDBInstance``, with an error's wire code.

        With ``after_effect`` the call is done and only its answer is lost.
        """
        with self._world.lock:
            self._operations.refusals[action] = Refusal(code, message, times, after_effect)


def install(plane: DataPlane, clock: EmbeddableClock, durations: Durations | None = None) -> Aurora:
    """Put a new, empty emulated Aurora behind moto's RDS in this process, in place of any that was there.

    The data plane stays the caller's, to be closed by it. moto keeps parameter, subnet and option groups.
    """
    operations = Operations(World(plane, clock, durations or Durations()))
    AuroraResponse.operations = operations
    # moto reads this table whenever it routes, in process, and once for each server that it starts.
    urls.url_paths["{0}/$"] = AuroraResponse.dispatch
    return Aurora(operations)
