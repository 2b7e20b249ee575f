"""The embedded DynamoDB answers with what was stored, and is as strict about an item's size as before."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from aurora_restore.embedded import tables
from aurora_restore.embedded.inprocess import InProcess
from aurora_restore.embedded.server import ACCESS_KEY, EmbeddedServer

ITEM: dict[str, Any] = {
    "id": {"S": "one"},
    "text": {"S": ""},
    "number": {"N": "0.5"},
    "truth": {"BOOL": False},
    "nothing": {"NULL": True},
    "bytes": {"B": b"\x00\xff"},
    "words": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2"]},
    "list": {"L": [{"S": "x"}, {"L": []}, {"M": {"L": {"L": [{"N": "1"}]}}}]},
    "map": {"M": {"S": {"S": "a key that is a type's name"}, "empty": {"M": {}}}},
}


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    tables.install()
    server = EmbeddedServer()
    server.start()
    import boto3  # noqa: PLC0415

    wire = InProcess(server.url, server.application)
    session = boto3.Session(ACCESS_KEY, ACCESS_KEY, region_name="us-west-2")
    client = wire.connect(session.client("dynamodb", endpoint_url=server.url))
    client.create_table(
        TableName="things",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    yield client
    wire.close()
    server.stop()


def test_an_item_is_answered_as_it_was_stored(dynamodb: Any) -> None:
    """Every type that DynamoDB has, nested too, by each way of reading."""
    dynamodb.put_item(TableName="things", Item=ITEM)
    assert dynamodb.get_item(TableName="things", Key={"id": ITEM["id"]})["Item"] == ITEM
    assert ITEM in dynamodb.scan(TableName="things")["Items"]
    asked = {"KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": ITEM["id"]}}
    assert dynamodb.query(TableName="things", **asked)["Items"] == [ITEM]
    assert dynamodb.describe_table(TableName="things")["Table"]["KeySchema"] == [
        {"AttributeName": "id", "KeyType": "HASH"}
    ]


@pytest.mark.parametrize("in_a_transaction", [False, True])
def test_an_item_above_400_kb_is_refused(dynamodb: Any, *, in_a_transaction: bool) -> None:
    """All its attributes count together, however small each is."""

    def put(parts: int) -> None:
        item = {"id": {"S": "large"}, **{f"part{number}": {"S": "x" * 10_000} for number in range(parts)}}
        if in_a_transaction:
            dynamodb.transact_write_items(TransactItems=[{"Put": {"TableName": "things", "Item": item}}])
        else:
            dynamodb.put_item(TableName="things", Item=item)

    put(39)
    with pytest.raises(ClientError, match="size"):
        put(42)
