"""What is in the repository, for tests that hold for all of it."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "aurora_restore"
# What must not be in the repository has to be named somewhere: here.
TIDY = Path(__file__).resolve().parent
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@cache
def files() -> tuple[Path, ...]:
    """Return every file that is, or by git's rules would be, in the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return tuple(sorted(path for name in listed.split("\0") if name and (path := ROOT / name).is_file()))


def text_files() -> Iterator[Path]:
    """Yield every file that holds text, but this folder's."""
    return (path for path in files() if TIDY not in path.parents and b"\0" not in path.read_bytes())


def python_files(*folders: Path) -> Iterator[Path]:
    """Yield the Python files in these folders, or all."""
    inside = folders or (ROOT,)
    return (path for path in files() if path.suffix == ".py" and any(folder in path.parents for folder in inside))


@cache
def syntax(path: Path) -> ast.Module:
    """Return a Python file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def pages() -> list[Path]:
    """Return every Markdown file."""
    return [path for path in files() if path.suffix == ".md"]


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the fenced code blocks of a page that are marked with one of these languages."""
    return [body for language, body in _FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def table_rows(page: Path) -> list[list[str]]:
    """Return the cells of every row of every table on a page, headings and rulers left out."""
    lines = page.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if row[0].startswith("`")]


def shown(path: Path) -> str:
    """Return a path as a test names it."""
    return path.relative_to(ROOT).as_posix()
