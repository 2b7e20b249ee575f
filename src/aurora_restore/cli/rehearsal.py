"""A rehearsal's two halves: making the sample world, and running the request in it."""

import secrets
import time
from datetime import datetime
from typing import Final

from rich.console import Console

from aurora_restore import names
from aurora_restore.aws.executions import Executions
from aurora_restore.aws.tables import Table
from aurora_restore.cli.progress import display_for, follow
from aurora_restore.clock import SystemClock
from aurora_restore.embedded import sample as world
from aurora_restore.embedded.account import EmbeddedAccount
from aurora_restore.embedded.dump import Dump
from aurora_restore.embedded.sample import Database, Sample
from aurora_restore.operation import Operation
from aurora_restore.store.journal import Store

# Nobody's network is between us and the account, and minutes pass in it within one.
_POLL_S: Final = 0.25
# Staging is older, and so it is smaller.
_STAGING_SHARE: Final = 4


class _QuickClock(SystemClock):
    """The wall's clock, which sleeps less than it is told."""

    def sleep(self, seconds: float) -> None:
        """Sleep for a poll's time at most."""
        time.sleep(min(seconds, _POLL_S))


def build(account: EmbeddedAccount, rows: int, dump: Dump | None, engine: str) -> Sample:
    """Bring up the sample world; production gets the dump, or else a shop of ``rows`` rows.

    RequestError when the dump does not load.
    """

    def load(database: Database) -> None:
        if dump is not None:
            dump.load(database.endpoint, database.login, database.name)

    fill = world.shop_of(rows) if dump is None else load
    return world.build(account, fill, staging_rows=rows // _STAGING_SHARE, engine=engine)


def restore(account: EmbeddedAccount, sample: Sample, console: Console, *, silent: bool) -> Operation:
    """Run the sample's request through the state machine, show how it goes, and return how it ended."""
    request, deployment = world.request(), sample.deployment
    dynamodb = account.client("dynamodb")
    # Its clock is the account's: what the display calls now must fit the record's times.
    store = Store(Table(dynamodb, deployment.state_table), Table(dynamodb, deployment.audit_table), account.clock)
    executions = Executions(account.client("stepfunctions"))
    operation_id = new_operation_id(request["name"], account.clock.now())
    arn = executions.start(deployment.state_machine_arn, name=operation_id, request=request)
    return follow(store, executions, operation_id, arn, display_for(console, silent=silent), _QuickClock())


def new_operation_id(name: str, at: datetime) -> str:
    """Return the id of a new operation."""
    return names.operation_id(name, at, secrets.token_hex(3))
