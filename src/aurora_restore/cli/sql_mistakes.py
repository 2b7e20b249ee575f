"""What is wrong in a request's SQL files and queries, as far as that can be told without the cluster."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from aurora_restore.database import mysql_script, postgresql_script
from aurora_restore.database.scripts import Script
from aurora_restore.database.unsupported import unsupported
from aurora_restore.errors import Problem
from aurora_restore.request import RestoreRequest

_POSTGRESQL: Final = "aurora-postgresql"
_MYSQL: Final = "aurora-mysql"
_READERS: Final[Mapping[str, Callable[[str], Script]]] = {
    _POSTGRESQL: postgresql_script.read_script,
    _MYSQL: mysql_script.read_script,
}
# The logs that only one of the engines has.
_LOGS: Final = {_POSTGRESQL: {"postgresql"}, _MYSQL: {"audit", "error", "general", "slowquery"}}
_EXPECTED: Final = "SQL that a server can run, as it stands"


def sql_mistakes(document: object, request: RestoreRequest | None) -> Iterator[Problem]:
    """Yield what step 7 could not run in the texts of a request's ``sql``, with the file's line, and in ``verify``.

    ``request`` is what was parsed from ``document``, if it could be. Where it does not show which engine the source
    has, only what neither engine could run is told.
    """
    engines = _possible(request)
    for place, script in _mappings(document, "sql"):
        if isinstance(script.get("text"), str):
            yield from _of_script(script, f"sql[{place}]", engines)
    for place, check in _mappings(document, "verify"):
        if isinstance(check.get("query"), str) and check["query"]:
            yield from _of_query(check["query"], f"verify[{place}].query", engines)


def _mappings(document: object, field: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    listed = document.get(field) if isinstance(document, dict) else None
    for place, each in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(each, dict):
            yield place, each


def _of_script(script: Mapping[str, Any], path: str, engines: list[str]) -> Iterator[Problem]:
    first, *others = (_READERS[engine](script["text"]).mistakes for engine in engines)
    for sentence in first:
        if all(_line(sentence) in map(_line, other) for other in others):
            yield Problem(f"{path}.file", f"{script.get('file')}, {sentence}", _EXPECTED)


def _of_query(query: str, path: str, engines: list[str]) -> Iterator[Problem]:
    faults = [_READERS[engine](query).no_question for engine in engines]
    if faults[0] is not None and None not in faults:
        yield Problem(path, faults[0], "one SELECT")


def _line(sentence: str) -> str:
    """Return "line 7", with which every reader's sentence begins."""
    return sentence.partition(":")[0]


def _possible(request: RestoreRequest | None) -> list[str]:
    """Return the engines that the request could be meant for: both, where nothing in it is one engine's alone."""
    return [engine for engine in _READERS if request is not None and _fits(request, engine)] or list(_READERS)


def _fits(request: RestoreRequest, engine: str) -> bool:
    logs, version = set(request.target.log_exports or ()), request.target.engine_version
    if version is not None and ("mysql" in version) is not (engine == _MYSQL):
        return False
    foreign = [logs & of_engine for other, of_engine in _LOGS.items() if other != engine]
    return not any(foreign) and not any(unsupported(request, engine))
