"""The process's environment while it is an AWS account: nothing in it may lead to the user's real one."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# A profile that does not exist, or a configuration file with a mistake, stops boto3 when moto is merely imported.
_NO_CONFIGURATION: Mapping[str, str | None] = {
    "AWS_PROFILE": None,
    "AWS_DEFAULT_PROFILE": None,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": None,
}


@contextmanager
def sealed() -> Iterator[None]:
    """Hide the user's AWS configuration and credentials, and exempt loopback from a proxy; undo both at the end.

    Enter it before anything is imported that imports moto.
    """
    with _changed({**_NO_CONFIGURATION, **_no_proxy()}):
        yield


@contextmanager
def serving(port: int) -> Iterator[None]:
    """Do as ``sealed`` does, and tell moto's state machines the port on which they reach the other services."""
    # Nobody starts machines here, and moto reads a thousand images into each region that it has.
    with sealed(), _changed({"MOTO_PORT": str(port), "MOTO_EC2_LOAD_DEFAULT_AMIS": "false"}):
        yield


def _no_proxy() -> dict[str, str]:
    # The lower-case name wins where both are set.
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    named = exempt.split(",") if exempt else []
    exempt = ",".join(named + [host for host in ("localhost", "127.0.0.1") if host not in named])
    return {"no_proxy": exempt, "NO_PROXY": exempt}


@contextmanager
def _changed(changes: Mapping[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
