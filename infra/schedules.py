"""Schedules: who may start operations by the clock, and those that a folder of requests asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aws_cdk as cdk
import yaml
from aws_cdk import aws_scheduler
from constructs import Construct

from aurora_restore.cli.reading import read_request
from aurora_restore.cloudformation.freshness import scheduled
from aurora_restore.errors import ConfigurationError
from aurora_restore.request import RestoreRequest
from infra.acknowledgements import NO_OTHER_TOPIC, acknowledge
from infra.permissions import SCHEDULER
from infra.roles import add_role

# Which file of the folder is started when: {nightly.yaml: "cron(10 3 * * ? *)"}
TIMETABLE = "schedules.yaml"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A request, and when it is started."""

    request: RestoreRequest
    expression: str


def read_schedules(folder: Path) -> tuple[Schedule, ...]:
    """Return the schedules of a folder: its ``schedules.yaml`` says which request is started when.

    Raises ConfigurationError when there is no such file or it is no mapping, RequestError when a request is wrong.
    """
    timetable = folder / TIMETABLE
    found = yaml.safe_load(timetable.read_text(encoding="utf-8")) if timetable.is_file() else None
    if not isinstance(found, Mapping):
        raise ConfigurationError(f"{timetable} is not there or no mapping", advice='Write: nightly.yaml: "rate(1 day)"')
    return tuple(Schedule(read_request(str(folder / file)), str(when)) for file, when in found.items())


def add_schedules(scope: Construct, schedules: tuple[Schedule, ...], values: Mapping[str, str]) -> None:
    """Make the group and the role that every deployment has, and the schedules that there are now."""
    aws_scheduler.CfnScheduleGroup(scope, "ScheduleGroup", name=cdk.Aws.STACK_NAME)
    # Scheduler names the group, never the schedule, as the source.
    group = "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule-group/${AWS::StackName}"
    add_role(
        scope,
        "ScheduleRole",
        service="scheduler.amazonaws.com",
        statements=SCHEDULER,
        values=values,
        trust_conditions={
            "StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID},
            "ArnEquals": {"aws:SourceArn": cdk.Fn.sub(group)},
        },
    )
    for schedule in schedules:
        for id_, resource in scheduled(schedule.request, schedule.expression).items():
            made = cdk.CfnResource(scope, id_, type=resource["Type"], properties=resource["Properties"])
            if resource["Type"] == "AWS::CloudWatch::Alarm":
                acknowledge(made, *NO_OTHER_TOPIC)
