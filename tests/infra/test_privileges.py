"""Least privilege, proven: whole operations need all that the functions may do, and nothing else."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
from infra.permissions import PERMISSIONS, SCHEDULER, STATE_MACHINE
from infra.statements import policy

from aurora_restore.operation import Step
from tests.infra.authorisations import ACCOUNT, HOME
from tests.infra.evaluation import Answer, Authorisation, Document
from tests.infra.operations import STACK, prepared, record
from tests.infra.permissions_page import PAGE, page
from tests.infra.proof import Part, Proof
from tests.infra.recording import RecordingRig

SOURCE = f"arn:aws:rds:us-east-1:{ACCOUNT}:cluster:orders-prod"
FOREIGN = f"arn:aws:rds:{HOME}:{ACCOUNT}:cluster:invoices"
TARGET = f"arn:aws:rds:{HOME}:{ACCOUNT}:cluster:orders-staging"
# The most favourable context that somebody could bring about: everything is marked as this stack's.
MARKED = {f"aws:{kind}Tag/aurora-restore:stack": STACK for kind in ("Request", "Resource")}
ALLOW_ALL: Document = {"Sid": "AllowAll", "Effect": "Allow", "Action": ["*"], "Resource": ["*"]}


@pytest.fixture(scope="module")
def proof() -> Iterator[Proof]:
    """Every operation run and recorded once, and the policies for the account they ran in."""
    with RecordingRig() as rig:
        record(prepared(rig))
        yield Proof.of(rig)


def test_every_call_is_known(proof: Proof) -> None:
    """An operation of AWS's API that nobody has looked up could need any permission: authorisations.py must have it."""
    assert proof.recording.unknown == set()


def test_every_function_calls_aws(proof: Proof) -> None:
    """The proof is not empty: each function was called, and asked for something."""
    assert all(proof.recording.calls[step] > 10 and len(proof.recording.asked[step]) > 5 for step in Step)


def test_everything_that_is_asked_is_allowed(proof: Proof) -> None:
    """0 denied: no operation fails for a missing permission."""
    assert list(proof.refused()) == []


def test_everything_that_is_allowed_is_used(proof: Proof) -> None:
    """0 unused: an action is used by a recorded call, or its statement says why no call of ours shows it."""
    assert list(proof.unused()) == []


def test_the_removal_of_any_part_is_noticed(proof: Proof) -> None:
    """Without any one statement, action or resource, an operation would fail."""
    assert list(proof.unnoticed()) == []


def test_a_reason_is_given_for_everything() -> None:
    """An auditor reads why; what no call shows is little, and says so."""
    for step, statements in PERMISSIONS.items():
        assert len({each.sid for each in statements}) == len(statements), step
        assert all(each.why.endswith((".", ")")) and each.sid.isalnum() for each in statements), step


# I1 and I2, even if the code is wrong


@cache
def _changing_rds_actions() -> Sequence[str]:
    """Return every action of RDS that AWS does not class as reading."""
    services: list[dict[str, Any]] = json.loads(files("parliament").joinpath("iam_definition.json").read_text())
    rds = next(each for each in services if each["prefix"] == "rds")
    found = [each["privilege"] for each in rds["privileges"] if each["access_level"] not in {"Read", "List"}]
    assert len(found) > 100
    return [f"rds:{name}" for name in found]


def test_no_function_changes_a_source_cluster(proof: Proof) -> None:
    """I1: denied in so many words, to every function; but step 1 may ask for a snapshot of it."""
    for step in Step:
        for action in _changing_rds_actions():
            given = proof.policies[step].answer(Authorisation.of(action, SOURCE, MARKED))
            excepted = (step, action) == (Step.SNAPSHOT_CHECK, "rds:CreateDBClusterSnapshot")
            assert given is (Answer.ALLOWED if excepted else Answer.DENIED), (step, action)


def test_no_function_changes_a_cluster_that_is_no_target(proof: Proof) -> None:
    """I2: whatever is on it, a cluster whose name the operator did not allow is out of reach."""
    for step in Step:
        for action in _changing_rds_actions():
            given = proof.policies[step].answer(Authorisation.of(action, FOREIGN, MARKED))
            assert given is Answer.NOT_ALLOWED, (step, action)


def test_only_one_function_deletes(proof: Proof) -> None:
    """I2: the target, its instances and its protection are in the hands of DeleteRDSFunction alone."""
    instance = TARGET.replace(":cluster:", ":db:") + "-1"
    for step in Step:
        may = {
            action
            for action, arn in (("DeleteDBCluster", TARGET), ("DeleteDBInstance", instance), ("StartDBCluster", TARGET))
            if proof.policies[step].answer(Authorisation.of(f"rds:{action}", arn, MARKED)) is Answer.ALLOWED
        }
        assert may == ({"DeleteDBCluster", "DeleteDBInstance", "StartDBCluster"} if step is Step.DELETE_RDS else set())


