"""The command bundle, and how a stack's progress looks on a terminal."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from aurora_restore.aws.stacks import Event
from aurora_restore.cli.stack_report import progress_for
from aurora_restore.cloudformation.bundle import Bundle, contents, pack
from aurora_restore.cloudformation.vendoring import own_sources
from tests.cli.terminal import aurora_restore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def without_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make bundles of our own sources alone: what pip adds needs a network."""

    def build(path: Path, *_: object) -> Bundle:
        return pack(contents({}, own_sources()), path)

    monkeypatch.setattr("aurora_restore.cli.bundle.build", build)


@pytest.mark.usefixtures("without_pip")
def test_template_and_code_are_written_and_their_size_is_said(tmp_path: Path) -> None:
    """Into a directory that is made; the same again gives the same hash."""
    told = aurora_restore("bundle", "--out", str(tmp_path / "made"))
    assert (told.code, told.err) == (0, "")
    assert "MB zipped" in told.out
    again = aurora_restore("bundle", "--out", str(tmp_path / "other"), "--json").document
    assert again["sha256"] in told.out
    assert Path(again["bundle"]).stat().st_size == again["zipped_bytes"]
    assert (tmp_path / "made" / "template.json").read_text() == Path(again["template"]).read_text()


def test_without_a_package_index_it_is_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 3, and where else the bundle can be made."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    answer = aurora_restore("bundle", "--out", str(tmp_path), "--json")
    assert (answer.code, answer.document["error"]["type"]) == (3, "EnvironmentUnfitError")
    assert "deploy --bundle" in answer.err


@pytest.mark.usefixtures("without_pip")
def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A file in place of the directory, before minutes of building: exit 2, and which."""
    (tmp_path / "file").touch()
    for place in ("file", "file/inside"):
        answer = aurora_restore("bundle", "--out", str(tmp_path / place))
        assert (answer.code, answer.out) == (2, "")
        assert f"{tmp_path / 'file'}" in answer.err
        assert "cannot be written" in answer.err


def event(name: str, status: str, reason: str = "") -> Event:
    return Event(f"{name}{status}", NOON, name, "AWS::DynamoDB::Table", status, reason, "")


def test_a_terminal_shows_what_is_under_way_beneath_what_has_ended() -> None:
    """A line stays for each resource that has ended, with the reason if it failed; the rest is drawn in place."""
    out = io.StringIO()
    with progress_for(Console(file=out, force_terminal=True, width=100), silent=False) as progress:
        for each in (
            event("StateTable", "CREATE_IN_PROGRESS"),
            event("AuditTable", "CREATE_IN_PROGRESS"),
            event("StateTable", "CREATE_COMPLETE"),
            event("AuditTable", "CREATE_FAILED", "Limit exceeded"),
        ):
            progress.tell(each)
    shown = out.getvalue()
    assert "under way: AuditTable, StateTable" in shown
    assert "12:00:00 CREATE_COMPLETE     StateTable" in shown
    assert "AuditTable: Limit exceeded" in shown


def test_a_pipe_gets_one_line_for_each_event() -> None:
    """Without control codes, and nothing at all where silence was asked for."""
    out = io.StringIO()
    for silent in (False, True):
        with progress_for(Console(file=out, width=40), silent=silent) as progress:
            progress.tell(event("StateTable", "CREATE_IN_PROGRESS"))
    assert out.getvalue() == "12:00:00 CREATE_IN_PROGRESS  StateTable\n"
