"""How connections to databases are encrypted, and whether the server has to prove who it is."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path

# What `aurora-restore bundle --ca-bundle FILE` puts beside the package in a function's code.
BUNDLE_NAME = "rds-ca.pem"
NOT_VERIFIED = (
    "the connections to the database were encrypted, but the server's certificate was not verified: deploy with "
    "--ca-bundle and the bundle of certificates that AWS publishes for RDS"
)


class TlsMode(StrEnum):
    """What a connection asks of the server."""

    VERIFIED = "verified"  # encrypted, by a certificate of the bundle, for this host's name
    REQUIRED = "required"  # encrypted, whoever the server is
    OFFERED = "offered"  # encrypted if the server can


@dataclass(frozen=True, slots=True)
class Tls:
    """The bundle of certificate authorities that servers are verified against; None where there is none."""

    bundle: Path | None = None

    def mode(self, host: str) -> TlsMode:
        """Return what a connection to a host asks for: everything that can be had, and never less than encryption.

        Only on loopback a server may do without: nothing leaves the machine, and the embedded account's own build of
        PostgreSQL knows no TLS.
        """
        if self.bundle is not None:
            return TlsMode.VERIFIED
        return TlsMode.OFFERED if _is_loopback(host) else TlsMode.REQUIRED


NO_BUNDLE = Tls()


def bundle_path(configured: str | None) -> Path | None:
    """Return the bundle that is configured, or the one that was deployed with the package, or None."""
    if configured:
        return Path(configured)
    deployed = Path(__file__).parents[2] / BUNDLE_NAME
    return deployed if deployed.is_file() else None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
