"""The account of all steps' tests, and a new stage in it for each."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest

from aurora_restore.aws.clients import ONE_ATTEMPT
from aurora_restore.embedded.account import EmbeddedAccount
from aurora_restore.embedded.clock import VirtualClock
from aurora_restore.embedded.dataplane import RecordsOnly
from aurora_restore.operation import Step
from tests.steps.world import NOON, Country, Saved, Stage, check_promises, founded


@pytest.fixture(scope="package")
def country() -> Iterator[Country]:
    """One account for all: to start and equip it takes longer than a test. Its clients do not retry, as in Lambda."""
    with EmbeddedAccount(RecordsOnly(), VirtualClock(NOON), client_config=ONE_ATTEMPT) as account:
        yield founded(account)


@pytest.fixture
def bare(country: Country) -> Iterator[Stage]:
    """An account without any cluster. Whatever the test does, the promises are checked at its end."""
    yield from _checked(Stage(country))


@pytest.fixture(scope="package")
def prepared(country: Country) -> Callable[[Step | None], Stage]:
    """Return a new stage in which all is prepared, or is done up to a step; the way there is gone only once."""

    @cache
    def upto(step: Step | None) -> Saved:
        if step is None:
            stage = Stage(country)
            stage.make_source()
            stage.make_target()
        else:
            stage = at(step.before[-1] if step.before else None)
            stage.finish(step)
        return stage.save()

    def at(step: Step | None) -> Stage:
        saved = upto(step)
        return Stage(country).set_to(saved)

    return at


@pytest.fixture
def stage(prepared: Callable[[Step | None], Stage]) -> Iterator[Stage]:
    """Production in the east with a snapshot, and the old target in the west with everything that a restore loses."""
    yield from _checked(prepared(None))


@pytest.fixture
def copied(prepared: Callable[[Step | None], Stage]) -> Iterator[Stage]:
    """An operation whose copy is there and whose deletion is next."""
    yield from _checked(prepared(Step.CHECK_COPY_STATUS))


@pytest.fixture
def deleted(prepared: Callable[[Step | None], Stage]) -> Iterator[Stage]:
    """An operation whose old target is gone and whose restore is next."""
    yield from _checked(prepared(Step.DELETE_RDS))


@pytest.fixture
def begun(prepared: Callable[[Step | None], Stage]) -> Iterator[Stage]:
    """An operation whose restore has begun."""
    yield from _checked(prepared(Step.RESTORE_SNAPSHOT))


@pytest.fixture
def usable(prepared: Callable[[Step | None], Stage]) -> Iterator[Stage]:
    """An operation whose cluster is restored and whose users are next."""
    yield from _checked(prepared(Step.CHECK_RESTORE_STATUS))


@pytest.fixture
def peopled(prepared: Callable[[Step | None], Stage]) -> Iterator[Stage]:
    """An operation whose users are set up and whose archive is next."""
    yield from _checked(prepared(Step.SETUP_DB_USERS))


def _checked(stage: Stage) -> Iterator[Stage]:
    yield stage
    check_promises(stage)
