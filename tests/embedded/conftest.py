"""What several tests of the embedded account use."""

from collections.abc import Iterator

import pytest
from moto import mock_aws
from moto.rds.models import rds_backends

from tests.embedded.aurora_account import Account


@pytest.fixture(scope="module")
def moto_in_process() -> Iterator[None]:
    """moto in this process, once for a module: starting it resets every service, which takes longer than a test."""
    with mock_aws():
        yield


@pytest.fixture
def account(moto_in_process: None) -> Account:
    """A new emulated Aurora, without groups of earlier tests."""
    for _, _, backend in rds_backends.iter_backends():
        backend.reset()
    return Account()
