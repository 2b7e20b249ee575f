"""The error tree: what it says, and which branch it hangs on."""

import inspect

import pytest

from aurora_restore import errors
from aurora_restore.errors import (
    AuroraRestoreError,
    DeletionNotWarrantedError,
    PreflightError,
    Problem,
    RequestError,
)

CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, Exception) and each.__module__ == errors.__name__
]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_stands_in_the_picture_and_nowhere_else(kind: type[Exception]) -> None:
    """The drawing at the top of the module is what operators and the definition's authors read."""
    assert issubclass(kind, AuroraRestoreError)
    assert kind.__name__ in str(errors.__doc__)
    assert kind.__doc__


def test_the_picture_s_indentation_is_the_inheritance() -> None:
    """A class drawn under another is its child."""
    parents: dict[int, str] = {}
    for line in str(errors.__doc__).splitlines():
        name = next((word for word in line.split() if word.endswith("Error")), None)
        if name is None:
            continue
        depth = len(line) - len(line.lstrip("│├└─ "))
        parents[depth] = name
        kind = getattr(errors, name)
        above = [parents[each] for each in sorted(parents) if each < depth]
        assert kind.__base__.__name__ == (above[-1] if above else "Exception"), line


def test_an_error_says_what_happened_and_what_to_do() -> None:
    """In one message, because that is all that Lambda passes on."""
    assert str(AuroraRestoreError("it broke", advice="Mend it")) == "it broke. Mend it"
    assert str(AuroraRestoreError("it broke")) == "it broke"


def test_many_mistakes_make_one_message() -> None:
    """With their number, and each on a line of its own."""
    one = RequestError([Problem("name", "nothing", "text")])
    assert str(one) == "the request has 1 mistake:\n  - name: found nothing; expected text"
    two = RequestError([Problem("a", "x", "y"), Problem("b", "x", "y", line=7)], origin="r.yaml")
    assert str(two).splitlines()[0] == "r.yaml has 2 mistakes:"
    assert "line 7, b" in str(two)
    assert str(PreflightError(["a"])).startswith("nothing was changed, because 1 thing would fail:")
    assert str(PreflightError(["a", "b"])).startswith("nothing was changed, because 2 things would fail:")
    assert DeletionNotWarrantedError("t", ["a", "b"]).refusals == ("a", "b")
