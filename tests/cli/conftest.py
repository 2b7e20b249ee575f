"""An embedded account for the commands that speak AWS, reached as a user reaches it: through the environment."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aurora_restore.embedded import sample
from aurora_restore.embedded.account import EmbeddedAccount
from aurora_restore.embedded.aurora_records import Durations
from aurora_restore.embedded.clock import VirtualClock
from aurora_restore.embedded.postgres import PostgresServers

# Long enough to be seen once: what the commands say does not depend on how long AWS takes.
_BRIEF = Durations(**{each.name: 6.0 for each in fields(Durations)})
_AWS = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AURORA_RESTORE_STACK")


@dataclass(frozen=True)
class World:
    """The account with the sample in it."""

    account: EmbeddedAccount
    sample: sample.Sample

    def request(self, folder: Path, **changes: Any) -> str:
        """Write the sample's request, changed, to a file; return its path."""
        file = folder / "request.json"
        file.write_text(json.dumps({**sample.request(), **changes}))
        return str(file)


@pytest.fixture(scope="module")
def served() -> Iterator[World]:
    """Build the account and the sample world, once a module."""
    # Not pytest's own temporary directory: the server runs as another user, who may not enter that.
    servers = PostgresServers(Path(tempfile.mkdtemp()), remove_on_death=True)
    with EmbeddedAccount(servers, VirtualClock(datetime.now(UTC)), durations=_BRIEF) as account:
        yield World(account, sample.build(account, sample.shop_of(60), staging_rows=30))


@pytest.fixture
def world(served: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Set the environment as ``aurora-restore serve`` tells its users to."""
    environment(served, monkeypatch)
    return served


def environment(served: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point every command at the account."""
    for name in _AWS:
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": served.account.server.url,
        "AWS_REGION": sample.TARGET_REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }.items():
        monkeypatch.setenv(name, value)
    # The account's clock is virtual, but a watch polls on the wall's.
    monkeypatch.setattr("aurora_restore.cli.progress.POLL_S", 0.05)
