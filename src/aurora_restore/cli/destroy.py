"""The command destroy: the pipeline away from an AWS account, and what it has recorded with it only on request."""

import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console

from aurora_restore.aws.clients import PATIENT, Clients
from aurora_restore.aws.deployment import read_deployment
from aurora_restore.aws.executions import Executions
from aurora_restore.aws.leftovers import Leftovers
from aurora_restore.aws.stacks import Stack as FoundStack
from aurora_restore.aws.stacks import Stacks
from aurora_restore.cli.exits import ExitCode
from aurora_restore.cli.options import DEFAULT_STACK, Json, Region, Stack
from aurora_restore.cli.output import error_document, print_json, say, stdout
from aurora_restore.cli.pipeline import reachable
from aurora_restore.cli.stack_report import progress_for
from aurora_restore.clock import SystemClock
from aurora_restore.cloudformation.deploying import failed, follow
from aurora_restore.cloudformation.readiness import check_deletable, watch_command
from aurora_restore.errors import DeploymentNotFoundError, TargetLockedError

_RETAINED = "Retain"


@dataclass(frozen=True, slots=True)
class Kept:
    """A resource that outlives the stack: its name in the template, its type and its name in AWS."""

    name: str
    kind: str
    physical_id: str

    def document(self) -> dict[str, str]:
        """Return it as --json shows it."""
        return {"name": self.name, "type": self.kind, "id": self.physical_id}


def destroy(
    *,
    delete_data: Annotated[
        bool,
        typer.Option("--delete-data", help="Also delete tables, topic and key: every operation's record and audit."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the stack's name.")] = False,
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
) -> None:
    """Delete the pipeline from AWS; keep what it has recorded.

    Tables, topic and key stay, unless --delete-data is given. Refuses while an operation runs. Clusters, snapshots and
    secrets are never touched.
    """
    if not yes and not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here: there is no terminal", param_hint="--yes")
    clients, console = Clients(PATIENT), stdout()
    console.quiet = as_json
    with reachable():
        found = Stacks(clients("cloudformation", region)).find(stack)
    if found is None:
        place = clients("cloudformation", region).meta.region_name
        raise DeploymentNotFoundError(f"there is no stack {stack} in {place}", advice="Choose --region and --stack")
    check_deletable(found)
    _refuse_while_something_runs(clients, stack, region)
    stacks = Stacks(clients("cloudformation", region))
    kept = _kept(stacks, stack)
    _agree(found, kept, console, delete_data=delete_data, yes=yes)
    _delete(stacks, found, console, as_json=as_json)
    if delete_data:
        _delete_leftovers(Leftovers(lambda service: clients(service, region)), kept, console)
    _report(found, kept, console, delete_data=delete_data, as_json=as_json)


def _refuse_while_something_runs(clients: Clients, stack: str, region: str | None) -> None:
    try:
        deployment = read_deployment(clients("ssm", region), stack)
    except DeploymentNotFoundError:
        # A stack that never came to be whole has run nothing.
        return
    running = Executions(clients("stepfunctions", region)).running(deployment.state_machine_arn)
    if running:
        raise TargetLockedError(
            f"nothing was deleted, because it runs: {', '.join(running)}",
            advice=f"Wait until it has ended, or stop it: aurora-restore abort {running[0]}",
        )


def _kept(stacks: Stacks, stack: str) -> list[Kept]:
    """Return what the template says is to outlive the stack."""
    declared: dict[str, Any] = stacks.template(stack).get("Resources", {})
    retained = {name for name, resource in declared.items() if resource.get("DeletionPolicy", "").startswith(_RETAINED)}
    found = stacks.resources(stack)
    return [Kept(name, kind, at) for name, (kind, at) in sorted(found.items()) if name in retained and at]


def _agree(found: FoundStack, kept: list[Kept], console: Console, *, delete_data: bool, yes: bool) -> None:
    fate = "is deleted with everything in it" if delete_data else "stays"
    console.print(f"The stack {found.name} ({found.status}) is deleted. Of what it holds:\n", soft_wrap=True)
    for each in kept:
        console.print(f"  {each.physical_id} {fate}", style="bold red" if delete_data else "", soft_wrap=True)
    if not yes and typer.prompt("\nType the stack's name to delete it", err=True) != found.name:
        say("That is not its name. Nothing was deleted.")
        raise typer.Exit(ExitCode.USAGE)


def _delete(stacks: Stacks, found: FoundStack, console: Console, *, as_json: bool) -> None:
    seen = [event.event_id for event in stacks.events(found.arn)]
    try:
        stacks.delete(found.arn)
        with progress_for(console, silent=as_json) as progress:
            ended, events = follow(stacks, found.arn, seen, progress.tell, SystemClock())
    except KeyboardInterrupt:
        goes_on = f"CloudFormation goes on. Watch it: {watch_command(found.arn)}"
        if as_json:
            print_json(error_document("Interrupted", goes_on, stack=found.name))
        say(goes_on)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if ended.status != "DELETE_COMPLETE":
        raise failed(ended, events)


def _delete_leftovers(leftovers: Leftovers, kept: list[Kept], console: Console) -> None:
    # The key last: nothing that is encrypted under it is there any more then.
    for each in sorted(kept, key=lambda each: each.kind == "AWS::KMS::Key"):
        if leftovers.can_delete(each.kind):
            leftovers.delete(each.kind, each.physical_id)
            console.print(f"Deleted {each.physical_id}", soft_wrap=True)


def _report(found: FoundStack, kept: list[Kept], console: Console, *, delete_data: bool, as_json: bool) -> None:
    remaining = [] if delete_data else kept
    if as_json:
        print_json({"stack": found.name, "status": "DELETE_COMPLETE", "kept": [each.document() for each in remaining]})
        return
    console.print(f"\nThe stack {found.name} is deleted.", soft_wrap=True)
    if remaining:
        last = "What it has recorded stays, and is yours to delete, the key last: without it nothing can be read."
        console.print(last, soft_wrap=True)
