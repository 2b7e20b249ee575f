"""DynamoDB, as little of it as the store uses, in a hundredth of the time that a whole emulator takes.

Whatever it does not know it refuses loudly. A test runs the same operation on moto's tables and compares.
"""

import copy
import json
import re
import threading
from collections.abc import Mapping
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from aurora_restore.embedded.inprocess import Body
from tests.faults.evidence import Item

_KEYS: Mapping[str, tuple[str, ...]] = {"state": ("id",), "audit": ("operation_id", "sequence")}
# The sort key of the State table's one index.
_INDEXED = "requested_at"
_CLAUSE = re.compile(r"(attribute_not_exists)\((#\w+)\)|(#\w+) ([=>]) (:\w+)")
_TYPE = "com.amazonaws.dynamodb.v20120810#"

Row = dict[str, Any]


class _FailedConditionError(Exception):
    """A write's condition does not hold."""


class Tables:
    """The State and the Audit table."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[tuple[str, ...], Row]] = {}
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget every item."""
        self._rows.clear()

    def items(self, table: str) -> dict[str, Item]:
        """Return a table's items, plain, by their keys joined with a slash."""
        rows = self._rows.get(table, {})
        return {"/".join(key): _opened(row) for key, row in rows.items()}

    def answer(self, request: AWSPreparedRequest, action: str, parameters: Mapping[str, Any]) -> AWSResponse:
        """Do what a call asks for, all of it or nothing."""
        with self._lock:
            try:
                return _response(request, 200, self._do(action, parameters))
            except _FailedConditionError:
                return _response(request, 400, _refusal(action, parameters))

    def _do(self, action: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        match action:
            case "GetItem":
                row = self._table(parameters).get(_key(parameters["TableName"], parameters["Key"]))
                return {} if row is None else {"Item": row}
            case "Query":
                return self._query(parameters)
            case "Scan":
                found = [row for row in self._table(parameters).values() if _holds("FilterExpression", parameters, row)]
                return {"Items": copy.deepcopy(found)}
            case "PutItem":
                self._check(parameters, parameters["Item"])
                self._write(parameters)
            case "TransactWriteItems":
                writes = [write.get("Put") or write["Delete"] for write in parameters["TransactItems"]]
                for write in writes:
                    self._check(write, write.get("Item") or write["Key"])
                for write in writes:
                    self._write(write)
            case _:
                raise NotImplementedError(action)
        return {}

    def _table(self, parameters: Mapping[str, Any]) -> dict[tuple[str, ...], Row]:
        return self._rows.setdefault(parameters["TableName"], {})

    def _query(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        if parameters["KeyConditionExpression"] != "#key = :value":
            raise NotImplementedError(parameters)
        name = parameters["ExpressionAttributeNames"]["#key"]
        value = parameters["ExpressionAttributeValues"][":value"]
        found = [row for _, row in sorted(self._table(parameters).items()) if row.get(name) == value]
        if "IndexName" in parameters:
            found = sorted((row for row in found if _INDEXED in row), key=lambda row: str(row[_INDEXED]["S"]))
        return {"Items": found if parameters.get("ScanIndexForward", True) else found[::-1], "Count": len(found)}

    def _check(self, write: Mapping[str, Any], keyed: Row) -> None:
        row = self._table(write).get(_key(write["TableName"], keyed), {})
        if not _holds("ConditionExpression", write, row):
            raise _FailedConditionError

    def _write(self, write: Mapping[str, Any]) -> None:
        table = self._table(write)
        if "Item" in write:
            table[_key(write["TableName"], write["Item"])] = copy.deepcopy(write["Item"])
        else:
            table.pop(_key(write["TableName"], write["Key"]), None)


def _holds(expression: str, parameters: Mapping[str, Any], row: Row) -> bool:
    """Evaluate a condition that is a disjunction of clauses, each alone or in parentheses; none holds always."""
    clauses = [each.strip() for each in parameters.get(expression, "").split(" OR ") if each.strip()]
    return not clauses or any(_clause_holds(clause, parameters, row) for clause in clauses)


def _clause_holds(clause: str, parameters: Mapping[str, Any], row: Row) -> bool:
    names, values = parameters.get("ExpressionAttributeNames", {}), parameters.get("ExpressionAttributeValues", {})
    bare = clause[1:-1] if clause.startswith("(") and clause.endswith(")") else clause
    read = _CLAUSE.fullmatch(bare)
    if read is None:
        raise NotImplementedError(clause)
    missing, name, compared, sign, value = read.groups()
    if missing:
        return names[name] not in row
    found, asked = row.get(names[compared]), values[value]
    if sign == "=":
        return bool(found == asked)
    # Of different types, none is the greater.
    return found is not None and found.keys() == asked.keys() and found["S"] > asked["S"]


def _key(table: str, keyed: Row) -> tuple[str, ...]:
    kind = "audit" if "AuditTable" in table else "state"
    return tuple(f"{int(keyed[name]['N']):06}" if "N" in keyed[name] else keyed[name]["S"] for name in _KEYS[kind])


def _opened(row: Row) -> Item:
    """Return an item plain, with what is JSON text in it as the attributes that it stands for."""
    item = {name: _plain(value) for name, value in row.items()}
    return {**item, **json.loads(item.pop("parts", "{}"))}


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "M":
            return {name: _plain(each) for name, each in content.items()}
        case "L":
            return [_plain(each) for each in content]
        case "N":
            return float(content) if "." in content else int(content)
        case "NULL":
            return None
        case _:
            return content


def _refusal(action: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    if action == "TransactWriteItems":
        reasons = [{"Code": "ConditionalCheckFailed"} for _ in parameters["TransactItems"]]
        return {
            "__type": f"{_TYPE}TransactionCanceledException",
            "message": "Transaction cancelled [ConditionalCheckFailed]",
            "CancellationReasons": reasons,
        }
    return {"__type": f"{_TYPE}ConditionalCheckFailedException", "message": "The conditional request failed"}


def _response(request: AWSPreparedRequest, status: int, content: Mapping[str, Any]) -> AWSResponse:
    headers = {"content-type": "application/x-amz-json-1.0"}
    return AWSResponse(request.url, status, headers, Body(json.dumps(content).encode()))  # type: ignore[arg-type]
