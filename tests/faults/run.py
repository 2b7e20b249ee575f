"""Runs the whole sweep over several processes. Exits with 1 when a promise is broken, or a process was."""

import argparse
import multiprocessing
import sys
import time
from multiprocessing.queues import Queue
from multiprocessing.sharedctypes import Synchronized
from queue import Empty
from typing import NamedTuple

from tests.faults.harness import Rig
from tests.faults.scenarios import matches, play
from tests.faults.sweep import whole
from tests.faults.variations import prepare

# How soon the death of a process is noticed.
_LOOK_EVERY_S = 5


class Finding(NamedTuple):
    """What became of a scenario."""

    id: str
    replay: str
    broken: tuple[str, ...]


def main() -> int:
    """Run what the command line asks for; return the exit code."""
    options = _options()
    began_s = time.monotonic()
    context = multiprocessing.get_context("spawn")
    findings: Queue[Finding | None] = context.Queue()
    taken = context.Value("i", 0)
    workers = [
        context.Process(target=_work, args=(findings, taken, options.only, tuple(options.walk)), daemon=True)
        for _ in range(options.jobs)
    ]
    for worker in workers:
        worker.start()
    count, broken = _collect(findings, workers)
    minutes = (time.monotonic() - began_s) / 60
    _say(f"{count} scenarios, {broken} with violations, {minutes:.1f} minutes on {options.jobs} processes")
    if not count:
        _say(f"no scenario is called {options.only}")
    return 1 if broken or not count else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults ARGS=…", description=__doc__)
    parser.add_argument("--only", default="", metavar="ID", help="run the scenarios whose id has this in it")
    parser.add_argument("--walk", type=int, action="append", default=[], metavar="SEED", help="walk from this seed too")
    parser.add_argument("--jobs", type=int, default=2, help="how many processes (2)")
    return parser.parse_args()


def _work(
    findings: "Queue[Finding | None]", taken: "Synchronized[int]", only: str, more_walks: tuple[int, ...]
) -> None:
    with Rig() as rig:
        prepare(rig)
        scenarios = [each for each in whole(rig, more_walks=more_walks) if matches(each, only)]
        while True:
            with taken.get_lock():
                number = taken.value
                taken.value += 1
            if number >= len(scenarios):
                break
            scenario = scenarios[number]
            broken = tuple(str(violation) for violation in play(rig, scenario))
            findings.put(Finding(scenario.id, scenario.replay, broken))
    findings.put(None)


def _collect(findings: "Queue[Finding | None]", workers: list[multiprocessing.context.SpawnProcess]) -> tuple[int, int]:
    count = broken = ended = 0
    while ended < len(workers):
        try:
            finding = findings.get(timeout=_LOOK_EVERY_S)
        except Empty:
            if any(worker.exitcode for worker in workers):
                raise RuntimeError("a process of the sweep has died") from None
            continue
        if finding is None:
            ended += 1
            continue
        count += 1
        if finding.broken:
            broken += 1
            _say("\n  ".join([finding.id, *finding.broken, f"again: {finding.replay}"]))
        elif count % 100 == 0:
            _say(f"{count} scenarios")
    return count, broken


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
