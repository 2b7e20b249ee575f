"""What the shipped template promises, above all where the embedded account's CloudFormation drops it."""

import json
import re
from datetime import UTC, datetime
from fnmatch import fnmatch
from typing import Any

import pytest
from infra.permissions import PERMISSIONS, SCHEDULER, STATE_MACHINE

from aurora_restore import runtime
from aurora_restore.aws.deployment import Deployment
from aurora_restore.aws.tables import Table
from aurora_restore.names import STACK_TAG, parameter_name
from aurora_restore.operation import Operation, Step
from aurora_restore.runtime import Settings
from aurora_restore.steps.sns_notification import as_call
from aurora_restore.store.lock import Lock, Locks
from aurora_restore.store.operations import BY_TARGET
from aurora_restore.workflow.definition import definition_text
from tests.infra.template import ACCOUNT, REGION, STACK, Deployed, of_type, shipped

TABLES = ("StateTable", "AuditTable")
KEPT = (*TABLES, "Topic", "TopicPolicy", "Key")
OWN_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/Key"
EXISTING_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
# CloudFormation cannot tag these.
UNTAGGED = {
    "AWS::KMS::Alias",
    "AWS::Lambda::Permission",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
}
# CloudFormation's own limits.
LARGEST_TEMPLATE_BYTES = 1_000_000
LARGEST_DESCRIPTION = 4000
# SSM's, for a parameter that costs nothing.
LARGEST_PARAMETER = 4096
# IAM's limit for all inline policies of a role, white space not counted.
LARGEST_POLICY = 10_240


@pytest.fixture(scope="module")
def deployed() -> Deployed:
    """The template as it is deployed with its defaults."""
    return Deployed()


def function(deployed: Deployed, step: Step) -> dict[str, Any]:
    return deployed.properties(step.function_name)


class TestTables:
    @pytest.mark.parametrize("table", TABLES)
    def test_are_encrypted_recoverable_and_protected(self, deployed: Deployed, table: str) -> None:
        """On demand, under the customer's key, with point-in-time recovery and deletion protection."""
        properties = deployed.properties(table)
        assert properties["BillingMode"] == "PAY_PER_REQUEST"
        assert properties["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": OWN_KEY}
        assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert properties["DeletionProtectionEnabled"] is True

    @pytest.mark.parametrize("name", KEPT)
    def test_and_what_they_need_outlive_the_stack(self, name: str) -> None:
        """History, its key and the topic stay when the stack goes, or replaces them."""
        resource = shipped()["Resources"][name]
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")

    def test_nothing_that_stays_has_a_name_that_the_next_stack_needs(self) -> None:
        """A stack of the same name can be made again: what was kept is under CloudFormation's own names."""
        kept = {name: each for name, each in shipped()["Resources"].items() if "DeletionPolicy" in each}
        assert set(kept) == set(KEPT)
        names = {"TableName", "TopicName", "AliasName"}
        assert not [name for name, each in kept.items() if names & each["Properties"].keys()]

    def test_only_locks_expire(self, deployed: Deployed) -> None:
        """The State table's TTL attribute is one that lock items have and operations have not."""
        ttl = deployed.properties("StateTable")["TimeToLiveSpecification"]
        lock = Lock("lock#us-west-2/orders", "nightly-1", "arn:execution", datetime(2026, 11, 23, tzinfo=UTC))
        item = Locks(Table(None, "state")).take(lock).item
        assert ttl["Enabled"] is True
        assert item is not None
        assert isinstance(item[ttl["AttributeName"]], int)
        assert ttl["AttributeName"] not in Operation.model_json_schema(by_alias=True)["properties"]

    def test_nothing_of_the_audit_expires(self, deployed: Deployed) -> None:
        """I5: the audit has no TTL."""
        assert "TimeToLiveSpecification" not in deployed.properties("AuditTable")

    def test_have_the_keys_that_the_store_uses(self, deployed: Deployed) -> None:
        """Operations by id and by target and time, events by operation and sequence."""
        state, audit = (deployed.properties(table) for table in TABLES)
        (index,) = state["GlobalSecondaryIndexes"]
        assert keys(state) == {"id": "HASH"}
        assert index["IndexName"] == BY_TARGET
        assert keys(index) == {"target": "HASH", "requested_at": "RANGE"}
        assert index["Projection"] == {"ProjectionType": "ALL"}
        assert keys(audit) == {"operation_id": "HASH", "sequence": "RANGE"}
        types = {each["AttributeName"]: each["AttributeType"] for each in audit["AttributeDefinitions"]}
        assert types == {"operation_id": "S", "sequence": "N"}


