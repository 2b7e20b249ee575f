"""The coverage gate of ``make test``: the branches of the modules that decide, and of the steps, must be covered.

Usage: coverage_gate.py COVERAGE_JSON PERCENT. Which modules are pure is read from the import rules in pyproject.toml.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_PURE = "The pure modules import the standard library and pydantic only"


def gated_modules() -> list[str]:
    """Return the gated modules' paths, as coverage writes them."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    pure = next(rule["source_modules"] for rule in rules if rule["name"] == _PURE)
    steps = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("src/aurora_restore/steps/*.py"))
    return [f"src/{module.replace('.', '/')}.py" for module in pure] + steps


def branches(report: dict[str, Any], module: str) -> tuple[int, int]:
    """Return how many branches of a module were taken, and how many it has; a module never imported has none taken."""
    summary = report["files"][module]["summary"]
    return summary["covered_branches"], summary["num_branches"]


def main(report_file: str, percent: str) -> int:
    """Print every module with a branch that no test takes; return 1 if too few are taken in all, else 0."""
    report = json.loads(Path(report_file).read_text())
    taken, existing = 0, 0
    for module in gated_modules():
        covered, total = branches(report, module)
        taken, existing = taken + covered, existing + total
        if covered < total:
            missing = ", ".join(f"{start}->{end}" for start, end in report["files"][module]["missing_branches"])
            print(f"  {module}: {covered} of {total} branches; not taken: {missing}")  # noqa: T201
    share = 100.0 * taken / existing
    print(f"{taken} of {existing} branches covered: {share:.1f} % (at least {percent} %)")  # noqa: T201
    return int(share < float(percent))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
