"""How long each of the nine functions takes to import, with nothing but the bundle on the path, beside a bare handler.

The bare handler imports boto3 and makes one client, as the least that a function which calls AWS does. Prints a table
and writes benchmarks/results/cold_import.json. The README beside this file says how to read it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from aurora_restore.cloudformation.bundle import unpacked
from aurora_restore.operation import Step
from benchmarks import machine
from benchmarks.bundled import installed_bundle

RESULTS = Path(__file__).resolve().parent / "results"
TARGET = 1.6
# It alone speaks to a database.
TARGETS: Mapping[Step, float] = {Step.SETUP_DB_USERS: 2.0}
_BARE = "bare boto3 client"
_TIMED = """
import sys, time
sys.path.insert(0, {site!r})
began = time.process_time()
{code}
print(time.process_time() - began)
"""
_CLIENTS = """
import os
from aurora_restore import runtime
names = ("STACK", "STATE_TABLE", "AUDIT_TABLE", "TOPIC_ARN")
os.environ.update({f"AURORA_RESTORE_{name}": "x" for name in names} | {"AWS_DEFAULT_REGION": "us-east-1"})
runtime._world_of_this_function()
"""
_DRIVER = "from aurora_restore.database.engine import engine_for; engine_for('aurora-postgresql')"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One handler: the median processor time of its import, that of the bare one's, and how they relate."""

    handler: str
    median_ms: float
    ratio: float
    target: float | None
    # With the three clients, too, that a function makes at its first event.
    ready_ratio: float


def main() -> int:
    """Measure, print, write; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=9, metavar="TIMES")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aurora-restore-bench-") as folder:
        site = unpacked(installed_bundle(), Path(folder))
        measurements = measure(site, options.repeat)
    print(_table(measurements))
    missed = [each.handler for each in measurements if each.target is not None and each.ratio > each.target]
    print(f"missed: {', '.join(missed)}" if missed else "every target is met")
    RESULTS.mkdir(exist_ok=True)
    report = {"machine": machine.describe(), "repeat": options.repeat, "results": [asdict(one) for one in measurements]}
    (RESULTS / "cold_import.json").write_text(f"{json.dumps(report, indent=2)}\n")
    return 1 if missed else 0


def measure(site: Path, repeat: int) -> list[Measurement]:
    """Import each handler ``repeat`` times, taking turns, so that what else the machine does falls on all alike."""
    code = {_BARE: "import boto3; boto3.client('rds', region_name='us-east-1')"}
    code |= {step.function_name: _import(step) for step in Step}
    code |= {_ready(step.function_name): f"{_import(step)}\n{_CLIENTS}" for step in Step}
    times: dict[str, list[float]] = {name: [] for name in code}
    for _ in range(repeat):
        for name, program in code.items():
            times[name].append(_timed(site, program))
    medians = {name: statistics.median(found) * 1000 for name, found in times.items()}
    targets = {step.function_name: TARGETS.get(step, TARGET) for step in Step}
    return [
        Measurement(
            handler=name,
            median_ms=round(medians[name], 1),
            ratio=round(medians[name] / medians[_BARE], 2),
            target=targets.get(name),
            ready_ratio=round(medians.get(_ready(name), medians[name]) / medians[_BARE], 2),
        )
        for name in (_BARE, *targets)
    ]


def _ready(name: str) -> str:
    return f"{name} with its clients"


def _import(step: Step) -> str:
    """Return a program that imports all that a step's function ever does: the driver, too, which it imports last."""
    own = f"from aurora_restore.runtime import {step.module}_handler\nimport aurora_restore.steps.{step.module}"
    return f"{own}\n{_DRIVER}" if step is Step.SETUP_DB_USERS else own


def _timed(site: Path, code: str) -> float:
    program = _TIMED.format(site=str(site), code=code)
    # Like Lambda's: no other packages, and no bytecode, because the place of a function's code cannot be written to.
    command = [sys.executable, "-I", "-S", "-B", "-c", program]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, env={})
    return float(ended.stdout)


def _table(measurements: list[Measurement]) -> str:
    lines = [f"{'handler':<30}{'ms':>8}{'ratio':>8}{'target':>8}{'with clients':>14}"]
    for one in measurements:
        target = "" if one.target is None else f"{one.target:.1f}"
        lines.append(f"{one.handler:<30}{one.median_ms:>8.0f}{one.ratio:>8.2f}{target:>8}{one.ready_ratio:>14.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
