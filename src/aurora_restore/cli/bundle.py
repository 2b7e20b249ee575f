"""The command bundle: template and code as two files, for those who deploy by other means."""

import hashlib
import shutil
import ssl
import zipfile
from pathlib import Path
from typing import Annotated

import typer

from aurora_restore.cli.deploy_options import CaBundle
from aurora_restore.cli.options import Json
from aurora_restore.cli.output import print_json, stdout
from aurora_restore.cloudformation import vendoring
from aurora_restore.cloudformation.bundle import Bundle, template_file

_CODE = "functions.zip"
_TEMPLATE = "template.json"
_OURS = "aurora_restore/runtime.py"


def bundle(
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Write them into this directory.")] = Path(),
    ca_bundle: CaBundle = None,
    as_json: Json = False,
) -> None:
    """Write template and code, for those who deploy otherwise.

    Needs pip, and a package index that it can reach: the code is for Lambda's Python and processor, not this machine's.
    The same version makes the same bytes.
    """
    proven = certificates(ca_bundle)
    # Now, and not when minutes of building have passed.
    template = _write_template(out)
    console = stdout()
    console.quiet = as_json
    console.print("Building the functions' code for Lambda (Python 3.13, arm64)")
    made = build(out / _CODE, proven)
    if as_json:
        print_json(
            {
                "template": str(template),
                "bundle": str(made.path),
                "sha256": made.sha256,
                "zipped_bytes": made.zipped_bytes,
                "unzipped_bytes": made.unzipped_bytes,
                "files": made.file_count,
            }
        )
        return
    console.print(f"{made.path}: {size(made)}\n  sha256 {made.sha256}", soft_wrap=True)
    console.print(f"{template}: {template.stat().st_size / 1000:,.0f} kB", soft_wrap=True)


build = vendoring.build


def _write_template(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(template_file(), folder / _TEMPLATE))
    except OSError as error:
        place = error.filename2 or error.filename or folder
        raise typer.BadParameter(f"{place} cannot be written: {error.strerror}", param_hint="--out") from None


def certificates(file: Path | None) -> Path | None:
    """Return the file, if there is one; raises BadParameter when it holds no certificates."""
    if file is None:
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except (OSError, ssl.SSLError) as error:
        found = error.strerror or type(error).__name__
        raise typer.BadParameter(f"{file} holds no certificates in PEM: {found}", param_hint="--ca-bundle") from error
    return file


def read(path: Path) -> Bundle:
    """Return a bundle that was made earlier; raises BadParameter when the file is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = archive.infolist()
    except (OSError, zipfile.BadZipFile) as error:
        raise typer.BadParameter(f"{path} cannot be read as a zip: {error}", param_hint="--bundle") from error
    if _OURS not in {entry.filename for entry in inside}:
        raise typer.BadParameter(f"{path} holds no {_OURS}: it is no bundle of ours", param_hint="--bundle")
    content = path.read_bytes()
    unzipped = sum(entry.file_size for entry in inside)
    return Bundle(path, hashlib.sha256(content).hexdigest(), len(content), unzipped, len(inside))


def size(made: Bundle) -> str:
    """Return how large a bundle is, as a person reads it."""
    zipped, unzipped = made.zipped_bytes / 1e6, made.unzipped_bytes / 1e6
    return f"{made.file_count:,} files, {zipped:.1f} MB zipped, {unzipped:.1f} MB unzipped"
