"""init, validate and schema: a request is right or every mistake in it is said, with its line."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.cli.terminal import Answer, aurora_restore

RIGHT = "{name: a, source: {cluster: prod, region: us-east-1}, target: {cluster: staging, region: us-west-2}}"


def validate(text: str | bytes, *options: str) -> Answer:
    return aurora_restore("validate", "-", *options, stdin=text.encode() if isinstance(text, str) else text)


def test_the_example_that_init_writes_is_valid(tmp_path: Path) -> None:
    """The first thing that a user does works."""
    file = str(tmp_path / "nightly.yaml")
    assert aurora_restore("init", file).code == 0
    answer = aurora_restore("validate", file)
    assert (answer.code, answer.err) == (0, "")
    assert "orders-staging" in answer.out


def test_what_is_commented_out_in_the_example_is_valid_too(tmp_path: Path) -> None:
    """Taking off the "#" is all that it takes."""
    file = tmp_path / "nightly.yaml"
    aurora_restore("init", str(file))
    whole = []
    for line in file.read_text().splitlines():
        bare = line.lstrip()
        is_field = bare.startswith("# ") and (":" in bare.split()[1] or bare.startswith("#   ")) and "  run" not in bare
        whole.append(line.replace("# ", "", 1) if is_field and "aurora-restore" not in bare else line)
    file.write_text("\n".join(whole))
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "mask.sql").write_text("UPDATE customers SET email = NULL")
    answer = aurora_restore("validate", str(file), "--json")
    assert answer.code == 0, answer.err
    assert {"keep", "sql", "verify", "timeouts"} < set(answer.document["request"])


def test_init_does_not_overwrite_a_file_unless_it_is_told_to(tmp_path: Path) -> None:
    """A request that somebody has written is not lost."""
    file = tmp_path / "mine.yaml"
    file.write_text("mine")
    answer = aurora_restore("init", str(file))
    assert answer.code == 2
    assert "--force" in answer.err
    assert file.read_text() == "mine"
    assert aurora_restore("init", str(file), "--force").code == 0
    assert file.read_text() == aurora_restore("init", "-").out


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """init to a folder that does not exist is a sentence, and no traceback."""
    answer = aurora_restore("init", str(tmp_path / "no" / "folder.yaml"))
    assert answer.code == 2
    assert "cannot be written" in answer.err


def test_all_mistakes_are_said_at_once_with_their_lines(tmp_path: Path) -> None:
    """Six mistakes, six lines, in the order of the file."""
    file = tmp_path / "bad.yaml"
    file.write_text(
        "name: Nightly\n"
        "source: {cluster: prod, region: nowhere}\n"
        "target:\n"
        "  cluster: staging\n"
        "  engine_version: 16.4\n"
        "  subnets: private\n"
        "replace: {allow: yes, confirm: stagin}\n"
    )
    answer = aurora_restore("validate", str(file))
    assert answer.code == 2
    lines = [line.strip(" -").split(":")[0] for line in answer.err.splitlines()[1:]]
    assert lines == [
        "line 1, name",
        "line 2, source.region",
        "line 3, target.region",
        "line 5, target.engine_version",
        "line 6, target.subnets",
        "line 7, replace.allow",
        "line 7, replace.confirm",
    ]


def test_mistakes_are_a_list_in_json() -> None:
    """Editors and pipelines get path, line, what was found and what is expected."""
    answer = validate("name: x\nsource: 1\ntarget: {}\n", "--json")
    assert answer.code == 2
    problems = answer.document["error"]["problems"]
    assert {"path": "source", "line": 2, "found": "1", "expected": "a mapping"} in problems


def test_a_valid_request_in_json_has_its_defaults() -> None:
    """What will be run is shown whole."""
    document = validate(RIGHT, "--json").document
    assert document["valid"] is True
    assert document["request"]["archive"] == {"keep": 7}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: [a\nb: c\n", "line 2, column 2"),
        ("name: a\n\tb: 1", "line 2, column 1"),
        ("name: a\nsource: {}\nname: b\n", "line 3, column 1"),
        ("source:\n  cluster: a\n  cluster: b\n", "line 3, column 3"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: found the beginning of a second document"),
        ("a: !!python/object:os.system x", "line 1, column 4"),
        ("a\0b: c", "line 1, "),
    ],
)
def test_what_is_no_yaml_is_said_with_line_and_column(text: str, place: str) -> None:
    """A syntax error, a key that stands twice, a second document: one mistake, and where it is."""
    answer = validate(text)
    assert answer.code == 2
    assert "has 1 mistake" in answer.err
    assert place in answer.err


@pytest.mark.parametrize("text", ['{"name": "a",\n "name": "b"}', '{"name": "a",\n "b" 2}'])
def test_what_is_no_json_in_a_json_file_is_said(text: str, tmp_path: Path) -> None:
    """JSON is read as JSON, and a key that stands twice is refused there too."""
    file = tmp_path / "a.json"
    file.write_text(text)
    answer = aurora_restore("validate", str(file))
    assert answer.code == 2
    assert "name" in answer.err or "line 2, column 6" in answer.err


def test_json_with_tabs_is_read_from_stdin() -> None:
    """JSON from anywhere is a request, though YAML knows no tabs."""
    text = json.dumps(yaml.safe_load(RIGHT), indent="\t")
    assert validate(text).code == 0


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("name: yes-or-no", ""),
        ("name: no", ""),
        ("tags: {at: 12:30:00, on: 2026-01-01, version: 010, off: no}", ""),
        ("tags: {build: 17}", "line 3, tags.build: found 17; expected text, in quotes"),
        ("tags: {ok: true}", "line 3, tags.ok: found true; expected text, in quotes"),
        ("tags: {price: 1.50}", "line 3, tags.price: found 1.5; expected text, in quotes"),
        ("replace: {allow: on}", "line 3, replace.allow: found 'on'; expected true or false"),
        ("1: x", "found 'x'; expected a field's name as text"),
    ],
)
def test_yaml_s_traps_are_text_or_mistakes_with_their_path(field: str, found: str) -> None:
    """``no`` is no boolean, a time no number, 010 not eight; what is one unquoted is refused where text is expected."""
    name = "" if field.startswith("name") else "name: a\n"
    places = "source: {cluster: prod, region: us-east-1}\ntarget: {cluster: staging, region: us-west-2}\n"
    text = f"{places}{field}\n{name}"
    answer = validate(text)
    assert found in answer.err
    assert (answer.code == 0) == (found == ""), answer.err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "there is no file"),
        (b"name: \xff", "is not UTF-8 text: line 1"),
        (b"#" * 300_000, "more than the 262,144 bytes"),
        (b"", "expected a mapping"),
        (b"[" * 5000, "hundreds of levels"),
    ],
)
def test_a_file_that_cannot_be_a_request_is_one_sentence(content: bytes | None, sentence: str, tmp_path: Path) -> None:
    """Missing, binary, huge, empty, absurdly deep: exit 2, and why."""
    file = tmp_path / "request.yaml"
    if content is not None:
        file.write_bytes(content)
    answer = aurora_restore("validate", str(file))
    assert answer.code == 2
    assert sentence in answer.err
    assert "Traceback" not in answer.err


def test_what_has_no_end_is_not_read_to_it() -> None:
    """A device or a pipe by mistake in place of the request takes neither the memory nor the night."""
    answer = aurora_restore("validate", "/dev/zero")
    assert answer.code == 2
    assert "more than the 262,144 bytes" in answer.err


def test_a_folder_is_no_request(tmp_path: Path) -> None:
    """The system's own word for it is passed on."""
    assert "cannot be read" in aurora_restore("validate", str(tmp_path)).err


def test_a_byte_order_mark_does_no_harm() -> None:
    """Some editors write one."""
    assert validate(b"\xef\xbb\xbf" + RIGHT.encode()).code == 0


def test_an_alias_to_itself_is_no_endless_loop() -> None:
    """A document may contain itself in YAML; a request may not."""
    assert validate("&a {name: *a}").code == 2


def test_the_schema_accepts_the_example_and_refuses_an_unknown_field() -> None:
    """What an editor accepts, validate accepts."""
    schema = aurora_restore("schema").document
    example = yaml.safe_load(aurora_restore("init", "-").out)
    jsonschema.validate(example, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**example, "surce": {}}, schema)
