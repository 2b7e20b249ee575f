"""SNS: one publish that people and machines can both read."""

import json
from typing import Any

from aurora_restore.aws.door import demand

# Publish's own limit for a subject.
_SUBJECT_LENGTH = 100


class Topic:
    """One SNS topic."""

    def __init__(self, client: Any, arn: str) -> None:
        """Take a boto3 SNS client and the topic's ARN."""
        self._client = client
        self.arn = arn

    def publish(self, *, subject: str, text: str, event: dict[str, Any]) -> str:
        """Send one message: ``text`` to e-mail, ``event`` as JSON to every other protocol; return its id."""
        machine = json.dumps(event, sort_keys=True)
        bodies = {"default": machine, "email": text, "email-json": machine}
        answer = demand(
            self._client.publish,
            TopicArn=self.arn,
            Subject=_subject(subject),
            Message=json.dumps(bodies),
            MessageStructure="json",
            MessageAttributes={
                "outcome": {"DataType": "String", "StringValue": str(event["outcome"])},
                # SNS delivers at least once, and so do we after a lost answer: receivers may tell repeats by this.
                "deduplication_id": {
                    "DataType": "String",
                    "StringValue": f"{event['operation_id']}:{event['execution']}:{event['outcome']}",
                },
            },
        )
        return str(answer["MessageId"])


def _subject(text: str) -> str:
    """Return a subject that SNS takes: ASCII, no control characters, at most 100 long."""
    plain = text.encode("ascii", "replace").decode()
    return "".join(character if character.isprintable() else " " for character in plain)[:_SUBJECT_LENGTH]
