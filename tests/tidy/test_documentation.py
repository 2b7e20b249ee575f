"""The documentation leads somewhere: links, commands and make targets exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurora_restore.cli.main import COMMANDS, PROGRAM, load
from tests.tidy.repository import ROOT, blocks, pages, shown

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_every_link_resolves(page: Path) -> None:
    """To a file of the repository and, where it names one, to a heading in it."""
    for link in LINK.findall(page.read_text()):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


def _anchors(page: Path) -> set[str]:
    words = (re.sub(r"[^\w\- ]", "", heading.lower()).strip() for heading in HEADING.findall(page.read_text()))
    return {heading.replace(" ", "-") for heading in words}


def test_every_page_is_in_the_index() -> None:
    """docs/README.md leads to every page below docs/."""
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in LINK.findall(index.read_text())}
    assert {page for page in pages() if index.parent in page.parents} - linked - {index} == set()


def test_the_index_shows_the_titles_of_the_decisions() -> None:
    """Each decision's number and name in the index are those of its page."""
    index = (ROOT / "docs" / "README.md").read_text()
    for page in sorted((ROOT / "docs" / "decisions").glob("*.md")):
        number = page.name[:4]
        assert page.read_text().startswith(f"# {number} "), shown(page)
        assert f"[{number} " in index, shown(page)


def test_every_make_target_that_a_page_names_exists() -> None:
    """`make demo` and the others work as they are written."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name
        for page in pages()
        for words in re.findall(r"`make ([a-z][a-z ]*)", page.read_text())
        + re.findall(r"^(?:\$ )?make ([a-z][a-z ]*)", page.read_text(), re.MULTILINE)
        for name in words.split()
    }
    assert {"demo", "test"} <= named
    assert named <= targets


def _command_lines() -> Iterator[tuple[str, str]]:
    """Yield each command line with our program in it, from blocks of shell and from inline code, and its page."""
    for page in pages():
        lines = [line for block in blocks(page, "console", "bash", "sh") for line in _joined(block)]
        inline = re.findall(r"`((?:\.venv/bin/)?aurora-restore [^`]+)`", page.read_text())
        for line in [*lines, *inline]:
            for part in re.split(r"\s(?:\||&&|>|;|#)\s", line):
                words = re.sub(r"^\$ ", "", part.strip()).removeprefix(".venv/bin/")
                if words.startswith(f"{PROGRAM} "):
                    yield shown(page), words


def _joined(block: str) -> list[str]:
    return block.replace("\\\n", " ").splitlines()


@pytest.mark.parametrize(("page", "line"), sorted(set(_command_lines())))
def test_every_command_line_of_ours_is_one(page: str, line: str) -> None:
    """The command exists, and so does each of its options, with a value where it takes one."""
    assert page
    _, name, *words = shlex.split(line, comments=True)
    if name.isupper():  # stands for any command
        return
    if name.startswith("-"):
        assert name in {"--help", "--version", "-h"}
        return
    command = load(next(one for one in COMMANDS if one.name == name))
    options = {word: option for option in command.params for word in (*option.opts, *option.secondary_opts)}
    for word in words:
        # Written as alternatives, as in a synopsis.
        for option in re.findall(r"--?[a-z][a-z-]*", word) if word.lstrip("[").startswith("-") else []:
            assert option in options or option == "--help", line
