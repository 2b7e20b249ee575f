"""Step 7's first part: the database's users and their secrets, and that nobody else can log in (I7).

Where SQL of the request's is to be run, users get everything but a way in first, and are let in when it has run. Where
a check does not hold then, they are closed again.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from aurora_restore.database.engine import Change, DesiredState, DesiredUser, TimeLeft, endless
from aurora_restore.database.tls import NOT_VERIFIED, TlsMode
from aurora_restore.database_request import Leftover, Logins, User
from aurora_restore.errors import (
    ConfigurationError,
    DatabaseRefusedError,
    DatabaseUnreachableError,
    FailedByAwsError,
    NotReadyError,
    PreconditionError,
    PreflightError,
)
from aurora_restore.operation import Verdict
from aurora_restore.steps.database_site import Site
from aurora_restore.steps.user_secrets import UserSecret, UserSecrets

# An audit event must stay far below DynamoDB's 400 KB an item: what is more becomes another event.
_LARGEST_DETAIL_BYTES = 100_000
# What does not pass by itself: a person has to come and mend it.
_FOR_A_PERSON = (ConfigurationError, PreconditionError, FailedByAwsError)


def set_up_users(site: Site) -> Verdict | None:
    """Make users and secrets what they shall be. Never after SQL has run: it may have made what this would undo."""
    if site.work.users_set:
        return None
    opens = not site.operation.wanted.sql
    with _closed_where_it_fails(site):
        prepared = _secrets(site).prepare()
        if prepared is None:
            return Verdict.wait("the users' secrets are being made")
        desired = _desired(site, prepared, opens=opens)
        published = prepared.values() if opens else ()
        if not _apply_or_stop(site, desired, published):
            return Verdict.wait(f"{site.work.changes} changes are made to the users, and more are to be")
    if not _secrets(site).publish(published, spent=False):
        return Verdict.wait("the users are set up; consumers are being told")
    remarks = [*site.engine.remarks(site.endpoint, site.master, desired)]
    if site.world.tls.mode(site.endpoint.host) is TlsMode.REQUIRED:
        remarks.append(NOT_VERIFIED)
    known = site.operation.not_restored
    site.journal.keep(
        logins=site.engine.logins(site.endpoint, site.master),
        not_restored=(*known, *(remark for remark in remarks if remark not in known)),
        user_secrets={name: each.secret.arn for name, each in prepared.items()},
        database_work=site.work.model_copy(update={"users_set": True, "opened": opens}),
    )
    return None


def let_users_in(site: Site) -> Verdict | None:
    """Open the users who had to wait for the SQL to be run, and let consumers read how they get in."""
    if site.work.opened:
        return None
    prepared = _secrets(site).prepare()
    if prepared is None:
        return Verdict.wait("the users' secrets are being read")
    users = _desired(site, prepared, opens=True).users
    if site.work.shut:
        # From here on some of them may get in.
        site.keep(shut=False)
    if not _secrets(site).publish(prepared.values(), spent=True):
        return Verdict.wait("the SQL files are run; consumers are being told")
    _announce(site, [f"{user.name} can log in now" for user in users])
    applied = site.engine.open(site.endpoint, site.master, users, site.budget.left)
    site.keep(changes=site.work.changes + len(applied.changes))
    if not applied.is_whole or not _secrets(site).publish(prepared.values(), spent=False):
        return Verdict.wait("the users are being let in")
    site.journal.keep(
        logins=site.engine.logins(site.endpoint, site.master),
        database_work=site.work.model_copy(update={"opened": True}),
    )
    return None


def shut_users_out(site: Site) -> None:
    """Close the users whom we have let in: what a check has found may be what nobody is to see.

    Where production's logins are kept they stay open, and the message says so. Where the database refuses to close all
    of them, some may be: whoever resumes the operation lets them all in again.
    """
    if site.operation.wanted.logins is Logins.KEEP:
        return
    # What they come with says nothing about how they are closed.
    users = _desired(site, {}, opens=False).users
    _announce(site, [f"{user.name} can no longer log in, because a check does not hold" for user in users])
    is_shut, logins = False, site.operation.logins
    with suppress(DatabaseRefusedError):
        site.engine.shut_out(site.endpoint, site.master, users)
        is_shut = True
    with suppress(DatabaseRefusedError):
        logins = site.engine.logins(site.endpoint, site.master)
    # All at once, and last: a call that ends before it is followed by one that closes, and by none that lets in.
    work = site.work.model_copy(update={"opened": False, "shut": is_shut})
    site.journal.keep(logins=logins, database_work=work)


def _secrets(site: Site) -> UserSecrets:
    return UserSecrets(site.journal, site.world, site.secrets, lambda: site.budget.is_over)


@contextmanager
def _closed_where_it_fails(site: Site) -> Iterator[None]:
    """Where the database or a secret refuses something, close at least what is open, and then say why.

    Something that came along and cannot be stopped would leave production's logins open until somebody comes; so would
    a key that lets nobody write a secret.
    """
    try:
        yield
    except PreflightError:
        # They are closed already.
        raise
    except _FOR_A_PERSON:
        _close(site)
        raise


def _apply_or_stop(site: Site, desired: DesiredState, secrets: Collection[UserSecret]) -> bool:
    """Apply; where the users cannot be what the request wants, stop and close what came along, and then say why."""
    try:
        return _apply(site, desired, secrets)
    except PreflightError as error:
        problems = error.problems
    if not _apply(site, replace(desired, users=(), ownership=()), ()):
        return False
    site.keep(closed=desired.logins is Logins.ONLY_LISTED)
    raise PreflightError(problems, stands="no user was set up")


def _apply(site: Site, desired: DesiredState, secrets: Collection[UserSecret]) -> bool:
    """Change what differs; return False when the time was up before all was."""
    planned = site.engine.plan(site.endpoint, site.master, desired)
    if not _secrets(site).publish(secrets, spent=True):
        return False
    return _carry_out(site, desired, planned, site.budget.left)


def _close(site: Site) -> None:
    """Close every way in but the master's, if the database lets us: what it has refused already is not asked again."""
    if site.operation.wanted.logins is Logins.KEEP:
        return
    closing = DesiredState(users=(), keep=frozenset({site.master.user}), leftovers=frozenset(Leftover))
    with suppress(DatabaseRefusedError, DatabaseUnreachableError, NotReadyError):
        # However little time is left: it is little work, and cut short it would begin anew with the refusal each time.
        _carry_out(site, closing, site.engine.plan(site.endpoint, site.master, closing), endless)
        site.keep(closed=True)


