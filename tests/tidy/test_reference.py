"""The reference describes exactly what there is: every field, error, event and action, and none besides."""

import ast
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from aurora_restore import errors
from aurora_restore.operation import Operation, OperationStatus
from aurora_restore.request import RestoreRequest
from aurora_restore.steps.announcement import announce
from aurora_restore.store.audit import AuditEvent
from tests.tidy.repository import PACKAGE, ROOT, blocks, pages, python_files, syntax, table_rows

REFERENCE = ROOT / "docs" / "reference"
# What Journal writes itself, besides what steps announce through it.
ANNOUNCING = {"intend", "intend_all", "note", "_commit"}


def test_every_field_of_the_request_is_described_with_its_default() -> None:
    """docs/reference/request.md and the model agree in both directions."""
    described = {row[0].strip("`"): row[2].strip("`") for row in table_rows(REFERENCE / "request.md")}
    assert described == dict(_fields(RestoreRequest, ""))


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield every field's path and its default as the reference shows it."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        inner, in_list = _model_of(field.annotation)
        yield path, _default(field)
        if inner is not None:
            yield from _fields(inner, f"{path}[]." if in_list else f"{path}.")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    match value:
        case None:
            return "unset"
        case BaseModel():
            return "see below"
        case str():
            return str(value)
        case _:
            return json.dumps(value)


def _model_of(annotation: object) -> tuple[type[BaseModel] | None, bool]:
    """Return the model in an annotation, and whether it stands in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for argument in get_args(annotation):
        model, in_list = _model_of(argument)
        if model is not None:
            return model, in_list or getattr(annotation, "__origin__", None) is list
    return None, False


def test_every_error_is_described() -> None:
    """docs/reference/errors.md has a section for each class, with what to do."""
    page = (REFERENCE / "errors.md").read_text()
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL))
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert set(sections) == classes
    for name, section in sections.items():
        retried = issubclass(getattr(errors, name), errors.TransientError | errors.ConflictError)
        assert section.startswith("Retried: yes" if retried else "Retried: never"), name
        assert "**Do:**" in section or name == "AuroraRestoreError", name


def test_every_field_of_the_events_is_described() -> None:
    """docs/reference/events.md has the notification's and the audit's fields, and no others."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    ended = Operation(
        operation_id="x", execution_arn="x", stack="x", target="x", requested_at=now, status=OperationStatus.FAILED
    )
    page = REFERENCE / "events.md"
    example = next(block for block in blocks(page, "json"))
    fields = set(announce(ended)[2])
    assert set(json.loads(example)) == fields
    assert _column(2) == fields | set(AuditEvent.model_fields)


def test_every_action_of_the_audit_is_described() -> None:
    """Whoever reads an audit finds each word of it in docs/reference/events.md."""
    assert _column(3) == set(_actions())


def _column(width: int) -> set[str]:
    return {row[0].strip("`") for row in table_rows(REFERENCE / "events.md") if len(row) == width}


def _actions() -> Iterator[str]:
    for path in python_files(PACKAGE):
        for node in ast.walk(syntax(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ANNOUNCING:
                words = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
                yield from (word for word in words[:1] if isinstance(word, str) and word.isidentifier())


def _examples() -> list[Any]:
    """Return every request that a page shows."""
    shown = [
        yaml.safe_load(block)
        for page in pages()
        for block in blocks(page, "yaml", "json")
        if "operation_id" not in block
    ]
    return [document for document in shown if isinstance(document, dict) and {"source", "target"} <= set(document)]


@pytest.mark.parametrize("document", _examples(), ids=lambda document: str(document.get("name")))
def test_every_request_in_the_documentation_is_valid(document: Any) -> None:
    """What is copied from the documentation works."""
    assert RestoreRequest.parse(document)
