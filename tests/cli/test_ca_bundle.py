"""--ca-bundle: the certificates that database servers are verified against travel with the functions' code."""

from pathlib import Path

import pytest
import typer

from aurora_restore.cli.bundle import certificates
from aurora_restore.cloudformation import bundle, vendoring
from aurora_restore.database import tls
from aurora_restore.embedded.certificates import certificates_in
from tests.cli.terminal import aurora_restore


def test_the_functions_find_the_certificates_in_their_bundle(tmp_path: Path) -> None:
    """Beside the package, wherever Lambda unpacks it."""
    authority = certificates_in(tmp_path).authority
    inside = {**bundle.contents({}, vendoring.own_sources()), **vendoring.certificates(certificates(authority))}
    code = bundle.unpacked(inside, tmp_path / "task")
    module = code / Path(tls.__file__).relative_to(vendoring.own_sources().parent)
    assert module.is_file()
    assert (module.parents[2] / tls.BUNDLE_NAME).read_bytes() == authority.read_bytes()
    assert vendoring.certificates(None) == {}


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n"])
def test_what_holds_no_certificates_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """Before anything is built: a function with it would refuse every server."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(typer.BadParameter, match="holds no certificates in PEM"):
        certificates(file)


def test_a_bundle_that_is_made_already_takes_no_certificates() -> None:
    """They would be lost unseen."""
    answer = aurora_restore("deploy", "--yes", "--bundle", "a.zip", "--ca-bundle", "ca.pem")
    assert answer.code == 2
    assert "the bundle holds its own" in " ".join(answer.err.split())
