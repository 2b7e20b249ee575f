"""Every status of RDS means one thing, and an unknown one is shown and never waited for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore import statuses
from aurora_restore.errors import UnknownStatusError
from aurora_restore.statuses import Meaning, cluster_meaning, instance_meaning

# The user guides' tables of statuses, as far as they concern Aurora, and those of aurora-facts.
CLUSTER = """available backing-up backtracking cloning-failed creating deleting failing-over failed
inaccessible-encryption-credentials inaccessible-encryption-credentials-recoverable incompatible-network
incompatible-parameters incompatible-restore maintenance migrating migration-failed modifying promoting
preparing-data-migration renaming resetting-master-credentials restore-error starting stopped stopping
storage-full storage-optimization update-iam-db-auth upgrading configuring-iam-database-auth""".split()
INSTANCE = """available backing-up configuring-enhanced-monitoring configuring-iam-database-auth
configuring-log-exports converting-to-vpc creating delete-precheck deleting failed
inaccessible-encryption-credentials inaccessible-encryption-credentials-recoverable incompatible-network
incompatible-option-group incompatible-parameters incompatible-restore insufficient-capacity maintenance modifying
moving-to-vpc rebooting resetting-master-credentials renaming restore-error starting stopped stopping
storage-config-upgrade storage-full storage-initialization storage-optimization upgrading""".split()
TERMINAL = ("failed", "incompatible", "inaccessible", "error", "full", "insufficient")


@pytest.mark.parametrize("status", CLUSTER)
def test_every_cluster_status_is_classified(status: str) -> None:
    """Only a status that says failure is one, and only one on its way is waited for."""
    meaning = cluster_meaning(status)
    assert (meaning is Meaning.FAILED) == any(word in status for word in TERMINAL)
    assert (meaning is Meaning.READY) == (status == "available")


@pytest.mark.parametrize("status", INSTANCE)
def test_every_instance_status_is_classified(status: str) -> None:
    """Only a status that says failure is one, and only one on its way is waited for."""
    meaning = instance_meaning(status)
    assert (meaning is Meaning.FAILED) == any(word in status for word in TERMINAL)
    assert (meaning is Meaning.READY) == (status == "available")


def test_stopped_and_leaving_have_meanings_of_their_own() -> None:
    """The one must be started before it is deleted, the other is as good as gone."""
    for meaning in (cluster_meaning, instance_meaning):
        assert meaning("stopped") is Meaning.STOPPED
        assert meaning("deleting") is Meaning.LEAVING


@pytest.mark.parametrize("kind", ["CLUSTER", "INSTANCE"])
def test_no_status_is_both_waited_for_and_terminal(kind: str) -> None:
    """Each stands in one table only."""
    waiting: frozenset[str] = getattr(statuses, f"_{kind}_WAIT")
    failed: frozenset[str] = getattr(statuses, f"_{kind}_FAILED")
    assert not waiting & failed
    assert not (waiting | failed) & {"available", "stopped", "deleting", "deleted"}


@given(st.text(max_size=30).filter(lambda status: status not in {*CLUSTER, *INSTANCE} and "-" not in status))
def test_mistake_4_an_unknown_status_is_an_error_that_shows_it(status: str) -> None:
    """Never a reason to wait: a restore that failed in a new way must not loop for ever."""
    if status in {"rebooting", "deleted"}:
        return
    for meaning in (cluster_meaning, instance_meaning):
        with pytest.raises(UnknownStatusError) as shown:
            meaning(status)
        assert f'status "{status}"' in str(shown.value)