@pytest.mark.parametrize("name", ["orders-prod-1", "orders-prod", "invoices-1"])
def test_no_function_takes_an_instance_of_another_cluster(proof: Proof, name: str) -> None:
    """I1, I2: an instance that is neither named after a target nor this stack's stays as it is."""
    arn = f"arn:aws:rds:{HOME}:{ACCOUNT}:db:{name}"
    for step in Step:
        for action in _changing_rds_actions():
            given = proof.policies[step].answer(Authorisation.of(action, arn))
            assert given is not Answer.ALLOWED, (step, action)


def test_a_pattern_that_is_too_wide_does_not_open_the_source(proof: Proof) -> None:
    """I1: a target's pattern that covers the source as well leaves the source denied, and the target allowed."""
    wide = Proof(proof.recording, {**proof.values, "TargetPattern": "orders-*"})
    delete = [Authorisation.of("rds:DeleteDBCluster", arn) for arn in (SOURCE, TARGET)]
    assert [wide.policies[Step.DELETE_RDS].answer(each) for each in delete] == [Answer.DENIED, Answer.ALLOWED]
    taken = Authorisation.of("rds:DeleteDBInstance", f"arn:aws:rds:us-east-1:{ACCOUNT}:db:orders-prod-1")
    assert wide.policies[Step.DELETE_RDS].answer(taken) is Answer.DENIED


def test_a_target_that_is_named_after_its_source_is_not_shut_out(proof: Proof) -> None:
    """The source orders, the target orders-staging: only its instances that are not this stack's yet are."""
    narrow = Proof(proof.recording, {**proof.values, "SourcePattern": "orders"})
    for step, asked in proof.recording.all():
        if ":orders-prod" in asked.resource:
            continue
        untagged = asked.action == "rds:DeleteDBInstance" and STACK not in dict(asked.context).values()
        given = narrow.policies[step].answer(asked)
        assert given is (Answer.DENIED if untagged else Answer.ALLOWED), (step, asked)
    taken = Authorisation.of("rds:DeleteDBInstance", f"arn:aws:rds:{HOME}:{ACCOUNT}:db:orders-staging-1", MARKED)
    assert narrow.policies[Step.DELETE_RDS].answer(taken) is Answer.ALLOWED


def test_no_function_reaches_another_account(proof: Proof) -> None:
    """Whatever is asked for, the same in another account is not allowed: no resource is wider than the account."""
    for step, asked in proof.recording.all():
        other = Authorisation(asked.action, asked.resource.replace(ACCOUNT, "210987654321"), asked.context)
        if other != asked:
            assert proof.policies[step].answer(other) is not Answer.ALLOWED, (step, other)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("rds:DescribeDBClusters", FOREIGN),
        ("rds:RestoreDBClusterFromSnapshot", FOREIGN),
        ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{HOME}:{ACCOUNT}:secret:payroll-AbCdEf"),
        ("secretsmanager:PutSecretValue", f"arn:aws:secretsmanager:{HOME}:{ACCOUNT}:secret:rds!cluster-7c1f-AbCdEf"),
        ("dynamodb:GetItem", f"arn:aws:dynamodb:{HOME}:{ACCOUNT}:table/payroll"),
        ("dynamodb:PutItem", f"arn:aws:dynamodb:{HOME}:{ACCOUNT}:table/payroll"),
        ("sns:Publish", f"arn:aws:sns:{HOME}:{ACCOUNT}:payroll"),
        ("states:DescribeExecution", f"arn:aws:states:{HOME}:{ACCOUNT}:execution:payroll:monthly"),
        ("kms:CreateGrant", f"arn:aws:kms:{HOME}:{ACCOUNT}:key/00000000-0000-0000-0000-00000000000b"),
        ("kms:Decrypt", f"arn:aws:kms:{HOME}:{ACCOUNT}:key/00000000-0000-0000-0000-00000000000b"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/administrator"),
    ],
)
def test_no_function_reaches_what_is_nobody_s_business_here(proof: Proof, action: str, resource: str) -> None:
    """What belongs to others in the same account is not even readable; keys and roles go through services only."""
    asked = Authorisation.of(action, resource, {**MARKED, **_EVENT})
    assert [step for step in Step if proof.policies[step].answer(asked) is Answer.ALLOWED] == []


