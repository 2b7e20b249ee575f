"""Following an operation: every change is shown, a lost connection is waited for, and it always ends."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws
from rich.console import Console

from aurora_restore.aws.tables import Table
from aurora_restore.cli.progress import Display, Lines, LiveTable, Silent, display_for, follow
from aurora_restore.embedded.clock import VirtualClock
from aurora_restore.errors import AwsUnavailableError, FailedByAwsError
from aurora_restore.operation import Failure, Operation, OperationStatus, Step, Verdict
from aurora_restore.store.journal import Journal, Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ID = "nightly-1"
NAME = "aurora-restore-copy-orders-staging-with-a-long-name-4f9a1c2b3d4e"
LONG = f"the snapshot {NAME}, is good and will be copied, because it is in us-east-1 and the target in us-west-2"


@dataclass
class Executions:
    """Step Functions with one execution, which can be out of reach."""

    status: str = "RUNNING"
    unreachable: int = 0

    def has_ended(self, arn: str) -> bool:  # noqa: ARG002
        if self.unreachable:
            self.unreachable -= 1
            raise AwsUnavailableError("AWS did not answer")
        return self.status != "RUNNING"

    def describe(self, arn: str) -> dict[str, Any]:  # noqa: ARG002
        return {"status": self.status, "error": "States.Runtime"}


@dataclass
class Script:
    """A clock on which the next act happens each time somebody waits."""

    acts: list[Callable[[], object]]
    time: VirtualClock
    waits: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.time.now()

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time.advance(60)
        if self.acts:
            self.acts.pop(0)()


@dataclass
class Stage:
    """An operation in a real table, and what may happen to it."""

    store: Store
    clock: VirtualClock
    executions: Executions = field(default_factory=Executions)

    def journal(self, step: Step) -> Journal:
        known = self.store.operations.find(ID)
        new = Operation(operation_id=ID, execution_arn="arn", stack="x", target="us-west-2/t", requested_at=NOON)
        return Journal(self.store, known or new, step)

    def judge(self, step: Step, verdict: Verdict) -> Callable[[], object]:
        def act() -> None:
            journal = self.journal(step)
            journal.begin()
            journal.judge(verdict)

        return act

    def end(self, failure: Failure | None = None) -> Callable[[], object]:
        def act() -> None:
            status = OperationStatus.FAILED if failure else OperationStatus.SUCCEEDED
            self.journal(Step.SNS_NOTIFICATION).keep(status=status, failure=failure, ended_at=self.clock.now())

        return act

    def set_execution(self, **changes: Any) -> Callable[[], object]:
        return lambda: vars(self.executions).update(changes)

    def follow(self, display: Display, acts: Sequence[Callable[[], object]]) -> Operation:
        script = Script(list(acts), self.clock)
        executions: Any = self.executions
        return follow(self.store, executions, ID, "arn", display, script)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client: Any = boto3.client("dynamodb", region_name="us-west-2")
        for name, keys in (("state", {"id": "S"}), ("audit", {"operation_id": "S", "sequence": "N"})):
            client.create_table(
                TableName=name,
                BillingMode="PAY_PER_REQUEST",
                KeySchema=[
                    {"AttributeName": key, "KeyType": role} for key, role in zip(keys, ("HASH", "RANGE"), strict=False)
                ],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind in keys.items()],
            )
        clock = VirtualClock(NOON)
        yield Stage(Store(Table(client, "state"), Table(client, "audit"), clock), clock)


def paper(width: int = 80, *, terminal: bool = False) -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, width=width, height=24, force_terminal=terminal, color_system=None), written


def acts(stage: Stage) -> list[Callable[[], object]]:
    first, second = Step.SNAPSHOT_CHECK, Step.COPY_SNAPSHOT
    return [
        stage.judge(first, Verdict.wait("10 % done")),
        stage.judge(first, Verdict.wait("10 % done")),
        stage.judge(first, Verdict.wait("60 % done")),
        stage.judge(first, Verdict.done(LONG)),
        stage.judge(second, Verdict.skip("no copy is needed")),
        stage.end(),
        stage.set_execution(status="SUCCEEDED"),
    ]


def test_on_a_pipe_each_change_is_one_line(stage: Stage) -> None:
    """What did not change is not repeated; a long reason stays on its line."""
    console, written = paper()
    operation = stage.follow(Lines(console), acts(stage))
    assert operation.status is OperationStatus.SUCCEEDED
    assert written.getvalue().splitlines() == [
        "12:01:00 SnapshotCheck        waiting 10 % done",
        "12:03:00 SnapshotCheck        waiting 60 % done",
        f"12:04:00 SnapshotCheck        DONE    {LONG} (3 min 0 s)",
        "12:05:00 CopySnapshot         SKIP    no copy is needed (0 s)",
    ]


def test_it_ends_only_when_operation_and_execution_have_ended(stage: Stage) -> None:
    """Then everything is written, the notification too."""
    script = acts(stage)
    waits = Script(script, stage.clock)
    executions: Any = stage.executions
    follow(stage.store, executions, ID, "arn", Silent(), waits)
    assert script == waits.acts[:0]
    assert set(waits.waits) == {1.0}


def test_on_a_terminal_the_table_fits_the_screen_until_it_ends_and_then_says_all(stage: Stage) -> None:
    """Nine steps on 80 columns and 24 lines; reasons of ended steps are cut while it runs, and whole at the end."""
    console, written = paper(terminal=True)
    stage.follow(LiveTable(console), acts(stage))
    frames = written.getvalue().split("Step ")
    assert all(step in frames[-1] for step in Step)
    assert "…" in frames[-2]
    assert "…" not in frames[-1]
    assert frames[-1].split().count(f"{NAME},") == 1, "it is not broken, however long"
    assert max(len(frame.splitlines()) for frame in frames[:-1]) < 24
    lines = [line for frame in frames for line in frame.split("\x1b[2K")[0].splitlines()]
    assert max(map(len, lines)) <= 80


def test_a_lost_connection_is_said_once_and_waited_for(stage: Stage) -> None:
    """A laptop may change networks."""
    stage.judge(Step.SNAPSHOT_CHECK, Verdict.done("good"))()
    console, written = paper()
    ending = [*[lambda: None] * 4, stage.end(), stage.set_execution(status="SUCCEEDED")]
    stage.follow(Lines(console), [stage.set_execution(unreachable=3), *ending])
    assert written.getvalue().count("AWS did not answer; trying again") == 1


def test_a_connection_that_stays_away_is_an_error_in_the_end(stage: Stage) -> None:
    """After some minutes, so that nobody looks at a dead screen for ever."""
    stage.executions.unreachable = 10_000
    with pytest.raises(AwsUnavailableError):
        stage.follow(Silent(), [])


def test_an_execution_that_ends_without_an_outcome_is_an_error_that_says_so(stage: Stage) -> None:
    """Somebody stopped it: its status says what stands, and what to do."""
    stage.judge(Step.SNAPSHOT_CHECK, Verdict.done("good"))()
    with pytest.raises(FailedByAwsError, match=r"is aborted and wrote no outcome.*aurora-restore status nightly-1"):
        stage.follow(Silent(), [stage.set_execution(status="ABORTED")])


def test_an_execution_that_could_not_run_at_all_is_an_error_with_its_reason(stage: Stage) -> None:
    """No step wrote anything; Step Functions knows why."""
    stage.executions.status = "FAILED"
    with pytest.raises(FailedByAwsError, match=r"States\.Runtime.*It did nothing"):
        stage.follow(Silent(), [])


def test_a_failed_step_is_shown_as_failed(stage: Stage) -> None:
    """With the error's name; the sentence about it follows below the table."""
    console, written = paper()
    stage.judge(Step.SNAPSHOT_CHECK, Verdict.wait("10 % done"))()
    failure = Failure(step=Step.SNAPSHOT_CHECK, error="SnapshotFailedError", message="RDS says no")
    stage.follow(Lines(console), [stage.end(failure), stage.set_execution(status="FAILED")])
    assert " FAILED  SnapshotFailedError" in written.getvalue()


def test_the_display_is_a_table_only_where_it_can_be_drawn() -> None:
    """A terminal gets a table, a pipe lines, --json nothing."""
    assert isinstance(display_for(paper(terminal=True)[0]), LiveTable)
    assert isinstance(display_for(paper()[0]), Lines)
    assert isinstance(display_for(paper(terminal=True)[0], silent=True), Silent)
