"""The template's parameters: what was given is checked here, the rest keeps its value or its default. Pure."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from aurora_restore.errors import Problem, RequestError
from aurora_restore.operation import Step

Template = Mapping[str, Any]

# Lambda takes 64 characters for a function's name.
LONGEST_STACK_NAME: Final = 64 - max(len(f"-{step.function_name}") for step in Step)
# Parameters that the command deploy has an option for.
_OPTIONS: Final = {
    "VpcId": "--vpc",
    "SubnetIds": "--subnets",
    "TargetPattern": "--target-pattern",
    "SourcePattern": "--source-pattern",
    "AlarmEmail": "--email",
    "ExistingKeyArn": "--key",
}
_STACK_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


def parameters(template: Template, given: Mapping[str, str], previous: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the parameters as CreateChangeSet takes them; one that is not given keeps its ``previous`` value.

    Raises RequestError with everything that is wrong: an unknown name, a missing or forbidden value.
    """
    declared: Mapping[str, Mapping[str, Any]] = template["Parameters"]
    problems = list(_problems(declared, given, previous))
    if problems:
        raise RequestError(problems, origin="the deployment")
    sent: list[dict[str, Any]] = []
    for name in declared:
        if name in given:
            sent.append({"ParameterKey": name, "ParameterValue": given[name]})
        elif name in previous:
            sent.append({"ParameterKey": name, "UsePreviousValue": True})
    return sent


def check_stack_name(name: str) -> None:
    """Pass if CloudFormation takes the name, and Lambda the functions' that begin with it; else RequestError."""
    if _STACK_NAME.fullmatch(name) is None or len(name) > LONGEST_STACK_NAME:
        expected = f"letters, digits and hyphens, a letter first, at most {LONGEST_STACK_NAME} characters"
        raise RequestError([Problem("stack", name or "nothing", expected)], origin="the deployment")


def _problems(
    declared: Mapping[str, Mapping[str, Any]], given: Mapping[str, str], previous: Mapping[str, str]
) -> Iterator[Problem]:
    for name in given:
        if name not in declared:
            close = get_close_matches(name, declared, n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            yield Problem(name, "an unknown parameter", f"one of the template's{meant}")
    for name, slot in declared.items():
        if name in given:
            yield from _refusals(name, given[name], slot)
        elif name not in previous and "Default" not in slot:
            yield Problem(_called(name), "nothing", str(slot.get("Description") or "a value"))


def _called(name: str) -> str:
    """Return a parameter's name, and the option by which people know it."""
    return f"{name} ({_OPTIONS[name]})" if name in _OPTIONS else name


def _refusals(name: str, value: str, slot: Mapping[str, Any]) -> Iterator[Problem]:
    allowed = [str(each) for each in slot.get("AllowedValues", [])]
    pattern = slot.get("AllowedPattern")
    if allowed and value not in allowed:
        yield Problem(_called(name), value, " or ".join(allowed))
    elif pattern and re.fullmatch(pattern, value) is None:
        yield Problem(_called(name), value or "nothing", str(slot.get("ConstraintDescription") or pattern))
    elif slot["Type"] == "Number":
        yield from _number_refusals(name, value, slot)


def _number_refusals(name: str, value: str, slot: Mapping[str, Any]) -> Iterator[Problem]:
    lowest, highest = float(slot.get("MinValue", "-inf")), float(slot.get("MaxValue", "inf"))
    expected = f"a number from {lowest:g} to {highest:g}" if {"MinValue", "MaxValue"} & set(slot) else "a number"
    if re.fullmatch(r"-?\d+(\.\d+)?", value) is None or not lowest <= float(value) <= highest:
        yield Problem(name, value or "nothing", expected)
