"""DynamoDB as far as the store uses it, in this process: moto takes 40 ms for a record, and most of a test's time.

``test_store`` shows that the store's own expressions mean the same to moto.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

Item = dict[str, Any]
_SORT_KEYS = {"operation_id": "sequence", "target": "requested_at"}


class FakeDynamoDB:
    """A DynamoDB client with two tables: items by key, conditional writes, transactions, queries."""

    def __init__(self, hear: Any) -> None:
        """Take who is told of every call: a function of action and parameters."""
        self.items: dict[tuple[str, str], Item] = {}
        self._hear = hear
        self.before_write: Callable[[], None] = lambda: None

    def get_item(self, **parameters: Any) -> Item:
        self._hear("GetItem", parameters)
        found = self.items.get(_key(parameters["TableName"], parameters["Key"]))
        return {"Item": found} if found is not None else {}

    def put_item(self, **parameters: Any) -> Item:
        self._hear("PutItem", parameters)
        self.before_write()
        if not self._holds(parameters, parameters["Item"]):
            raise _refused("PutItem", "ConditionalCheckFailedException")
        self.items[_key(parameters["TableName"], parameters["Item"])] = parameters["Item"]
        return {}

    def transact_write_items(self, **parameters: Any) -> Item:
        self._hear("TransactWriteItems", parameters)
        self.before_write()
        writes = [next(iter(write.items())) for write in parameters["TransactItems"]]
        held = [self._holds(body, body.get("Item") or body["Key"]) for _, body in writes]
        if not all(held):
            reasons = [{"Code": "None" if each else "ConditionalCheckFailed"} for each in held]
            raise _refused("TransactWriteItems", "TransactionCanceledException", CancellationReasons=reasons)
        for kind, body in writes:
            key = _key(body["TableName"], body.get("Item") or body["Key"])
            if kind == "Put":
                self.items[key] = body["Item"]
            else:
                self.items.pop(key, None)
        return {}

    def query(self, **parameters: Any) -> Item:
        self._hear("Query", parameters)
        attribute = parameters["ExpressionAttributeNames"]["#key"]
        value = parameters["ExpressionAttributeValues"][":value"]
        found = [item for item in self._all(parameters["TableName"]) if item.get(attribute) == value]
        found.sort(key=lambda item: _plain(item[_SORT_KEYS[attribute]]), reverse=not parameters["ScanIndexForward"])
        return {"Items": found}

    def scan(self, **parameters: Any) -> Item:
        self._hear("Scan", parameters)
        return {"Items": self._all(parameters["TableName"])}

    def _all(self, table: str) -> list[Item]:
        return [item for (name, _), item in self.items.items() if name == table]

    def _holds(self, body: Mapping[str, Any], item: Item) -> bool:
        there = self.items.get(_key(body["TableName"], item), {})
        clauses = re.split(r"\) OR \(", body["ConditionExpression"].strip("()"))
        return any(_clause_holds(clause, body, there) for clause in clauses)


def _clause_holds(clause: str, body: Mapping[str, Any], there: Item) -> bool:
    names, values = body.get("ExpressionAttributeNames", {}), body.get("ExpressionAttributeValues", {})
    if absent := re.fullmatch(r"attribute_not_exists\((#\w+)\)?", clause):
        return names[absent[1]] not in there
    equal = re.fullmatch(r"(#\w+) = (:\w+)", clause)
    assert equal, f"a condition that this fake does not know: {clause}"
    return names[equal[1]] in there and there[names[equal[1]]] == values[equal[2]]


def _key(table: str, item: Item) -> tuple[str, str]:
    fields: Sequence[str] = ("operation_id", "sequence") if "sequence" in item else ("id",)
    return table, json.dumps([item[field] for field in fields])


def _plain(value: Mapping[str, str]) -> tuple[int, str]:
    return (int(value["N"]), "") if "N" in value else (0, value["S"])


def _refused(operation: str, code: str, **more: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "No"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(response | more, operation)