def test_production_s_password_is_out_of_reach(proof: Proof) -> None:
    """I7: the secret that RDS manages for another cluster than a target is not readable, to no function."""
    secret = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:rds!cluster-7c1f-AbCdEf"
    for owner, readers in ((SOURCE, set()), (FOREIGN, set()), (TARGET, {Step.SETUP_DB_USERS})):
        read = Authorisation.of(
            "secretsmanager:GetSecretValue", secret, {"aws:ResourceTag/aws:rds:primaryDBClusterArn": owner}
        )
        assert {step for step in Step if proof.policies[step].answer(read) is Answer.ALLOWED} == readers


_MARK = "aws:RequestTag/aurora-restore:stack"
# What must be so in the context of these actions, wherever it was so in the recording.
_SECURED = {
    "rds:CreateDBClusterSnapshot": (_MARK,),
    "rds:RestoreDBClusterFromSnapshot": (_MARK,),
    "rds:CreateDBInstance": (_MARK,),
    "rds:AddTagsToResource": (_MARK,),
    "rds:DeleteDBClusterSnapshot": ("aws:ResourceTag/aurora-restore:stack",),
    "secretsmanager:CreateSecret": (_MARK,),
    "secretsmanager:TagResource": (_MARK,),
    "kms:CreateGrant": ("kms:ViaService", "kms:GrantIsForAWSResource"),
    "kms:DescribeKey": ("kms:ViaService",),
    "kms:Decrypt": ("kms:ViaService",),
    "kms:GenerateDataKey": ("kms:ViaService",),
    "iam:PassRole": ("iam:PassedToService",),
}


def test_a_condition_that_is_removed_is_missed(proof: Proof) -> None:
    """What is allowed for this stack, through this service or to it, is not allowed for, through or to another."""
    tried = set()
    for step, asked in proof.recording.all():
        for key in _SECURED.get(asked.action, ()):
            # RDS hands whatever tags the old target has down to its final snapshot.
            if key in dict(asked.context) and ":aurora-restore-final-" not in asked.resource:
                other = Authorisation.of(asked.action, asked.resource, {**dict(asked.context), key: "another"})
                assert proof.policies[step].answer(other) is Answer.NOT_ALLOWED, (step, other)
                tried.add((asked.action, key))
    assert tried == {(action, key) for action, keys in _SECURED.items() for key in keys}


# Every Deny holds against whatever else is allowed, and is missed when it is taken away

_EVENT = {"dynamodb:EnclosingOperation": "TransactWriteItems"}
_OWN_CODE = f"arn:aws:lambda:{HOME}:{ACCOUNT}:function:{STACK}-SetupDBUsersFunction"


def _attacks(proof: Proof) -> Mapping[str, Sequence[Authorisation]]:
    """Return what each Deny is there to stop, by its sid."""
    audit = proof.values["AuditTable.Arn"]
    instances = f"arn:aws:rds:us-east-1:{ACCOUNT}:db:orders-prod"
    return {
        "NeverRewriteAudit": [
            Authorisation.of(f"dynamodb:{action}", audit, _EVENT)
            for action in (
                "UpdateItem",
                "DeleteItem",
                "BatchWriteItem",
                "PartiQLDelete",
                "PartiQLUpdate",
                "DeleteTable",
            )
        ],
        "NeverChangeSource": [
            Authorisation.of(action, SOURCE, MARKED)
            for action in ("rds:DeleteDBCluster", "rds:ModifyDBCluster", "rds:StopDBCluster", "rds:AddTagsToResource")
        ],
        "NeverChangeSourceInstances": [
            Authorisation.of(action, name)
            for action in ("rds:DeleteDBInstance", "rds:ModifyDBInstance", "rds:RebootDBInstance")
            for name in (instances, f"{instances}-1")
        ],
        "LeaveVpcToLambda": [
            Authorisation.of(f"ec2:{action}", "*", {"lambda:SourceFunctionArn": _OWN_CODE})
            for action in ("CreateNetworkInterface", "DeleteNetworkInterface", "RunInstances")
        ],
    }


def test_every_deny_holds_whatever_else_is_allowed(proof: Proof) -> None:
    """With AdministratorAccess attached to its role a function is still denied what the table denies it."""
    attacks = _attacks(proof)
    for step, statements in PERMISSIONS.items():
        everything = proof.policies[step].with_(ALLOW_ALL)
        denials = {each.sid for each in statements if each.effect == "Deny"}
        assert denials == attacks.keys() - ({"LeaveVpcToLambda"} if step is not Step.SETUP_DB_USERS else set())
        for denial in denials:
            for attack in attacks[denial]:
                assert everything.answer(attack) is Answer.DENIED, (step, denial, attack)


