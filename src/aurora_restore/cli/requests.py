"""The commands about a request that need no AWS: init, validate, schema."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from aurora_restore.cli.options import Json, RequestFile
from aurora_restore.cli.output import print_json, stdout
from aurora_restore.cli.reading import STDIN, read_request
from aurora_restore.request import json_schema


def example() -> str:
    """Return the commented example of a request."""
    return files("aurora_restore.cli").joinpath("example.yaml").read_text(encoding="utf-8")


def init(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to write; - is stdout.")] = "restore.yaml",
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that exists.")] = False,
) -> None:
    """Write a commented example of a request.

    Change it, then: aurora-restore validate FILE
    """
    if file == STDIN:
        typer.echo(example(), nl=False)
        return
    try:
        with Path(file).open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(example())
    except FileExistsError:
        raise typer.BadParameter(f"{file} exists; overwrite it with --force", param_hint="FILE") from None
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be written: {error.strerror}", param_hint="FILE") from None
    stdout().print(f"Wrote {file}. Change it, then: aurora-restore validate {file}", soft_wrap=True)


def validate(file: RequestFile, *, as_json: Json = False) -> None:
    """Say what is wrong with a request, all of it at once.

    Exits with 0 when it is valid, else with 2. What only AWS can tell, such as a missing key, is checked by the
    operation before it changes anything.
    """
    request = read_request(file)
    if as_json:
        print_json({"valid": True, "request": request.document()})
        return
    source, target = request.source, request.target
    stdout().print(
        f"valid: {request.name} restores {target.region}/{target.cluster} from {source.region}/{source.cluster}",
        soft_wrap=True,
    )


def schema() -> None:
    """Print the JSON Schema of a request, for editors.

    Name it in the first line of a request: # yaml-language-server: $schema=restore.schema.json
    """
    print_json(json_schema())