def keys(table: dict[str, Any]) -> dict[str, str]:
    return {each["AttributeName"]: each["KeyType"] for each in table["KeySchema"]}


class TestKey:
    def test_rotates(self, deployed: Deployed) -> None:
        """The stack's own key is rotated every year."""
        assert deployed.properties("Key")["EnableKeyRotation"] is True

    def test_serves_the_services_that_write_without_a_role_of_ours(self, deployed: Deployed) -> None:
        """Logs for this stack's groups only; alarms and events reach no more than topic and queue let them."""
        account, logs, others = deployed.properties("Key")["KeyPolicy"]["Statement"]
        assert account["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        assert logs["Principal"] == {"Service": f"logs.{REGION}.amazonaws.com"}
        patterns = logs["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
        prefix = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:"
        groups = {deployed.properties(name)["LogGroupName"] for name in of_type("AWS::Logs::LogGroup")}
        assert all(any(fnmatch(f"{prefix}{group}", pattern) for pattern in patterns) for group in groups)
        assert others["Principal"] == {"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]}
        assert others["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]

    def test_is_not_made_where_there_is_one(self) -> None:
        """ExistingKeyArn takes the place of the stack's own key everywhere."""
        made = Deployed({"ExistingKeyArn": EXISTING_KEY}).resources()
        assert not {"Key", "KeyAlias"} & made.keys()
        assert OWN_KEY not in json.dumps(made)
        assert made["StateTable"]["Properties"]["SSESpecification"]["KMSMasterKeyId"] == EXISTING_KEY


class TestFunctions:
    def test_there_is_one_a_step(self) -> None:
        """The nine, by their names, and no other."""
        assert set(of_type("AWS::Lambda::Function")) == {step.function_name for step in Step}

    @pytest.mark.parametrize("step", Step)
    def test_run_the_handler_of_their_step(self, deployed: Deployed, step: Step) -> None:
        """Python 3.13 on arm64, traced, from the bundle, by the handler that the runtime has for the step."""
        properties = function(deployed, step)
        module, _, handler = properties["Handler"].rpartition(".")
        assert (module, callable(getattr(runtime, handler))) == ("aurora_restore.runtime", True)
        assert handler == f"{step.module}_handler"
        assert (properties["Runtime"], properties["Architectures"]) == ("python3.13", ["arm64"])
        assert properties["TracingConfig"] == {"Mode": "Active"}
        assert properties["Code"] == {"S3Bucket": "bundles", "S3Key": "bundle.zip"}
        assert properties["FunctionName"] == f"{STACK}-{step.function_name}"

    @pytest.mark.parametrize("step", Step)
    def test_log_as_json_to_an_encrypted_group_of_their_own(self, deployed: Deployed, step: Step) -> None:
        """Each log group is kept for the chosen time, under the key."""
        logging = function(deployed, step)["LoggingConfig"]
        group = deployed.properties(f"{step}Logs")
        assert logging["LogFormat"] == "JSON"
        assert shipped()["Resources"][step.function_name]["Properties"]["LoggingConfig"]["LogGroup"] == {
            "Ref": f"{step}Logs"
        }
        assert group["LogGroupName"] == f"/aws/lambda/{STACK}-{step.function_name}"
        assert (group["KmsKeyId"], group["RetentionInDays"]) == (OWN_KEY, "90")

    @pytest.mark.parametrize("step", Step)
    def test_are_told_what_the_runtime_asks_for(self, deployed: Deployed, step: Step) -> None:
        """The environment variables are the ones that Settings reads."""
        settings = Settings.from_environment(function(deployed, step)["Environment"]["Variables"])
        assert settings.stack == STACK
        assert settings.state_table == f"{STACK}-StateTable"
        assert settings.audit_table == f"{STACK}-AuditTable"
        assert settings.topic_arn.startswith("arn:aws:sns:")

    @pytest.mark.parametrize("step", Step)
    def test_end_before_the_state_machine_gives_them_up(self, deployed: Deployed, step: Step) -> None:
        """A function that times out says so itself, within Lambda's 15 minutes."""
        state = json.loads(definition_text())["States"][step.value]
        assert 60 <= function(deployed, step)["Timeout"] < state["TimeoutSeconds"] <= 900

    def test_only_the_one_that_ends_operations_is_protected_from_others(self, deployed: Deployed) -> None:
        """It has reserved concurrency, or none where the account's quota is too small for any."""
        reserved = {step for step in Step if "ReservedConcurrentExecutions" in function(deployed, step)}
        assert reserved == {Step.SNS_NOTIFICATION}
        without = Deployed({"NotificationConcurrency": "0"})
        assert "ReservedConcurrentExecutions" not in function(without, Step.SNS_NOTIFICATION)

    def test_only_the_one_that_is_called_by_events_has_dead_letters(self, deployed: Deployed) -> None:
        """Nobody waits for its answer then: what it could not handle is kept."""
        kept = {step: function(deployed, step).get("DeadLetterConfig") for step in Step}
        queue = {"TargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:DeadLetters"}
        assert kept == {**dict.fromkeys(Step), Step.SNS_NOTIFICATION: queue}

    def test_only_the_one_that_speaks_to_databases_is_in_the_vpc(self, deployed: Deployed) -> None:
        """SetupDBUsers, in the chosen subnets, with a security group of its own."""
        places = {step: function(deployed, step).get("VpcConfig") for step in Step}
        place = {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["DatabaseClientGroup.GroupId"]}
        assert places == {**dict.fromkeys(Step), Step.SETUP_DB_USERS: place}

    @pytest.mark.parametrize("step", Step)
    def test_have_names_that_lambda_takes(self, deployed: Deployed, step: Step) -> None:
        """64 characters, with the longest name that the template's description allows the stack."""
        longest = re.search(r"name has (\d+) characters at most", shipped()["Description"])
        assert longest is not None
        assert len(function(deployed, step)["FunctionName"]) - len(STACK) + int(longest[1]) <= 64

    @pytest.mark.parametrize("step", Step)
    def test_have_a_role_each_that_says_what_the_table_says(self, deployed: Deployed, step: Step) -> None:
        """Nobody shares a role, and no statement is added or lost on the way from the table."""
        role = shipped()["Resources"][step.function_name]["Properties"]["Role"]
        assert role == {"Fn::GetAtt": [f"{step}Role", "Arn"]}
        assert sids(deployed, f"{step}Role") == [each.sid for each in PERMISSIONS[step]]


def sids(deployed: Deployed, role: str) -> list[str]:
    (policy,) = deployed.properties(role)["Policies"]
    return [each["Sid"] for each in policy["PolicyDocument"]["Statement"]]


class TestRoles:
    def test_of_the_services_say_what_the_table_says(self, deployed: Deployed) -> None:
        """The state machine's and the schedules' too."""
        assert sids(deployed, "StateMachineRole") == [each.sid for each in STATE_MACHINE]
        assert sids(deployed, "ScheduleRole") == [each.sid for each in SCHEDULER]

    def test_fit_into_iams_limit(self) -> None:
        """Each role's policy stays below 10,240 characters, with the longest patterns and an existing key."""
        longest = {
            "SourcePattern": "s" * 63,
            "TargetPattern": "t" * 63,
            "SecretPattern": "p" * 200,
            "IamUserPattern": "u" * 63,
            "ExistingKeyArn": EXISTING_KEY,
        }
        for role, policy in Deployed(longest).policies():
            assert len(json.dumps(policy, separators=(",", ":"))) < LARGEST_POLICY, role

    def test_reach_the_secrets_of_targets_where_no_pattern_is_given(self, deployed: Deployed) -> None:
        """Without SecretPattern, a user's secret must be named after a target: orders-staging/app."""
        assert "secret:*-staging/*-??????" in json.dumps(deployed.properties("SetupDBUsersRole"))
        other = json.dumps(Deployed({"SecretPattern": "team/*"}).properties("SetupDBUsersRole"))
        assert "secret:team/*-??????" in other
        assert "*-staging/*" not in other


class TestStateMachine:
    def test_is_the_one_definition_as_it_is_written(self, deployed: Deployed) -> None:
        """A literal, with each step's function filled in by CloudFormation."""
        properties = deployed.properties("StateMachine")
        raw = shipped()["Resources"]["StateMachine"]["Properties"]
        assert raw["DefinitionString"] == definition_text()
        assert set(re.findall(r"\$\{(\w+)\}", definition_text())) == properties["DefinitionSubstitutions"].keys()
        for step in Step:
            arn = properties["DefinitionSubstitutions"][step.function_name]
            assert arn == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{STACK}-{step.function_name}"

    def test_is_standard_traced_and_logged_without_data(self, deployed: Deployed) -> None:
        """I6: every transition is logged, and nothing of what is passed."""
        properties = deployed.properties("StateMachine")
        (destination,) = properties["LoggingConfiguration"]["Destinations"]
        assert (properties["StateMachineType"], properties["StateMachineName"]) == ("STANDARD", STACK)
        assert properties["TracingConfiguration"] == {"Enabled": True}
        assert properties["LoggingConfiguration"]["Level"] == "ALL"
        assert properties["LoggingConfiguration"]["IncludeExecutionData"] is False
        assert destination["CloudWatchLogsLogGroup"]["LogGroupArn"].endswith(":log-group:StateMachineLogs:*")
        assert deployed.properties("StateMachineLogs")["KmsKeyId"] == OWN_KEY


class TestTopic:
    def test_is_encrypted_and_takes_nothing_in_clear(self, deployed: Deployed) -> None:
        """Only over TLS; from the stack's functions by their roles, and from this account's alarms."""
        (tls, alarms) = deployed.properties("TopicPolicy")["PolicyDocument"]["Statement"]
        assert deployed.properties("Topic")["KmsMasterKeyId"] == OWN_KEY
        assert is_tls_only(tls, "sns:Publish")
        assert alarms["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        assert alarms["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
        assert len({tls["Resource"], alarms["Resource"], *deployed.properties("TopicPolicy")["Topics"]}) == 1

    def test_is_subscribed_by_the_address_that_is_given(self, deployed: Deployed) -> None:
        """By none where none is given."""
        subscription = Deployed({"AlarmEmail": "dba@example.com"}).resources()["EmailSubscription"]["Properties"]
        assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "dba@example.com")
        assert "EmailSubscription" not in deployed.resources()


def is_tls_only(statement: dict[str, Any], action: str) -> bool:
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    return (statement["Effect"], statement["Principal"], statement["Action"], statement["Condition"]) == (
        "Deny",
        "*",
        action,
        condition,
    )


class TestEvents:
    def test_of_stopped_executions_end_their_operations(self, deployed: Deployed) -> None:
        """I8: the rule matches what Step Functions sends of this state machine, and the function reads just that."""
        rule = deployed.properties("EndedByForce")
        pattern = rule["EventPattern"]
        (target,) = rule["Targets"]
        (machine,) = pattern["detail"]["stateMachineArn"]
        assert machine == f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}"
        assert set(pattern["detail"]["status"]) == {"ABORTED", "TIMED_OUT"}
        assert target["Arn"].endswith(f":function:{STACK}-{Step.SNS_NOTIFICATION.function_name}")
        for status in pattern["detail"]["status"]:
            detail = {"status": status, "name": "nightly-1", "executionArn": "arn:1", "input": "{}"}
            call = as_call({"source": pattern["source"][0], "detail-type": pattern["detail-type"][0], "detail": detail})
            assert call is not None
            assert call["operation_id"] == "nightly-1"

    def test_may_call_the_function_for_this_rule_only(self, deployed: Deployed) -> None:
        """EventBridge may invoke it in the name of this stack's rule."""
        permission = deployed.properties("EndedByForcePermission")
        assert permission["Principal"] == "events.amazonaws.com"
        assert permission["SourceArn"] == f"arn:aws:events:{REGION}:{ACCOUNT}:rule/EndedByForce"
        # EventBridge is not documented to tell Lambda the account, which the rule's ARN names.
        assert "SourceAccount" not in permission

    def test_that_cannot_be_delivered_are_kept(self, deployed: Deployed) -> None:
        """In an encrypted queue, for 14 days, which takes nothing in clear."""
        (target,) = deployed.properties("EndedByForce")["Targets"]
        queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:DeadLetters"
        tls, events = deployed.properties("DeadLettersPolicy")["PolicyDocument"]["Statement"]
        assert target["DeadLetterConfig"] == {"Arn": queue}
        assert deployed.properties("DeadLetters")["KmsMasterKeyId"] == OWN_KEY
        assert deployed.properties("DeadLetters")["MessageRetentionPeriod"] == 14 * 24 * 3600
        assert is_tls_only(tls, "sqs:*")
        assert (events["Principal"], events["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
        assert events["Condition"]["ArnEquals"]["aws:SourceArn"].endswith(":rule/EndedByForce")


class TestNetwork:
    def test_lets_the_function_out_to_databases_and_services_and_nobody_in(self, deployed: Deployed) -> None:
        """HTTPS, and the ports that Aurora may listen on."""
        group = deployed.properties("DatabaseClientGroup")
        ports = {(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in group["SecurityGroupEgress"]}
        assert ports == {("tcp", 443, 443), ("tcp", 1150, 65535)}
        assert "SecurityGroupIngress" not in group
        assert group["VpcId"] == "vpc-1"

    def test_makes_endpoints_only_where_asked_to(self, deployed: Deployed) -> None:
        """Secrets Manager's, which only the function may use, and DynamoDB's in the subnets' route tables."""
        asked = Deployed({"CreateEndpoints": "true", "RouteTableIds": "rtb-1,rtb-2"}).resources()
        endpoints = {"SecretsManagerEndpoint", "DynamoDBEndpoint", "EndpointGroup"}
        assert not endpoints & deployed.resources().keys()
        assert endpoints <= asked.keys()
        secrets, dynamodb = (asked[name]["Properties"] for name in ("SecretsManagerEndpoint", "DynamoDBEndpoint"))
        (ingress,) = asked["EndpointGroup"]["Properties"]["SecurityGroupIngress"]
        assert (secrets["ServiceName"], secrets["PrivateDnsEnabled"]) == (
            f"com.amazonaws.{REGION}.secretsmanager",
            True,
        )
        assert (dynamodb["ServiceName"], dynamodb["RouteTableIds"]) == (
            f"com.amazonaws.{REGION}.dynamodb",
            ["rtb-1", "rtb-2"],
        )
        assert ingress["SourceSecurityGroupId"] == "DatabaseClientGroup.GroupId"

    def test_refuses_endpoints_that_would_serve_no_subnet(self) -> None:
        """A deployment with CreateEndpoints and without RouteTableIds fails at its start, not in its first night."""
        rule = shipped()["Rules"]["RouteTablesForEndpoints"]
        assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "CreateEndpoints"}, "true"]}
        (assertion,) = rule["Assertions"]
        assert assertion["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "RouteTableIds"}, ""]}]}


class TestWhole:
    def test_describes_itself_to_the_commands(self, deployed: Deployed) -> None:
        """The SSM parameter of the stack holds what the commands read."""
        parameter = deployed.properties("Deployment")
        deployment = Deployment.model_validate_json(parameter["Value"])
        assert len(parameter["Value"]) < LARGEST_PARAMETER
        assert parameter["Name"] == parameter_name(STACK)
        assert deployment.stack == STACK
        assert deployment.region == REGION
        assert deployment.kms_key_arn == OWN_KEY
        assert deployment.functions.keys() == {step.function_name for step in Step}
        assert all(arn.startswith("arn:aws:lambda:") for arn in deployment.functions.values())

    def test_tags_all_that_can_be_tagged(self) -> None:
        """With the stack's name, by which a bill and a person know whose it is."""
        everything = Deployed({"AlarmEmail": "dba@example.com", "CreateEndpoints": "true"}).resources()
        bare = {
            name
            for name, each in everything.items()
            if each["Type"] not in UNTAGGED and tags(each).get(STACK_TAG) != STACK
        }
        assert bare == set()

    def test_asks_for_every_parameter_in_a_group_and_explains_it(self) -> None:
        """Consoles show all parameters in groups; each is described, and what has a pattern says what it wants."""
        parameters = shipped()["Parameters"]
        groups = shipped()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        shown = [name for group in groups for name in group["Parameters"]]
        assert sorted(shown) == sorted(parameters)
        for name, parameter in parameters.items():
            assert 10 < len(parameter["Description"]) < LARGEST_DESCRIPTION, name
            assert ("AllowedPattern" in parameter) == ("ConstraintDescription" in parameter), name

    def test_has_defaults_that_its_own_patterns_take(self) -> None:
        """CloudFormation refuses a template whose default is not allowed."""
        for name, parameter in shipped()["Parameters"].items():
            default = parameter.get("Default")
            if default is not None and "AllowedPattern" in parameter:
                assert re.fullmatch(parameter["AllowedPattern"], default), name
            if default is not None and "AllowedValues" in parameter:
                assert default in parameter["AllowedValues"], name

    def test_needs_nothing_but_cloudformation(self) -> None:
        """No bootstrap, no custom resource, no macro; and it fits."""
        template = shipped()
        assert "BootstrapVersion" not in template["Parameters"]
        assert "Transform" not in template
        assert not [
            each for each in template["Resources"].values() if each["Type"].startswith(("Custom::", "AWS::CDK"))
        ]
        assert len(json.dumps(template)) < LARGEST_TEMPLATE_BYTES


def tags(resource: dict[str, Any]) -> dict[str, str]:
    found = resource["Properties"].get("Tags", [])
    return found if isinstance(found, dict) else {each["Key"]: each["Value"] for each in found}
