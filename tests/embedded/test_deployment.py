"""The shipped template in the embedded account: what is adapted for moto, and that what was deployed is what runs."""

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import pytest

from aurora_restore.embedded.account import EmbeddedAccount
from aurora_restore.embedded.adaptations import ADAPTATIONS, adapted
from aurora_restore.embedded.clock import VirtualClock
from aurora_restore.embedded.dataplane import RecordsOnly
from aurora_restore.operation import Step
from aurora_restore.runtime import Settings
from aurora_restore.workflow.definition import definition

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STACK = "aurora-restore"
TEMPLATE: dict[str, Any] = json.loads(
    files("aurora_restore.cloudformation").joinpath("template.json").read_text(encoding="utf-8")
)
EVENT = json.dumps({"operation_id": "never-begun", "execution_arn": "x"})


@pytest.fixture(scope="module")
def account() -> Iterator[EmbeddedAccount]:
    with EmbeddedAccount(RecordsOnly(), VirtualClock(NOON)) as running:
        running.deploy()
        yield running


def resources(account: EmbeddedAccount) -> dict[str, dict[str, Any]]:
    found = account.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    return {each["LogicalResourceId"]: each for each in found}


def test_only_what_is_listed_is_changed_for_moto() -> None:
    """Four properties of the whole template; each is still needed, and has its reason."""
    assert [(each.resource_type, each.property_name) for each in ADAPTATIONS] == [
        ("AWS::KMS::Key", "KeyPolicy"),
        ("AWS::SSM::Parameter", "Tags"),
        ("AWS::KMS::Key", "Tags"),
        ("AWS::StepFunctions::StateMachine", "DefinitionSubstitutions"),
    ]
    assert all(each.why for each in ADAPTATIONS)
    changed = {
        (resource["Type"], name)
        for key, resource in TEMPLATE["Resources"].items()
        for name, value in resource.get("Properties", {}).items()
        if adapted(TEMPLATE)["Resources"][key]["Properties"].get(name) != value
    }
    listed = {(each.resource_type, each.property_name) for each in ADAPTATIONS}
    assert changed == listed | {("AWS::StepFunctions::StateMachine", "DefinitionString")}


def test_the_template_itself_is_left_alone() -> None:
    """What is adapted is a copy: the same object goes to AWS."""
    before = copy.deepcopy(TEMPLATE)
    adapted(TEMPLATE)
    assert before == TEMPLATE


def test_every_resource_whose_condition_holds_is_in_the_stack(account: EmbeddedAccount) -> None:
    """Those that moto does not know by name only, so that others can refer to them."""
    unconditional = {key for key, it in TEMPLATE["Resources"].items() if "Condition" not in it}
    assert unconditional <= set(resources(account))


def test_each_function_has_its_own_handler_and_environment(account: EmbeddedAccount) -> None:
    """They lead to the tables and the topic of this stack, and to no other."""
    found = resources(account)
    settings = Settings(
        stack=STACK,
        state_table=found["StateTable"]["PhysicalResourceId"],
        audit_table=found["AuditTable"]["PhysicalResourceId"],
        topic_arn=found["Topic"]["PhysicalResourceId"],
    )
    client = account.client("lambda")
    for step in Step:
        described = client.get_function_configuration(FunctionName=f"{STACK}-{step.function_name}")
        assert described["Handler"] == f"aurora_restore.runtime.{step.module}_handler"
        assert Settings.from_environment(described["Environment"]["Variables"]) == settings


def test_the_state_machine_is_the_definition_with_this_stack_s_functions(account: EmbeddedAccount) -> None:
    """The one that ships, with its functions' ARNs filled in."""
    arn = resources(account)["StateMachine"]["PhysicalResourceId"]
    deployed = account.client("stepfunctions").describe_state_machine(stateMachineArn=arn)["definition"]
    functions = account.client("lambda").list_functions()["Functions"]
    arns = {each["FunctionName"].removeprefix(f"{STACK}-"): each["FunctionArn"] for each in functions}
    assert json.loads(deployed) == json.loads(definition(arns))


def test_a_function_runs_what_its_record_says_and_nothing_else(account: EmbeddedAccount) -> None:
    """Another handler string is another step, another environment another world: there is no second wiring."""
    client, name = account.client("lambda"), f"{STACK}-{Step.COPY_SNAPSHOT.function_name}"
    described = client.get_function_configuration(FunctionName=name)
    try:
        assert error_of(account, name) == "OperationNotFoundError"
        client.update_function_configuration(
            FunctionName=name, Environment={"Variables": {"AURORA_RESTORE_STACK": "x"}}
        )
        assert error_of(account, name) == "ConfigurationError"
        client.update_function_configuration(FunctionName=name, Handler="aurora_restore.runtime.absent_handler")
        assert error_of(account, name) == "Runtime.HandlerNotFound"
        client.update_function_configuration(FunctionName=name, Handler="aurora_restore.absent.handler")
        assert error_of(account, name) == "Runtime.ImportModuleError"
        client.update_function_configuration(FunctionName=name, Handler="os.system")
        assert error_of(account, name) == "Runtime.ImportModuleError"
    finally:
        client.update_function_configuration(
            FunctionName=name, Handler=described["Handler"], Environment=described["Environment"]
        )


