"""What the tests on a real MariaDB have in common: that there is one."""

import pytest

from aurora_restore.embedded.mariadb_binaries import find_mariadb
from aurora_restore.errors import EnvironmentUnfitError


def require_mariadb() -> None:
    """Skip where no MariaDB is installed, and say which package has it."""
    try:
        find_mariadb()
    except EnvironmentUnfitError as error:
        pytest.skip(str(error))
