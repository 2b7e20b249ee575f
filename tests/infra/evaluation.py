"""What a policy says to what is asked for: moto's evaluator, and the conditions, which it does not know.

moto answers for actions and resources. It takes a condition that does not hold for a denial, and knows few operators,
so conditions are judged here, as AWS documents them, for the operators that the table uses; any other is an error.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Authorisation:
    """One thing that AWS asks IAM before it does what was called for: may this be done, to this, in this context?"""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, action: str, resource: str, context: Mapping[str, str] | None = None) -> "Authorisation":
        """Return it, with its context in an order."""
        return cls(action, resource, tuple(sorted((context or {}).items())))


class Answer(Enum):
    """IAM's answer."""

    ALLOWED = "allowed"
    NOT_ALLOWED = "not allowed"
    DENIED = "denied"


class Policy:
    """The statements of a policy, substitutions resolved, ready to be asked many times."""

    def __init__(self, statements: Iterable[Document]) -> None:
        self._judges = tuple((each, _judge(each)) for each in statements)

    @property
    def statements(self) -> list[Document]:
        """Return the statements, as they were given."""
        return [statement for statement, _ in self._judges]

    def answer(self, asked: Authorisation) -> Answer:
        """Return what IAM answers under this policy alone."""
        given = {judge(asked) for _, judge in self._judges}
        if PermissionResult.DENIED in given:
            return Answer.DENIED
        return Answer.ALLOWED if PermissionResult.PERMITTED in given else Answer.NOT_ALLOWED

    def allowing(self, asked: Authorisation) -> frozenset[str]:
        """Return the sids of the statements that allow what is asked."""
        return frozenset(str(each["Sid"]) for each, judge in self._judges if judge(asked) is PermissionResult.PERMITTED)

    def with_(self, statement: Document) -> "Policy":
        """Return this policy with another statement besides."""
        return Policy([*self.statements, statement])

    def without(self, sid: str) -> "Policy":
        """Return this policy without a statement."""
        return Policy(each for each in self.statements if each["Sid"] != sid)


def _judge(statement: Document) -> Callable[[Authorisation], PermissionResult]:
    policy, conditions = _unconditional(statement), statement.get("Condition", {})

    def judge(asked: Authorisation) -> PermissionResult:
        said = policy.is_action_permitted(asked.action, asked.resource)
        if said is PermissionResult.NEUTRAL or _hold(conditions, dict(asked.context)):
            return said
        return PermissionResult.NEUTRAL

    return judge


def _unconditional(statement: Document) -> IAMPolicy:
    plain: dict[str, Any] = {"Effect": statement["Effect"]}
    for element in ("Action", "NotAction", "Resource"):
        if element in statement:
            plain[element] = [_for_moto(pattern) for pattern in _listed(statement[element])]
    return IAMPolicy(json.dumps({"Version": "2012-10-17", "Statement": [plain]}))


def _hold(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    return all(
        _OPERATORS[operator](context.get(key), _listed(wanted))
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _equals(value: str | None, wanted: Sequence[str]) -> bool:
    return value is not None and value in wanted


def _like(value: str | None, wanted: Sequence[str]) -> bool:
    return value is not None and any(re.fullmatch(_expression(pattern), value) for pattern in wanted)


# A negated operator holds where the key is missing, and so does ForAllValues.
_OPERATORS: Mapping[str, Callable[[str | None, Sequence[str]], bool]] = {
    "StringEquals": _equals,
    "StringNotEquals": lambda value, wanted: not _equals(value, wanted),
    "StringLike": _like,
    "ArnEquals": _like,
    "Bool": _equals,
    "ForAllValues:StringLike": lambda value, wanted: value is None or _like(value, wanted),
}


def _expression(pattern: str) -> str:
    return _for_moto(pattern).replace("*", ".*")


def _for_moto(pattern: str) -> str:
    """Return a pattern of IAM such that moto, which makes ``.*`` of ``*`` and nothing else, reads it as IAM does."""
    return "".join("*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in pattern)


def _listed(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value
