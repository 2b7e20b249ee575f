"""The command deploy: the pipeline as a stack in AWS, from a package and without a toolchain."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
from rich.console import Console

from aurora_restore.aws.buckets import Bucket
from aurora_restore.aws.clients import PATIENT, Clients
from aurora_restore.aws.door import demand
from aurora_restore.aws.stacks import Stack as FoundStack
from aurora_restore.aws.stacks import Stacks
from aurora_restore.cli import bundle as bundling
from aurora_restore.cli import deploy_options as options
from aurora_restore.cli.exits import ExitCode
from aurora_restore.cli.options import DEFAULT_STACK, Json, Region, Stack
from aurora_restore.cli.output import error_document, print_json, say, stdout
from aurora_restore.cli.permitted import Patterns, denials
from aurora_restore.cli.pipeline import reachable
from aurora_restore.cli.reading import read_request
from aurora_restore.cli.stack_report import print_changes, progress_for
from aurora_restore.clock import SystemClock
from aurora_restore.cloudformation.bundle import Bundle, template_file
from aurora_restore.cloudformation.deploying import (
    Proposal,
    Uploaded,
    failed,
    follow,
    propose,
    upload,
    with_schedules,
    withdraw,
)
from aurora_restore.cloudformation.freshness import Resource, kept_schedules, scheduled
from aurora_restore.cloudformation.next_steps import next_steps
from aurora_restore.cloudformation.parameters import check_stack_name, parameters
from aurora_restore.cloudformation.patterns import cautions, check_patterns
from aurora_restore.cloudformation.readiness import Way, watch_command, way_to_deploy
from aurora_restore.cloudformation.schedules import request_of
from aurora_restore.errors import RequestError
from aurora_restore.request import RestoreRequest

_GOOD = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})
# The domain of AWS's endpoints, where it is not amazonaws.com.
_SUFFIXES = {"aws-cn": "amazonaws.com.cn"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line."""

    stack: str
    given: dict[str, str]
    schedules: dict[str, Resource]
    scheduled: dict[str, RestoreRequest]
    bucket: str
    bundle: Path | None
    ca_bundle: Path | None
    yes: bool
    allow_replacement: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is to go: account, region, and the services that are called."""

    account: str
    partition: str
    region: str
    stacks: Stacks
    s3: Any

    @property
    def suffix(self) -> str:
        """Return the domain of AWS's endpoints here."""
        return _SUFFIXES.get(self.partition, "amazonaws.com")


def deploy(  # noqa: PLR0913  each is an option
    *,
    vpc: options.Vpc = "",
    subnets: options.Subnets = "",
    target_pattern: options.TargetPattern = "",
    source_pattern: options.SourcePattern = "",
    email: options.Email = "",
    key: options.Key = "",
    parameter: options.Parameters = None,
    schedule: options.Schedules = None,
    bucket: options.BucketName = "",
    bundle: options.BundleFile = None,
    ca_bundle: options.CaBundle = None,
    yes: options.Yes = False,
    allow_replacement: options.AllowReplacement = False,
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
) -> None:
    """Deploy the pipeline into an AWS account, or update it.

    Shows what would change, and asks. What is not given keeps its value in an update. Ctrl-C ends the watching only:
    CloudFormation goes on.
    """
    if not yes and not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here: there is no terminal", param_hint="--yes")
    check_stack_name(stack)
    named = {
        "VpcId": vpc,
        "SubnetIds": subnets.replace(" ", ""),
        "TargetPattern": target_pattern,
        "SourcePattern": source_pattern,
        "AlarmEmail": email,
        "ExistingKeyArn": key,
    }
    if bundle is not None and ca_bundle is not None:
        raise typer.BadParameter("the bundle holds its own: give it to the command bundle", param_hint="--ca-bundle")
    given = {name: value for name, value in named.items() if value} | _pairs(parameter or [])
    schedules, scheduled = _scheduled(schedule or [])
    certificates = bundling.certificates(ca_bundle)
    wish = Wish(stack, given, schedules, scheduled, bucket, bundle, certificates, yes, allow_replacement, as_json)
    _deploy(wish, _place(region), stdout())


def _pairs(written: list[str]) -> dict[str, str]:
    pairs = {}
    for each in written:
        name, sign, value = each.partition("=")
        if not sign or not name:
            raise typer.BadParameter(f"{each} is not NAME=VALUE", param_hint="--parameter")
        pairs[name] = value
    return pairs