def _carry_out(site: Site, desired: DesiredState, planned: Sequence[Change], time_left: TimeLeft) -> bool:
    if not planned:
        return True
    _announce(site, [change.sentence for change in planned])
    applied = site.engine.apply(site.endpoint, site.master, desired, time_left)
    users = {change.user for change in applied.changes}
    site.keep(changes=site.work.changes + len(applied.changes), users_changed=site.work.users_changed + len(users))
    return applied.is_whole


def _desired(site: Site, prepared: dict[str, UserSecret], *, opens: bool) -> DesiredState:
    request = site.operation.wanted
    return DesiredState(
        users=tuple(_desired_user(user, prepared.get(user.name), opens=opens) for user in request.users),
        logins=request.logins,
        keep=frozenset({site.master.user}),
        leftovers=frozenset(request.keep),
        ownership=tuple(request.ownership),
    )


def _desired_user(user: User, secret: UserSecret | None, *, opens: bool) -> DesiredUser:
    return DesiredUser(
        name=user.name,
        password=None if secret is None else secret.password.password,
        iam=secret is None,
        grants=tuple(user.grants),
        host=user.host,
        roles=tuple(user.roles),
        connection_limit=user.connection_limit,
        valid_until=user.valid_until,
        settings=user.settings,
        opens=opens,
    )


def _announce(site: Site, sentences: Iterable[str]) -> None:
    """Write down every change before the first is made (I5), a line each, in as many events as it takes."""
    part: list[str] = []
    size = 0
    for sentence in sentences:
        # A name may hold anything: in a line of its own it would pass for a change.
        line = sentence.replace("\n", "\\n")
        if part and size + len(line.encode()) > _LARGEST_DETAIL_BYTES:
            site.journal.intend("SetupUsers", site.cluster_arn, "\n".join(part))
            part, size = [], 0
        part.append(line)
        size += len(line.encode())
    if part:
        site.journal.intend("SetupUsers", site.cluster_arn, "\n".join(part))
