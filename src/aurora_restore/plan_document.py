"""A plan on file: the request, what was seen that matters, a hash over both; and what differs from it later. Pure."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from aurora_restore.errors import Problem, RequestError
from aurora_restore.request import RestoreRequest
from aurora_restore.shape import ClusterShape
from aurora_restore.snapshots import CopyPlan

_HASH = "sha256"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pinned(_Record):
    """What must be the same when the plan is run; None where there was nothing."""

    state_machine_arn: str
    source_resource_id: str | None
    snapshot_arn: str | None
    target_resource_id: str | None
    kms_key_arn: str | None
    copy_plan: CopyPlan | None
    shape: ClusterShape | None

    def differences(self, now: Self) -> Iterator[str]:
        """Yield a sentence for each thing that is not what it was when this was planned."""
        for what, then, today in (
            ("the pipeline", self.state_machine_arn, now.state_machine_arn),
            ("the source cluster", self.source_resource_id, now.source_resource_id),
            ("the snapshot that source.snapshot chooses", self.snapshot_arn, now.snapshot_arn),
            ("the target cluster", self.target_resource_id, now.target_resource_id),
            ("the key of the restored cluster", self.kms_key_arn, now.kms_key_arn),
        ):
            if then != today:
                yield f"{what} is {today or 'not there'} now, and was {then or 'not there'}"
        # Its other fields follow from snapshot, regions and key, and would say the same twice.
        if self.copy_plan is not None and now.copy_plan is not None and self.copy_plan.needed != now.copy_plan.needed:
            yield f"a copy is {'' if now.copy_plan.needed else 'not '}needed now: {now.copy_plan.reason}"
        yield from _shape_differences(self.shape, now.shape)


def _shape_differences(then: ClusterShape | None, now: ClusterShape | None) -> Iterator[str]:
    before, after = flatten(then), flatten(now)
    for name in {**before, **after} if then and now else ():
        if before.get(name) != after.get(name):
            yield f"the setting {name} would be {shown(after.get(name))} now, and was {shown(before.get(name))}"


def flatten(shape: ClusterShape | None) -> dict[str, Any]:
    """Return a shape's settings by name as JSON values; an instance's are called <identifier>.<setting>."""
    if shape is None:
        return {}
    document = shape.model_dump(mode="json")
    instances = document.pop("instances")
    settings = dict(_spread("", document))
    for instance in instances:
        settings.update(_spread(f"{instance.pop('identifier')}.", instance))
    return settings


def _spread(prefix: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if name == "monitoring":
            yield from ((f"{prefix}{name}.{inner}", each) for inner, each in value.items())
        else:
            yield f"{prefix}{name}", value


def shown(value: object) -> str:
    """Return a setting's value as a person reads it."""
    match value:
        case bool():
            return "on" if value else "off"
        case int() | float():
            return str(value)
        case dict() if value:
            return ", ".join(f"{key}={shown(each)}" for key, each in value.items() if each is not None)
        case list() | tuple() if value:
            return ", ".join(map(shown, value))
        case _:
            return str(value or "none")


class PlanDocument(_Record):
    """What ``plan --out`` writes and ``run --plan`` reads."""

    format: Literal[1] = 1
    planned_at: datetime
    request: RestoreRequest
    seen: Pinned

    def document(self) -> dict[str, Any]:
        """Return it as JSON, its hash included."""
        content = {**self.model_dump(mode="json", exclude={"request"}), "request": self.request.document()}
        return {**content, _HASH: digest(content)}

    @property
    def sha256(self) -> str:
        """Return the hash over its canonical form."""
        return str(self.document()[_HASH])

    def pinned_request(self) -> RestoreRequest:
        """Return the request with the planned snapshot named by its ARN, and the plan by its hash."""
        snapshot = self.seen.snapshot_arn or self.request.source.snapshot
        source = self.request.source.model_copy(update={"snapshot": snapshot})
        return self.request.model_copy(update={"source": source, "plan": self.sha256})

    @classmethod
    def parse(cls, document: object, *, origin: str) -> Self:
        """Return the plan in a JSON document; raises RequestError when it is none or was changed since."""
        if not isinstance(document, dict) or _HASH not in document:
            raise _refuse(origin, "no plan", "what aurora-restore plan --out writes")
        content = {name: value for name, value in document.items() if name != _HASH}
        if digest(content) != document[_HASH]:
            raise _refuse(origin, "a plan that was changed after it was written", "a plan as it was written")
        try:
            # By way of JSON text: only that may become tuples, times and the request's enums.
            return cls.model_validate_json(json.dumps(content))
        except ValidationError:
            raise _refuse(origin, "a plan of another version", "a plan that this version wrote") from None


def digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 over a document's canonical form: JSON with sorted keys and no spaces."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _refuse(origin: str, found: str, expected: str) -> RequestError:
    return RequestError(
        [Problem("(the document)", found, f"{expected}; make it again: aurora-restore plan")], origin=origin
    )
