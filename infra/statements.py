"""A statement of a policy with its reason, and how it becomes IAM's JSON. It knows no CDK and no CloudFormation."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# A substitution, as CloudFormation's Fn::Sub writes it.
_SUBSTITUTION = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")

# Why a statement has no call of the code's own.
BY_LAMBDA = "Lambda makes these calls itself, around the function's code."

Conditions = Mapping[str, Mapping[str, str | tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Statement:
    """What is allowed or denied, on what, if what, and why.

    ``resources`` and the values of ``conditions`` hold CloudFormation substitutions. A Deny has either ``actions`` or
    ``every_action_but``, which holds for actions that AWS has not invented yet, too. ``unseen`` says why no call of
    the functions' code shows the use of a statement.
    """

    sid: str
    why: str
    effect: str = "Allow"
    actions: tuple[str, ...] = ()
    every_action_but: tuple[str, ...] = ()
    resources: tuple[str, ...] = ("*",)
    conditions: Conditions = field(default_factory=dict)
    unseen: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as a statement of IAM's JSON, its substitutions left as they are, for Fn::Sub."""
        actions = {"Action": list(self.actions)} if self.actions else {"NotAction": list(self.every_action_but)}
        conditions = {
            test: {key: _plain(value) for key, value in keys.items()} for test, keys in self.conditions.items()
        }
        return {
            "Sid": self.sid,
            "Effect": self.effect,
            **actions,
            "Resource": list(self.resources),
            **({"Condition": conditions} if conditions else {}),
        }


def allow(
    sid: str, actions: str, *, on: Sequence[str] = ("*",), when: Conditions | None = None, why: str, unseen: str = ""
) -> Statement:
    """Return the statement that allows these actions, words in one string; on "*" where AWS knows no resource."""
    return Statement(
        sid, why, actions=tuple(actions.split()), resources=tuple(on), conditions=when or {}, unseen=unseen
    )


def deny(sid: str, actions: str, *, on: Sequence[str], when: Conditions | None = None, why: str) -> Statement:
    """Return the statement that denies these actions, whatever else is allowed."""
    return Statement(sid, why, "Deny", actions=tuple(actions.split()), resources=tuple(on), conditions=when or {})


def deny_all_but(sid: str, actions: str, *, on: Sequence[str], when: Conditions | None = None, why: str) -> Statement:
    """Return the statement that denies every action but these, or every one, whatever else is allowed."""
    if not actions:
        return deny(sid, "*", on=on, when=when, why=why)
    return Statement(
        sid, why, "Deny", every_action_but=tuple(actions.split()), resources=tuple(on), conditions=when or {}
    )


def policy(statements: Iterable[Statement], values: Mapping[str, str]) -> dict[str, Any]:
    """Return the policy of these statements for given values of its substitutions.

    Raises KeyError for a substitution that has no value.
    """
    return {"Version": "2012-10-17", "Statement": [_resolved(each.document(), values) for each in statements]}


def substitutions(statements: Iterable[Statement]) -> frozenset[str]:
    """Return the names of all substitutions that the statements hold."""
    return frozenset(name for each in statements for name in _SUBSTITUTION.findall(str(each.document())))


def _resolved(part: Any, values: Mapping[str, str]) -> Any:
    if isinstance(part, str):
        return _SUBSTITUTION.sub(lambda found: values[found[1]], part)
    if isinstance(part, list):
        return [_resolved(each, values) for each in part]
    if isinstance(part, dict):
        return {key: _resolved(each, values) for key, each in part.items()}
    return part


def _plain(value: str | tuple[str, ...]) -> str | list[str]:
    return value if isinstance(value, str) else list(value)
