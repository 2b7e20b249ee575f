"""Reads the SQL files that a request names: an operation in AWS cannot see them, so their text travels with it."""

from pathlib import Path
from typing import Any

from aurora_restore.errors import Problem
from aurora_restore.request import LARGEST_BYTES

_PATH = "a file of SQL, by its path from the request's folder"


def with_texts(document: object, folder: Path) -> tuple[object, list[Problem]]:
    """Return a request's document with the text of each SQL file in it, and what is wrong with the files.

    A script that has its text already is left alone, and so is whatever is no script: others say what is wrong there.
    """
    if not isinstance(document, dict) or not isinstance(document.get("sql"), list):
        return document, []
    problems: list[Problem] = []
    scripts = [
        _with_text(script, folder, f"sql[{place}].file", problems) for place, script in enumerate(document["sql"])
    ]
    return {**document, "sql": scripts}, problems


def _with_text(script: Any, folder: Path, path: str, problems: list[Problem]) -> Any:
    if not isinstance(script, dict) or "text" in script or not isinstance(script.get("file"), str):
        return script
    try:
        # Not more than would be refused anyway: it may be a dump of a terabyte, or a device without an end.
        with (folder / script["file"]).open("rb") as opened:
            content = opened.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        problems.append(Problem(path, f"{script['file']}, which cannot be read: {reason or 'no path'}", _PATH))
        return script
    if len(content) > LARGEST_BYTES:
        found = f"{script['file']}, which is larger than {LARGEST_BYTES:,} bytes"
        problems.append(Problem(path, found, "a smaller one: the text travels with the request"))
        return script
    try:
        return {**script, "text": content.decode("utf-8-sig")}
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problems.append(Problem(path, f"{script['file']}, whose line {line} is not UTF-8", _PATH))
        return script
