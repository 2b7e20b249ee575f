"""What holds for all tests: their databases are kept in memory, where there is plenty of it."""

import os
import shutil
import tempfile
from pathlib import Path

IN_MEMORY = Path("/dev/shm")
PLENTY_BYTES = 8 * 2**30


def pytest_configure() -> None:
    """Let temporary directories be in memory: a database is a thousand small files, and tests make many databases."""
    if "TMPDIR" not in os.environ and IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > PLENTY_BYTES:
        tempfile.tempdir = str(IN_MEMORY)
