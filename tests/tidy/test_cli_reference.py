"""The command line explains itself: every command has help, and stands in docs/reference/cli.md with every option."""

import re

import pytest

from aurora_restore.cli.exits import ExitCode
from aurora_restore.cli.main import COMMANDS, Command, load
from tests.tidy.repository import PACKAGE, ROOT, table_rows

PAGE = ROOT / "docs" / "reference" / "cli.md"
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
each_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


@each_command
def test_every_command_and_every_option_has_help(command: Command) -> None:
    """Nobody needs this page to find out what an option does."""
    loaded = load(command)
    assert loaded.help
    assert [parameter.name for parameter in loaded.params if not getattr(parameter, "help", None)] == []


@each_command
def test_every_command_is_in_the_reference_with_an_example(command: Command) -> None:
    """With its own section, and a line to copy."""
    assert f"$ aurora-restore {command.name}" in SECTIONS[command.name]


@each_command
def test_every_option_is_in_its_command_s_section_and_no_other_is(command: Command) -> None:
    """The reference and the program agree in both directions."""
    options = {
        name
        for parameter in load(command).params
        if parameter.param_type_name == "option"
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    }
    described = set(re.findall(r"--[a-z][a-z-]+", SECTIONS[command.name])) - {"--help"}
    assert described == options - {"--help"}


def test_the_reference_has_no_command_that_does_not_exist() -> None:
    """What is a section of one lower-case word is a command."""
    assert {name for name in SECTIONS if name.islower()} == {command.name for command in COMMANDS}


def test_every_exit_code_is_described() -> None:
    """And 141, which is a pipe's, not ours."""
    described = {row[0].strip("`") for row in table_rows(PAGE)[:6]}
    assert described == {str(code.value) for code in ExitCode} | {"141"}


def test_every_module_of_a_command_is_registered() -> None:
    """A command that main does not know is lost."""
    assert {command.module for command in COMMANDS} <= {path.stem for path in (PACKAGE / "cli").glob("*.py")}