def _scheduled(written: list[str]) -> tuple[dict[str, Resource], dict[str, RestoreRequest]]:
    """Return what the template gets for the schedules, and the request in each file."""
    resources: dict[str, Resource] = {}
    requests: dict[str, RestoreRequest] = {}
    for each in written:
        expression, sign, file = each.partition("=")
        if not sign or not file:
            raise typer.BadParameter(f"{each} is not EXPRESSION=FILE", param_hint="--schedule")
        requests[file] = read_request(file)
        resources |= scheduled(requests[file], expression.strip())
    return resources, requests


def _check_scheduled(requests: Mapping[str, RestoreRequest], chosen: Mapping[str, str]) -> None:
    """Refuse a request that the functions' roles would be denied: it would fail again and again, and by night."""
    patterns = _patterns(chosen)
    problems = [denial.problem(file) for file, request in requests.items() for denial in denials(request, patterns)]
    if problems:
        raise RequestError(problems, origin="the schedule")


def _patterns(chosen: Mapping[str, str]) -> Patterns:
    return Patterns(
        sources=chosen["SourcePattern"],
        targets=chosen["TargetPattern"],
        secrets=chosen.get("SecretPattern") or f"{chosen['TargetPattern']}/*",
        iam_users=chosen.get("IamUserPattern", ""),
    )


def _place(region: str | None) -> Place:
    clients = Clients(PATIENT)
    with reachable():
        who = demand(clients("sts", region).get_caller_identity)
    cloudformation = clients("cloudformation", region)
    return Place(
        account=who["Account"],
        partition=str(who["Arn"]).split(":")[1],
        region=cloudformation.meta.region_name,
        stacks=Stacks(cloudformation),
        s3=clients("s3", region),
    )


def _deploy(wish: Wish, place: Place, console: Console) -> None:
    """Do it, in the order in which things can go wrong without having changed anything."""
    console.quiet = wish.as_json
    found = place.stacks.find(wish.stack)
    way = way_to_deploy(found)
    is_update = found is not None and way is Way.UPDATE
    before = place.stacks.template(wish.stack) if is_update else {}
    template = with_schedules(json.loads(template_file().read_text("utf-8")), wish.schedules, before)
    # What is wrong with them is said before anything is built or uploaded; where the code will be is known later.
    code = {"BundleBucket": wish.bucket or "unknown", "BundleKey": "unknown"}
    previous = found.parameters if found is not None and is_update else {}
    parameters(template, {**wish.given, **code}, previous)
    chosen = {**previous, **wish.given}
    # A stack that somebody has already is theirs: it is told of, and not refused.
    if {"SourcePattern", "TargetPattern"} & set(wish.given):
        check_patterns(chosen["SourcePattern"], chosen["TargetPattern"])
    _check_scheduled(wish.scheduled, chosen)
    if way is Way.RENEW and found is not None:
        _clear_away(wish, place, found, console)
    bucket = Bucket(place.s3, wish.bucket or f"aurora-restore-{place.account}-{place.region}", account=place.account)
    with ExitStack() as until_uploaded:
        made = _bundle(wish, until_uploaded, console)
        uploaded = _upload(wish, place, bucket, made, template, console)
    given = {**wish.given, "BundleBucket": bucket.name, "BundleKey": uploaded.bundle_key}
    now = SystemClock().now()
    proposal = propose(
        place.stacks,
        wish.stack,
        f"aurora-restore-{now:%Y%m%d-%H%M%S}",
        way=way,
        template_url=uploaded.template_url,
        parameters=parameters(template, given, previous),
        clock=SystemClock(),
    )
    if proposal is None:
        _report_nothing(wish, place, console)
        return
    notes = [*cautions(chosen["SourcePattern"], chosen["TargetPattern"]), *_about_kept(wish, before, chosen)]
    for caution in notes:
        console.print(f"Note: {caution}", soft_wrap=True)
    _agree(wish, place, proposal, way, console)
    ended = _execute(wish, place, proposal, console)
    _report(wish, place, proposal, ended, notes, console)


def _about_kept(wish: Wish, before: Mapping[str, Any], chosen: Mapping[str, str]) -> Iterator[str]:
    """Yield what the schedules that stay would be denied, when the patterns have become other ones."""
    kept = kept_schedules(before.get("Resources", {}), wish.schedules).values()
    for request in filter(None, map(request_of, kept)):
        for denial in denials(request, _patterns(chosen)):
            yield f"the schedule {request.name} stays, and {denial.name} {denial.why}"


