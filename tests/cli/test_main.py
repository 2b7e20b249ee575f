"""The entry point: help, version, usage errors, exit codes, and that nobody is shown a traceback."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from aurora_restore import __version__, errors
from aurora_restore.cli import main
from aurora_restore.cli.exits import ExitCode, exit_code
from tests.cli.terminal import aurora_restore


def test_alone_it_prints_its_help_and_succeeds() -> None:
    """Whoever types the bare name learns what there is."""
    bare, asked = aurora_restore(), aurora_restore("--help")
    assert bare.code == asked.code == 0
    assert bare.out == asked.out
    assert all(command.name in bare.out for command in main.COMMANDS)


def test_help_loads_neither_boto3_nor_pydantic_nor_moto() -> None:
    """--help answers at once: what is heavy is imported by the command that needs it."""
    program = "import sys\nfrom aurora_restore.cli.main import _run\n_run(['--help'])\nprint(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    modules = set(ast.literal_eval(loaded.splitlines()[-1]))
    assert not modules & {"boto3", "botocore", "pydantic", "moto", "psycopg", "yaml", "rich"}


def test_no_line_of_help_is_cut_or_longer_than_80_columns() -> None:
    """Help is read on a terminal of 80 columns."""
    help_text = aurora_restore("--help").out
    assert all(command.summary in help_text for command in main.COMMANDS)
    assert max(map(len, help_text.splitlines())) <= 80


@pytest.mark.parametrize("command", main.COMMANDS, ids=lambda command: command.name)
def test_the_summary_in_the_list_is_the_first_line_of_the_docstring(command: main.Command) -> None:
    """The list of commands and a command's own help say the same."""
    documentation = inspect.getdoc(main.load(command).callback) or ""
    assert documentation.splitlines()[0] == command.summary


def test_the_version_is_the_package_s() -> None:
    """--version says what is installed."""
    answer = aurora_restore("--version")
    assert (answer.code, answer.out) == (0, f"aurora-restore {__version__}\n")


def test_a_mistyped_command_is_answered_with_the_nearest() -> None:
    """Usage errors exit with 2 and help."""
    answer = aurora_restore("validat")
    assert answer.code == ExitCode.USAGE
    assert "Did you mean 'validate'?" in answer.err
    assert answer.out == ""


def test_a_usage_error_with_json_is_a_document_too() -> None:
    """A script that asked for JSON can read every answer."""
    answer = aurora_restore("history", "--limit", "many", "--json")
    assert answer.code == ExitCode.USAGE
    assert answer.document["error"]["type"] == "UsageError"


def _classes(base: type[errors.AuroraRestoreError]) -> list[type[errors.AuroraRestoreError]]:
    return [base, *(inner for direct in base.__subclasses__() for inner in _classes(direct))]


def test_every_error_of_the_environment_exits_with_3() -> None:
    """No credentials, no region, no deployment, no network, no permission: the user's request is not to blame."""
    for kind in [*_classes(errors.ConfigurationError), *_classes(errors.TransientError)]:
        assert exit_code(kind("x")) is ExitCode.ENVIRONMENT


def test_a_wrong_request_or_id_exits_with_2_and_a_broken_audit_with_1() -> None:
    """The numbers that docs/reference/cli.md promises."""
    assert exit_code(errors.RequestError([])) is ExitCode.USAGE
    assert exit_code(errors.OperationNotFoundError("x")) is ExitCode.USAGE
    assert exit_code(errors.AuditBrokenError("x")) is ExitCode.FAILED
    assert exit_code(errors.FailedByAwsError("x")) is ExitCode.FAILED


def test_what_nobody_foresaw_is_one_sentence_without_its_content(capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback reaches the user, and what the exception holds could be a secret (I6)."""
    try:
        raise ValueError("a password")  # noqa: TRY301
    except ValueError as error:
        code = main._report_any(error, as_json=True)
    out, err = capsys.readouterr()
    assert code == ExitCode.ENVIRONMENT
    assert "ValueError at test_main.py:" in err
    assert "a password" not in out + err
    assert "Traceback" not in err


def test_a_missing_extra_is_named_with_how_to_install_it(capsys: pytest.CaptureFixture[str]) -> None:
    """demo and serve need more than the rest."""
    code = main._report_any(ModuleNotFoundError("No module named 'moto'", name="moto"), as_json=False)
    assert code == ExitCode.ENVIRONMENT
    assert "pip install '.[embedded]'" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
@pytest.mark.parametrize("arguments", [["schema"], ["validate", "-", "--json"]])
def test_a_full_disk_is_a_sentence_on_stderr(arguments: list[str]) -> None:
    """No mistake of this program's, and no traceback, though the error's own document cannot be written either."""
    program = f"from aurora_restore.cli.main import main; main({arguments})"
    request = b"{name: a, source: {cluster: a, region: us-east-1}, target: {cluster: b, region: us-east-1}}"
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-c", program], input=request, stdout=full, stderr=subprocess.PIPE, check=False
        )
    said = ended.stderr.decode()
    assert ended.returncode == ExitCode.ENVIRONMENT
    assert said.startswith("Error: No space left on device: not all could be written")
    assert len(said.splitlines()) == 1


def test_the_package_without_the_extra_says_what_its_commands_need() -> None:
    """As a function needs it: exit 3, for it is not the operation that failed."""
    lacking = (
        "class Finder:\n def find_spec(self, name, *_):\n  if name == 'typer': raise ModuleNotFoundError(name=name)"
    )
    program = f"import sys\n{lacking}\nsys.meta_path.insert(0, Finder())\nimport aurora_restore.cli.main"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == ExitCode.ENVIRONMENT
    assert ended.stderr.startswith("Error: the commands need the Python package typer")
    assert "pip install '.[cli]'" in ended.stderr


def test_ctrl_c_before_it_has_begun_is_no_traceback() -> None:
    """Whoever sees at once what they have mistyped."""
    interrupting = "class Finder:\n def find_spec(self, name, *_):\n  if name == 'typer': raise KeyboardInterrupt"
    program = f"import sys\n{interrupting}\nsys.meta_path.insert(0, Finder())\nimport aurora_restore.cli.main"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (ExitCode.INTERRUPTED, b"")


def test_without_a_stdout_a_command_does_what_it_does() -> None:
    """As cron and some supervisors start programs."""
    program = "import sys; sys.stdout = None\nfrom aurora_restore.cli.main import main; main(['schema'])"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_reader_that_goes_away_is_no_error_of_ours() -> None:
    """``aurora-restore schema | head -1`` says nothing on stderr."""
    program = "from aurora_restore.cli.main import main; main(['schema'])"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.communicate()[1] == b""
    assert process.returncode == 141
