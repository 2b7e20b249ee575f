"""Secrets Manager as strict about a secret's versions as AWS's: moto's loses sight of them when a label moves."""

from typing import Any

from moto.secretsmanager import urls
from moto.secretsmanager.exceptions import ResourceExistsException
from moto.secretsmanager.models import FakeSecret, SecretsManagerBackend, secretsmanager_backends

_CURRENT = "AWSCURRENT"


class SecretsManager(SecretsManagerBackend):
    """moto's Secrets Manager, except for what it does with versions."""

    @property
    def _url_module(self) -> Any:
        # moto looks for it beside the module of the class.
        return urls

    def update_secret_version_stage(
        self, secret_id: str, version_stage: str, remove_from_version_id: str, move_to_version_id: str
    ) -> tuple[str, str]:
        """Move a label. Whoever asks for no version gets the current one from then on; with moto, still the old."""
        answer = super().update_secret_version_stage(
            secret_id, version_stage, remove_from_version_id, move_to_version_id
        )
        secret = self.secrets[secret_id]
        if version_stage == _CURRENT and move_to_version_id and isinstance(secret, FakeSecret):
            secret.default_version_id = move_to_version_id
        return answer

    def put_secret_value(
        self,
        secret_id: str,
        secret_string: str,
        secret_binary: str,
        client_request_token: str,
        version_stages: list[str],
    ) -> str:
        """Make a version, or answer for the same one made before; moto overwrites a pending one with another value."""
        secret = self.secrets.get(secret_id)
        known = secret.versions.get(client_request_token) if secret is not None else None
        value = (secret_string, secret_binary)
        if secret is not None and known and (known.get("secret_string"), known.get("secret_binary")) != value:
            raise ResourceExistsException(
                f"You can't use ClientRequestToken {client_request_token} because that value is already in use for a "
                f"version of secret {secret.arn}."
            )
        answer: Any = super().put_secret_value(
            secret_id, secret_string, secret_binary, client_request_token, version_stages
        )
        return str(answer)


def install() -> None:
    """Let moto use this one, from the next account on."""
    secretsmanager_backends.backend = SecretsManager
