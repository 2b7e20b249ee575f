"""What a change set would do, and what of it could lose something. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, assert_never

# What is in them is not in the template: made anew, they are empty, or known to nobody.
STATEFUL: Final = frozenset({
    "AWS::DynamoDB::Table",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SNS::Topic",
    "AWS::SecretsManager::Secret",
})  # fmt: skip


class Effect(StrEnum):
    """What becomes of a resource."""

    ADDED = "added"
    CHANGED = "changed"
    MAY_BE_REPLACED = "may be replaced"
    REPLACED = "replaced"
    REMOVED = "removed"
    # It stays in the account, and CloudFormation knows of it no more.
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Change:
    """One resource, what becomes of it, and which of its properties are the reason."""

    effect: Effect
    name: str
    kind: str
    properties: tuple[str, ...] = ()

    @property
    def loses(self) -> bool:
        """Say whether something could be lost that no template brings back."""
        match self.effect:
            case Effect.REMOVED | Effect.REPLACED | Effect.MAY_BE_REPLACED:
                return self.kind in STATEFUL
            case Effect.ADDED | Effect.CHANGED | Effect.RELEASED:
                return False
            case _:
                assert_never(self.effect)

    def document(self) -> dict[str, Any]:
        """Return it as --json shows it."""
        return {
            "effect": self.effect.value,
            "name": self.name,
            "type": self.kind,
            "properties": list(self.properties),
            "loses": self.loses,
        }


def read_changes(described: Iterable[Mapping[str, Any]]) -> tuple[Change, ...]:
    """Return the changes that DescribeChangeSet tells of: what could lose something first, then by effect and name."""
    order = list(Effect)
    found = [_read(each) for each in described]
    return tuple(sorted(found, key=lambda change: (not change.loses, -order.index(change.effect), change.name)))


def _read(described: Mapping[str, Any]) -> Change:
    targets = [detail.get("Target", {}) for detail in described.get("Details", [])]
    named = {str(target.get("Name") or target.get("Attribute")) for target in targets}
    return Change(
        effect=_effect(described),
        name=str(described["LogicalResourceId"]),
        kind=str(described["ResourceType"]),
        properties=tuple(sorted(named - {"None"})),
    )


def _effect(described: Mapping[str, Any]) -> Effect:
    policy = str(described.get("PolicyAction") or "")
    match described["Action"]:
        case "Add" | "Import":
            return Effect.ADDED
        case "Remove":
            return Effect.RELEASED if policy == "Retain" else Effect.REMOVED
        case _:
            # "Dynamic" too: what becomes of it is known only when it is done.
            return _replacement(str(described.get("Replacement") or "False"))


def _replacement(said: str) -> Effect:
    match said:
        case "True":
            return Effect.REPLACED
        case "Conditional":
            return Effect.MAY_BE_REPLACED
        case _:
            return Effect.CHANGED
