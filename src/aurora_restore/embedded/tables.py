"""The embedded DynamoDB: moto's, as strict, in a fifth of the time.

An operation's record has some two thousand values. moto looks each of them up under a dozen names before it answers,
and measures the whole item once for each attribute it stores.
"""

import base64
from typing import Any, Final

from moto.core import serialize
from moto.dynamodb.exceptions import ItemSizeTooLarge
from moto.dynamodb.models import dynamo_type
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.utilities import bytesize

# moto's own figure: AWS says 400 KB, and takes between 409 and 410.
_LARGEST_ITEM_BYTES: Final = 405_000
# Tables' descriptions, tags and the like keep moto's way.
_VALUE: Final = "AttributeValue"


class _Serializer(serialize.JSONSerializer):
    """moto's, but what DynamoDB stores goes out as it is: it has the form of an answer already."""

    def _serialize_type_structure(self, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name == _VALUE and value is not None and key:
            self._default_serialize(serialized, _answered(value), shape, key)
        else:
            super()._serialize_type_structure(serialized, value, shape, key)


class _Attributes(dict[str, Any]):
    """An item's attributes, each measured once, when it is set."""

    def __setitem__(self, key: str, value: Any) -> None:
        # moto copies us without what we know, and so does a pickle until it has the items.
        sizes: dict[str, int] = self.__dict__.setdefault("sizes", {})
        others = sum(sizes.get(name) or _size(name, self[name]) for name in self if name != key)
        size = _size(key, value)
        if others + size > _LARGEST_ITEM_BYTES:
            raise ItemSizeTooLarge
        sizes[key] = size
        super().__setitem__(key, value)


def install() -> None:
    """Let every DynamoDB table that is made in moto from now on answer in this way."""
    serialize.SERVICE_SPECIFIC_SERIALIZERS["dynamodb"] = {"json": _Serializer}
    # moto looks the class up by this name for each item.
    vars(dynamo_type)["LimitedSizeDict"] = _Attributes


def _size(key: str, value: Any) -> int:
    return bytesize(key) + (value.size() if isinstance(value, DynamoType) else bytesize(str(value)))


def _answered(value: Any) -> Any:
    """Return a stored value, a DynamoType or moto's plain form of one, in the form of DynamoDB's JSON."""
    match value:
        case DynamoType():
            return {value.type: _inner(value.value)}
        case dict():
            return {str(kind): _inner(inner) for kind, inner in value.items()}
        case _:
            return _inner(value)


def _inner(value: Any) -> Any:
    match value:
        case dict():
            return {name: _answered(inner) for name, inner in value.items()}
        case list():
            return [_answered(inner) for inner in value]
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return value
