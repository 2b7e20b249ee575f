"""Whether everything is in place for a restore: doctor."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from aurora_restore.cli.checks import Check, Health, of_deployment, of_environment, of_request
from aurora_restore.cli.exits import ExitCode
from aurora_restore.cli.options import DEFAULT_STACK, Json, Region, Stack
from aurora_restore.cli.output import print_beside, print_json, stdout
from aurora_restore.cli.pipeline import open_pipeline
from aurora_restore.cli.reading import read_request
from aurora_restore.errors import AuroraRestoreError, RequestError

_STYLES = {Health.OK: "green", Health.WARNING: "yellow", Health.FAILED: "bold red"}
_NAME_WIDTH = 15


def doctor(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", show_default=False, help="A request: what it names is checked too."),
    ] = "",
    *,
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
) -> None:
    """Check that everything is in place for a restore.

    One line for each thing, and what to do about it; with FILE also for what that names. Changes nothing. Exits with 3
    when something failed; what is only a warning does not stop a restore.
    """
    console, checks = stdout(), []
    for check in _checks(file, stack, region):
        checks.append(check)
        if not as_json:
            _print(console, check)
    healthy = all(check.health is not Health.FAILED for check in checks)
    if as_json:
        print_json({"healthy": healthy, "checks": [check.document() for check in checks]})
    if not healthy:
        raise typer.Exit(ExitCode.ENVIRONMENT)


def _checks(file: str, stack: str, region: str | None) -> Iterator[Check]:
    request = None
    if file:
        try:
            request = read_request(file)
        except RequestError as error:
            for problem in error.problems:
                advice = f"Correct it, then: aurora-restore validate {file}" if problem is error.problems[-1] else ""
                yield Check("request", Health.FAILED, f"{file}: {problem}", advice)
        else:
            yield Check("request", Health.OK, f"{file} is valid")
    environment = list(of_environment(region))
    yield from environment
    if any(check.health is Health.FAILED for check in environment):
        return
    try:
        pipeline = open_pipeline(stack, region)
    except AuroraRestoreError as error:
        yield Check("deployment", Health.FAILED, error.what, error.advice)
        return
    yield from of_deployment(pipeline)
    if request is not None:
        yield from of_request(pipeline, request)


def _print(console: Console, check: Check) -> None:
    head = Text.assemble((f"{check.health:<8}", _STYLES[check.health]), f"{check.name:<{_NAME_WIDTH}} ")
    print_beside(console, head, check.detail, beneath=2)
    if check.health is not Health.OK and check.advice:
        print_beside(console, Text(" " * 8), f"-> {check.advice}", beneath=2)
