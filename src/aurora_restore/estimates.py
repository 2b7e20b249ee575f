"""How long an operation will probably take, what it costs, and which quotas it needs. Pure: figures in, figures out."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Final

from pydantic import BaseModel, ConfigDict

from aurora_restore.operation import Operation, OperationStatus, Step, StepStatus, wait_seconds
from aurora_restore.request import RestoreRequest
from aurora_restore.snapshots import TAKE_ONE_NOW

# AWS's list price of standard workflows, retries included (aurora-facts).
DOLLARS_PER_1000_TRANSITIONS: Final = 0.025
ROUGH: Final = "rough figure"
# A turn of a step's loop is its task, its choice and its wait.
_TRANSITIONS_OF_A_STEP = 2
_TRANSITIONS_OF_A_WAIT = 3
_TRANSITIONS_OF_THE_END = 2

_SHORT_S = 5
_NEW_SNAPSHOT_S = 15 * 60
_COPY_S = 30 * 60
_COPY_ACROSS_REGIONS_S = 2 * 3600
_DELETE_S = 15 * 60
_FINAL_SNAPSHOT_S = 10 * 60
# The cluster in ten minutes or so, and people waited 20 to 40 more for its instances (aurora-facts).
_RESTORE_S = 45 * 60
_USERS_S = 2 * 60
_OF_THE_COPY = frozenset({Step.COPY_SNAPSHOT, Step.CHECK_COPY_STATUS})


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Work(_Record):
    """What an operation has to do, as far as it decides about time, cost and quotas. Sizes in GiB."""

    takes_snapshot: bool
    copies: bool
    crosses_regions: bool
    replaces: bool
    takes_final: bool
    instances_before: int = 0
    instances_after: int = 0
    snapshot_gib: int | None = None
    target_gib: float | None = None


class StepEstimate(_Record):
    """How long one step will probably take, and how that is known."""

    step: Step
    seconds: int
    basis: str


class Quota(_Record):
    """A quota of RDS as it stands in a region."""

    region: str
    name: str
    used: int
    limit: int


class QuotaUse(_Record):
    """A quota that the operation needs ``needed`` of at its peak; ``used`` and ``limit`` are None where unknown."""

    region: str
    name: str
    needed: int
    used: int | None = None
    limit: int | None = None

    @property
    def is_short(self) -> bool:
        """Say whether the operation would hit the limit; what is unknown is not taken for short."""
        return self.needed > 0 and self.used is not None and self.limit is not None and self._peak > self.limit

    @property
    def _peak(self) -> int:
        return (self.used or 0) + self.needed


class Cost(_Record):
    """What the pipeline itself adds to the bill, and the amounts that have a price of their own."""

    transitions: int
    dollars: float
    formula: str
    left_out: tuple[str, ...]


def estimate_time(request: RestoreRequest, work: Work, history: Sequence[Operation]) -> tuple[StepEstimate, ...]:
    """Return an estimate for each step: the median of the target's earlier operations, else a rough figure."""
    rough = _rough(work)
    return tuple(_estimate(step, rough[step], _earlier(step, request, work, history)) for step in Step)


def _estimate(step: Step, rough_s: int, earlier_s: Sequence[float]) -> StepEstimate:
    if not earlier_s or rough_s == 0:
        return StepEstimate(step=step, seconds=rough_s, basis=ROUGH if rough_s else "nothing to do")
    times = "1 earlier operation" if len(earlier_s) == 1 else f"median of {len(earlier_s)} earlier operations"
    return StepEstimate(step=step, seconds=round(median(earlier_s)), basis=times)


def _earlier(step: Step, request: RestoreRequest, work: Work, history: Iterable[Operation]) -> list[float]:
    """Return for how many seconds the step was at work in each operation that is like this one."""
    return [
        (record.ended_at - record.started_at).total_seconds()
        for operation in history
        if _is_like(step, operation, request, work)
        and (record := operation.steps.get(step)) is not None
        and record.ended_at is not None
        and record.verdict is not None
        and record.verdict.status is StepStatus.DONE
    ]


