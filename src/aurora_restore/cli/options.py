"""The options that several commands share, with one name and one meaning everywhere."""

from typing import Annotated

import typer

DEFAULT_STACK = "aurora-restore"

Stack = Annotated[str, typer.Option("--stack", envvar="AURORA_RESTORE_STACK", help="Which deployment.")]


def _unset_if_empty(value: str | None) -> str | None:
    return value or None


# boto3 itself reads AWS_DEFAULT_REGION and profiles only; every other AWS tool puts AWS_REGION before them.
Region = Annotated[
    str | None,
    typer.Option(
        "--region",
        envvar="AWS_REGION",
        callback=_unset_if_empty,
        show_default=False,
        help="Where the deployment is; unset: as boto3 is configured.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]
RequestFile = Annotated[
    str, typer.Argument(metavar="FILE", show_default=False, help="The request, YAML or JSON; - reads stdin.")
]
OperationId = Annotated[
    str,
    typer.Argument(
        metavar="ID", show_default=False, help="The operation's id, or as much of its beginning as is unique."
    ),
]
