"""The State table: one item an operation, written only on condition of the version that was read."""

import json
from typing import Any

from aurora_restore.aws.tables import Table, Write
from aurora_restore.errors import OperationNotFoundError
from aurora_restore.names import LOCK_PREFIX
from aurora_restore.operation import Operation

BY_TARGET = "by-target"
_PARTS = "parts"


class Operations:
    """Reads operations, and renders their conditional writes."""

    def __init__(self, table: Table) -> None:
        """Take the State table: key id, index by-target on target and requested_at."""
        self._table = table

    def find(self, operation_id: str) -> Operation | None:
        """Return the operation, or None."""
        item = self._table.get({"id": operation_id})
        return None if item is None else parse(item)

    def load(self, operation_id: str) -> Operation:
        """Return the operation; raises OperationNotFoundError."""
        operation = self.find(operation_id)
        if operation is None:
            raise OperationNotFoundError(
                f"there is no operation {operation_id}", advice="List what there is: aurora-restore history"
            )
        return operation

    def of_target(self, target: str, *, limit: int = 50) -> list[Operation]:
        """Return the newest operations on a target (``region/cluster``), newest first."""
        items = self._table.query("target", target, index=BY_TARGET, newest_first=True, limit=limit)
        return [parse(item) for item in items]

    def newest(self, *, limit: int = 50) -> list[Operation]:
        """Return the newest operations on any target, newest first."""
        found = [parse(item) for item in self._table.scan() if not item["id"].startswith(LOCK_PREFIX)]
        return sorted(found, key=lambda operation: operation.requested_at, reverse=True)[:limit]

    def write(self, operation: Operation) -> Write:
        """Return the write of an operation whose version is one above the one that must still be there."""
        new = operation.version == 1
        return Write(
            table=self._table.name,
            item={"id": operation.operation_id, **_document(operation)},
            condition="attribute_not_exists(#id)" if new else "#version = :read",
            names={"#id": "id"} if new else {"#version": "version"},
            values={} if new else {":read": operation.version - 1},
        )


def _document(operation: Operation) -> dict[str, Any]:
    """Return an item's attributes: each plain value is one, and all that has parts is JSON text in one more.

    A record has some seven hundred parts, and is written a hundred times: as DynamoDB's maps they are most of the work
    of a step, and harder to read in a console.
    """
    # Nones too: a field that may be None and has no default would be missing when the record is read.
    document = operation.model_dump(mode="json", by_alias=True, exclude={"request"})
    # In the form whose size was judged when it was accepted: with all that is unset, it would be twice as large.
    document["request"] = None if operation.request is None else operation.request.document()
    parts = {name: value for name, value in document.items() if isinstance(value, (dict, list))}
    plain = {name: value for name, value in document.items() if name not in parts}
    return {**plain, _PARTS: json.dumps(parts, ensure_ascii=False)}


def parse(item: dict[str, Any]) -> Operation:
    """Return the operation in an item of the State table."""
    plain = {name: value for name, value in item.items() if name != _PARTS}
    # By way of JSON text: the request is strict, and only JSON input may turn text into its enums and tuples.
    return Operation.model_validate_json(json.dumps({**plain, **json.loads(item[_PARTS])}))
