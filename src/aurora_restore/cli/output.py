"""Where words go: results to stdout, messages to stderr; with ``--json`` one document on stdout, nothing else there."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from aurora_restore.errors import AuroraRestoreError, PlanOutdatedError, RequestError

Document = Mapping[str, Any]


def stdout() -> Console:
    """Return a console for what a command was asked for; on a pipe it writes no control codes."""
    return Console(markup=False, highlight=False, emoji=False)


def stderr() -> Console:
    """Return a console for what is said beside the result."""
    return Console(markup=False, highlight=False, emoji=False, stderr=True)


def print_table(console: Console, table: Table) -> None:
    """Print a table; on a pipe without the spaces that fill its lines up."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        console.print(line.rstrip(), soft_wrap=True)


def say(sentence: str) -> None:
    """Tell the person at the terminal something that is not the result."""
    stderr().print(sentence, soft_wrap=True)


def print_json(document: Document) -> None:
    """Write the one JSON document of a command to stdout."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def error_document(kind: str, message: str, *, advice: str = "", **more: Any) -> dict[str, Any]:
    """Return what ``--json`` prints in place of a result."""
    return {"error": {"type": kind, "message": message, **({"advice": advice} if advice else {}), **more}}


def describe_error(error: AuroraRestoreError) -> dict[str, Any]:
    """Return an error as a document; one about the request lists its mistakes one by one."""
    more: dict[str, Any] = {}
    if isinstance(error, RequestError):
        more["problems"] = [
            {"path": problem.path, "line": problem.line, "found": problem.found, "expected": problem.expected}
            for problem in error.problems
        ]
    if isinstance(error, PlanOutdatedError):
        more["differences"] = list(error.differences)
    return error_document(type(error).__name__, error.what, advice=error.advice, **more)
