"""KMS: which key a name means, and whether it can be used in a region."""

from typing import Any

from aurora_restore.aws.door import call
from aurora_restore.errors import KeyUnusableError

_NO_KEY = frozenset({"NotFoundException", "InvalidArnException"})


class Keys:
    """KMS in one region."""

    def __init__(self, client: Any, region: str) -> None:
        """Take a boto3 KMS client and the region it is for."""
        self._client = client
        self.region = region

    def resolve(self, key: str) -> str:
        """Return the ARN of the enabled key that an id, an ARN or an alias means here; raises KeyUnusableError."""
        if key.startswith("arn:") and key.split(":")[3:4] != [self.region]:
            raise KeyUnusableError(f"the key {key} is in another region than {self.region}", advice="Name one there")
        answer = call(self._client.describe_key, tolerate=_NO_KEY, KeyId=key)
        if answer is None:
            raise KeyUnusableError(f"there is no key {key} in {self.region}", advice="aws kms list-aliases shows them")
        metadata = answer["KeyMetadata"]
        if metadata["KeyState"] != "Enabled":
            raise KeyUnusableError(
                f"the key {key} in {self.region} is {metadata['KeyState']}", advice="Enable it, or name another"
            )
        return str(metadata["Arn"])

    def for_secrets(self, key: str) -> str | None:
        """Return the key for Secrets Manager to use, or None for its own where this one is AWS's for another service.

        An AWS managed key, such as aws/rds, works through its own service only: its policy says so.
        """
        answer = call(self._client.describe_key, tolerate=_NO_KEY, KeyId=key)
        return key if answer is not None and answer["KeyMetadata"].get("KeyManager") == "CUSTOMER" else None

    def is_usable(self, key: str) -> bool:
        """Say whether the key exists here and is enabled."""
        try:
            self.resolve(key)
        except KeyUnusableError:
            return False
        return True
