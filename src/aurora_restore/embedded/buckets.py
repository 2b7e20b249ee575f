"""S3 in the embedded account: a bucket's policy may ask for TLS, which no call on loopback has."""

import json
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket

_TLS = "aws:SecureTransport"


def install() -> None:
    """Let moto judge by a bucket's policy without its statements about TLS.

    It knows no condition but StringEquals, and takes every other one for fulfilled: each call would be refused.
    """
    FakeBucket.get_permission = _permission  # type: ignore[assignment,method-assign]


def _permission(bucket: FakeBucket, action: str, resource: str) -> Any:
    policy = json.loads(bucket.policy) if bucket.policy else {"Statement": []}
    statements = [each for each in policy["Statement"] if _TLS not in json.dumps(each.get("Condition", {}))]
    if not statements:
        return PermissionResult.NEUTRAL
    return IAMPolicy(json.dumps({**policy, "Statement": statements})).is_action_permitted(action, resource)
