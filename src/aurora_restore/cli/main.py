"""The entry point: finds the command, runs it, and turns whatever goes wrong into a sentence and an exit code."""

import atexit
import errno
import gc
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, TextIO

try:
    import typer
    from typer.core import TyperGroup
    from typer.main import get_command

    from aurora_restore import __version__
    from aurora_restore.errors import AuroraRestoreError, EnvironmentUnfitError, UnexpectedError
except KeyboardInterrupt:  # this is most of the time that a wrong command takes
    raise SystemExit(130) from None
except ModuleNotFoundError as missing:  # installed as a function needs it, without the extra
    sys.stderr.write(
        f"Error: the commands need the Python package {missing.name}, which is not installed."
        " Install it, in a clone: pip install '.[cli]'\n"
    )
    raise SystemExit(3) from None

PROGRAM = "aurora-restore"
_TRACEBACK = "AURORA_RESTORE_TRACEBACK"
# What a disk says that takes no more.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Command:
    """A command: the function ``name`` in ``cli/<module>.py``. Its summary is the first line of its docstring."""

    name: str
    module: str
    summary: str


# The module is imported when its command runs, and not for --help: it may import what it likes at its top.
COMMANDS = (
    Command("demo", "demo", "Rehearse a whole restore on this machine, without AWS."),
    Command("serve", "serve", "Keep an embedded AWS account running on this machine."),
    Command("deploy", "deploy", "Deploy the pipeline into an AWS account, or update it."),
    Command("destroy", "destroy", "Delete the pipeline from AWS; keep what it has recorded."),
    Command("bundle", "bundle", "Write template and code, for those who deploy otherwise."),
    Command("init", "requests", "Write a commented example of a request."),
    Command("validate", "requests", "Say what is wrong with a request, all of it at once."),
    Command("schema", "requests", "Print the JSON Schema of a request, for editors."),
    Command("doctor", "doctor", "Check that everything is in place for a restore."),
    Command("plan", "plan", "Show what an operation would do, and what would stop it."),
    Command("run", "run", "Start an operation and watch it to its end."),
    Command("watch", "run", "Watch an operation to its end."),
    Command("resume", "recovery", "Go on with an operation that failed or was stopped."),
    Command("abort", "recovery", "Stop an operation; say what is left of it."),
    Command("status", "status", "Show what runs now, or everything about one operation."),
    Command("history", "history", "List operations, newest first."),
    Command("audit", "audit", "Show every change that an operation made; prove it whole."),
)


def load(command: Command) -> Any:
    """Return the command, importing its module."""
    function = getattr(import_module(f"aurora_restore.cli.{command.module}"), command.name)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(command.name)(function)
    return get_command(alone)


class _LazyGroup(TyperGroup):
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(next(command for command in COMMANDS if command.name == name)), rest


# Plain help: rich's costs 0.2 s more, and on 80 columns its boxes leave less room for the words.
app = typer.Typer(
    name=PROGRAM,
    cls=_LazyGroup,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback(
    invoke_without_command=True,
    epilog="Exit codes: 0 done, 1 the operation failed, 2 the request or the usage is wrong, 3 the environment is.",
)
def _root(
    context: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Restore an Amazon Aurora cluster from a snapshot of another: one request, safe to repeat."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _stands_for_its_module() -> None:
    """Fill the place of a command in --help and in the suggestions until ``_LazyGroup`` loads it."""


for _command in COMMANDS:
    app.command(_command.name, help=_command.summary)(_stands_for_its_module)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process; no traceback reaches the user."""
    # Closed, as cron may leave them: they take what is written all the same.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    # Python looks for garbage a last time when it ends: after an embedded account two seconds, for nothing.
    atexit.register(gc.freeze)
    sys.exit(_run(sys.argv[1:] if arguments is None else list(arguments)))


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123  to the end of the process


def _run(arguments: list[str]) -> int:
    try:
        code = app(args=arguments, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except (BrokenPipeError, SystemExit):
        # Nobody reads stdout any more (typer and rich then exit by themselves): whoever read it has seen enough, and
        # Python must not complain about it when it flushes at the end.
        _forget_stdout()
        code = 141
    except Exception as error:  # noqa: BLE001  the edge of the command line: no traceback reaches a user
        code = _report_any(error, as_json="--json" in arguments)
    return code if isinstance(code, int) else 0


def _forget_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report_any(error: Exception, *, as_json: bool) -> int:
    match error:
        case typer.TyperException():
            return _report_usage(error, as_json=as_json)
        case AuroraRestoreError():
            return _report(error, as_json=as_json)
        case ModuleNotFoundError():
            return _report_missing_module(error, as_json=as_json)
        case OSError() if error.errno in _FULL:
            return _report_full(error)
        case _:
            return _report_unforeseen(error, as_json=as_json)


def _report_usage(error: typer.TyperException, *, as_json: bool) -> int:
    from aurora_restore.cli.output import error_document, print_json  # noqa: PLC0415

    if as_json:
        print_json(error_document("UsageError", error.format_message()))
    context = getattr(error, "ctx", None)
    # Of a value that is wrong the message says enough; of anything else the usage does.
    if context is not None and not isinstance(error, typer.BadParameter):
        typer.echo(context.get_usage(), err=True)
    typer.echo(f"Error: {error.format_message()}", err=True)
    if context is not None:
        typer.echo(f"Try '{context.command_path} --help' for help.", err=True)
    return error.exit_code


def _report(error: AuroraRestoreError, *, as_json: bool) -> int:
    from aurora_restore.cli.exits import exit_code  # noqa: PLC0415
    from aurora_restore.cli.output import describe_error, print_json  # noqa: PLC0415

    if as_json:
        print_json(describe_error(error))
    typer.echo(f"Error: {error}", err=True)
    return exit_code(error)


def _report_missing_module(error: ModuleNotFoundError, *, as_json: bool) -> int:
    unfit = EnvironmentUnfitError(
        f"this command needs the Python package {error.name}, which is not installed",
        advice="Install it, in a clone: pip install '.[embedded]'",
    )
    return _report(unfit, as_json=as_json)


def _report_full(error: OSError) -> int:
    """Say it on stderr alone: stdout may be what is full."""
    _forget_stdout()
    full = EnvironmentUnfitError(
        f"{error.strerror}: not all could be written, to stdout or to a file",
        advice=f"Make room. What was started goes on: {PROGRAM} status",
    )
    return _report(full, as_json=False)


def _report_unforeseen(error: Exception, *, as_json: bool) -> int:
    """Say where a mistake of this program is, and nothing of what it held: that could be a secret (I6)."""
    if os.environ.get(_TRACEBACK):
        traceback.print_exception(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119
    unexpected = UnexpectedError(
        f"{type(error).__name__} at {place}",
        advice=f"This is a bug: please report it with what {_TRACEBACK}=1 shows, after reading it for secrets",
    )
    _report(unexpected, as_json=as_json)
    return 3
