"""The command serve: an AWS account on this machine, with the pipeline in it, for as long as one wants it."""

import errno
import json
import os
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer
from rich.console import Console

from aurora_restore import names
from aurora_restore.cli.demo import EngineName, EngineOption, MysqlBin, PostgresBin, programs_of
from aurora_restore.cli.output import stdout
from aurora_restore.cli.signals import ended_in_order
from aurora_restore.embedded.opening import Opened, Programs, opened, opened_again
from aurora_restore.embedded.persistence import STATE_FILE
from aurora_restore.embedded.shop import DEFAULT_ROWS, FEWEST_ROWS

if TYPE_CHECKING:
    from aurora_restore.aws.deployment import Deployment
    from aurora_restore.embedded.account import EmbeddedAccount

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
            help="Keep the account here, and go on with the one that is kept here; unset: a temporary directory.",
        ),
    ] = None,
    rows: Annotated[
        int, typer.Option("--rows", min=FEWEST_ROWS, help="Rows of the sample shop, all tables together.")
    ] = DEFAULT_ROWS,
    engine: EngineOption = EngineName.POSTGRESQL,
    postgres_bin: PostgresBin = None,
    mysql_bin: MysqlBin = None,
) -> None:
    """Keep an embedded AWS account running on this machine.

    The pipeline is deployed in it. Production, orders-prod in us-east-1, and an older orders-staging in us-west-2 are
    real databases, PostgreSQL's or MySQL's. Ends with Ctrl-C or SIGTERM.
    """
    if directory is not None:
        _prepare(directory)
    console = stdout()
    with ended_in_order():
        console.print("Bringing up an AWS account with real databases on this machine")
        programs = programs_of(engine, postgres_bin, mysql_bin)
        with _account(directory, console, port, programs) as world:
            deployment = _bring_up(world, rows, programs.engine)
            request = _write_request(world.directory)
            with suppress(KeyboardInterrupt):
                _print_interrupted(console, world)
                _print_instructions(console, world.account, deployment, request)
                _serve_until_the_end(world)
            console.print("\nEnding the databases")


def _account(
    directory: Path | None, console: Console, port: int | None, programs: Programs
) -> AbstractContextManager[Opened]:
    if directory is None:
        return opened(programs=programs, port=port)
    return opened_again(directory, lambda line: console.print(line, soft_wrap=True), programs=programs, port=port)


def _bring_up(world: Opened, rows: int, engine: str) -> "Deployment":
    """Fill a new account with the sample world, and let it be kept if it has a place; return what is deployed in it."""
    # Now, and not before: they import moto, while the account's first database is being made.
    from aurora_restore.aws.deployment import read_deployment  # noqa: PLC0415
    from aurora_restore.cli import rehearsal  # noqa: PLC0415
    from aurora_restore.embedded.account import DEFAULT_STACK  # noqa: PLC0415
    from aurora_restore.embedded.sample import keep_snapshot_young  # noqa: PLC0415

    if world.is_again:
        # It may have been away for days.
        keep_snapshot_young(world.account)
    else:
        rehearsal.build(world.account, rows, None, engine)
    if world.keeper is not None:
        world.keeper.start(world.account, world.account.server.port)
    return read_deployment(world.account.client("ssm"), DEFAULT_STACK)


def _prepare(directory: Path) -> None:
    """Make the directory, unless it is there; refuse one that cannot be used, before anything is started."""
    try:
        _refuse_used(directory)
        directory.mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise typer.BadParameter(f"{directory} cannot be used: {error.strerror}", param_hint="--dir") from None


def _refuse_used(directory: Path) -> None:
    """Refuse a directory that holds anything but an account that was kept there."""
    if not directory.exists() or (directory / STATE_FILE).is_file():
        return
    if not directory.is_dir():
        raise typer.BadParameter(f"{directory} is not a directory", param_hint="--dir")
    if (directory / "volumes").is_dir():
        raise typer.BadParameter(
            f"{directory} holds the databases of an earlier account that ended before it was ready;"
            " name an empty directory, or remove this one first",
            param_hint="--dir",
        )
    if any(directory.iterdir()):
        raise typer.BadParameter(
            f"{directory} is not empty and holds no account; name a new or empty directory", param_hint="--dir"
        )


def _write_request(directory: Path) -> Path:
    from aurora_restore.embedded.sample import request  # noqa: PLC0415

    path = directory / _REQUEST_FILE
    path.write_text(json.dumps(request(), indent=2) + "\n", encoding="utf-8")
    return path


def _print_interrupted(console: Console, world: Opened) -> None:
    for execution in world.interrupted:
        operation = names.operation_of(execution)
        console.print(
            f"\nThe account ended while {operation} ran. Go on with it: aurora-restore resume {operation}",
            soft_wrap=True,
        )


def _print_instructions(console: Console, account: "EmbeddedAccount", deployment: "Deployment", request: Path) -> None:
    from aurora_restore.cli import look_around as look  # noqa: PLC0415
    from aurora_restore.embedded.sample import source_in  # noqa: PLC0415

    source = source_in(account)
    look.print_block(console, "In another shell, first", look.exports(account.server.url))
    look.print_block(console, "Then restore orders-prod over orders-staging, as often as you like", [
        f"aurora-restore run {look.quoted(request)}", look.start_execution(deployment, request)])  # fmt: skip
    look.print_block(console, "And look at what came of it", [
        "aurora-restore history", "aurora-restore status", *look.aws_commands(deployment)])  # fmt: skip
    look.print_block(console, "The databases: the source now, the target after a restore", [
        *(look.databases(source) if source else ()), *look.restored_database(account)])  # fmt: skip
    console.print(f"\nReady: {account.server.url} answers until Ctrl-C", soft_wrap=True)


def _serve_until_the_end(world: Opened) -> NoReturn:
    from aurora_restore.embedded.sample import keep_snapshot_young  # noqa: PLC0415

    while True:
        time.sleep(_CARE_EVERY_S)
        keep_snapshot_young(world.account)
        if world.keeper is not None:
            world.keeper.changed()
