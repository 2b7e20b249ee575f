"""Reads ``restore.asl.json`` and fills in the functions' ARNs."""

import re
from collections.abc import Mapping
from importlib.resources import files

# JSONPath is full of "$." and "$$.": only ${Name} is ours.
_FUNCTION = re.compile(r"\$\{([A-Za-z]+)\}")


def definition_text() -> str:
    """Return the definition as it is written, with ``${SnapshotCheckFunction}`` and the like where the ARNs go."""
    return files("aurora_restore.workflow").joinpath("restore.asl.json").read_text(encoding="utf-8")


def definition(functions: Mapping[str, str]) -> str:
    """Return the definition for the functions of a deployment, given as name → ARN.

    Raises KeyError when a function is missing.
    """
    return _FUNCTION.sub(lambda match: functions[match[1]], definition_text())
