"""Reads a request file: YAML without YAML's traps, or JSON, and remembers on which line everything stands."""

import json
import re
import sys
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer
import yaml

from aurora_restore.cli.sql_files import with_texts
from aurora_restore.cli.sql_mistakes import sql_mistakes
from aurora_restore.errors import Problem, RequestError
from aurora_restore.mistakes import shown
from aurora_restore.request import RestoreRequest

STDIN = "-"
# StartExecution takes at most 256 KiB of input.
_LARGEST_BYTES = 256 * 1024
# What PyYAML says then.
_SECOND_DOCUMENT = "expected a single document in the stream"


@dataclass(frozen=True, slots=True)
class RequestText:
    """What a file holds, parsed but not judged."""

    origin: str
    document: object
    lines: Mapping[str, int]


def read_request(file: str) -> RestoreRequest:
    """Return the request in a file, or in standard input for ``-``.

    The SQL files that it names are read too. Raises RequestError with every mistake and its line, and typer's usage
    error when there is nothing readable.
    """
    text = _parse(_read(file), "standard input" if file == STDIN else file)
    document, problems = with_texts(text.document, Path() if file == STDIN else Path(file).parent)
    request: RestoreRequest | None = None
    try:
        request = RestoreRequest.parse(document, origin=text.origin)
    except RequestError as error:
        problems.extend(error.problems)
    problems.extend(sql_mistakes(document, request))
    if request is not None and not problems:
        return request
    located = [replace(problem, line=_line_of(problem.path, text.lines)) for problem in problems]
    raise RequestError(sorted(located, key=lambda problem: problem.line or 0), origin=text.origin)


def _read(file: str) -> str:
    try:
        content = _at_most(_LARGEST_BYTES + 1, file)
    except FileNotFoundError:
        raise _unreadable(f"there is no file {file}; make one with: aurora-restore init {file}") from None
    except OSError as error:
        raise _unreadable(f"{file} cannot be read: {error.strerror or type(error).__name__}") from None
    if len(content) > _LARGEST_BYTES:
        name = "standard input" if file == STDIN else file
        raise _unreadable(f"{name} has more than the {_LARGEST_BYTES:,} bytes that Step Functions takes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _unreadable(
            f"{'standard input' if file == STDIN else file} is not UTF-8 text: line {line} has a byte that is none"
        ) from None


def _at_most(size_bytes: int, file: str) -> bytes:
    # Not more than would be refused anyway: it may be a dump of a terabyte, or a device without an end.
    if file == STDIN:
        return sys.stdin.buffer.read(size_bytes)
    with Path(file).open("rb") as opened:
        return opened.read(size_bytes)


def _unreadable(sentence: str) -> typer.BadParameter:
    return typer.BadParameter(sentence, param_hint="FILE")


def _parse(text: str, origin: str) -> RequestText:
    if origin.endswith(".json"):
        return RequestText(origin, _from_json(text, origin), _lines(text))
    # JSON is YAML but for its tabs; what only looks like JSON is read as YAML.
    try:
        document = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        document = _from_yaml(text, origin)
    return RequestText(origin, document, _lines(text))


def _from_json(text: str, origin: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        problem = Problem(f"column {error.colno}", f"a syntax error: {error.msg}", "JSON", line=error.lineno)
    except _DuplicateKeyError as error:
        problem = Problem(str(error), "the same key a second time", "each key once")
    except RecursionError:
        problem = _TOO_DEEP
    raise RequestError([problem], origin=origin)


_TOO_DEEP = Problem("(the document)", "hundreds of levels", "the few levels of a request")


class _DuplicateKeyError(ValueError):
    """Holds the key."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise _DuplicateKeyError(key)
        seen[key] = value
    return seen


def _from_yaml(text: str, origin: str) -> object:
    try:
        return yaml.load(text, _PlainLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        problem = _syntax_problem(error)
    except yaml.reader.ReaderError as error:
        character = f"U+{error.character:04X}" if isinstance(error.character, int) else shown(error.character)
        line = text[: error.position].count("\n") + 1
        problem = Problem("(the text)", f"the character {character}", "printable text", line=line)
    except RecursionError:
        problem = _TOO_DEEP
    raise RequestError([problem], origin=origin)


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    reason = " ".join(
        part.removeprefix("but ").removeprefix("found ") for part in (error.problem, error.context) if part
    )
    found, expected = f"a syntax error: {reason}", "YAML or JSON"
    if error.context == _SECOND_DOCUMENT:
        found, expected = "the beginning of a second document", "one request in a file"
    if mark is None:
        return Problem("(the document)", found, expected)
    return Problem(f"column {mark.column + 1}", found, expected, line=mark.line + 1)


class _PlainLoader(yaml.SafeLoader):
    """YAML 1.2's core types only: ``no`` and ``on`` are text, and so are times, dates and numbers in base 60 or 8.

    A key that stands twice is refused: of two values, one would be lost unseen.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if isinstance(key_node, yaml.ScalarNode) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {shown(key)} stands here a second time", key_node.start_mark
                )
            if isinstance(key_node, yaml.ScalarNode):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


_PlainLoader.yaml_implicit_resolvers = {}
for _tag, _pattern in {
    "bool": r"^(?:true|True|TRUE|false|False|FALSE)$",
    "int": r"^[-+]?(?:0|[1-9][0-9]*)$",
    "float": r"^[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)$",
    "null": r"^(?:~|null|Null|NULL|)$",
    "merge": r"^<<$",
}.items():
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), None)


def _lines(text: str) -> dict[str, int]:
    """Return the line of every path in the text, as the mistakes write paths; none where YAML cannot tell."""
    try:
        root = yaml.compose(text, _PlainLoader)
    except (yaml.YAMLError, RecursionError):
        return {}
    return {} if root is None else dict(_walk(root, "", frozenset()))


def _walk(node: yaml.Node, path: str, above: frozenset[int]) -> Iterator[tuple[str, int]]:
    if id(node) in above:  # an alias to what it stands in
        return
    above |= {id(node)}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = f"{path}.{key.value}" if path else str(key.value)
            yield inner, key.start_mark.line + 1
            yield from _walk(value, inner, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield f"{path}[{index}]", value.start_mark.line + 1
            yield from _walk(value, f"{path}[{index}]", above)


def _line_of(path: str, lines: Mapping[str, int]) -> int | None:
    """Return where ``path`` stands, or for what is missing, where it would."""
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path)
