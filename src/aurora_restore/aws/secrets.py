"""Secrets Manager. A secret's value is a type whose repr shows the ARN only (I6)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aurora_restore.aws.door import call, demand
from aurora_restore.errors import PreconditionError, UnexpectedError
from aurora_restore.operation import Intent
from aurora_restore.shape import tag_list

_MISSING = frozenset({"ResourceNotFoundException"})
_EXISTS = frozenset({"ResourceExistsException"})


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret and its value: the JSON that RDS rotation uses."""

    arn: str
    value: Mapping[str, Any] = field(repr=False)

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


class Secrets:
    """Secrets Manager in one region."""

    def __init__(self, client: Any, region: str) -> None:
        """Take a boto3 Secrets Manager client and the region it is for."""
        self._client = client
        self.region = region

    def find(self, name: str) -> Secret | None:
        """Return the secret of this name or ARN with its current value, or None when there is none.

        Raises PreconditionError when it is marked for deletion or is not JSON.
        """
        description = call(self._client.describe_secret, tolerate=_MISSING, SecretId=name)
        if description is None:
            return None
        if description.get("DeletedDate"):
            raise PreconditionError(
                f"the secret {name} in {self.region} is marked for deletion",
                advice=f"Bring it back: aws secretsmanager restore-secret --region {self.region} --secret-id {name}",
            )
        answer = call(self._client.get_secret_value, tolerate=_MISSING, SecretId=name)
        value = {} if answer is None else _parse(name, answer.get("SecretString"))
        return Secret(arn=description["ARN"], value=value)

    def exists(self, name: str) -> bool:
        """Say whether there is a secret of this name or ARN; its value is not read."""
        return call(self._client.describe_secret, tolerate=_MISSING, SecretId=name) is not None

    def create(
        self, intent: Intent, *, name: str, value: Mapping[str, Any], kms_key: str | None, tags: Mapping[str, str]
    ) -> None:
        """Make a secret, unless there is one of this name.

        The value appears in no message: what AWS refuses is told by name only.
        """
        if intent.action != "CreateSecret":
            raise UnexpectedError(f"the secret {name} was announced as {intent.action}")
        call(
            self._client.create_secret,
            tolerate=_EXISTS,
            Name=name,
            SecretString=json.dumps(value),
            Tags=tag_list(tags),
            **({"KmsKeyId": kms_key} if kms_key else {}),
        )

    def put(self, intent: Intent, secret: Secret, value: Mapping[str, Any]) -> None:
        """Give a secret a new current value; the old one stays as AWSPREVIOUS."""
        if intent.action != "PutSecretValue" or intent.subject != secret.arn:
            raise UnexpectedError(f"the secret {secret.arn} was announced as {intent.subject}")
        demand(self._client.put_secret_value, SecretId=secret.arn, SecretString=json.dumps(value))


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
