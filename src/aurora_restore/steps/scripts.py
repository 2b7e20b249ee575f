"""Step 7's second part: the request's SQL files, each once in an operation, in their order."""

from aurora_restore.database.scripts import Script, StatementError, run_script
from aurora_restore.database_request import Logins, SqlScript
from aurora_restore.errors import ScriptFailedError
from aurora_restore.operation import ScriptRun, Verdict
from aurora_restore.steps.database_site import Site

_AFTER_FAILURE = (
    "Where the file is wrong, correct it and start the request anew. Where the database is, mend it and resume: files "
    "that were run are not run again"
)


def run_scripts(site: Site) -> Verdict | None:
    """Run the files that were not run yet, as the master; return None when all are done, a WAIT while they are not.

    Raises ScriptFailedError with file and line when one is refused.
    """
    for number, script in enumerate(site.operation.wanted.sql):
        if number < len(site.work.scripts):
            continue
        if not site.budget.allows(script.timeout_minutes * 60) or not _run(site, number, script):
            return Verdict.wait(f"{len(site.work.scripts)} of {len(site.operation.wanted.sql)} SQL files are run")
    if site.work.scripts and not site.work.tidied:
        _tidy(site)
        _check_logins(site)
        site.keep(tidied=True)
    return None


def mistakes(script: SqlScript, read: Script) -> tuple[str, ...]:
    """Return a sentence with file and line for each thing in a script that cannot be run."""
    return tuple(f"{script.file}, {mistake}" for mistake in read.mistakes)


def _run(site: Site, number: int, script: SqlScript) -> bool:
    read = site.engine.read_script(script.text or "")
    if read.mistakes:
        raise ScriptFailedError("; ".join(mistakes(script, read)))
    database, limit_s = site.database(script.database), script.timeout_minutes * 60
    run = ScriptRun(file=script.file, sha256=script.sha256, statements=len(read.statements))
    count = "1 statement" if run.statements == 1 else f"{run.statements} statements"
    detail = f"{run.file} (SHA-256 {run.sha256}, {count}) in database {database}"
    with site.engine.session(site.endpoint, site.master, database, site.master) as session:
        # Only now: while this call came in, another may have run all files, and removed their marks: ConflictError.
        site.journal.intend("RunSql", site.cluster_arn, detail)
        try:
            finished = run_script(
                session,
                read,
                operation_id=site.operation.operation_id,
                number=number,
                timeout_s=lambda: min(limit_s, site.budget.left()),
                may_go_on=lambda: site.budget.allows(limit_s),
            )
        except StatementError as error:
            where = f"{script.file}, line {error.line}"
            raise ScriptFailedError(f"{where}: {error.said}", advice=_AFTER_FAILURE) from None
    if finished:
        site.keep(scripts=(*site.work.scripts, run))
    return finished


def _tidy(site: Site) -> None:
    """Remove the marks from the databases: the record alone says from now on that the files were run."""
    for database in sorted({site.database(script.database) for script in site.operation.wanted.sql}):
        with site.engine.session(site.endpoint, site.master, database, site.master) as session:
            session.forget()


def _check_logins(site: Site) -> None:
    """Refuse what scripts have opened (I7): it is no more in order because the request brought it."""
    if site.operation.wanted.logins is Logins.KEEP:
        return
    # As the engine calls them: at any other host, an account of the same name is another one.
    listed = {
        user.name if user.host == "%" else f"{user.name}@{user.host.lower()}" for user in site.operation.wanted.users
    }
    new = sorted(set(site.engine.logins(site.endpoint, site.master)) - {*site.operation.logins, *listed})
    if new:
        # Where another call of this step has come further, these may be users whom it has let in: ConflictError.
        site.keep()
        raise ScriptFailedError(
            f"after the SQL files, {', '.join(new)} can log in, and the request does not list them",
            advice="Close them in the database and resume; or list them in users and start the request anew",
        )
