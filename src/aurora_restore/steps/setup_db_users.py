"""Step 7: makes the database's users what the request says, and nothing else able to log in (I7); runs its SQL, checks.

Each part may say WAIT when the function's time is up, and goes on at the next call where it stopped.
"""

from aurora_restore.database_request import Logins
from aurora_restore.errors import DatabaseUnreachableError
from aurora_restore.operation import Counted, Operation, Verdict
from aurora_restore.steps.checks import verify_all
from aurora_restore.steps.database_site import open_site
from aurora_restore.steps.database_users import let_users_in, set_up_users
from aurora_restore.steps.scripts import run_scripts
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal


def run(journal: Journal, world: World) -> Verdict:
    """Compare the users that are wanted with those that are there, and change what differs; then SQL, then checks.

    Where there is SQL, nobody but the master can log in before it has run: it may mask what nobody is to see.

    Raises DatabaseRefusedError when the database refuses or somebody who is not listed can still log in,
    ScriptFailedError and VerificationFailedError.
    """
    site = open_site(journal, world)
    try:
        for part in (set_up_users, run_scripts, let_users_in, verify_all):
            waiting = part(site)
            if waiting is not None:
                return waiting
    except DatabaseUnreachableError as error:
        return Verdict.wait(f"the database does not answer yet: {error}")
    return Verdict.done(_reason(site.operation), {Counted.USERS_CHANGED: site.work.users_changed})


def _reason(operation: Operation) -> str:
    work, logins = operation.database_work, operation.logins
    listed_only = operation.wanted.logins is Logins.ONLY_LISTED
    others = "nobody else can log in" if listed_only else "the source's logins were kept"
    parts = [f"{work.changes} changes made", f"{len(logins)} can log in ({', '.join(logins)})", others]
    if work.scripts:
        parts.append(f"{len(work.scripts)} SQL {'file' if len(work.scripts) == 1 else 'files'} run")
    if work.checks:
        parts.append(f"{len(work.checks)} {'check holds' if len(work.checks) == 1 else 'checks hold'}")
    return "; ".join(parts)
