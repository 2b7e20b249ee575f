"""How the code is laid out: what can be counted or seen in its syntax."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurora_restore.operation import Step
from tests.tidy.repository import PACKAGE, ROOT, files, python_files, shown, syntax, text_files

# The last resort of the function, of the emulated Lambda and of the command line, and of them alone.
MAY_CATCH_ALL = {"runtime.py", "embedded/lambdas.py", "cli/main.py"}
# Where time, identity and environment are handed in. SystemClock is the one that hands time in.
HANDED_IN = {
    "datetime.now",
    "datetime.utcnow",
    "time.sleep",
    "time.time",
    "uuid.uuid4",
    "uuid4",
    "os.environ",
    "os.getenv",
}
OUTSIDE = ("cli", "embedded", "runtime.py", "clock.py")
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "base"}
HOSTS = re.compile(r"https?://([A-Za-z0-9.-]+)")
KNOWN_HOSTS = re.compile(
    r"(127\.0\.0\.1|localhost|json-schema\.org|www\.apache\.org|docs\.aws\.amazon\.com|.*\.?amazonaws\.com)\.?"
)


def test_a_module_has_at_most_400_lines() -> None:
    """More is two modules."""
    long = [shown(path) for path in python_files(PACKAGE) if len(path.read_text().splitlines()) > 400]
    assert long == []


def test_a_function_has_at_most_60_lines() -> None:
    """More is two functions."""
    long = [
        f"{shown(path)}:{node.name}"
        for path in python_files()
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= 60
    ]
    assert long == []


def test_nothing_has_a_vague_name() -> None:
    """A module called utils says nothing of what is in it, and grows for ever."""
    parts = {part for path in files() for part in (path.stem, *path.relative_to(ROOT).parts[:-1])}
    assert VAGUE & parts == set()


def test_only_the_outermost_doors_catch_everything() -> None:
    """A blanket except inside would hide mistakes, and turn throttling into "not found"."""
    found = {path.relative_to(PACKAGE).as_posix() for path in python_files(PACKAGE) if any(_blanket(syntax(path)))}
    assert found <= MAY_CATCH_ALL


def _blanket(tree: ast.Module) -> Iterator[ast.ExceptHandler]:
    """Yield each handler that takes any exception and does not raise it again."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else ""
            goes_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if caught in {"", "Exception", "BaseException"} and not goes_on:
                yield node


def test_time_identity_and_environment_are_handed_in() -> None:
    """So that a test's four hours take no time, and the same input gives the same output."""
    found = [
        f"{shown(path)}:{node.lineno}: {ast.unparse(node)}"
        for path in python_files(PACKAGE)
        if path.relative_to(PACKAGE).parts[0] not in OUTSIDE
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in HANDED_IN
    ]
    assert found == []


def test_mocks_are_for_the_command_line_only() -> None:
    """Everything else is tested with real things, or with fakes that have a state."""
    found = [
        shown(path)
        for path in python_files(ROOT / "tests")
        if path.relative_to(ROOT).parts[1] not in {"cli", "tidy"}
        and re.search(r"mock\.patch|unittest.*mock", path.read_text())
    ]
    assert found == []


def test_every_step_has_its_module_and_its_place_in_the_documentation() -> None:
    """One name a step, everywhere."""
    readme = (ROOT / "README.md").read_text()
    for step in Step:
        assert (PACKAGE / "steps" / f"{step.module}.py").is_file()
        assert step.value in readme


def test_no_file_is_left_unfinished() -> None:
    """What is to be done is an issue, not a comment."""
    found = [shown(path) for path in text_files() if re.search(r"\b(TODO|FIXME|XXX)\b", path.read_text())]
    assert found == []


def test_no_file_names_the_place_where_it_was_written() -> None:
    """The repository works wherever it is cloned to."""
    if len(ROOT.parts) < 3:
        pytest.skip("the root's path is too short to be looked for")
    assert [shown(path) for path in text_files() if str(ROOT) in path.read_text()] == []


def test_no_file_names_an_unknown_host() -> None:
    """No package index, no mirror, nobody's server: only AWS, this machine and what a format is called by."""
    found = {
        f"{shown(path)}: {host}"
        for path in text_files()
        for host in HOSTS.findall(path.read_text())
        if not KNOWN_HOSTS.fullmatch(host)
    }
    assert found == set()


def test_a_test_file_is_found_by_pytest() -> None:
    """A test in a file of another name would never run."""
    strays = [
        shown(path) for path in python_files(ROOT / "tests") if not path.name.startswith("test_") and _has_tests(path)
    ]
    assert strays == []


def _has_tests(path: Path) -> bool:
    return any(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in syntax(path).body)