def _clear_away(wish: Wish, place: Place, found: FoundStack, console: Console) -> None:
    console.print(
        f"The stack {found.name} is {found.status}: its creation failed, and nothing in it works.", soft_wrap=True
    )
    if not wish.yes:
        typer.confirm("Delete what is left of it, and create it anew?", abort=True, err=True)
    seen = [event.event_id for event in place.stacks.events(found.arn)]
    place.stacks.delete(found.arn)
    with progress_for(console, silent=wish.as_json) as progress:
        ended, events = follow(place.stacks, found.arn, seen, progress.tell, SystemClock())
    if ended.status != "DELETE_COMPLETE":
        raise failed(ended, events)


def _bundle(wish: Wish, until_uploaded: ExitStack, console: Console) -> Bundle:
    if wish.bundle is not None:
        return bundling.read(wish.bundle)
    console.print("Building the functions' code for Lambda (Python 3.13, arm64)")
    folder = until_uploaded.enter_context(TemporaryDirectory(prefix="aurora-restore-"))
    made = bundling.build(Path(folder) / "functions.zip", wish.ca_bundle)
    console.print(f"  {bundling.size(made)}", soft_wrap=True)
    return made


def _upload(
    wish: Wish, place: Place, bucket: Bucket, made: Bundle, template: Mapping[str, Any], console: Console
) -> Uploaded:
    if not wish.bucket:
        bucket.create(place.partition)
    elif not bucket.exists():
        raise typer.BadParameter(f"there is no bucket {bucket.name} in {place.region}", param_hint="--bucket")
    uploaded = upload(bucket, made, template, place.suffix)
    state = "is there already" if uploaded.bundle_was_there else "uploaded"
    console.print(f"  s3://{bucket.name}/{uploaded.bundle_key} {state}", soft_wrap=True)
    return uploaded


def _agree(wish: Wish, place: Place, proposal: Proposal, way: Way, console: Console) -> None:
    """Show what would change, and return if it may; else take it back."""
    console.print(f"\nThe stack {wish.stack} in {place.region}, account {place.account}\n", soft_wrap=True)
    print_changes(console, proposal.changes)
    try:
        if proposal.losing and not wish.allow_replacement:
            _ask_for_losses(wish, proposal)
        elif not wish.yes:
            typer.confirm("Make these changes?", abort=True, err=True)
    except (typer.Abort, KeyboardInterrupt, typer.BadParameter):
        withdraw(place.stacks, wish.stack, proposal, way)
        say("Nothing was changed.")
        raise


def _ask_for_losses(wish: Wish, proposal: Proposal) -> None:
    names = ", ".join(change.name for change in proposal.losing)
    if wish.yes:
        raise typer.BadParameter(
            f"what is in {names} would be lost, and --yes does not stand for that", param_hint="--allow-replacement"
        )
    say(f"What is in {names} would be lost.")
    if typer.prompt("Type the stack's name to make these changes all the same", err=True) != wish.stack:
        raise typer.Abort


def _execute(wish: Wish, place: Place, proposal: Proposal, console: Console) -> FoundStack:
    seen = [event.event_id for event in place.stacks.events(proposal.stack_arn)]
    try:
        place.stacks.execute(proposal.arn)
        with progress_for(console, silent=wish.as_json) as progress:
            ended, events = follow(place.stacks, proposal.stack_arn, seen, progress.tell, SystemClock())
    except KeyboardInterrupt:
        goes_on = f"CloudFormation goes on. Watch it: {watch_command(wish.stack)} --region {place.region}"
        if wish.as_json:
            print_json(error_document("Interrupted", goes_on, stack=wish.stack))
        say(goes_on)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if ended.status not in _GOOD:
        raise failed(ended, events)
    return ended


def _report_nothing(wish: Wish, place: Place, console: Console) -> None:
    found = place.stacks.find(wish.stack)
    console.print(f"The stack {wish.stack} is as it should be: nothing to change.", soft_wrap=True)
    if wish.as_json:
        status = found.status if found else "unknown"
        print_json({"stack": wish.stack, "region": place.region, "status": status, "changes": []})


def _report(
    wish: Wish, place: Place, proposal: Proposal, ended: FoundStack, notes: list[str], console: Console
) -> None:
    steps = list(next_steps(ended, place.region))
    if wish.as_json:
        changes = [change.document() for change in proposal.changes]
        document = {"stack": ended.name, "region": place.region, "status": ended.status, "arn": ended.arn}
        print_json({**document, "changes": changes, "notes": notes, "outputs": ended.outputs, "next": steps})
        return
    console.print(f"\nThe stack {ended.name} is deployed. Now:", soft_wrap=True)
    for number, step in enumerate(steps, start=1):
        console.print(f"  {number}. {step}", soft_wrap=True)
