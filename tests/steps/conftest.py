"""The account of all steps' tests, and a new stage in it for each."""

from collections.abc import Iterator

import pytest

from aurora_restore.aws.clients import ONE_ATTEMPT
from aurora_restore.embedded.account import EmbeddedAccount
from aurora_restore.embedded.clock import VirtualClock
from aurora_restore.embedded.dataplane import RecordsOnly
from tests.steps.world import NOON, Country, Stage, check_promises, founded


@pytest.fixture(scope="package")
def country() -> Iterator[Country]:
    """One account for all: to start and equip it takes longer than a test. Its clients do not retry, as in Lambda."""
    with EmbeddedAccount(RecordsOnly(), VirtualClock(NOON), client_config=ONE_ATTEMPT) as account:
        yield founded(account)


@pytest.fixture
def bare(country: Country) -> Iterator[Stage]:
    """An account without any cluster. Whatever the test does, the promises are checked at its end."""
    stage = Stage(country)
    yield stage
    check_promises(stage)


@pytest.fixture
def stage(bare: Stage) -> Stage:
    """Production in the east with a snapshot, and the old target in the west with everything that a restore loses."""
    bare.make_source()
    bare.make_target()
    return bare
