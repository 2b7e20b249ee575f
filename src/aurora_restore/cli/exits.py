"""Which exit code an error becomes. Scripts lean on these numbers: docs/reference/cli.md promises them."""

from enum import IntEnum

from aurora_restore.errors import (
    AuroraRestoreError,
    AwsRefusedError,
    ConfigurationError,
    OperationNotFoundError,
    PlanOutdatedError,
    PreflightError,
    RequestError,
    ResourceNotFoundError,
    TransientError,
)


class ExitCode(IntEnum):
    """What the process says with its exit code."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    ENVIRONMENT = 3
    INTERRUPTED = 130


def exit_code(error: AuroraRestoreError) -> ExitCode:
    """Return the exit code of a command that ended with this error.

    That an operation failed is no error of the command that watches it: ``run`` and ``watch`` say FAILED themselves.
    """
    match error:
        case RequestError() | OperationNotFoundError() | PreflightError() | PlanOutdatedError():
            return ExitCode.USAGE
        # The command line reads the deployment's own things only: one that AWS does not find or refuses is the
        # deployment, the credentials or the network, never what the user asked for.
        case ConfigurationError() | TransientError() | ResourceNotFoundError() | AwsRefusedError():
            return ExitCode.ENVIRONMENT
        case _:
            return ExitCode.FAILED
