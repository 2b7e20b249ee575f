"""The command line as a user meets it: arguments in, exit code, stdout and stderr out. In this process, to be quick."""

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from typing import Any

from aurora_restore.cli.main import main


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Return stdout as the one JSON document that it must be."""
        return json.loads(self.out)


class _Stdin(io.TextIOWrapper):
    def __init__(self, content: bytes, *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8")
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def aurora_restore(*arguments: str, stdin: bytes = b"", typed: str | None = None) -> Answer:
    """Run ``aurora-restore`` with these arguments, stdout and stderr being pipes.

    ``typed`` is what somebody types at a terminal; None: stdin is a pipe too.
    """
    out, err, before = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = _Stdin(stdin if typed is None else typed.encode(), is_terminal=typed is not None)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(arguments)
    except SystemExit as ended:
        return Answer(int(ended.code or 0), out.getvalue(), err.getvalue())
    finally:
        sys.stdin = before
    raise AssertionError("main returned instead of exiting")
