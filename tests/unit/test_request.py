"""The request: what is accepted, what is refused, and how well the refusal helps."""

import json
import string
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore.database_request import GrantPreset, Logins
from aurora_restore.errors import Problem, RequestError
from aurora_restore.request import Protection, RestoreRequest, json_schema

MINIMAL: Mapping[str, Any] = {
    "name": "nightly",
    "source": {"cluster": "orders-prod", "region": "us-east-1"},
    "target": {"cluster": "orders-staging", "region": "us-west-2"},
}
FULL = """
name: nightly
source: {cluster: orders-prod, region: us-east-1, snapshot: latest-automated, max_age_hours: 26}
target:
  cluster: orders-staging
  region: us-west-2
  kms_key: alias/orders
  engine_version: "16.4"
  parameter_group: staging
  subnet_group: private
  security_groups: [sg-0a1b]
  instances:
    - {class: db.r6g.large, promotion_tier: 0, parameter_group: staging, availability_zone: us-west-2a}
    - {class: db.serverless}
  serverless: {min_acu: 0.5, max_acu: 16}
  tags: {team: shop}
  port: 5432
  log_exports: [postgresql]
  iam_authentication: true
  backup_retention_days: 3
  backup_window: 03:00-04:00
  maintenance_window: sun:05:00-sun:06:00
  storage_type: aurora-iopt1
  deletion_protection: false
replace: {allow: true, confirm: orders-staging, final_snapshot: false, protection: lift}
users:
  - {name: app, secret: orders/app, grants: readwrite}
  - {name: reports, secret: orders/reports, grants: [readonly, {privileges: [SELECT], schema: public, table: orders}]}
  - {name: oncall, iam: true, grants: [{preset: owner, database: orders}]}
logins: keep
archive: {keep: 3, keep_days: 30}
timeouts: {copy_minutes: 90}
tags: {made-by: nightly}
"""
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def changed(section: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return the minimal request with changes in a section, or at its top."""
    document = json.loads(json.dumps(MINIMAL))
    (document if section is None else document.setdefault(section, {})).update(changes)
    return dict(document)


def problems(document: object) -> dict[str, Problem]:
    with pytest.raises(RequestError) as refused:
        RestoreRequest.parse(document)
    return {problem.path: problem for problem in refused.value.problems}


def test_a_request_in_yaml_says_everything_it_can_say() -> None:
    """Every field of the issue can be written, in YAML, and is read as it is meant."""
    request = RestoreRequest.parse(yaml.safe_load(FULL))
    assert request.source.max_age_hours == 26
    assert request.target.serverless is not None
    assert (request.target.serverless.min_acu, request.target.serverless.max_acu) == (0.5, 16)
    assert request.replace.protection is Protection.LIFT
    assert request.logins is Logins.KEEP
    assert request.users[0].grants[0].preset is GrantPreset.READWRITE
    assert request.users[1].grants[1].schema_name == "public"
    assert request.users[2].iam


def test_a_minimal_request_allows_nothing_destructive() -> None:
    """Who does not ask for a deletion in words gets none, and a final snapshot unless he declines it (I2)."""
    request = RestoreRequest.parse(MINIMAL)
    assert not request.replace.allow
    assert request.replace.confirm is None
    assert request.replace.final_snapshot
    assert request.replace.protection is Protection.RESPECT
    assert request.logins is Logins.ONLY_LISTED
    assert request.source.snapshot == "latest"


@pytest.mark.parametrize("text", [FULL, json.dumps(MINIMAL)])
def test_a_request_survives_its_own_document(text: str) -> None:
    """What ``document`` writes is read back as the same request: state, execution input and file agree."""
    request = RestoreRequest.parse(yaml.safe_load(text))
    assert RestoreRequest.parse(json.loads(json.dumps(request.document()))) == request


@pytest.mark.parametrize(
    ("document", "path", "expected"),
    [
        (changed(name="Nightly"), "name", "1 to 40 lower-case letters, digits and hyphens, starting with a letter"),
        (changed("source", region="useast1"), "source.region", "a region, such as us-east-1"),
        (changed("target", security_groups=["x"]), "target.security_groups[0]", "a security group's id, such as sg-"),
        (changed("target", backup_window="2-3"), "target.backup_window", "hh:mm-hh:mm in UTC, such as 02:00-02:30"),
        (changed("target", maintenance_window="sun"), "target.maintenance_window", "ddd:hh:mm-ddd:hh:mm in UTC, such"),
        (changed("target", instances=[]), "target.instances", "1 at least"),
        (changed("target", tags={"int": 1}), "target.tags.int", "text, in quotes"),
        (changed(users=[{"name": "", "iam": True}]), "users[0].name", "text that is not empty"),
        (changed(users=[{"name": "u", "secret": "a b"}]), "users[0].secret", "a secret's name: 1 to 512 letters"),
        (changed(users=[{"name": "u", "iam": True, "roles": ["rds_iam"]}]), "users[0].roles[0]", "iam: true in its"),
        (changed(users=[{"name": "u", "iam": True, "roles": ["u"]}]), "users[0]", "roles other than the user itself"),
        (
            changed(users=[{"name": "u", "secret": "s", "valid_until": "2027-01-31"}]),
            "users[0].valid_until",
            "a time with its offset from UTC, such as 2027-01-31T00:00:00Z",
        ),
        (
            changed(users=[{"name": "u", "secret": "s", "settings": {"Work_Mem": 1}}]),
            "users[0].settings.Work_Mem",
            "a setting's name in lower case, such as statement_timeout",
        ),
        (
            changed(users=[{"name": "u", "secret": "s", "settings": {"search_path": ["a"]}}]),
            "users[0].settings.search_path",
            "text, a number, or true or false",
        ),
    ],
)
def test_what_is_expected_is_said_in_words_and_once(document: dict[str, Any], path: str, expected: str) -> None:
    """Nobody reads a regular expression at three in the morning, nor four lines about one mistake."""
    found = problems(document)
    assert list(found) == [path]
    assert found[path].expected.startswith(expected)


def test_six_different_mistakes_are_all_reported_at_once() -> None:
    """Nobody mends a request one mistake at a time."""
    document = {
        "name": "Nightly Restore",
        "source": {"cluster": "orders-prod", "regoin": "us-east-1"},
        "target": {"cluster": "orders--staging", "region": "us-west-2", "deletion_protection": "false", "port": "5432"},
        "replace": {"allow": True},
    }
    found = problems(document)
    assert set(found) == {
        "name",
        "source.region",
        "source.regoin",
        "target.cluster",
        "target.deletion_protection",
        "target.port",
        "replace.confirm",
    }
    with pytest.raises(RequestError, match=r"^nightly\.yaml has 7 mistakes:\n  - ") as refused:
        RestoreRequest.parse(document, origin="nightly.yaml")
    assert str(refused.value).count("\n  - ") == 7


@pytest.mark.parametrize(
    ("document", "path", "nearest"),
    [
        (changed("source", regoin="x"), "source.regoin", "region"),
        (changed("target", kms_kei="x"), "target.kms_kei", "kms_key"),
        (changed("replace", alow=True), "replace.alow", "allow"),
        (changed(sources={}), "sources", "source"),
        (changed("target", instances=[{"clas": "db.r6g.large"}]), "target.instances[0].clas", "class"),
        (
            changed(users=[{"name": "a", "secret": "a", "grants": [{"shema": "public", "preset": "owner"}]}]),
            "users[0].grants[0].shema",
            "schema",
        ),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_known_one(
    document: dict[str, Any], path: str, nearest: str
) -> None:
    """A misspelt field is never ignored: a request that means protection must not silently go without."""
    problem = problems(document)[path]
    assert problem.found == f'an unknown field (did you mean "{nearest}"?)'
    assert nearest in problem.expected


def test_a_field_unlike_any_other_gets_no_suggestion() -> None:
    """A wrong suggestion is worse than none; the known fields are listed instead."""
    problem = problems(changed("archive", zzz=1))["archive.zzz"]
    assert problem.found == "an unknown field"
    assert problem.expected == "one of keep, keep_days"


@pytest.mark.parametrize("word", ["false", "no", "true", "on", 0, 1, "0"])
@pytest.mark.parametrize(
    ("section", "field"),
    [
        ("target", "deletion_protection"),
        ("target", "iam_authentication"),
        ("replace", "allow"),
        ("replace", "final_snapshot"),
    ],
)
def test_mistake_8_a_boolean_is_never_read_from_text_or_number(section: str, field: str, word: object) -> None:
    """A quoted "false" is true in most languages: protection and IAM auth would silently be the opposite."""
    assert problems(changed(section, **{field: word}))[f"{section}.{field}"].expected == "true or false, without quotes"


@pytest.mark.parametrize("value", ["24", True, float("inf"), float("nan"), -1, 0, []])
def test_an_age_is_a_number_of_hours_above_none(value: object) -> None:
    """Infinity would be stored nowhere; text and truth are no numbers."""
    assert set(problems(changed("source", max_age_hours=value))) == {"source.max_age_hours"}


def test_the_source_is_not_a_target() -> None:
    """I1: a request that names the source as its target is refused before anything is looked at."""
    document = changed(target=MINIMAL["source"])
    assert "the source is never changed (I1)" in problems(document)["target.cluster"].expected


def test_the_source_s_name_in_another_region_is_another_cluster() -> None:
    """A copy of production under its own name in the recovery region is what drills restore."""
    RestoreRequest.parse(changed("target", cluster="orders-prod"))


def test_a_deletion_has_to_be_confirmed_by_the_target_s_name() -> None:
    """I2: the name is typed again; a wrong one or none is refused, and the message says which is wanted."""
    assert problems(changed(replace={"allow": True}))["replace.confirm"].found == "nothing"
    wrong = problems(changed(replace={"allow": True, "confirm": "orders-prod"}))["replace.confirm"]
    assert wrong.found == "'orders-prod'"
    assert wrong.expected == "the target's name typed again, 'orders-staging'"


def test_a_check_is_made_by_a_listed_user() -> None:
    """A name that is not in users, and users that are none, are found at the desk and not after the restore."""
    check = {"table": "public.orders"}
    found = problems({**MINIMAL, "verify": [check]})
    assert found["verify[0]"].found == "no user who could ask"
    users = [{"name": "app", "secret": "s"}]
    found = problems({**MINIMAL, "users": users, "verify": [check, {**check, "user": "ap"}]})
    assert set(found) == {"verify[1].user"}


def test_who_asks_is_the_first_with_a_password() -> None:
    """Unless the check names one: a token is no good where nobody has switched IAM authentication on."""
    users = [{"name": "job", "iam": True}, {"name": "app", "secret": "s"}]
    checks = [{"table": "a"}, {"table": "a", "user": "job"}]
    request = RestoreRequest.parse({**MINIMAL, "users": users, "verify": checks})
    assert [request.asking_user(check).name for check in request.verify] == ["app", "job"]
    only = RestoreRequest.parse({**MINIMAL, "users": users[:1], "verify": checks[:1]})
    assert only.asking_user(only.verify[0]).name == "job"


def test_a_request_that_could_not_travel_is_refused() -> None:
    """It becomes an execution's input and a part of one item of the State table, defaults included."""
    script = {"file": "a.sql", "text": "x" * 60_000}
    assert RestoreRequest.parse({**MINIMAL, "sql": [script] * 3})
    found = problems({**MINIMAL, "sql": [script] * 4})
    assert "bytes as JSON, the texts of SQL files included" in found["(the document)"].found


def test_no_user_and_no_secret_stands_twice() -> None:
    """Two users of one name cannot both be made; two of one secret would get each other's password."""
    users = [{"name": "a", "secret": "s"}, "nonsense", {"name": "a", "secret": "t"}, {"name": "b", "secret": "s"}]
    found = problems(changed(users=users))
    assert found["users[2].name"].found == "'a' a second time"
    assert found["users[3].secret"].found == "'s' a second time"
    assert "users[1]" in found


def test_who_owns_what_does_not_depend_on_an_order() -> None:
    """Run twice, the end is the same: nobody both gives and takes, and nobody gives the same things to two."""
    transfers: list[Any] = [
        {"from": "app", "to": "a"},
        {"from": "a", "to": "b", "database": "shop"},
        {"from": "app", "to": "c", "database": "shop"},
        {"from": "x", "to": "y", "database": "shop"},
        {"from": "x", "to": "y", "database": "market"},
        {"from": ["x"], "to": {}},
    ]
    found = problems({**MINIMAL, "ownership": transfers})
    assert found["ownership[0].to"].found == "'a', from whom things are taken"
    assert found["ownership[2].from"].expected == "each role once in a database"
    assert {path.partition("]")[0] for path in found} == {"ownership[0", "ownership[2", "ownership[5"}


@pytest.mark.parametrize(
    ("user", "path"),
    [
        ({"name": "a"}, "users[0]"),
        ({"name": "a", "secret": "s", "iam": True}, "users[0]"),
        ({"name": "rdsadmin", "secret": "s"}, "users[0].name"),
        ({"name": "pg_monitor", "secret": "s"}, "users[0].name"),
        ({"name": "ü" * 32, "secret": "s"}, "users[0].name"),
        ({"name": "", "secret": "s"}, "users[0].name"),
        ({"name": "a", "secret": "s p a c e"}, "users[0].secret"),
        ({"name": "a", "secret": "s", "password": "hunter2"}, "users[0].password"),
        ({"name": "a", "secret": "s", "grants": [{"preset": "owner", "privileges": ["SELECT"]}]}, "users[0].grants[0]"),
        ({"name": "a", "secret": "s", "grants": [{"privileges": ["SELECT"], "table": "t"}]}, "users[0].grants[0]"),
        ({"name": "a", "secret": "s", "grants": [{"preset": "owner", "table": "t"}]}, "users[0].grants[0]"),
        ({"name": "a", "secret": "s", "grants": ["root"]}, "users[0].grants[0].preset"),
        ({"name": "a", "secret": "s", "grants": [{"privileges": ["DROP"]}]}, "users[0].grants[0].privileges[0]"),
        ({"name": "a", "secret": "s", "grants": [{}]}, "users[0].grants[0]"),
        ({"name": "a", "secret": "s", "grants": 7}, "users[0].grants"),
        ({"name": "a", "iam": True, "password": "keep"}, "users[0]"),
        ({"name": "a", "iam": True, "valid_until": "2099-01-01T00:00:00Z"}, "users[0]"),
        ({"name": "a\0b", "secret": "s"}, "users[0].name"),
        ({"name": "a", "secret": "s", "roles": ["b\0"]}, "users[0].roles[0]"),
        ({"name": "a", "secret": "s", "settings": {"work_mem": "4\0"}}, "users[0].settings.work_mem"),
    ],
)
def test_a_user_that_cannot_be_is_refused(user: dict[str, Any], path: str) -> None:
    """One way in, a name that is free, and grants that say one thing."""
    assert path in problems(changed(users=[user]))


def test_a_nul_in_sql_is_refused() -> None:
    """Drivers end a statement there: an UPDATE would go without its WHERE."""
    users = [{"name": "a", "secret": "s"}]
    asked: dict[str, Any] = {
        "sql": [{"file": "mask.sql", "text": "UPDATE a SET b = 1\0 WHERE c"}],
        "verify": [{"query": "SELECT 1\0", "returns": 1}, {"table": "a\0"}],
    }
    assert set(problems(changed(users=users, **asked))) == {"sql[0].text", "verify[0].query", "verify[1].table"}


def test_a_number_of_rows_goes_with_a_table() -> None:
    """Beside a query it would be taken, and do nothing."""
    check = {"query": "SELECT 1", "returns": 1, "rows_at_least": 5}
    assert set(problems(changed(users=[{"name": "a", "secret": "s"}], verify=[check]))) == {"verify[0]"}


def test_mistake_7_a_password_in_the_request_is_refused_and_not_shown() -> None:
    """An execution's input is readable by everybody who may list executions: no password is taken there (I6)."""
    with pytest.raises(RequestError) as refused:
        RestoreRequest.parse(changed(users=[{"name": "a", "secret": "s", "password": "hunter2"}]))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("source", "cluster", "1st"),
        ("source", "cluster", "a-"),
        ("source", "cluster", "a--b"),
        ("source", "cluster", "A"),
        ("source", "cluster", "a" * 64),
        ("source", "region", "Virginia"),
        ("source", "snapshot", "yesterday's"),
        ("target", "instances", []),
        ("target", "security_groups", []),
        ("target", "security_groups", ["default"]),
        ("target", "port", 80),
        ("target", "log_exports", ["everything"]),
        ("target", "backup_window", "3:00-4:00"),
        ("target", "maintenance_window", "sunday"),
        ("target", "backup_retention_days", 36),
        ("target", "tags", {"aws:x": "1"}),
        ("target", "tags", {"aurora-restore:operation": "1"}),
        ("archive", "keep", 0),
        ("timeouts", "copy_minutes", 0),
    ],
)
def test_what_aws_would_refuse_late_is_refused_here(section: str, field: str, value: object) -> None:
    """The rules of RDS's model stand in the request already."""
    assert any(path.startswith(f"{section}.{field}") for path in problems(changed(section, **{field: value})))


