"""What step 1 looks at of all that step 7 will do: the engine, the users' secrets, the SQL files, the checks."""

from collections.abc import Iterator
from datetime import datetime

from aurora_restore.database.engine import Engine
from aurora_restore.database.unsupported import unsupported
from aurora_restore.errors import ConfigurationError, PreconditionError
from aurora_restore.request import RestoreRequest
from aurora_restore.steps.scripts import mistakes
from aurora_restore.steps.user_secrets import refusals
from aurora_restore.steps.world import World


def about_database(request: RestoreRequest, world: World, engine_name: str | None, master: str | None) -> Iterator[str]:
    """Yield every problem; left out is what an engine, or the master's name, would be needed for and is not known."""
    if engine_name is not None:
        try:
            engine = world.engine_for(engine_name)
        except ConfigurationError as error:
            yield str(error)
        else:
            yield from _about_scripts(request, engine)
            yield from _about_checks(request, engine)
            yield from unsupported(request, engine_name)
    yield from _about_users(request, world.clock.now(), master)
    yield from _about_secrets(request, world)


def _about_scripts(request: RestoreRequest, engine: Engine) -> Iterator[str]:
    for script in request.sql:
        yield from mistakes(script, engine.read_script(script.text or ""))


def _about_checks(request: RestoreRequest, engine: Engine) -> Iterator[str]:
    for number, check in enumerate(request.verify):
        fault = None if check.query is None else engine.read_script(check.query).no_question
        if fault is not None:
            yield f"the check {check.title(number)}: its query must be one SELECT, and is {fault}"


def _about_users(request: RestoreRequest, now: datetime, master: str | None) -> Iterator[str]:
    for user in request.users:
        if user.name == master:
            yield f"the user {user.name} is the master user, whose password RDS manages: leave it out"
        if user.valid_until is not None and user.valid_until <= now:
            until = f"{user.valid_until:%Y-%m-%d %H:%M %Z}"
            yield f"the user {user.name}: valid_until, {until}, has passed: nobody could log in as it"


def _about_secrets(request: RestoreRequest, world: World) -> Iterator[str]:
    secrets = world.secrets(request.target.region)
    for user in request.users:
        if user.secret is None:
            continue
        try:
            secret = secrets.find(user.secret)
        except PreconditionError as error:
            yield str(error)
        else:
            yield from () if secret is None else refusals(secret, user)
