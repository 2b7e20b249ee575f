"""Step 7's last part: what must hold in the restored database before anyone is told that the operation succeeded."""

from aurora_restore.database.engine import Login
from aurora_restore.database.verification import Finding, verify
from aurora_restore.database_request import User, Verification
from aurora_restore.errors import DatabaseRefusedError, PreconditionError, VerificationFailedError
from aurora_restore.operation import Verdict
from aurora_restore.steps.database_site import Site
from aurora_restore.steps.database_users import shut_users_out

_TIMEOUT_S = 120


def verify_all(site: Site) -> Verdict | None:
    """Make every check as one of the users; return None when all hold, a WAIT while there are more to make.

    Raises VerificationFailedError with every one that does not hold.
    """
    checks = site.operation.wanted.verify
    for number, check in enumerate(checks):
        made = len(site.work.checks) + len(site.work.faults)
        if number < made:
            continue
        if not site.budget.allows(_TIMEOUT_S):
            return Verdict.wait(f"{made} of {len(checks)} checks are made")
        _keep(site, _look(site, check, check.title(number)))
    if checks:
        _judge(site)
    return None


def _judge(site: Site) -> None:
    held, faults = site.work.checks, site.work.faults
    if not faults:
        site.journal.note("VerifyData", site.cluster_arn, f"{_all(len(held))}: {'; '.join(held)}")
        return
    shut_users_out(site)
    # Whoever resumes the operation wants to know it anew.
    forgotten = site.work.model_copy(update={"checks": (), "faults": ()})
    detail = f"{_some(len(faults), len(held) + len(faults))}: {'; '.join(faults)}"
    site.journal.note("VerifyData", site.cluster_arn, detail, database_work=forgotten)
    raise VerificationFailedError(faults)


def _all(count: int) -> str:
    return "the one check holds" if count == 1 else f"all {count} checks hold"


def _some(faults: int, count: int) -> str:
    if count == 1:
        return "the one check does not hold"
    return f"{faults} of {count} checks {'does' if faults == 1 else 'do'} not hold"


def _keep(site: Site, finding: Finding) -> None:
    if finding.holds:
        site.keep(checks=(*site.work.checks, finding.sentence))
    else:
        site.keep(faults=(*site.work.faults, finding.sentence))


def _look(site: Site, check: Verification, name: str) -> Finding:
    user = site.operation.wanted.asking_user(check)
    login, database = _login(site, user), site.database(check.database)
    try:
        with site.engine.session(site.endpoint, login, database, site.master) as session:
            return verify(session, check, name, min(_TIMEOUT_S, site.budget.left()))
    except DatabaseRefusedError as error:
        return Finding(holds=False, sentence=f"{name}: {error}")


def _login(site: Site, user: User) -> Login:
    if user.secret is None:
        rds = site.world.rds(site.operation.wanted.target.region)
        return Login(user.name, rds.login_token(site.endpoint.host, site.endpoint.port, user.name))
    secret = site.secrets.find(user.secret)
    if secret is None:
        raise PreconditionError(f"the secret {user.secret} of {user.name} is gone")
    return Login(user.name, secret.password)
