"""What the checks of the synthesis find and we answer for: each at one resource, with its reason."""

import aws_cdk as cdk
from constructs import IConstruct


def acknowledge(at: IConstruct, finding: str, reason: str) -> None:
    """Answer for a finding at one resource; the checks go on to refuse it at every other."""
    cdk.Validations.of(at).acknowledge(cdk.Acknowledgment(id=finding, reason=reason))