def test_a_serverless_range_is_in_order_and_in_steps() -> None:
    """Aurora capacity comes in halves, the lower bound below the upper."""
    assert problems(changed("target", serverless={"min_acu": 4, "max_acu": 2}))["target.serverless"]
    assert problems(changed("target", serverless={"min_acu": 0.3, "max_acu": "2"})).keys() == {
        "target.serverless.min_acu",
        "target.serverless.max_acu",
    }


@pytest.mark.parametrize(
    ("document", "path", "found"),
    [
        (None, "(the document)", "nothing"),
        ([1, 2], "(the document)", "a list of 2"),
        ("name: x", "(the document)", "'name: x'"),
        (changed(source=None), "source", "nothing"),
        (changed(source={}), "source.cluster", "nothing"),
        (changed(target=[]), "target", "a list of 0"),
        (changed(users={"name": "app"}), "users", "a mapping"),
        (changed(users={}), "users", "an empty mapping"),
        (changed("target", cluster=20260301), "target.cluster", "20260301"),
        (changed("target", tags={"year": 2026}), "target.tags.year", "2026"),
        (changed(logins="x" * 100), "logins", "'" + "x" * 76 + "..."),
        (changed(yes=True), "yes", "an unknown field"),
    ],
)
def test_whatever_yaml_reads_is_refused_with_what_was_found(document: object, path: str, found: str) -> None:
    """YAML turns words into numbers, nulls and truths; each is told by its place and as it was read."""
    assert problems(document)[path].found.startswith(found)


