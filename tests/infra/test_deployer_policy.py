"""The policy of whoever deploys: short enough, known to IAM, and complete for every type of resource."""

import json
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any

import parliament
import pytest

from tests.infra.evaluation import Answer, Authorisation, Policy

FILE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "deployer-policy.json"
POLICY: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
# IAM's limit for a managed policy, white space left out.
LONGEST = 6_144
ACCOUNT, REGION = "123456789012", "eu-west-1"
# For each type what makes one and what takes it away again, on a name that CloudFormation would give it.
NEEDED = {
    "AWS::CloudWatch::Alarm": (
        "cloudwatch:PutMetricAlarm cloudwatch:DeleteAlarms",
        "cloudwatch:{}:alarm:aurora-restore-A",
    ),
    "AWS::CloudWatch::Dashboard": (
        "cloudwatch:PutDashboard cloudwatch:DeleteDashboards",
        "cloudwatch:{global}:dashboard/aurora-restore",
    ),
    "AWS::DynamoDB::Table": ("dynamodb:CreateTable dynamodb:UpdateTimeToLive", "dynamodb:{}:table/aurora-restore-T-1"),
    "AWS::EC2::SecurityGroup": ("ec2:CreateSecurityGroup ec2:DeleteSecurityGroup", "ec2:{}:security-group/sg-1"),
    "AWS::EC2::VPCEndpoint": ("ec2:CreateVpcEndpoint ec2:DeleteVpcEndpoints", "ec2:{}:vpc-endpoint/vpce-1"),
    "AWS::Events::Rule": ("events:PutRule events:PutTargets events:DeleteRule", "events:{}:rule/aurora-restore-R-1"),
    "AWS::IAM::Role": ("iam:CreateRole iam:PutRolePolicy iam:DeleteRole", "iam:{global}:role/aurora-restore-R-1"),
    "AWS::KMS::Alias": ("kms:CreateAlias kms:UpdateAlias kms:DeleteAlias", "kms:{}:alias/aurora-restore"),
    "AWS::KMS::Key": ("kms:PutKeyPolicy kms:EnableKeyRotation kms:CreateGrant", "kms:{}:key/1"),
    "AWS::Lambda::Function": (
        "lambda:CreateFunction lambda:UpdateFunctionCode lambda:DeleteFunction lambda:PutFunctionConcurrency",
        "lambda:{}:function:aurora-restore-CopySnapshotFunction",
    ),
    "AWS::Lambda::Permission": (
        "lambda:AddPermission lambda:RemovePermission",
        "lambda:{}:function:aurora-restore-SNSNotificationFunction",
    ),
    "AWS::Logs::LogGroup": (
        "logs:CreateLogGroup logs:PutRetentionPolicy logs:AssociateKmsKey logs:DeleteLogGroup",
        "logs:{}:log-group:/aws/lambda/aurora-restore-CopySnapshotFunction",
    ),
    "AWS::SNS::Subscription": ("sns:Subscribe", "sns:{}:aurora-restore-Topic-1"),
    "AWS::SNS::Topic": ("sns:CreateTopic", "sns:{}:aurora-restore-Topic-1"),
    "AWS::SNS::TopicPolicy": ("sns:SetTopicAttributes", "sns:{}:aurora-restore-Topic-1"),
    "AWS::SQS::Queue": ("sqs:CreateQueue sqs:DeleteQueue", "sqs:{}:aurora-restore-DeadLetters-1"),
    "AWS::SQS::QueuePolicy": ("sqs:SetQueueAttributes", "sqs:{}:aurora-restore-DeadLetters-1"),
    "AWS::SSM::Parameter": ("ssm:PutParameter ssm:DeleteParameter", "ssm:{}:parameter/aurora-restore/aurora-restore"),
    "AWS::Scheduler::Schedule": (
        "scheduler:CreateSchedule scheduler:UpdateSchedule scheduler:DeleteSchedule",
        "scheduler:{}:schedule/aurora-restore/nightly",
    ),
    "AWS::Scheduler::ScheduleGroup": (
        "scheduler:CreateScheduleGroup scheduler:DeleteScheduleGroup",
        "scheduler:{}:schedule-group/aurora-restore",
    ),
    "AWS::StepFunctions::StateMachine": (
        "states:CreateStateMachine states:UpdateStateMachine states:DeleteStateMachine",
        "states:{}:stateMachine:aurora-restore",
    ),
}
# parliament's findings that are meant so.
ACCEPTED = {
    # Through CloudFormation only, what it reads to see whether a resource is as it should be.
    "RESOURCE_STAR",
    # Of "events:*" the actions on other kinds of things, which no resource here allows; of ListExecutions maps' runs.
    "RESOURCE_MISMATCH",
    # The bucket is theirs.
    "RESOURCE_POLICY_PRIVILEGE_ESCALATION",
}
# What AWS lists as needed by an action, and only some uses of it need.
OTHER_USES = {
    "cloudformation:ListStacks": "DescribeStacks without a name",
    "iam:CreateServiceLinkedRole": "keys of several regions",
    "states:PublishStateMachineVersion": "with Publish",
}


def test_it_fits_into_a_managed_policy() -> None:
    """IAM refuses a longer one."""
    assert len("".join(json.dumps(POLICY).split())) <= LONGEST


def test_iam_knows_all_that_is_in_it() -> None:
    """Each action exists, and knows its resource and condition."""
    analysed = parliament.analyze_policy_string(FILE.read_text(encoding="utf-8"), ignore_private_auditors=True)
    assert {finding.issue for finding in analysed.findings} - ACCEPTED == set()


def test_what_its_actions_depend_on_is_in_it_too() -> None:
    """An endpoint with a name of its own needs Route 53's permission: AWS's list of such is the measure."""
    allowed = [action for statement in POLICY["Statement"] for action in statement["Action"]]
    depended: set[str] = set()
    for service in parliament.iam_definition:
        for privilege in service["privileges"]:
            if f"{service['prefix']}:{privilege['privilege']}" in allowed:
                depended |= {each for kind in privilege["resource_types"] for each in kind["dependent_actions"]}
    missing = {each for each in depended if not any(fnmatchcase(each, action) for action in allowed)}
    assert missing == set(OTHER_USES)


def test_the_template_has_no_other_type_of_resource() -> None:
    """A new one needs a permission, and its line above."""
    template = json.loads(files("aurora_restore.cloudformation").joinpath("template.json").read_text(encoding="utf-8"))
    types = {resource["Type"] for resource in template["Resources"].values()}
    assert types | {"AWS::Scheduler::Schedule"} == set(NEEDED)


@pytest.mark.parametrize("kind", NEEDED)
def test_it_allows_through_cloudformation_what_a_resource_needs(kind: str) -> None:
    """And only through it, but for what destroy deletes itself."""
    actions, place = NEEDED[kind]
    arn = "arn:aws:" + place.replace("{}", f"{REGION}:{ACCOUNT}").replace("{global}", f":{ACCOUNT}")
    through = Policy({**each, "Condition": {}} for each in POLICY["Statement"])
    by_hand = Policy(each for each in POLICY["Statement"] if "Condition" not in each)
    for action in actions.split():
        asked = Authorisation.of(action, arn)
        assert through.answer(asked) is Answer.ALLOWED, action
        assert by_hand.answer(asked) is Answer.NOT_ALLOWED, action
