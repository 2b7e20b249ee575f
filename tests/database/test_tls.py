"""Connections are encrypted, and the server proves who it is as soon as there is something to prove it against."""

from functools import partial
from pathlib import Path

import psycopg
import pytest

from aurora_restore.database.engine import Endpoint
from aurora_restore.database.postgresql import PostgreSQL
from aurora_restore.database.tls import BUNDLE_NAME, NO_BUNDLE, Tls, TlsMode, bundle_path
from aurora_restore.embedded.certificates import certificates_in
from aurora_restore.errors import DatabaseRefusedError
from tests.database.conftest import Database

RDS = "orders.cluster-abc.us-west-2.rds.amazonaws.com"


def test_what_a_connection_asks_of_the_server(tmp_path: Path) -> None:
    """Everything that can be had; without encryption only what stays in the machine."""
    bundle = Tls(tmp_path / "ca.pem")
    assert {bundle.mode(host) for host in (RDS, "127.0.0.1", "localhost")} == {TlsMode.VERIFIED}
    assert NO_BUNDLE.mode(RDS) is NO_BUNDLE.mode("10.0.0.7") is TlsMode.REQUIRED
    assert {NO_BUNDLE.mode(host) for host in ("127.0.0.1", "::1", "localhost")} == {TlsMode.OFFERED}


def test_the_bundle_is_the_one_that_is_named_or_was_deployed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The one that is named even if it is not there: a wrong path must be found out, not passed over."""
    assert bundle_path("/gone.pem") == Path("/gone.pem")
    assert bundle_path(None) is None
    module = tmp_path / "aurora_restore" / "database" / "tls.py"
    monkeypatch.setattr("aurora_restore.database.tls.__file__", str(module))
    (tmp_path / BUNDLE_NAME).touch()
    assert bundle_path("") == tmp_path / BUNDLE_NAME


def test_a_server_without_tls_is_not_spoken_to_where_it_is_asked_for(restored: Database, tmp_path: Path) -> None:
    """With a bundle nothing is sent in clear, not even to loopback."""
    authority = restored.servers.certificate_authority
    engine = PostgreSQL(tls=Tls(authority or certificates_in(tmp_path).authority))
    if authority is None:
        with pytest.raises(DatabaseRefusedError, match=r"no encrypted connection.*does not support SSL"):
            engine.logins(restored.endpoint, restored.master)
    else:
        assert engine.logins(restored.endpoint, restored.master)
        with engine.session(restored.endpoint, restored.master, "shop") as session:
            assert session.answer("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", 5).text == "t"


def test_a_server_that_is_somebody_else_is_refused(restored: Database, tmp_path: Path) -> None:
    """By another authority, or under another name; and a bundle that is not there is no reason to do without."""
    authority = restored.servers.certificate_authority
    foreign = PostgreSQL(tls=Tls(certificates_in(tmp_path).authority))
    if authority is None:
        # One that knows no TLS cannot say who it is at all.
        with pytest.raises(DatabaseRefusedError, match="does not support SSL"):
            foreign.logins(restored.endpoint, restored.master)
        return
    with pytest.raises(DatabaseRefusedError, match="certificate verify failed"):
        foreign.logins(restored.endpoint, restored.master)
    missing = PostgreSQL(tls=Tls(tmp_path / "gone.pem"))
    with pytest.raises(DatabaseRefusedError, match="root certificate"):
        missing.logins(restored.endpoint, restored.master)
    misled = PostgreSQL(partial(psycopg.Connection.connect, hostaddr="127.0.0.1"), tls=Tls(authority))
    with pytest.raises(DatabaseRefusedError, match="does not match host name"):
        misled.logins(Endpoint(RDS, restored.endpoint.port), restored.master)
