"""From a function's record to its handler: what Lambda does at a cold start, here in the account's world.

There is no other way to a handler, whoever created the function: CloudFormation, the account itself or a user's call.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import IO, Any, cast

from aws_lambda_powertools import Logger

from aurora_restore.clock import Clock
from aurora_restore.embedded.engines import Authority, engine_of_account, no_authority
from aurora_restore.embedded.lambdas import FunctionKilledError, FunctionLog, FunctionRecord
from aurora_restore.runtime import Function, Settings, open_world
from aurora_restore.steps.world import World

_OWN_PACKAGE = "aurora_restore."


def import_handler(handler: str) -> Function:
    """Return the handler that a handler string such as ``aurora_restore.runtime.copy_snapshot_handler`` names.

    Raises FunctionKilledError, as Lambda would, when there is none; also for code that is not the pipeline's, which
    the account does not run.
    """
    module, _, name = handler.rpartition(".")
    if not module.startswith(_OWN_PACKAGE):
        reason = f"Unable to import module '{module}': the embedded account runs the pipeline's own handlers only"
        raise FunctionKilledError("Runtime.ImportModuleError", reason)
    try:
        found = getattr(import_module(module), name, None)
    except ModuleNotFoundError as error:
        reason = f"Unable to import module '{module}': No module named '{error.name}'"
        raise FunctionKilledError("Runtime.ImportModuleError", reason) from error
    if not isinstance(found, Function):
        raise FunctionKilledError("Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{module}'")
    return found


def load(
    record: FunctionRecord,
    client: Callable[[str, str], Any],
    clock: Clock,
    log: FunctionLog,
    mark: object,
    authority: Authority = no_authority,
) -> Function:
    """Return the record's handler, at work where the record's own environment variables lead.

    ``client`` makes the account's clients for a service and region. ``mark`` tells this account's logger from others'
    with a function of the same name: Powertools keeps one a name. ``authority`` takes the place of the bundle of
    certificates that a deployment brings.
    """
    environment = dict(record.environment)

    def account_client(service: str, region: str | None) -> Any:
        return client(service, region or record.region)

    def world() -> World:
        opened = open_world(Settings.from_environment(environment), account_client, clock)
        return replace(opened, engine_for=partial(engine_of_account, authority=authority))

    logger = Logger(service=f"{record.name}@{mark}", stream=cast("IO[str]", log))
    return import_handler(record.handler).elsewhere(world, logger)
