"""Patterns of cluster names that are at odds: IAM denies what is a source, even where it is a target too. Pure."""

import re
from collections import deque
from collections.abc import Iterator

from aurora_restore.errors import Problem, RequestError
from aurora_restore.names import STACK_TAG


def check_patterns(source: str, target: str) -> None:
    """Pass if some target can be restored; raises RequestError when each is a source too, and so never a target."""
    if _covers(source, target):
        expected = f"a pattern that leaves out some of what TargetPattern, {target}, names: a source is never a target"
        raise RequestError([Problem("SourcePattern", source, expected)], origin="the deployment")


def cautions(source: str, target: str) -> Iterator[str]:
    """Yield what somebody should know who deploys with these two patterns."""
    both = _common_name(source, target)
    if both is not None:
        yield f"a cluster such as {both} matches both patterns: it may be a source, and is never replaced"
    if _covers(f"{source}-*", f"{target}-*"):
        yield (
            f"the targets' instances are named after sources ({source}-...): the functions may delete only those that "
            f"carry the tag {STACK_TAG} with this stack's name"
        )


def _covers(whole: str, part: str) -> bool:
    """Say whether every name that ``part`` matches is surely one that ``whole`` matches."""
    # A pattern is read as if it were a name, in which "*" is something that only "*" can stand for.
    wildcards = {"*": ".*", "?": "[^*]"}
    return re.fullmatch("".join(wildcards.get(sign) or re.escape(sign) for sign in whole), part) is not None


def _common_name(one: str, other: str) -> str | None:
    """Return a short name that both patterns match, or None if there is none."""
    waiting = deque([(0, 0, "")])
    seen = {(0, 0)}
    while waiting:
        at, there, name = waiting.popleft()
        if (at, there) == (len(one), len(other)):
            return name or "x"
        for forward, further, sign in _steps(one[at : at + 1], other[there : there + 1]):
            place = (at + forward, there + further)
            if place not in seen:
                seen.add(place)
                waiting.append((*place, name + sign))
    return None


def _steps(sign: str, other: str) -> Iterator[tuple[int, int, str]]:
    """Yield how far one can go in two patterns from these signs, and with which letter of a name."""
    if sign == "*":
        yield 1, 0, ""
    if other == "*":
        yield 0, 1, ""
    letters = {sign, other} - {"*", "?"}
    if sign and other and len(letters) <= 1:
        yield int(sign != "*"), int(other != "*"), next(iter(letters), "x")
