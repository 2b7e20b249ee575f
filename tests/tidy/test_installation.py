"""What is installed: the lock agrees with pyproject.toml, and names no place to get it from."""

import os
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.coverage_gate import gated_modules
from tests.tidy.repository import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _required() -> Iterator[str]:
    yield from PROJECT["build-system"]["requires"]
    yield from PROJECT["project"]["dependencies"]
    for extra in PROJECT["project"]["optional-dependencies"].values():
        yield from extra
    yield from PROJECT["dependency-groups"]["dev"]


def _locked() -> dict[str, list[str]]:
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;]+)", LOCK, re.MULTILINE):
        versions.setdefault(canonicalize_name(name), []).append(version)
    return versions


@pytest.mark.parametrize("line", sorted(set(_required())))
def test_a_requirement_is_locked_in_a_version_that_fits(line: str) -> None:
    """Changed in pyproject.toml alone, a requirement would not be installed: run make lock."""
    requirement = Requirement(line)
    if requirement.name == PROJECT["project"]["name"]:
        return
    locked = _locked().get(canonicalize_name(requirement.name), [])
    assert locked
    assert all(requirement.specifier.contains(version, prereleases=True) for version in locked)


def test_the_lock_names_no_host_and_no_index() -> None:
    """It serves behind any mirror."""
    assert "://" not in LOCK
    assert not re.search(r"^\s*(-i|-f|--index|--extra-index|--find-links)", LOCK, re.MULTILINE)


def test_the_lock_has_a_hash_for_every_package() -> None:
    """What was not tested is not installed."""
    entries = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)
    assert all("--hash=sha256:" in entry for entry in entries if entry.strip() and not entry.startswith("#"))


def test_ci_runs_what_a_developer_runs() -> None:
    """.ci/run can be started, and is make check and make test and nothing else."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.findall(r"^make (\w+)", script.read_text(), re.MULTILINE) == ["check", "test"]


def test_the_coverage_gate_knows_where_it_looks() -> None:
    """A pure module that is renamed does not leave the gate unseen."""
    assert all((ROOT / module).is_file() for module in gated_modules())
    assert len(gated_modules()) > 15