def test_a_key_that_is_no_text_is_refused() -> None:
    """YAML reads ``on:`` as true and ``2026:`` as a number."""
    with pytest.raises(RequestError, match="a field's name as text"):
        RestoreRequest.parse(dict(MINIMAL) | {True: "x"})
    with pytest.raises(RequestError, match="tags"):
        RestoreRequest.parse(changed("target", tags={"x": "y"}) | {"tags": {2026: "x"}})


def test_the_program_s_own_names_of_fields_are_not_the_user_s() -> None:
    """``schema_name`` and ``instance_class`` are how the code calls schema and class: no second way to write them."""
    assert "target.instances[0].instance_class" in problems(
        changed("target", instances=[{"instance_class": "db.r6g.large"}])
    )


def test_copies_have_six_hours_in_a_region_and_a_day_across() -> None:
    """The defaults of the limit on a copy; the request's own wins."""
    timeouts = RestoreRequest.parse(MINIMAL).timeouts
    assert timeouts.copy_limit_minutes(crosses_regions=False) == 360
    assert timeouts.copy_limit_minutes(crosses_regions=True) == 1440
    own = RestoreRequest.parse(changed(timeouts={"copy_minutes": 7})).timeouts
    assert own.copy_limit_minutes(crosses_regions=True) == 7


