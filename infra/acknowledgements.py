"""What the checks of the synthesis find and we answer for: each at one resource, with its reason."""

import aws_cdk as cdk
from constructs import IConstruct

# The validation tries every parameter's default, and does not know what a condition makes of it.
NO_OTHER_TOPIC = ("CloudFormation-Validate::F3033", "AlarmTopicArn is empty only where HasAlarmTopic leaves it out.")
NO_OTHER_KEY = ("CloudFormation-Validate::F3031", "ExistingKeyArn is empty only where MakesKey chooses Key.")


def acknowledge(at: IConstruct, finding: str, reason: str) -> None:
    """Answer for a finding at one resource; the checks go on to refuse it at every other."""
    cdk.Validations.of(at).acknowledge(cdk.Acknowledgment(id=finding, reason=reason))
