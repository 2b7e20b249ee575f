"""What a stack leaves behind when it is deleted, and how each of it is deleted for good."""

from collections.abc import Callable
from typing import Any, Final

from aurora_restore.aws.door import call, demand

# KMS's longest: whoever finds out too late that something is encrypted under the key has a month.
_KEY_WAIT_DAYS: Final = 30


class Leftovers:
    """The tables, topic and key that a deleted stack has left in a region."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        """Take what makes a boto3 client of a service."""
        self._client = client
        self._deletions: dict[str, Callable[[str], None]] = {
            "AWS::DynamoDB::Table": self._delete_table,
            "AWS::SNS::Topic": self._delete_topic,
            "AWS::KMS::Key": self._delete_key,
        }

    def can_delete(self, kind: str) -> bool:
        """Say whether resources of this type are deleted here."""
        return kind in self._deletions

    def delete(self, kind: str, physical_id: str) -> None:
        """Delete one, data and all; one that is gone already is no error."""
        self._deletions[kind](physical_id)

    def _delete_table(self, name: str) -> None:
        client, gone = self._client("dynamodb"), frozenset({"ResourceNotFoundException"})
        if call(client.describe_table, tolerate=gone, TableName=name) is None:
            return
        demand(client.update_table, TableName=name, DeletionProtectionEnabled=False)
        call(client.delete_table, tolerate=gone, TableName=name)

    def _delete_topic(self, arn: str) -> None:
        demand(self._client("sns").delete_topic, TopicArn=arn)

    def _delete_key(self, key: str) -> None:
        tolerated = frozenset({"NotFoundException", "KMSInvalidStateException"})
        call(
            self._client("kms").schedule_key_deletion,
            tolerate=tolerated,
            KeyId=key,
            PendingWindowInDays=_KEY_WAIT_DAYS,
        )
