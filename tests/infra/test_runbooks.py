"""Every alarm leads to a page that says what to do, with commands that exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from infra.alarm_table import ALARMS, RUNBOOKS, THRESHOLDS

from aurora_restore.cloudformation.freshness import RUNBOOK as NO_SUCCESS
from tests.tidy.repository import ROOT, blocks, shown

FOLDER = ROOT / RUNBOOKS
INDEX = FOLDER / "README.md"
PAGES = sorted(set(FOLDER.glob("*.md")) - {INDEX})
# The aws command's own, which no service's model has; a payload's form and two that it makes out of a list.
ANYWHERE = {"--query", "--output", "--region", "--cli-binary-format"}
PLACEHOLDER_FILE = "look.json"

each_page = pytest.mark.parametrize("page", PAGES, ids=shown)


def test_every_alarm_has_its_page_and_every_page_its_alarm() -> None:
    """Whoever is woken is led on; nobody keeps a page for what never rings."""
    assert {shown(page) for page in PAGES} == {*(alarm.runbook for alarm in ALARMS), NO_SUCCESS}


@each_page
def test_a_page_says_what_it_means_how_to_see_it_and_what_to_do(page: Path) -> None:
    """In this order, under the alarm's own name, and on one screen."""
    text = page.read_text()
    title = (
        next(alarm.name for alarm in ALARMS if alarm.runbook == shown(page))
        if shown(page) != NO_SUCCESS
        else "NoSuccess"
    )
    assert text.startswith(f"# {title}\n\n**Means")
    places = [text.index(f"**{word}") for word in ("Means", "See", "Do**", "Wake somebody")]
    assert places == sorted(places)
    assert len(text.splitlines()) <= 50


def test_the_index_names_every_alarm_and_parameter() -> None:
    """In the order of the table, and what an operator may choose."""
    text = INDEX.read_text()
    named = re.findall(r"^\| \[(\w+)\]\(([\w-]+\.md)\)", text, re.MULTILINE)
    assert named == [
        *((alarm.name, Path(alarm.runbook).name) for alarm in ALARMS),
        ("NoSuccess", Path(NO_SUCCESS).name),
    ]
    for threshold in THRESHOLDS:
        assert f"`{threshold.parameter}`" in text


def test_the_index_says_how_many_metrics_the_alarms_read() -> None:
    """They cost."""
    assert f"They read {sum(len(alarm.measures) for alarm in ALARMS)} metrics" in INDEX.read_text()


def _commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        in_blocks = [line.removeprefix("$ ") for block in blocks(page, "console") for line in block.splitlines()]
        inline = re.findall(r"`(aws [^`]+)`", page.read_text())
        yield from ((shown(page), line) for line in (*in_blocks, *inline) if line.startswith("aws "))


@pytest.mark.parametrize(("page", "line"), sorted(set(_commands())))
def test_every_command_of_aws_is_one(page: str, line: str) -> None:
    """The operation is in AWS's own model, each option is one of its members, and those that it requires are there."""
    _, service, operation, *words = shlex.split(line)
    model = botocore.session.get_session().get_service_model(service)
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in operations, page
    shape: Any = model.operation_model(operations[operation]).input_shape
    members = {f"--{xform_name(member, '-')}": member for member in shape.members}
    options = {word for word in words if word.startswith("--")}
    assert options - ANYWHERE <= members.keys() | {"--payload"}
    required = {f"--{xform_name(member, '-')}" for member in shape.required_members}
    assert required <= options


def test_the_commands_are_read() -> None:
    """A test over no commands would hold for ever."""
    assert len(set(_commands())) > 15
