"""What an operation would do, before it does it: plan."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from aurora_restore.cli.exits import ExitCode
from aurora_restore.cli.observing import make_plan
from aurora_restore.cli.options import DEFAULT_STACK, Json, Region, RequestFile, Stack
from aurora_restore.cli.output import print_json, say, stdout
from aurora_restore.cli.pipeline import Pipeline, open_pipeline
from aurora_restore.cli.plan_text import print_plan
from aurora_restore.cli.reading import STDIN, read_request
from aurora_restore.errors import PlanOutdatedError
from aurora_restore.plan_document import PlanDocument
from aurora_restore.planning import Plan
from aurora_restore.request import RestoreRequest

_LARGEST_BYTES = 1024 * 1024


def plan(
    file: RequestFile,
    *,
    out: Annotated[
        str, typer.Option("--out", metavar="PLAN", show_default=False, help="Write it to this file, for run --plan.")
    ] = "",
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
) -> None:
    """Show what an operation would do, and what would stop it.

    Reads only. Exits with 0 when it could run, and with 2 when something would stop it: then no PLAN is written.
    """
    request = read_request(file)
    _refuse_to_overwrite(file, out)
    made = make_plan(open_pipeline(stack, region), request)
    if as_json:
        print_json(_document(made))
    else:
        print_plan(stdout(), made)
    if made.obstacles:
        if out:
            say(f"{out} is not written: the plan cannot run")
        raise typer.Exit(ExitCode.USAGE)
    if out:
        _write(out, made.to_file())
        say(f"Wrote {out}. Run it: aurora-restore run --plan {out}")


def planned_request(pipeline: Pipeline, planned: PlanDocument) -> RestoreRequest:
    """Return the request of a plan, pinned to its snapshot, after proving that the world is still as it was planned.

    Raises PlanOutdatedError with all that differs, and all that would stop the operation now.
    """
    now = make_plan(pipeline, planned.request)
    differences = (*planned.seen.differences(now.pinned), *now.obstacles)
    if differences:
        raise PlanOutdatedError(differences)
    return planned.pinned_request()


def read_plan(file: str) -> PlanDocument:
    """Return the plan in a file; raises RequestError when it is none, typer's usage error when it cannot be read."""
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(_LARGEST_BYTES)
    except OSError as error:
        raise _unusable(f"{file} cannot be read: {error.strerror or type(error).__name__}") from None
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise _unusable(f"{file} is not JSON; aurora-restore plan --out writes a plan") from None
    return PlanDocument.parse(document, origin=file)


def _refuse_to_overwrite(request: str, out: str) -> None:
    if out and request != STDIN and Path(out).exists() and Path(out).samefile(request):
        raise _unusable(f"{out} is the request itself, which the plan would overwrite: give --out another name")


def _write(file: str, planned: PlanDocument) -> None:
    try:
        Path(file).write_text(json.dumps(planned.document(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise _unusable(f"{file} cannot be written: {error.strerror or type(error).__name__}") from None


def _unusable(sentence: str) -> typer.BadParameter:
    return typer.BadParameter(sentence, param_hint="PLAN")


def _document(made: Plan) -> dict[str, Any]:
    content = made.model_dump(mode="json", exclude={"request", "pinned"})
    return {
        "can_run": not made.obstacles,
        "sha256": made.to_file().sha256,
        "request": made.request.document(),
        **content,
    }