def test_the_json_schema_is_valid_and_refuses_unknown_fields() -> None:
    """Editors complete and check a request by it, misspelt fields included."""
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for section in ("source", "target", "replace", "archive"):
        with pytest.raises(jsonschema.ValidationError, match="Additional properties"):
            jsonschema.validate(changed(section, unknown=1), schema)


@pytest.mark.parametrize(
    "grants", ["readonly", ["readonly"], [{"preset": "owner"}], ["owner", {"privileges": ["SELECT"]}]]
)
def test_the_json_schema_takes_every_way_to_write_grants(grants: object) -> None:
    """What ``parse`` takes in short form, an editor must not mark as wrong."""
    document = changed(users=[{"name": "a", "secret": "s", "grants": grants}])
    RestoreRequest.parse(document)
    jsonschema.validate(document, json_schema())


names = st.from_regex(r"[a-z](-?[a-z0-9]){0,20}", fullmatch=True)
texts = st.text(string.printable, max_size=20)
documents = st.fixed_dictionaries(
    {
        "name": names,
        "source": st.fixed_dictionaries(
            {"cluster": names.map(lambda name: f"s{name}"), "region": st.sampled_from(["us-east-1", "eu-central-1"])},
            optional={
                "snapshot": st.sampled_from(["latest", "new", "latest-manual", "kept", "rds:orders-2026-01-01-00-00"]),
                "max_age_hours": st.integers(1, 999) | st.floats(0.5, 99),
            },
        ),
        "target": st.fixed_dictionaries(
            {"cluster": names.map(lambda name: f"t{name}"), "region": st.just("us-west-2")},
            optional={
                "tags": st.dictionaries(st.from_regex(r"[b-z][a-z]{0,9}", fullmatch=True), texts, max_size=3),
                "port": st.integers(1150, 65535),
                "serverless": st.just({"min_acu": 1, "max_acu": 2.5}),
                "instances": st.lists(st.just({"class": "db.serverless"}), min_size=1, max_size=3),
                "deletion_protection": st.booleans(),
            },
        ),
    },
    optional={
        "logins": st.sampled_from(["keep", "only-listed"]),
        "archive": st.fixed_dictionaries({}, optional={"keep": st.integers(1, 90), "keep_days": st.integers(1, 999)}),
    },
)


@given(documents)
def test_what_parse_accepts_the_schema_accepts_and_the_document_keeps(document: dict[str, Any]) -> None:
    """For any request: schema and parser agree, and nothing is lost between them."""
    request = RestoreRequest.parse(document)
    assert not [*VALIDATOR.iter_errors(document), *VALIDATOR.iter_errors(request.document())]
    assert RestoreRequest.parse(request.document()) == request


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | texts,
        lambda x: st.lists(x, max_size=3) | st.dictionaries(texts | st.sampled_from(list(MINIMAL)), x, max_size=4),
        max_leaves=12,
    )
)
def test_nothing_that_yaml_can_read_breaks_the_parser(document: object) -> None:
    """Any document is a request or a RequestError: never another exception."""
    with suppress(RequestError):
        RestoreRequest.parse(document)
