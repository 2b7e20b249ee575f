"""How long the embedded account's databases take to make, snapshot and restore, beside a plain copy of the same files.

Prints a table and writes benchmarks/results/embedded.json. The README beside this file says how to read it.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg

from aurora_restore.embedded.dataplane import MasterUser
from aurora_restore.embedded.postgres import PostgresServers
from benchmarks import machine

RESULTS = Path(__file__).resolve().parent / "results"
_MASTER = MasterUser("postgres", "testing")
_CP = shutil.which("cp") or "/bin/cp"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One operation at one size: its median time, that of ``cp -a`` of the same files, and how they relate."""

    operation: str
    rows: int
    size_mb: float
    median_s: float
    copy_median_s: float
    ratio: float


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[0, 200_000, 1_000_000], metavar="N")
    parser.add_argument("--repeat", type=int, default=5, metavar="TIMES")
    options = parser.parse_args()
    measurements = []
    for rows in options.rows:
        with PostgresServers(Path(tempfile.mkdtemp()), remove_on_death=True) as servers:
            measurements += _measure(servers, rows, options.repeat)
    print(_table(measurements))
    RESULTS.mkdir(exist_ok=True)
    report = {"machine": machine.describe(), "repeat": options.repeat, "results": [asdict(one) for one in measurements]}
    (RESULTS / "embedded.json").write_text(f"{json.dumps(report, indent=2)}\n")


def _measure(servers: PostgresServers, rows: int, repeat: int) -> list[Measurement]:
    servers.create("origin", _MASTER, "bench")
    _fill(servers.start("origin", None), rows)
    servers.clone("origin", "snapshot")
    size_mb = servers.size_bytes("snapshot") / 1e6
    data, copy = _data_of(servers, "snapshot"), servers.directory / "copy"
    copy_s = _median(repeat, lambda: _copy(data, copy), lambda: shutil.rmtree(copy))

    def restore() -> None:
        servers.clone("snapshot", "made")
        servers.start("made", None)

    timed: dict[str, Callable[[], None]] = {
        "create an empty cluster": lambda: servers.create("made", _MASTER, "bench"),
        "snapshot a running cluster": lambda: servers.clone("origin", "made"),
        "restore and start": restore,
    }
    if rows:
        del timed["create an empty cluster"]
    medians = {name: _median(repeat, act, lambda: servers.drop("made")) for name, act in timed.items()}
    return [
        Measurement(name, rows, round(size_mb, 1), round(took_s, 3), round(copy_s, 3), round(took_s / copy_s, 1))
        for name, took_s in medians.items()
    ]


def _fill(port: int, rows: int) -> None:
    where = f"host=127.0.0.1 port={port} user={_MASTER.name} password={_MASTER.password} dbname=bench"
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE orders AS SELECT id, md5(id::text) AS reference, now() AS placed_at, repeat('x', 60) AS note"
            " FROM generate_series(1, %s) AS id",
            [rows],
        )
        connection.execute("CHECKPOINT")


def _median(repeat: int, act: Callable[[], None], undo: Callable[[], None]) -> float:
    """Return the median time of ``act``; the first run, which fills the caches, is not counted, nor is ``undo``."""
    times = []
    for _ in range(repeat + 1):
        began_s = time.perf_counter()
        act()
        times.append(time.perf_counter() - began_s)
        undo()
    return statistics.median(times[1:])


def _copy(origin: Path, target: Path) -> None:
    subprocess.run([_CP, "-a", str(origin), str(target)], check=True)


def _data_of(servers: PostgresServers, volume: str) -> Path:
    return next(path.parent for path in servers.directory.glob(f"*/{volume}/PG_VERSION"))


def _table(measurements: Iterable[Measurement]) -> str:
    lines = [f"{'operation':<28}{'rows':>10}{'MB':>8}{'seconds':>10}{'cp -a':>8}{'ratio':>8}"]
    lines += [
        f"{one.operation:<28}{one.rows:>10}{one.size_mb:>8.1f}{one.median_s:>10.3f}{one.copy_median_s:>8.3f}{one.ratio:>8.1f}"
        for one in measurements
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