def _is_like(step: Step, operation: Operation, request: RestoreRequest, work: Work) -> bool:
    # A resumed operation's steps may have waited for a person.
    if operation.status is not OperationStatus.SUCCEEDED or operation.executions > 1 or operation.request is None:
        return False
    if step in _OF_THE_COPY:
        return operation.request.source.region == request.source.region
    if step is Step.DELETE_RDS:
        return (operation.old_target is not None) == work.replaces
    if step is Step.SNAPSHOT_CHECK:
        return (operation.request.source.snapshot == TAKE_ONE_NOW) == work.takes_snapshot
    return True


def _rough(work: Work) -> Mapping[Step, int]:
    copy = _COPY_ACROSS_REGIONS_S if work.crosses_regions else _COPY_S
    final = _FINAL_SNAPSHOT_S if work.takes_final else 0
    return {
        Step.SNAPSHOT_CHECK: _NEW_SNAPSHOT_S if work.takes_snapshot else _SHORT_S,
        Step.COPY_SNAPSHOT: _SHORT_S,
        Step.CHECK_COPY_STATUS: copy if work.copies else 0,
        Step.DELETE_RDS: _DELETE_S + final if work.replaces else 0,
        Step.RESTORE_SNAPSHOT: _SHORT_S,
        Step.CHECK_RESTORE_STATUS: _RESTORE_S,
        Step.SETUP_DB_USERS: _USERS_S,
        Step.ARCHIVE_SNAPSHOT: _SHORT_S,
        Step.SNS_NOTIFICATION: _SHORT_S,
    }


def estimate_cost(work: Work, times: Iterable[StepEstimate]) -> Cost:
    """Return the price of the state machine's transitions, and what else costs and is not in it."""
    transitions = _TRANSITIONS_OF_THE_END + sum(
        _TRANSITIONS_OF_A_STEP + _TRANSITIONS_OF_A_WAIT * _waits(estimate.seconds) for estimate in times
    )
    return Cost(
        transitions=transitions,
        dollars=round(transitions * DOLLARS_PER_1000_TRANSITIONS / 1000, 4),
        formula=f"{transitions} state transitions x ${DOLLARS_PER_1000_TRANSITIONS} / 1,000",
        left_out=tuple(_left_out(work)),
    )


def _waits(seconds: int) -> int:
    """Return how often a step that takes so long is waited for."""
    waited, waits = 0, 0
    while waited < seconds - _SHORT_S:
        waited += wait_seconds(waited)
        waits += 1
    return waits


def _left_out(work: Work) -> Iterable[str]:
    size = "of a size not known yet" if work.snapshot_gib is None else f"of {work.snapshot_gib} GiB"
    if work.copies or work.takes_snapshot:
        yield f"backup storage: a snapshot {size} x your price of a GiB-month x the months it is kept"
    if work.takes_final:
        final = "of a size not known" if work.target_gib is None else f"of {work.target_gib:.1f} GiB"
        yield f"backup storage of the final snapshot, {final}, likewise"
    if work.crosses_regions:
        yield f"the transfer of {work.snapshot_gib or 'its'} GiB between regions"
    yield "instances and storage of the restored cluster, as before; Lambda, DynamoDB and logs: cents"


def quota_uses(request: RestoreRequest, work: Work, quotas: Sequence[Quota]) -> tuple[QuotaUse, ...]:
    """Return the quotas that the operation needs something of, at its peak, before anything is pruned."""
    target, source = request.target.region, request.source.region
    snapshots = work.copies + work.takes_final + (work.takes_snapshot and source == target)
    needed = {
        (target, "ManualClusterSnapshots"): snapshots,
        (target, "DBClusters"): 0 if work.replaces else 1,
        (target, "DBInstances"): max(0, work.instances_after - work.instances_before),
    }
    if work.takes_snapshot and source != target:
        needed[source, "ManualClusterSnapshots"] = 1
    known = {(quota.region, quota.name): quota for quota in quotas}
    return tuple(_use(region, name, count, known.get((region, name))) for (region, name), count in needed.items())


def _use(region: str, name: str, needed: int, quota: Quota | None) -> QuotaUse:
    if quota is None:
        return QuotaUse(region=region, name=name, needed=needed)
    return QuotaUse(region=region, name=name, needed=needed, used=quota.used, limit=quota.limit)
