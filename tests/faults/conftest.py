"""One account for all faults of a file: a scenario makes it another world within milliseconds."""

from collections.abc import Iterator

import pytest

from tests.faults.harness import Rig
from tests.faults.variations import prepare


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    """Build the account and every variation's world."""
    with Rig() as made:
        prepare(made)
        yield made
