"""The machine that a benchmark ran on, for its report."""

import os
import platform


def describe() -> dict[str, object]:
    """Return what a reader must know of it to compare figures."""
    return {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
