"""Where words go: results to stdout, messages to stderr; with ``--json`` one document on stdout, nothing else there."""

import json
import sys
from collections.abc import Mapping
from textwrap import wrap
from typing import Any

from rich.console import Console
from rich.text import Text

from aurora_restore.errors import AuroraRestoreError, PlanOutdatedError, RequestError

Document = Mapping[str, Any]

_NARROWEST = 20


def stdout() -> Console:
    """Return a console for what a command was asked for; on a pipe it writes no control codes."""
    return Console(markup=False, highlight=False, emoji=False)


def stderr() -> Console:
    """Return a console for what is said beside the result."""
    return Console(markup=False, highlight=False, emoji=False, stderr=True)


def print_beside(console: Console, head: Text, text: str, *, beneath: int, style: str = "", hang: int = 0) -> None:
    """Print text beside a head, broken between words only: a name is never broken, and can be copied whole.

    Where one is too long to stand beside the head, the text begins on a line of its own, ``beneath`` columns from the
    left. Its lines after the first are ``hang`` columns further in.
    """
    indent = head.cell_len
    lines = _within(text, console.width - indent - hang)
    if max(map(len, lines)) > console.width - indent - hang:
        if head.plain.strip():
            head.rstrip()
            console.print(head, soft_wrap=True)
        indent, head = beneath, Text(" " * beneath)
        lines = _within(text, console.width - indent - hang)
    for number, line in enumerate(lines):
        whole = Text(" " * (indent + hang)) if number else head.copy()
        whole.append(line, style)
        whole.rstrip()
        console.print(whole, soft_wrap=True)


def print_wrapped(console: Console, text: str, indent: int, *, hang: int = 0, style: str = "") -> None:
    """Print a text, its lines after the first ``hang`` columns further in; no word is broken."""
    for number, line in enumerate(_within(text, console.width - indent - hang)):
        console.print(Text(" " * (indent + (hang if number else 0)) + line, style=style), soft_wrap=True)


def escaped(text: str) -> str:
    """Return a text without signs that a terminal obeys: the name of a user in a database may hold any."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _within(text: str, width: int) -> list[str]:
    # One line at least; a longer word makes a longer line, which the terminal breaks.
    plain = escaped(text.replace("\n", " "))
    return wrap(plain, max(width, _NARROWEST), break_long_words=False, break_on_hyphens=False) or [""]


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