def test_a_deny_that_is_removed_is_missed(proof: Proof) -> None:
    """Each attack goes through once its Deny is gone: no other stands behind it, and none is for nothing."""
    attacks = _attacks(proof)
    for step, statements in PERMISSIONS.items():
        for denial in (each.sid for each in statements if each.effect == "Deny"):
            without = proof.policies[step].with_(ALLOW_ALL).without(denial)
            for attack in attacks[denial]:
                assert without.answer(attack) is Answer.ALLOWED, (step, denial, attack)


def test_the_audit_takes_events_in_a_transaction_and_nothing_else(proof: Proof) -> None:
    """I5: an event alone, without the record's change, is refused too."""
    put = "dynamodb:PutItem", proof.values["AuditTable.Arn"]
    for step in Step:
        assert proof.policies[step].answer(Authorisation.of(*put, _EVENT)) is Answer.ALLOWED
        assert proof.policies[step].answer(Authorisation.of(*put)) is Answer.NOT_ALLOWED


def test_records_of_operations_cannot_be_deleted(proof: Proof) -> None:
    """Of the State table only locks can be: what was done stays known."""
    for key, allowed in (
        ("lock#us-west-2/orders-staging", {Step.SNS_NOTIFICATION}),
        ("op-1", set()),
    ):
        forget = Authorisation.of(
            "dynamodb:DeleteItem", proof.values["StateTable.Arn"], {"dynamodb:LeadingKeys": key, **_EVENT}
        )
        assert {step for step in Step if proof.policies[step].answer(forget) is Answer.ALLOWED} == allowed


def test_lambda_joins_the_vpc_and_the_code_does_not(proof: Proof) -> None:
    """What Lambda does for the function carries no function's ARN."""
    create = Authorisation.of("ec2:CreateNetworkInterface", "*")
    allowed = {step for step in Step if proof.policies[step].answer(create) is Answer.ALLOWED}
    assert allowed == {Step.SETUP_DB_USERS}


# The template has the table's statements, and no others


def test_the_template_s_roles_have_the_table_s_statements(proof: Proof) -> None:
    """What was proven of the table holds for what is deployed."""
    text = files("aurora_restore.cloudformation").joinpath("template.json").read_text()
    resources = json.loads(text)["Resources"]
    tables = {f"{step}Role": statements for step, statements in PERMISSIONS.items()}
    tables |= {"StateMachineRole": STATE_MACHINE, "ScheduleRole": SCHEDULER}
    elsewhere = {f"{step.function_name}.Arn": f"{step}" for step in Step} | {"StateMachine": "machine"}
    roles = {name: each["Properties"] for name, each in resources.items() if each["Type"].startswith("AWS::IAM::")}
    assert roles.keys() == tables.keys()
    for name, role in roles.items():
        (inline,) = role["Policies"]
        assert "ManagedPolicyArns" not in role
        values = {**proof.values, **elsewhere}
        assert _resolved(inline["PolicyDocument"], values) == policy(tables[name], values), name


def _resolved(part: Any, values: Mapping[str, str]) -> Any:
    """Return a part of the template as CloudFormation would: the few functions that roles use."""
    match part:
        case {"Fn::Sub": [str() as text, dict()]} | {"Fn::Sub": str() as text}:
            for name, value in values.items():
                text = text.replace(f"${{{name}}}", value)
            return text
        case {"Fn::If": ["MakesKey", *_]}:
            return values["KeyArn"]
        case dict():
            return {key: _resolved(value, values) for key, value in part.items()}
        case list():
            return [_resolved(value, values) for value in part]
        case _:
            return part


def test_an_unneeded_permission_would_be_found(proof: Proof) -> None:
    """The proof can fail: an action that no call uses, and one that two statements allow, are both named."""
    assert Part(Step.SNAPSHOT_CHECK, "ReadState", "dynamodb:GetItem") not in list(proof.unused())
    nothing = Proof(type(proof.recording)(), proof.values)
    assert Part(Step.SNAPSHOT_CHECK, "ReadState", "dynamodb:GetItem") in list(nothing.unused())
    assert len(list(nothing.unnoticed())) > len(list(nothing.unused()))


def test_the_page_is_what_the_table_and_the_recording_say(proof: Proof) -> None:
    """An auditor reads the page: it is written from what was proven."""
    assert PAGE.read_text(encoding="utf-8") == page(proof), "run make permissions"
