"""Step 7: makes the database's users what the request says, and nothing else able to log in (I7)."""

from collections.abc import Sequence
from typing import Any

from aurora_restore.aws.secrets import Secret, Secrets
from aurora_restore.database.engine import Change, DesiredState, DesiredUser, Endpoint, Engine, Login
from aurora_restore.database.passwords import strong_password
from aurora_restore.database_request import Logins, User
from aurora_restore.errors import DatabaseUnreachableError, NotReadyError, PreconditionError
from aurora_restore.operation import Counted, Operation, Restored, Verdict, require
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal

# The word that RDS's rotation functions expect in a secret's "engine".
_ROTATION_ENGINE = {"aurora-postgresql": "postgres", "aurora-mysql": "mysql"}
# An audit event must stay far below DynamoDB's 400 KB an item.
_LONGEST_DETAIL = 20_000


def run(journal: Journal, world: World) -> Verdict:
    """Compare the users that are wanted with those that are there, and change what differs.

    Raises DatabaseRefusedError when the database refuses, or somebody who is not listed can still log in.
    """
    operation = journal.operation
    request, restored = operation.wanted, require(operation.restored, "restored cluster")
    engine = world.engine_for(require(operation.shape, "shape").engine)
    secrets = world.secrets(request.target.region)
    master = _master(secrets, operation)
    endpoint = Endpoint(restored.endpoint, restored.port)
    users: list[DesiredUser] = []
    arns: dict[str, str] = {}
    for user in request.users:
        secret = _secret(journal, world, secrets, user, restored)
        users.append(_desired(user, secret))
        if secret is not None:
            arns[user.name] = secret.arn
    journal.keep(user_secrets=arns)
    desired = DesiredState(users=tuple(users), logins=request.logins, keep=frozenset({master.user}))
    try:
        return _apply(journal, engine, endpoint, master, desired)
    except DatabaseUnreachableError as error:
        return Verdict.wait(f"the database does not answer yet: {error}")


def _apply(journal: Journal, engine: Engine, endpoint: Endpoint, master: Login, desired: DesiredState) -> Verdict:
    planned = engine.plan(endpoint, master, desired)
    subject = require(journal.operation.restored, "restored cluster").arn
    if planned:
        journal.intend("SetupUsers", subject, _summary(planned))
        engine.apply(endpoint, master, desired)
    remarks = engine.remarks(endpoint, master, desired)
    logins = engine.logins(endpoint, master)
    known = journal.operation.not_restored
    journal.keep(logins=logins, not_restored=(*known, *(remark for remark in remarks if remark not in known)))
    others = "nobody else can log in" if desired.logins is Logins.ONLY_LISTED else "the source's logins were kept"
    reason = f"{len(planned)} changes made; {len(logins)} can log in ({', '.join(logins)}); {others}"
    return Verdict.done(reason, {Counted.USERS_CHANGED: len({change.user for change in planned})})


def _master(secrets: Secrets, operation: Operation) -> Login:
    arn = require(operation.master_secret_arn, "managed master secret")
    secret = secrets.find(arn)
    if secret is None:
        raise NotReadyError(f"the master user's secret {arn} cannot be seen yet")
    return Login(secret.username, secret.password)


def _secret(journal: Journal, world: World, secrets: Secrets, user: User, restored: Restored) -> Secret | None:
    """Return the user's secret, made or brought up to date if need be; None for one who logs in with IAM."""
    if user.secret is None:
        return None
    secret = secrets.find(user.secret) or _made(journal, world, secrets, user, restored)
    _keep_current(journal, secrets, secret, user, restored)
    return secret


def _desired(user: User, secret: Secret | None) -> DesiredUser:
    password = None if secret is None else secret.password
    return DesiredUser(name=user.name, password=password, iam=secret is None, grants=tuple(user.grants))


def _made(journal: Journal, world: World, secrets: Secrets, user: User, restored: Restored) -> Secret:
    """Make the user's secret, before the database learns the password: killed in between, it is found again."""
    operation, name = journal.operation, str(user.secret)
    intent = journal.intend("CreateSecret", name, f"the user {user.name} has none yet")
    value = {**_place(operation, restored), "username": user.name, "password": strong_password(world.random)}
    secrets.create(intent, name=name, value=value, kms_key=operation.secrets_key_arn, tags=operation.tags)
    secret = secrets.find(name)
    if secret is None:
        raise NotReadyError(f"the secret {name} was made and cannot be seen yet")
    return secret


def _keep_current(journal: Journal, secrets: Secrets, secret: Secret, user: User, restored: Restored) -> None:
    """Bring the endpoint in the user's secret up to date, where it has changed; the password stays."""
    if secret.username not in {"", user.name}:
        raise PreconditionError(f"the secret {secret.arn} is for the user {secret.username}, not for {user.name}")
    current = {
        **secret.value,
        **_place(journal.operation, restored),
        "username": user.name,
        "password": secret.password,
    }
    if current != secret.value:
        intent = journal.intend("PutSecretValue", secret.arn, "the endpoint in it is brought up to date")
        secrets.put(intent, secret, current)


def _place(operation: Operation, restored: Restored) -> dict[str, Any]:
    """Return where the database is, in the form that RDS's rotation functions read."""
    return {
        "engine": _ROTATION_ENGINE[require(operation.shape, "shape").engine],
        "host": restored.endpoint,
        "port": restored.port,
        **({"dbname": restored.database} if restored.database else {}),
        "dbClusterIdentifier": operation.wanted.target.cluster,
    }


def _summary(planned: Sequence[Change]) -> str:
    sentences = "; ".join(change.sentence for change in planned)
    return sentences if len(sentences) <= _LONGEST_DETAIL else f"{len(planned)} changes: {sentences[:_LONGEST_DETAIL]}…"
