"""The part of a plan about the database: users, what becomes of production's, SQL files, checks. Pure."""

from collections.abc import Iterator, Mapping

from aurora_restore.database_request import Grant, Leftover, Logins, User, Verification
from aurora_restore.plan_parts import PlannedCheck, PlannedScript, PlannedUser
from aurora_restore.request import RestoreRequest

# Which engine's data brings what, and what is done to it.
_LEFTOVERS: Mapping[str, Mapping[Leftover, str]] = {
    "aurora-postgresql": {
        Leftover.SUBSCRIPTIONS: "Subscriptions are disabled and detached",
        Leftover.REPLICATION_SLOTS: "replication slots are dropped",
        Leftover.CRON_JOBS: "pg_cron's jobs are switched off",
        Leftover.USER_MAPPINGS: "user mappings of foreign servers are removed",
    },
    "aurora-mysql": {Leftover.EVENTS: "Events are disabled"},
}


def planned_users(request: RestoreRequest, secrets: Mapping[str, bool]) -> tuple[PlannedUser, ...]:
    """Return the users who can log in afterwards; ``secrets`` says which of their secrets exist."""
    return tuple(_user(user, secrets) for user in request.users)


def planned_logins(request: RestoreRequest, master: str | None) -> tuple[str, ...]:
    """Return a sentence for each thing that happens to logins."""
    return tuple(_logins(request, master))


def planned_leftovers(request: RestoreRequest, engine: str | None) -> tuple[str, ...]:
    """Return what is done to what came with production's data and would act by itself, and what is left."""
    known = _LEFTOVERS.get(engine or "", {})
    done = ", ".join(what for leftover, what in known.items() if leftover not in request.keep)
    sentences = [f"{done[0].upper()}{done[1:]}." if done else ""]
    sentences += [f"Production's {leftover} stay as they come (keep)." for leftover in request.keep]
    sentences += [f"What {one.old} owns{_in(one.database)} becomes {one.new}'s." for one in request.ownership]
    return tuple(sentence for sentence in sentences if sentence)


def planned_scripts(request: RestoreRequest) -> tuple[PlannedScript, ...]:
    """Return the SQL files in their order."""
    return tuple(
        PlannedScript(
            file=script.file,
            sha256=script.sha256,
            size_bytes=len((script.text or "").encode()),
            database=script.database,
            timeout_minutes=script.timeout_minutes,
        )
        for script in request.sql
    )


def planned_checks(request: RestoreRequest) -> tuple[PlannedCheck, ...]:
    """Return what must hold."""
    return tuple(
        PlannedCheck(name=check.title(number), expects=_expectation(check), user=request.asking_user(check).name)
        for number, check in enumerate(request.verify)
    )


def _user(user: User, secrets: Mapping[str, bool]) -> PlannedUser:
    return PlannedUser(
        name=user.name,
        login="IAM token" if user.secret is None else f"secret {user.secret}",
        secret_exists=None if user.secret is None else secrets.get(user.secret),
        grants=tuple(map(_grant, user.grants)),
        password=None if user.secret is None else user.password,
        more=tuple(_more(user)),
    )


def _grant(grant: Grant) -> str:
    what = grant.preset.value if grant.preset else ", ".join(grant.privileges or ())
    parts = (("database", grant.database), ("schema", grant.schema_name), ("table", grant.table))
    where = ", ".join(f"{kind} {name}" for kind, name in parts if name)
    return f"{what} on {where}" if where else what


def _more(user: User) -> Iterator[str]:
    if user.host != "%":
        yield f"from {user.host}"
    if user.roles:
        yield f"in {', '.join(user.roles)}"
    if user.connection_limit is not None:
        yield f"at most {user.connection_limit} connections"
    if user.valid_until is not None:
        yield f"until {user.valid_until:%Y-%m-%d %H:%M %Z}"
    yield from (f"{name} = {_setting(value)}" for name, value in user.settings.items())


def _setting(value: str | float | bool) -> str:  # noqa: FBT001 - a value, not a switch
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _logins(request: RestoreRequest, master: str | None) -> Iterator[str]:
    if request.users:
        yield "Created, or changed where they came with the data: which, is known only after the restore."
    if request.logins is Logins.ONLY_LISTED:
        yield "All other logins in the data are locked; their names are known only after the restore."
    else:
        yield "The other logins in the data stay, with the source's passwords (logins is keep)."
    yield f"The master user{f' {master}' if master else ''} gets a new password, in a new secret that RDS manages."


def _expectation(check: Verification) -> str:
    if check.table is not None:
        return f"at least {check.rows_at_least:,} rows" if check.rows_at_least else "exists"
    return f"the query returns {str(check.returns).lower() if isinstance(check.returns, bool) else check.returns}"


def _in(database: str | None) -> str:
    return f" in database {database}" if database else ""
