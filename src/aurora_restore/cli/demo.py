"""The command demo: a whole restore on this machine, from an empty process to two databases that were compared."""

import time
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from aurora_restore.cli.exits import ExitCode
from aurora_restore.cli.options import Json
from aurora_restore.cli.output import stderr, stdout
from aurora_restore.cli.signals import ended_in_order, wait_for_the_end
from aurora_restore.embedded.binaries import find_binaries
from aurora_restore.embedded.dump import Dump, open_dump
from aurora_restore.embedded.mariadb_binaries import find_mariadb
from aurora_restore.embedded.opening import Programs, opened
from aurora_restore.embedded.shop import DEFAULT_ROWS, FEWEST_ROWS

# Some 150 MB a database, of which there are six at most at a time.
_FEW_ROWS: Final = 1_000_000

PostgresBin = Annotated[
    Path | None,
    typer.Option(
        "--postgres-bin",
        metavar="DIR",
        show_default=False,
        help="Use the PostgreSQL programs in this directory, not those that come with the package.",
    ),
]
MysqlBin = Annotated[
    Path | None,
    typer.Option(
        "--mysql-bin",
        metavar="DIR",
        show_default=False,
        help="Use the mariadbd in this directory, not the one that is installed.",
    ),
]


class EngineName(StrEnum):
    """Which Aurora the sample's clusters are."""

    POSTGRESQL = "aurora-postgresql"
    MYSQL = "aurora-mysql"


EngineOption = Annotated[
    EngineName,
    typer.Option("--engine", help="Which Aurora the clusters are; aurora-mysql needs MariaDB's server installed."),
]


def demo(
    *,
    dump: Annotated[
        Path | None,
        typer.Option(
            "--dump", metavar="FILE", show_default=False, help="PostgreSQL: production's data, SQL or made by pg_dump."
        ),
    ] = None,
    rows: Annotated[
        int, typer.Option("--rows", min=FEWEST_ROWS, help="Rows of the sample shop, all tables together.")
    ] = DEFAULT_ROWS,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it all running afterwards, to look around, until Ctrl-C.")
    ] = False,
    as_json: Json = False,
    engine: EngineOption = EngineName.POSTGRESQL,
    postgres_bin: PostgresBin = None,
    mysql_bin: MysqlBin = None,
) -> None:
    """Rehearse a whole restore on this machine, without AWS.

    Brings up an embedded AWS account with a production cluster and an older staging cluster, replaces staging by a
    copy of production through the pipeline's own state machine, and tries what came out. Nothing is left behind.
    """
    console = stdout()
    console.quiet = as_json
    if dump is not None and engine is EngineName.MYSQL:
        raise typer.BadParameter("loads PostgreSQL's dumps only; leave out --engine aurora-mysql", param_hint="--dump")
    programs = programs_of(engine, postgres_bin, mysql_bin)
    with ended_in_order():
        loader = None if dump is None else open_dump(dump, find_binaries(postgres_bin))
        is_good = _rehearse(console, loader, rows, programs, keep=keep, as_json=as_json)
    raise typer.Exit(ExitCode.DONE if is_good else ExitCode.FAILED)


def programs_of(engine: EngineName, postgres_bin: Path | None, mysql_bin: Path | None) -> Programs:
    """Return what the databases are to be of. EnvironmentUnfitError: MariaDB is needed, and not there."""
    if engine is EngineName.MYSQL:
        find_mariadb(mysql_bin)
    return Programs(engine.value, postgres_bin, mysql_bin)


def _rehearse(console: Console, dump: Dump | None, rows: int, programs: Programs, *, keep: bool, as_json: bool) -> bool:
    """Do it all, and say whether everything was as it must be."""
    started_s = time.monotonic()
    console.print("Bringing up an AWS account with real databases on this machine")
    is_small = dump is None and rows <= _FEW_ROWS
    with opened(programs=programs, is_small=is_small) as world:
        # Now, and not before: they import moto, while the account's first database is being made.
        from aurora_restore.cli import demo_report, look_around, rehearsal  # noqa: PLC0415

        account = world.account
        sample = rehearsal.build(account, rows, dump, programs.engine)
        demo_report.print_introduction(console, account, dump)
        operation = rehearsal.restore(account, sample, console, silent=as_json)
        report = demo_report.examined(account, sample, operation, time.monotonic() - started_s)
        demo_report.print_report(console, report, as_json=as_json)
        if keep:
            place = stderr() if as_json else console
            with suppress(KeyboardInterrupt):
                look_around.print_everything(place, account, sample, operation)
                wait_for_the_end()
    return report.is_good
