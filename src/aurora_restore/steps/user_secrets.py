"""The users' secrets: a new password with each operation, so that nobody reads one that is of no use (any more).

The new version waits as AWSPENDING. What consumers read until then leads either to the cluster that was replaced, and
lets nobody in whatever happens: then AWSCURRENT moves just before the database learns the password, and is right from
the first login on. Or it leads elsewhere, where it may well work: then AWSCURRENT moves when all is set up here. The
version's id follows from the operation, so that a step that was killed anywhere finds it again and never makes a third
password.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from aurora_restore.aws.secrets import Secret, Secrets
from aurora_restore.database.passwords import strong_password
from aurora_restore.database_request import Password, User
from aurora_restore.errors import NotReadyError, PreconditionError
from aurora_restore.names import secret_version
from aurora_restore.operation import Intent, Operation, require
from aurora_restore.steps.world import World
from aurora_restore.store.journal import MANY_INTENTS, Journal

_Item = TypeVar("_Item")
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


class UserSecrets:
    """The secrets of a request's users. Many are announced at once: each announcement writes the whole record anew."""

    def __init__(self, journal: Journal, world: World, secrets: Secrets, is_over: Callable[[], bool]) -> None:
        """Take the operation's journal, and what says that no time is left to begin anything more."""
        self._journal = journal
        self._world = world
        self._secrets = secrets
        self._is_over = is_over
        self._users = {user.name: user for user in journal.operation.wanted.users if user.secret is not None}

    def prepare(self) -> dict[str, UserSecret] | None:
        """Return each user's secret, with this operation's version in it: made, or found again.

        None when the time was up before all were there. Raises PreconditionError where one cannot be the user's.
        """
        found = self._find_or_make()
        if found is None:
            return None
        values = self._new_values(found)
        for batch in _batches(list(values)):
            intents = self._journal.intend_all(
                "PutSecretValue",
                {found[name].arn: _why(self._users[name], found[name], values[name]) for name in batch},
            )
            for name in batch:
                if self._is_over():
                    return None
                secret = found[name]
                self._secrets.add_version(intents[secret.arn], secret, self._version(name), values[name])
        prepared: dict[str, UserSecret] = {}
        for name, secret in found.items():
            if self._is_over():
                return None
            prepared[name] = self._prepared(name, secret, is_new=name in values)
        return prepared

    def publish(self, prepared: Iterable[UserSecret], *, spent: bool) -> bool:
        """Let consumers read the versions whose passwords the database has, or is about to have.

        Of those that are spent, or of the others. Returns False when the time was up before all could be read.
        """
        why = "nothing else lets them in" if spent else "the database has the password of the new version"
        waiting = [each for each in prepared if each.pending is not None and each.is_spent is spent]
        for batch in _batches(waiting):
            arns = [each.secret.arn for each in batch]
            intents = self._journal.intend_all("UpdateSecretVersionStage", dict.fromkeys(arns, why))
            for each in batch:
                if self._is_over():
                    return False
                self._publish(intents[each.secret.arn], each.secret, str(each.pending))
        return True

    def _find_or_make(self) -> dict[str, Secret] | None:
        found: dict[str, Secret] = {}
        for name, user in self._users.items():
            if self._is_over():
                return None
            secret = self._secrets.find(str(user.secret))
            if secret is not None:
                found[name] = _usable(secret, user)
        for batch in _batches([user for name, user in self._users.items() if name not in found]):
            subjects = {str(user.secret): f"the user {user.name} has none yet" for user in batch}
            intents = self._journal.intend_all("CreateSecret", subjects)
            for user in batch:
                if self._is_over():
                    return None
                found[user.name] = _usable(self._made(intents[str(user.secret)], user), user)
        return {name: found[name] for name in self._users}

    def _made(self, intent: Intent, user: User) -> Secret:
        """Make the user's secret, before the database learns the password: killed in between, it is found again."""
        operation = self._journal.operation
        self._secrets.create(
            intent,
            name=intent.subject,
            version_id=self._version(user.name),
            value=_value(operation, user, strong_password(self._world.random), {}),
            kms_key=operation.secrets_key_arn,
            tags=operation.tags,
        )
        secret = self._secrets.find(intent.subject)
        if secret is None:
            raise NotReadyError(f"the secret {intent.subject} was made and cannot be seen yet")
        return secret

    def _new_values(self, found: Mapping[str, Secret]) -> dict[str, dict[str, Any]]:
        """Return what the secrets are to hold that do not hold this operation's version yet."""
        values: dict[str, dict[str, Any]] = {}
        for name, secret in found.items():
            if self._version(name) not in secret.versions:
                user = self._users[name]
                value = _value(self._journal.operation, user, _password(secret, user, self._world), secret.value)
                if value != secret.value:
                    values[name] = value
        return values

    def _prepared(self, name: str, secret: Secret, *, is_new: bool) -> UserSecret:
        version = self._version(name)
        if version == secret.current or not (is_new or version in secret.versions):
            return UserSecret(secret, secret, None)
        # What is stored counts: another call may have been faster.
        stored = self._secrets.version(secret.arn, version)
        if stored is None:
            raise NotReadyError(f"the new version of the secret {secret.arn} was made and cannot be seen yet")
        # A secret's first version is current at once, whatever it was to be.
        pending = version if secret.current else None
        return UserSecret(secret, stored, pending, _leads_here(self._journal.operation, secret))

    def _publish(self, intent: Intent, secret: Secret, version: str) -> None:
        """Move AWSCURRENT; let it be if another call was faster. A rotation that came between is looked at anew."""
        if self._secrets.make_current(intent, secret, version):
            return
        now = self._secrets.find(secret.arn)
        if now is None or now.current != version:
            raise NotReadyError(f"the current version of the secret {secret.arn} changed while it was to be moved")

    def _version(self, user: str) -> str:
        return secret_version(self._journal.operation.operation_id, str(self._users[user].secret))


def _usable(secret: Secret, user: User) -> Secret:
    if reasons := refusals(secret, user):
        raise PreconditionError(reasons[0])
    return secret


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), MANY_INTENTS):
        yield items[start : start + MANY_INTENTS]


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
