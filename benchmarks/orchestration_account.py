"""The same operation through the real thing: embedded account, Step Functions' interpreter, handlers, virtual clock.

Clusters are records and the database is a fake, so that all time that passes is what the case says AWS takes.
"""

import json
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger
from tests.steps.database import FakeDatabase

from aurora_restore.aws.clients import ONE_ATTEMPT
from aurora_restore.aws.deployment import Deployment
from aurora_restore.embedded.account import EmbeddedAccount
from aurora_restore.embedded.clock import VirtualClock
from aurora_restore.embedded.dataplane import RecordsOnly
from aurora_restore.operation import Step
from aurora_restore.runtime import Event, Function, Result, Settings, open_world
from aurora_restore.steps.world import World
from benchmarks.orchestration_model import Case, CopyKind, Run

_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_HERE, _ELSEWHERE = "us-west-2", "us-east-1"
_SOURCE, _TARGET = "orders-prod", "orders-staging"
_ENGINE = {"Engine": "aurora-postgresql"}
_LONGEST_TIMEOUT_MINUTES = 4_320
_LOOK_EVERY_S, _GIVE_UP_S = 0.05, 300.0


class OperationFailedError(RuntimeError):
    """The operation that was to be measured did not succeed."""


def run_in_account(case: Case) -> Run:
    """Run an operation in an embedded account of its own; raises OperationFailedError when it does not succeed."""
    account = EmbeddedAccount(RecordsOnly(), VirtualClock(_NOON), durations=case.durations, client_config=ONE_ATTEMPT)
    with account:
        deployment, calls = account.deploy(), Counter[Step]()
        request = _prepare(account, case)
        _count_calls(account, deployment, calls)
        began_at = account.clock.now()
        events = _execute(account, deployment, request)
        return Run(
            wall_s=(account.clock.now() - began_at).total_seconds(),
            transitions=sum(event["type"].endswith("StateEntered") for event in events),
            events=len(events),
            invocations=calls.total(),
            calls=dict(calls),
        )


def _prepare(account: EmbeddedAccount, case: Case) -> dict[str, Any]:
    """Make production, a snapshot of it and the old target; return the request that the case is about."""
    region = _ELSEWHERE if case.copy is CopyKind.ACROSS_REGIONS else _HERE
    for place in {region, _HERE}:
        subnets = [subnet["SubnetId"] for subnet in account.client("ec2", place).describe_subnets()["Subnets"]]
        account.client("rds", place).create_db_subnet_group(
            DBSubnetGroupName="private", DBSubnetGroupDescription="private", SubnetIds=subnets
        )
    source_key = _make_key(account, region)
    target_key = source_key if case.copy is CopyKind.NONE else _make_key(account, _HERE)
    # The target first: production's snapshot should be young.
    _make_cluster(account, _HERE, _TARGET, target_key, 1 + case.readers, DeletionProtection=case.is_protected)
    _make_cluster(account, region, _SOURCE, source_key, 1)
    account.aurora.take_automated_snapshot(region, _SOURCE)
    protection = {"protection": "lift"} if case.is_protected else {}
    return {
        "name": "measured",
        "source": {"cluster": _SOURCE, "region": region} | ({"snapshot": "new"} if case.takes_snapshot else {}),
        "target": {"cluster": _TARGET, "region": _HERE, "kms_key": target_key},
        "replace": {"allow": True, "confirm": _TARGET, **protection},
        "users": [{"name": "app", "secret": f"{_TARGET}/app", "grants": ["readwrite"]}],
        "timeouts": {f"{step}_minutes": _LONGEST_TIMEOUT_MINUTES for step in ("snapshot", "copy", "delete", "restore")},
    }


def _make_key(account: EmbeddedAccount, region: str) -> str:
    return str(account.client("kms", region).create_key()["KeyMetadata"]["Arn"])


def _make_cluster(account: EmbeddedAccount, region: str, name: str, key: str, instances: int, **settings: Any) -> None:
    rds = account.client("rds", region)
    rds.create_db_cluster(
        **_ENGINE,
        **settings,
        DBClusterIdentifier=name,
        EngineVersion="16.4",
        MasterUsername="postgres",
        MasterUserPassword="testing-testing",
        StorageEncrypted=True,
        KmsKeyId=key,
        DBSubnetGroupName="private",
        # A restore cannot set it, so there is always something to set afterwards.
        PreferredMaintenanceWindow="mon:04:00-mon:05:00",
    )
    _let_pass(account, rds)
    for number in range(1, instances + 1):
        rds.create_db_instance(
            **_ENGINE,
            DBInstanceIdentifier=f"{name}-{number}",
            DBClusterIdentifier=name,
            DBInstanceClass="db.r6g.large",
            PromotionTier=number,
        )
    _let_pass(account, rds)


def _let_pass(account: EmbeddedAccount, rds: Any) -> None:
    while any(
        thing["Status" if "Status" in thing else "DBInstanceStatus"] != "available"
        for thing in (*rds.describe_db_clusters()["DBClusters"], *rds.describe_db_instances()["DBInstances"])
    ):
        account.clock.sleep(60)


def _count_calls(account: EmbeddedAccount, deployment: Deployment, calls: Counter[Step]) -> None:
    """Put functions in place that count their calls, and whose database is a fake."""
    settings = Settings(
        stack=deployment.stack,
        state_table=deployment.state_table,
        audit_table=deployment.audit_table,
        topic_arn=deployment.topic_arn,
    )
    database = FakeDatabase()

    def world() -> World:
        return replace(open_world(settings, account.client, account.clock), engine_for=lambda _: database)

    def counted(step: Step) -> Any:
        function = Function(step, world, Logger(service=f"{step}@{account.server.port}", level="CRITICAL"))

        def call(event: Event, context: object) -> Result:
            calls[step] += 1
            return function(event, context)

        return call

    for step in Step:
        account.functions.register(f"{deployment.stack}-{step.function_name}", counted(step))


def _execute(account: EmbeddedAccount, deployment: Deployment, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the request to its end; return the execution's history."""
    states = account.client("stepfunctions")
    arn = states.start_execution(
        stateMachineArn=deployment.state_machine_arn, name="measured", input=json.dumps(request)
    )["executionArn"]
    give_up_s = time.monotonic() + _GIVE_UP_S
    while (found := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        if time.monotonic() > give_up_s:
            raise OperationFailedError("it does not end")
        time.sleep(_LOOK_EVERY_S)
    if found["status"] != "SUCCEEDED":
        raise OperationFailedError(f"it is {found['status']}: {found.get('cause')}")
    pages = states.get_paginator("get_execution_history").paginate(executionArn=arn, includeExecutionData=False)
    return [event for page in pages for event in page["events"]]
