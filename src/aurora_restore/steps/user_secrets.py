"""The users' secrets: a new password with each operation, so that nobody reads one that is of no use (any more).

The new version waits as AWSPENDING. What consumers read until then leads either to the cluster that was replaced, and
lets nobody in whatever happens: then AWSCURRENT moves just before the database learns the password, and is right from
the first login on. Or it leads elsewhere, where it may well work: then AWSCURRENT moves when all is set up here. The
version's id follows from the operation, so that a step that was killed anywhere finds it again and never makes a third
password.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aurora_restore.aws.secrets import Secret, Secrets
from aurora_restore.database.passwords import strong_password
from aurora_restore.database_request import Password, User
from aurora_restore.errors import NotReadyError, PreconditionError
from aurora_restore.names import secret_version
from aurora_restore.operation import Operation, require
from aurora_restore.steps.world import World
from aurora_restore.store.journal import Journal

# The word that RDS's rotation functions expect in a secret's "engine".
_ROTATION_ENGINE = {"aurora-postgresql": "postgres", "aurora-mysql": "mysql"}


@dataclass(frozen=True, slots=True)
class UserSecret:
    """A user's secret, with the password that the database shall have.

    ``pending`` is the version that is to become current; None where consumers read the right one already. ``is_spent``:
    what they read now leads to the restored cluster, whose database knows production's passwords only.
    """

    secret: Secret
    password: Secret
    pending: str | None
    is_spent: bool = False


def refusals(secret: Secret, user: User) -> tuple[str, ...]:
    """Return a sentence for each reason why an existing secret cannot be this user's."""
    found = [] if secret.refusal is None else [secret.refusal]
    if secret.username not in {"", user.name}:
        found.append(f"the secret {user.secret} is for the user {secret.username}, not for {user.name}")
    kept = secret.value.get("password")
    if user.password is Password.KEEP and not (isinstance(kept, str) and kept):
        found.append(f"the secret {user.secret} holds no password to keep for {user.name}: let it be rotated")
    return tuple(found)


def prepare(journal: Journal, world: World, secrets: Secrets, user: User, name: str) -> UserSecret:
    """Return the user's secret, with this operation's version in it: made, or found again."""
    version = secret_version(journal.operation.operation_id, name)
    secret = secrets.find(name) or _made(journal, world, secrets, user, name, version)
    if reasons := refusals(secret, user):
        raise PreconditionError(reasons[0])
    if version == secret.current:
        return UserSecret(secret, secret, None)
    if version not in secret.versions:
        value = _value(journal.operation, user, _password(secret, user, world), secret.value)
        if value == secret.value:
            return UserSecret(secret, secret, None)
        intent = journal.intend("PutSecretValue", secret.arn, _why(user, secret, value))
        secrets.add_version(intent, secret, version, value)
    # What is stored counts: another call may have been faster.
    stored = secrets.version(secret.arn, version)
    if stored is None:
        raise NotReadyError(f"the new version of the secret {name} was made and cannot be seen yet")
    # A secret's first version is current at once, whatever it was to be.
    return UserSecret(secret, stored, version if secret.current else None, _leads_here(journal.operation, secret))


def publish(journal: Journal, secrets: Secrets, prepared: UserSecret) -> None:
    """Let consumers read the version whose password the database has, or is about to have."""
    if prepared.pending is not None:
        why = "nothing else lets them in" if prepared.is_spent else "the database has the password of the new version"
        intent = journal.intend("UpdateSecretVersionStage", prepared.secret.arn, why)
        if not secrets.make_current(intent, prepared.secret, prepared.pending):
            _expect_current(secrets, prepared.secret.arn, prepared.pending)


def _expect_current(secrets: Secrets, arn: str, version: str) -> None:
    """Let it be if another call of this step was faster; a rotation that came between is looked at anew."""
    now = secrets.find(arn)
    if now is None or now.current != version:
        raise NotReadyError(f"the current version of the secret {arn} changed while it was to be moved")


def _made(journal: Journal, world: World, secrets: Secrets, user: User, name: str, version: str) -> Secret:
    """Make the user's secret, before the database learns the password: killed in between, it is found again."""
    operation = journal.operation
    intent = journal.intend("CreateSecret", name, f"the user {user.name} has none yet")
    value = _value(operation, user, strong_password(world.random), {})
    secrets.create(
        intent, name=name, version_id=version, value=value, kms_key=operation.secrets_key_arn, tags=operation.tags
    )
    secret = secrets.find(name)
    if secret is None:
        raise NotReadyError(f"the secret {name} was made and cannot be seen yet")
    return secret


def _password(secret: Secret, user: User, world: World) -> str:
    return secret.password if user.password is Password.KEEP else strong_password(world.random)


def _value(operation: Operation, user: User, password: str, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON that RDS's rotation functions read, and what else the secret's owner keeps in it."""
    restored = require(operation.restored, "restored cluster")
    return {
        **before,
        "engine": _ROTATION_ENGINE[require(operation.shape, "shape").engine],
        "host": restored.endpoint,
        "port": restored.port,
        **({"dbname": restored.database} if restored.database else {}),
        "dbClusterIdentifier": operation.wanted.target.cluster,
        "username": user.name,
        "password": password,
    }


def _leads_here(operation: Operation, secret: Secret) -> bool:
    """Say whether consumers of the secret go to the restored cluster; if they know where from elsewhere, they do."""
    restored = require(operation.restored, "restored cluster")
    host, port = secret.value.get("host") or restored.endpoint, secret.value.get("port") or restored.port
    return host in (restored.endpoint, restored.reader_endpoint) and str(port) == str(restored.port)


def _why(user: User, secret: Secret, value: Mapping[str, Any]) -> str:
    changed = "the endpoint in it" if value["password"] == secret.value.get("password") else "a new password"
    return f"{changed} for {user.name}, pending until the database has it"