def error_of(account: EmbeddedAccount, function: str) -> str:
    answer = account.client("lambda").invoke(FunctionName=function, Payload=EVENT)
    return str(json.load(answer["Payload"])["errorType"])


def test_a_stop_reaches_the_function_that_the_template_s_rule_names(account: EmbeddedAccount) -> None:
    """And without the rule it reaches nobody."""
    heard: list[str] = []
    account.functions.before.append(lambda function, _: heard.append(function))
    machine = resources(account)["StateMachine"]["PhysicalResourceId"]
    detail = {
        "executionArn": f"{machine.replace(':stateMachine:', ':execution:')}:one",
        "stateMachineArn": machine,
        "name": "one",
        "status": "ABORTED",
        "input": "{}",
    }
    try:
        account._tell_of_stop(detail)
        assert set(heard) == {f"{STACK}-{Step.SNS_NOTIFICATION.function_name}"}
        heard.clear()
        account._tell_of_stop({**detail, "status": "SUCCEEDED"})
        account._tell_of_stop({**detail, "stateMachineArn": f"{machine}-of-somebody-else"})
        assert heard == []
    finally:
        account.functions.before.pop()


def test_each_resource_tells_what_became_of_it(account: EmbeddedAccount) -> None:
    """As in AWS: deploy shows them while they come."""
    events = account.client("cloudformation").describe_stack_events(StackName=STACK)["StackEvents"]
    told = {(each["LogicalResourceId"], each["ResourceStatus"]) for each in events}
    assert {("StateTable", "CREATE_COMPLETE"), ("StateMachine", "CREATE_COMPLETE")} <= told


def test_what_cannot_be_made_fails_the_stack_and_takes_back_the_rest(account: EmbeddedAccount) -> None:
    """The call that executes is answered; the reason is the resource's event, the end the stack's status."""
    client = account.client("cloudformation")
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Code": {"ZipFile": "x"},
            "Handler": "handler.handler",
            "Role": "arn:aws:iam::123456789012:role/absent",
            "Runtime": "python3.13",
        },
    }
    template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}, "Broken": function}}
    made = client.create_change_set(
        StackName="broken", ChangeSetName="one", ChangeSetType="CREATE", TemplateBody=json.dumps(template)
    )
    client.execute_change_set(ChangeSetName=made["Id"])
    assert client.describe_stacks(StackName="broken")["Stacks"][0]["StackStatus"] == "ROLLBACK_COMPLETE"
    events = client.describe_stack_events(StackName="broken")["StackEvents"]
    [failure] = [each for each in events if each["ResourceStatus"] == "CREATE_FAILED"]
    assert failure["LogicalResourceId"] == "Broken"
    assert "cannot be assumed by Lambda" in failure["ResourceStatusReason"]
    queues = account.client("sqs").list_queues().get("QueueUrls", [])
    assert [url for url in queues if "broken" in url] == []
    # Who deletes it, or deploys again, asks first what it was to become.
    assert client.get_template_summary(StackName="broken")["ResourceTypes"] == ["AWS::SQS::Queue", function["Type"]]


def test_an_update_loses_nothing_of_what_the_pipeline_recorded(account: EmbeddedAccount) -> None:
    """Tables, topic and key stay the same ones, with what is in them."""
    client, before = account.client("cloudformation"), resources(account)
    table = before["StateTable"]["PhysicalResourceId"]
    account.client("dynamodb").put_item(TableName=table, Item={"id": {"S": "one"}})
    changed = copy.deepcopy(TEMPLATE)
    for name in ("StateTable", "Topic", "Key"):
        changed["Resources"][name]["Properties"]["Tags"] = [{"Key": "team", "Value": "data"}]
    kept = [{"ParameterKey": key, "UsePreviousValue": True} for key in TEMPLATE["Parameters"]]
    made = client.create_change_set(
        StackName=STACK, ChangeSetName="tags", ChangeSetType="UPDATE", TemplateBody=json.dumps(changed), Parameters=kept
    )
    client.execute_change_set(ChangeSetName=made["Id"])
    assert client.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"] == "UPDATE_COMPLETE"
    after = resources(account)
    for name in ("StateTable", "Topic", "Key"):
        assert after[name]["PhysicalResourceId"] == before[name]["PhysicalResourceId"]
    assert "Item" in account.client("dynamodb").get_item(TableName=table, Key={"id": {"S": "one"}})
