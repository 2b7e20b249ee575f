"""What the two benchmarks of many users have in common: the users, how a way is measured, and how that is shown."""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from aurora_restore.database.engine import DesiredState, DesiredUser, Endpoint
from aurora_restore.database_request import Grant
from aurora_restore.embedded.dataplane import DataPlane
from benchmarks import machine
from benchmarks.users_relay import Relay

# Of each database.
TABLES = 20
_GRANTS = 5
RESULTS = Path(__file__).resolve().parent / "results"
# What Lambda gives a function, and how much slower a small instance far away is taken to be.
_LAMBDA_S = 900
_SLOWER = 50


class Counting(Protocol):
    """A kind of connection that counts the statements of all its kind."""

    statements: ClassVar[int]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One way to make the users: its time, what it sent, and how its time relates to that of the one by hand."""

    what: str
    seconds: float
    statements: int
    round_trips: int
    connections: int
    ratio: float


def many_users(count: int, databases: Sequence[str], **place: str) -> DesiredState:
    """Return users each of whom may read all of one database, and has four grants on single tables of others.

    ``place`` is where in a database all of this is, such as its schema.
    """
    users = (
        DesiredUser(f"user_{number:04}", f"testing-{number}", grants=tuple(_grants(number, databases, place)))
        for number in range(count)
    )
    return DesiredState(tuple(users))


def _grants(user: int, databases: Sequence[str], place: Mapping[str, str]) -> Iterator[Grant]:
    yield Grant.model_validate({"preset": "readonly", "database": databases[user % len(databases)], **place})
    for number in range(1, _GRANTS):
        yield Grant.model_validate(
            {
                "privileges": ["SELECT", "INSERT", "UPDATE", "DELETE"][:number],
                "database": databases[(user + number) % len(databases)],
                "table": f"table_{user % TABLES:02}",
                **place,
            }
        )


def options(description: str | None, *, repeat: int) -> argparse.Namespace:
    """Return what the command line says: users, databases, repeat."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--users", type=int, default=1_000, metavar="N")
    parser.add_argument("--databases", type=int, default=20, metavar="N")
    parser.add_argument("--repeat", type=int, default=repeat, metavar="TIMES")
    return parser.parse_args()


@contextmanager
def fresh_copy(servers: DataPlane) -> Iterator[Endpoint]:
    """Run a copy of the volume ``origin``, called ``copy``."""
    servers.clone("origin", "copy")
    try:
        yield Endpoint("127.0.0.1", servers.start("copy", None))
    finally:
        servers.drop("copy")


def counted(
    servers: DataPlane, way: Callable[[Endpoint], Any], counting: type[Counting], *, is_made: bool
) -> tuple[int, int, int]:
    """Return statements, round trips and connections of a run of its own, behind a relay.

    ``is_made``: of a second run, for which the first has left nothing to do.
    """
    with fresh_copy(servers) as endpoint:
        if is_made:
            way(endpoint)
        counting.statements = 0
        with Relay(endpoint.port) as relay:
            way(Endpoint("127.0.0.1", relay.port))
        return counting.statements, relay.round_trips, relay.connections


def timed(way: Callable[[Endpoint], Any], endpoint: Endpoint) -> float:
    """Return the seconds that a way takes."""
    began_s = time.perf_counter()
    way(endpoint)
    return time.perf_counter() - began_s


def report(name: str, options: Mapping[str, object], measurements: Sequence[Measurement], ours_s: float) -> None:
    """Print the table, with a verdict on ``ours_s``, and write ``name``.json into the results."""
    print(_table(measurements, ours_s))
    RESULTS.mkdir(exist_ok=True)
    content = {"machine": machine.describe(), **options, "results": [asdict(one) for one in measurements]}
    (RESULTS / f"{name}.json").write_text(f"{json.dumps(content, indent=2)}\n")


def _table(measurements: Sequence[Measurement], ours_s: float) -> str:
    lines = [f"{'':<32}{'seconds':>9}{'statements':>12}{'round trips':>13}{'connections':>13}{'ratio':>8}"]
    lines += [
        f"{one.what:<32}{one.seconds:>9.2f}{one.statements:>12}{one.round_trips:>13}{one.connections:>13}{one.ratio:>8.2f}"
        for one in measurements
    ]
    slow_s = ours_s * _SLOWER
    verdict = "fits" if slow_s < _LAMBDA_S else "does not fit, and is split over several calls"
    return "\n".join([*lines, f"{_SLOWER} times slower: {slow_s:.0f} s, which {verdict} (Lambda: {_LAMBDA_S} s)"])
