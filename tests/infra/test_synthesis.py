"""The CDK app: it makes the template that is shipped, and cdk-nag refuses what nobody answers for."""

import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from aurora_restore.errors import ConfigurationError
from infra import SHIPPED_TEMPLATE

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="CDK needs node, which is not here")

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def quiet_node() -> Iterator[None]:
    """As the Makefile has it: CDK unpacks itself into .venv, and says nothing of node's age."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JSII_RUNTIME_PACKAGE_CACHE_ROOT", str(REPOSITORY / ".venv" / "jsii"))
        environment.setenv("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
        yield


def test_the_shipped_template_is_what_the_app_makes() -> None:
    """Whoever changes infra/ runs make synth, and commits the template with it."""
    from infra.shipped import synthesised  # noqa: PLC0415  the import starts node

    assert SHIPPED_TEMPLATE.read_text(encoding="utf-8") == synthesised(), "run make synth"


def test_a_folder_of_requests_becomes_schedules(tmp_path: Path) -> None:
    """-c schedules=FOLDER -c stack=NAME: each request of the timetable, with the alarm on its target's age."""
    from infra.app import build  # noqa: PLC0415  the import starts node

    example = files("aurora_restore.cli").joinpath("example.yaml").read_text(encoding="utf-8")
    (tmp_path / "nightly.yaml").write_text(example, encoding="utf-8")
    (tmp_path / "schedules.yaml").write_text('nightly.yaml: "rate(1 day)"\n')
    app = build(str(tmp_path / "out"), {"schedules": str(tmp_path), "stack": "team-a"})
    resources = app.synth().get_stack_by_name("team-a").template["Resources"]
    (schedule,) = (each for each in resources.values() if each["Type"] == "AWS::Scheduler::Schedule")
    assert schedule["Properties"]["ScheduleExpression"] == "rate(1 day)"
    assert [name for name in resources if name.startswith("ScheduleNightly") and name.endswith("NoSuccessAlarm")]


def test_a_folder_without_a_timetable_is_refused(tmp_path: Path) -> None:
    """A folder given by mistake does not make a stack without schedules."""
    from infra.schedules import read_schedules  # noqa: PLC0415  the import starts node

    with pytest.raises(ConfigurationError, match=r"schedules\.yaml"):
        read_schedules(tmp_path)


def test_cdk_nag_refuses_what_nobody_answers_for(tmp_path: Path) -> None:
    """The gate is one: a topic that takes messages in clear ends the synthesis."""
    from aws_cdk import aws_sns  # noqa: PLC0415  the import starts node
    from infra.app import build  # noqa: PLC0415

    app = build(str(tmp_path))
    aws_sns.CfnTopic(app.node.find_child("Pipeline"), "Open")
    with pytest.raises(RuntimeError, match="AwsSolutions-SNS3"):
        app.synth()
