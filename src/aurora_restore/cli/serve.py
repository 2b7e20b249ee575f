"""The command serve: an AWS account on this machine, with the pipeline in it, for as long as one wants it."""

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer
from rich.console import Console

from aurora_restore.cli.demo import PostgresBin
from aurora_restore.cli.output import stdout
from aurora_restore.cli.signals import ended_in_order
from aurora_restore.embedded.opening import opened
from aurora_restore.embedded.shop import DEFAULT_ROWS, FEWEST_ROWS

if TYPE_CHECKING:
    from aurora_restore.embedded.account import EmbeddedAccount
    from aurora_restore.embedded.sample import Sample

_CARE_EVERY_S: Final = 20
_REQUEST_FILE: Final = "request.json"


def serve(
    *,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=1, max=65535, show_default=False, help="Listen here on 127.0.0.1; unset: a free port."
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            metavar="DIR",
            show_default=False,
            help="Keep the databases' files here, in a new or empty directory; unset: a temporary one.",
        ),
    ] = None,
    rows: Annotated[
        int, typer.Option("--rows", min=FEWEST_ROWS, help="Rows of the sample shop, all tables together.")
    ] = DEFAULT_ROWS,
    postgres_bin: PostgresBin = None,
) -> None:
    """Keep an embedded AWS account running on this machine.

    The pipeline is deployed in it. Production, orders-prod in us-east-1, and an older orders-staging in us-west-2 are
    real PostgreSQL databases. Ends with Ctrl-C or SIGTERM.
    """
    if directory is not None:
        _refuse_used(directory)
    console = stdout()
    with ended_in_order():
        console.print("Bringing up an AWS account with real databases on this machine")
        with opened(directory, binaries=postgres_bin, port=port) as world:
            # Now, and not before: they import moto, while the account's first database is being made.
            from aurora_restore.cli import rehearsal  # noqa: PLC0415

            sample = rehearsal.build(world.account, rows, None)
            request = _write_request(world.directory)
            with suppress(KeyboardInterrupt):
                _print_instructions(console, world.account, sample, request)
                _serve_until_the_end(world.account)
            console.print("\nEnding the databases")


def _refuse_used(directory: Path) -> None:
    """Refuse a directory that holds anything: an earlier account's databases would be found without their clusters."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise typer.BadParameter(f"{directory} is not a directory", param_hint="--dir")
    if (directory / "volumes").is_dir():
        raise typer.BadParameter(
            f"{directory} holds the databases of an earlier account, whose clusters and snapshots are not kept yet;"
            " name an empty directory, or remove this one first",
            param_hint="--dir",
        )
    if any(directory.iterdir()):
        raise typer.BadParameter(f"{directory} is not empty; name a new or empty directory", param_hint="--dir")


def _write_request(directory: Path) -> Path:
    from aurora_restore.embedded.sample import request  # noqa: PLC0415

    path = directory / _REQUEST_FILE
    path.write_text(json.dumps(request(), indent=2) + "\n", encoding="utf-8")
    return path


def _print_instructions(console: Console, account: "EmbeddedAccount", sample: "Sample", request: Path) -> None:
    from aurora_restore.cli import look_around as look  # noqa: PLC0415

    look.print_block(console, "In another shell, first", look.exports(account.server.url))
    look.print_block(console, "Then restore orders-prod over orders-staging, as often as you like", [
        f"aurora-restore run {look.quoted(request)}", look.start_execution(sample, request)])  # fmt: skip
    look.print_block(console, "And look at what came of it", [
        "aurora-restore history", "aurora-restore status", *look.aws_commands(sample)])  # fmt: skip
    look.print_block(console, "The databases: the source now, the target after a restore", [
        *look.databases(sample), *look.restored_database()])  # fmt: skip
    console.print(f"\nReady: {account.server.url} answers until Ctrl-C", soft_wrap=True)


def _serve_until_the_end(account: "EmbeddedAccount") -> NoReturn:
    from aurora_restore.embedded.sample import keep_snapshot_young  # noqa: PLC0415

    while True:
        time.sleep(_CARE_EVERY_S)
        keep_snapshot_young(account)
