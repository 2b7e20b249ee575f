"""The promises I1 to I9: each is held by a test that names it, and the README says which."""

import ast
import re

import pytest

from tests.tidy.repository import ROOT, TIDY, python_files, syntax

PROMISES = [f"I{number}" for number in range(1, 10)]
README = ROOT / "README.md"


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_is_named_by_a_test(promise: str) -> None:
    """Whoever breaks a promise learns which one from the test that fails."""
    named = re.compile(rf"\b{promise}\b")
    assert any(named.search(docstring) for docstring in _test_docstrings()), f"no test's docstring names {promise}"


@pytest.mark.parametrize("promise", PROMISES)
def test_the_readme_names_a_test_for_a_promise(promise: str) -> None:
    """The table of promises leads to tests that exist."""
    row = next(line for line in README.read_text().splitlines() if line.startswith(f"| **{promise}**"))
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)
    assert named
    for file, test in named:
        functions = {node.name for node in ast.walk(syntax(ROOT / file)) if isinstance(node, ast.FunctionDef)}
        assert not test or test in functions


def _test_docstrings() -> list[str]:
    functions = [
        node
        for path in python_files(ROOT / "tests")
        if TIDY not in path.parents
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    return [ast.get_docstring(function) or "" for function in functions]
