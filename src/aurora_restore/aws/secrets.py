"""Secrets Manager. A secret's value is a type whose repr shows the ARN only (I6)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aurora_restore.aws.door import call
from aurora_restore.errors import PreconditionError, UnexpectedError
from aurora_restore.operation import Intent
from aurora_restore.shape import tag_list

_MISSING = frozenset({"ResourceNotFoundException"})
_EXISTS = frozenset({"ResourceExistsException"})
# The label is not on the version that it was to be taken from.
_MOVED = frozenset({"InvalidParameterException"})
_CURRENT, _PENDING = "AWSCURRENT", "AWSPENDING"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret and one version's value: the JSON that RDS rotation uses. ``versions`` are those that have labels."""

    arn: str
    value: Mapping[str, Any] = field(repr=False)
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refusal: str | None = None

    @property
    def username(self) -> str:
        """Return the user that it is for."""
        return str(self.value.get("username", ""))

    @property
    def password(self) -> str:
        """Return the password; raises PreconditionError when the secret holds none."""
        password = self.value.get("password")
        if not isinstance(password, str) or not password:
            raise PreconditionError(
                f"the secret {self.arn} holds no password",
                advice='Its value must be JSON with a "password", as RDS rotation writes it',
            )
        return password

    @property
    def current(self) -> str | None:
        """Return the id of the version that consumers read; None while there is none."""
        return next((version for version, labels in self.versions.items() if _CURRENT in labels), None)


class Secrets:
    """Secrets Manager in one region."""

    def __init__(self, client: Any, region: str) -> None:
        """Take a boto3 Secrets Manager client and the region it is for."""
        self._client = client
        self.region = region

    def find(self, name: str) -> Secret | None:
        """Return the secret of this name or ARN with its current value, or None when there is none.

        ``refusal`` says why nobody here may give it a value. Raises PreconditionError when it is marked for deletion
        or is not JSON.
        """
        description = call(self._client.describe_secret, tolerate=_MISSING, SecretId=name)
        if description is None:
            return None
        if description.get("DeletedDate"):
            raise PreconditionError(
                f"the secret {name} in {self.region} is marked for deletion",
                advice=f"Bring it back: aws secretsmanager restore-secret --region {self.region} --secret-id {name}",
            )
        versions = {version: tuple(labels) for version, labels in description.get("VersionIdsToStages", {}).items()}
        current = self.version(description["ARN"], None)
        value = {} if current is None else current.value
        return Secret(description["ARN"], value, versions, self._refusal(name, description))

    def _refusal(self, name: str, description: Mapping[str, Any]) -> str | None:
        if owner := description.get("OwningService"):
            return f"the secret {name} belongs to {owner}, which alone changes it: name another"
        home = description.get("PrimaryRegion", self.region)
        if home != self.region:
            return f"the secret {name} in {self.region} is a replica of the one in {home}: name another, or promote it"
        return None

    def version(self, arn: str, version_id: str | None) -> Secret | None:
        """Return a secret's version, the current one for None; None where there is no such version."""
        which = {"VersionId": version_id} if version_id else {"VersionStage": _CURRENT}
        answer = call(self._client.get_secret_value, tolerate=_MISSING, SecretId=arn, **which)
        return None if answer is None else Secret(arn, _parse(arn, answer.get("SecretString")))

    def exists(self, name: str) -> bool:
        """Say whether there is a secret of this name or ARN; its value is not read."""
        return call(self._client.describe_secret, tolerate=_MISSING, SecretId=name) is not None

    def create(
        self,
        intent: Intent,
        *,
        name: str,
        version_id: str,
        value: Mapping[str, Any],
        kms_key: str | None,
        tags: Mapping[str, str],
    ) -> None:
        """Make a secret whose first and current version has the id ``version_id``, unless there is one of this name.

        The value appears in no message: what AWS refuses is told by name only.
        """
        _expect(intent, "CreateSecret", name)
        call(
            self._client.create_secret,
            tolerate=_EXISTS,
            Name=name,
            ClientRequestToken=version_id,
            SecretString=json.dumps(value),
            Tags=tag_list(tags),
            **({"KmsKeyId": kms_key} if kms_key else {}),
        )

    def add_version(self, intent: Intent, secret: Secret, version_id: str, value: Mapping[str, Any]) -> None:
        """Give a secret a new version that consumers do not read yet; one with this id that exists stays as it is."""
        _expect(intent, "PutSecretValue", secret.arn)
        call(
            self._client.put_secret_value,
            tolerate=_EXISTS,
            SecretId=secret.arn,
            ClientRequestToken=version_id,
            SecretString=json.dumps(value),
            VersionStages=[_PENDING],
        )

    def make_current(self, intent: Intent, secret: Secret, version_id: str) -> bool:
        """Let consumers read this version from now on; the one that they read before stays as AWSPREVIOUS.

        Return False when the version that ``secret`` knows as the current one is that no longer.
        """
        _expect(intent, "UpdateSecretVersionStage", secret.arn)
        answer = call(
            self._client.update_secret_version_stage,
            tolerate=_MOVED,
            SecretId=secret.arn,
            VersionStage=_CURRENT,
            MoveToVersionId=version_id,
            **({"RemoveFromVersionId": secret.current} if secret.current else {}),
        )
        return answer is not None


def _expect(intent: Intent, action: str, subject: str) -> None:
    if (intent.action, intent.subject) != (action, subject):
        raise UnexpectedError(f"{action} of {subject} was announced as {intent.action} of {intent.subject}")


def _parse(name: str, text: str | None) -> Mapping[str, Any]:
    try:
        value = json.loads(text or "")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise PreconditionError(
            f"the secret {name} is not a JSON object", advice='Give it the form {"username": …, "password": …}'
        ) from None
    return value
