"""What pydantic found wrong, said so that a tired person can mend it: where, what was found, what is expected."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from aurora_restore.errors import Problem

Location = tuple[int | str, ...]

_TIME = "a time with its offset from UTC, such as 2027-01-31T00:00:00Z"
_EXPECTED = {
    "bool_type": "true or false, without quotes",
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "list_type": "a list",
    "missing": "a value: this field is required",
    "int_type": "a whole number",
    "float_type": "a number",
    "int_parsing": "a whole number",
    "float_parsing": "a number",
    "invalid_key": "a field's name as text",
    "timezone_aware": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "datetime_type": _TIME,
}
_BOUNDS = {
    "too_short": "{min_length} at least",
    "too_long": "{max_length} at most",
    "string_too_long": "{max_length} characters at most",
}
# What pydantic calls the members of a field that takes several types, and how it marks a mapping's key.
_SCALARS = frozenset({"str", "int", "float", "bool"})
_ANY_SCALAR = "text, a number, or true or false"
_KEY = "[key]"


def explain(error: ValidationError, document: object, model: type[BaseModel]) -> Iterator[Problem]:
    """Yield every mistake that ``model`` found in ``document``: its path, what was found, what is expected there."""
    problems = (
        _problem(detail, _plain_location(detail["loc"]), document, model)
        for detail in error.errors(include_url=False, include_input=False)
    )
    # Of a field that takes several types, pydantic tells of each that it is not.
    yield from dict.fromkeys(problems)


def _problem(detail: ErrorDetails, location: Location, document: object, model: type[BaseModel]) -> Problem:
    *place, last = location or ("",)
    above = _at(document, tuple(place))
    if last == _KEY:
        return Problem(_path(tuple(place)), shown(place[-1]), _expected(detail, model))
    if last in _SCALARS and not isinstance(above, Mapping):
        return Problem(_path(tuple(place)), shown(above), _ANY_SCALAR)
    expected = _expected(detail, model)
    if detail["type"] == "string_type" and isinstance(_at(document, location), int | float):
        expected = "text, in quotes"
    return Problem(_path(location), _found(detail, document, location, model), expected)


def _plain_location(location: Location) -> Location:
    return tuple(
        part for part in location if not (isinstance(part, str) and part.startswith(("function-", "constrained")))
    )


def _path(location: Location) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".") or "(the document)"


def _found(detail: ErrorDetails, document: object, location: Location, model: type[BaseModel]) -> str:
    if detail["type"] == "missing":
        return "nothing"
    if detail["type"] == "extra_forbidden":
        return f"an unknown field{_did_you_mean(location, model)}"
    if location[-1:] == ("password",):
        # Whoever takes the field for the place of a password must not find it in an error's text (I6).
        return "something else"
    return shown(_at(document, location))


def _at(document: object, location: Location) -> object:
    for part in location:
        match document:
            case Mapping() if part in document:
                document = document[part]
            case list() if isinstance(part, int) and part < len(document):
                document = document[part]
    return document


def shown(value: object) -> str:
    """Return a value as a person may read it in an error: short, and quoted where it is text."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case Mapping():
            return "a mapping" if value else "an empty mapping"
        case list():
            return f"a list of {len(value)}"
        case _:
            text = repr(value)
            return text if len(text) <= 80 else f"{text[:77]}..."


def _expected(detail: ErrorDetails, model: type[BaseModel]) -> str:
    if detail["type"] == "extra_forbidden":
        return f"one of {', '.join(_fields_at(_plain_location(detail['loc'])[:-1], model))}"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    if detail["type"] in _BOUNDS:
        return _BOUNDS[detail["type"]].format(**detail["ctx"])
    return _EXPECTED.get(detail["type"], detail["msg"].removeprefix("Input should be "))


def _did_you_mean(location: Location, model: type[BaseModel]) -> str:
    nearest = get_close_matches(str(location[-1]), _fields_at(location[:-1], model), n=1, cutoff=0.5)
    return f' (did you mean "{nearest[0]}"?)' if nearest else ""


def _fields_at(location: Location, model: type[BaseModel]) -> list[str]:
    for part in location:
        if isinstance(part, str):
            by_alias = {field.alias or name: field for name, field in model.model_fields.items()}
            model = _model_in(by_alias[part].annotation) if part in by_alias else model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: object) -> type[BaseModel]:
    """Return the model inside ``X``, ``X | None``, ``list[X]`` or ``Annotated[…]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(model for argument in get_args(annotation) if (model := _model_in_argument(argument)) is not None)


def _model_in_argument(argument: object) -> type[BaseModel] | None:
    try:
        return _model_in(argument)
    except StopIteration:
        return None
