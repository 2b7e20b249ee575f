"""DynamoDB tables: items as plain JSON values, writes as one transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aurora_restore.aws.door import call, demand

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Write:
    """A put, or with no item a delete, of one item: allowed only while ``condition`` holds for what is there."""

    table: str
    condition: str
    names: Mapping[str, str]
    values: Mapping[str, Any]
    item: Item | None = None
    key: Item | None = None

    def render(self) -> dict[str, Any]:
        """Return it as an element of TransactItems."""
        body: dict[str, Any] = {"TableName": self.table, "ConditionExpression": self.condition}
        if self.names:
            body["ExpressionAttributeNames"] = dict(self.names)
        if self.values:
            body["ExpressionAttributeValues"] = _to_dynamodb(self.values)
        if self.item is not None:
            return {"Put": {**body, "Item": _to_dynamodb(self.item)}}
        return {"Delete": {**body, "Key": _to_dynamodb(self.key or {})}}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which items are to be answered; all of them are read."""

    condition: str
    names: Mapping[str, str]
    values: Mapping[str, Any]

    def render(self) -> dict[str, Any]:
        """Return it as Scan's parameters."""
        return {
            "FilterExpression": self.condition,
            "ExpressionAttributeNames": dict(self.names),
            "ExpressionAttributeValues": _to_dynamodb(self.values),
        }


class Table:
    """One table."""

    def __init__(self, client: Any, name: str) -> None:
        """Take a DynamoDB client and the table's name."""
        self._client = client
        self.name = name

    def get(self, key: Item) -> Item | None:
        """Return the item of this key, read consistently, or None."""
        answer = demand(self._client.get_item, TableName=self.name, Key=_to_dynamodb(key), ConsistentRead=True)
        return _from_dynamodb(answer["Item"]) if "Item" in answer else None

    def query(
        self, attribute: str, value: str, *, index: str | None = None, newest_first: bool = False, limit: int = 1000
    ) -> list[Item]:
        """Return up to ``limit`` items whose partition key ``attribute`` is ``value``, in the order of the sort key."""
        parameters: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": "#key = :value",
            "ExpressionAttributeNames": {"#key": attribute},
            "ExpressionAttributeValues": _to_dynamodb({":value": value}),
            "ScanIndexForward": not newest_first,
            **({"IndexName": index} if index else {"ConsistentRead": True}),
        }
        return self._read("query", parameters, limit)

    def scan(self, only: Filter | None = None, *, limit: int = 10_000) -> list[Item]:
        """Return up to ``limit`` items, in no order; of all that there are, those that pass the filter."""
        filtering = {} if only is None else only.render()
        return self._read("scan", {"TableName": self.name, **filtering}, limit)

    def _read(self, operation: str, parameters: dict[str, Any], limit: int) -> list[Item]:
        found: list[Item] = []
        while True:
            answer = demand(getattr(self._client, operation), **parameters)
            found.extend(map(_from_dynamodb, answer["Items"]))
            if len(found) >= limit or "LastEvaluatedKey" not in answer:
                return found[:limit]
            parameters["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def write(self, writes: Sequence[Write]) -> None:
        """Do all writes, in this table and others, or none.

        Raises ConflictError when a condition does not hold.
        """
        if len(writes) == 1 and writes[0].item is not None:
            # Alone it needs no transaction, which costs twice as much; most writes are a step's "wait".
            demand(self._client.put_item, **writes[0].render()["Put"])
            return
        demand(self._client.transact_write_items, TransactItems=[write.render() for write in writes])

    def exists(self) -> bool:
        """Say whether there is such a table here."""
        missing = frozenset({"ResourceNotFoundException"})
        return call(self._client.describe_table, tolerate=missing, TableName=self.name) is not None


# Not boto3's own: importing that brings all of boto3, a tenth of a cold start, for thirty lines.
def _to_dynamodb(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = json.loads(json.dumps(values))
    return {name: _serialized(value) for name, value in plain.items()}


def _serialized(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": json.dumps(value)}
        case str():
            return {"S": value}
        case list():
            return {"L": [_serialized(each) for each in value]}
        case dict():
            return {"M": {name: _serialized(each) for name, each in value.items()}}
        case _:
            raise TypeError(f"{type(value).__name__} has no place in an item")


def _from_dynamodb(item: Mapping[str, Any]) -> Item:
    return {name: _deserialized(value) for name, value in item.items()}


def _deserialized(value: Mapping[str, Any]) -> Any:  # noqa: PLR0911  one a type
    [(kind, content)] = value.items()
    match kind:
        case "NULL":
            return None
        case "BOOL" | "S":
            return content
        case "N":
            return _number(content)
        case "SS":
            return sorted(content)
        case "NS":
            return sorted(map(_number, content))
        case "L":
            return [_deserialized(each) for each in content]
        case "M":
            return _from_dynamodb(content)
        case _:
            raise TypeError(f"a value of DynamoDB's type {kind} has no place in an item")


def _number(text: str) -> int | float:
    exact = Decimal(text)
    return int(exact) if exact == exact.to_integral_value() else float(exact)
