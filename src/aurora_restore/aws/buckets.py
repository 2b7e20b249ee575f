"""S3: the one bucket that holds what CloudFormation and Lambda are to read."""

import json
from pathlib import Path
from typing import Any

from aurora_restore.aws.door import call, demand
from aurora_restore.errors import ConfigurationError, ForeignResourceError

_MISSING = frozenset({"NoSuchBucket"})
# Whose bucket it is, when it is not ours: names are one space for all accounts.
_TAKEN = frozenset({"BucketAlreadyExists"})
_OURS_ALREADY = frozenset({"BucketAlreadyOwnedByYou", "OperationAborted"})


class Bucket:
    """One bucket of this account; every call says so, and fails on another account's bucket of the same name."""

    def __init__(self, client: Any, name: str, *, account: str) -> None:
        """Take an S3 client of the bucket's region, the bucket's name and the account's number."""
        self._client = client
        self.name = name
        self._named = {"Bucket": name, "ExpectedBucketOwner": account}

    def exists(self) -> bool:
        """Say whether it is there; raises ConfigurationError when it is in another region, where Lambda cannot read."""
        answer = call(self._client.get_bucket_location, tolerate=_MISSING, **self._named)
        if answer is None:
            return False
        region, here = answer.get("LocationConstraint") or "us-east-1", self._client.meta.region_name
        if region != here:
            raise ConfigurationError(f"the bucket {self.name} is in {region}, and the stack in {here}")
        return True

    def create(self, partition: str) -> None:
        """Create it if it is missing: encrypted, versioned, by TLS only and never public. May be repeated."""
        if not self.exists():
            self._create()
        demand(
            self._client.put_public_access_block,
            **self._named,
            PublicAccessBlockConfiguration=dict.fromkeys(
                ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
            ),
        )
        encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
        demand(self._client.put_bucket_encryption, **self._named, ServerSideEncryptionConfiguration=encryption)
        demand(self._client.put_bucket_versioning, **self._named, VersioningConfiguration={"Status": "Enabled"})
        policy = json.dumps(tls_only(self.name, partition))
        demand(self._client.put_bucket_policy, **self._named, Policy=policy)

    def has(self, key: str) -> bool:
        """Say whether there is an object of this key."""
        answer = demand(self._client.list_objects_v2, **self._named, Prefix=key, MaxKeys=1)
        return any(found["Key"] == key for found in answer.get("Contents", []))

    def put(self, key: str, content: bytes | Path) -> None:
        """Write an object."""
        body = content.read_bytes() if isinstance(content, Path) else content
        demand(self._client.put_object, **self._named, Key=key, Body=body)

    def url(self, key: str, suffix: str) -> str:
        """Return the address of an object, as CloudFormation wants it, whatever endpoint this client calls."""
        host = f"s3.{self._client.meta.region_name}.{suffix}"
        return f"https://{host}/{self.name}/{key}"

    def _create(self) -> None:
        region = self._client.meta.region_name
        # S3 refuses the name of its oldest region, and wants that of every other.
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        made = call(self._client.create_bucket, tolerate=_TAKEN | _OURS_ALREADY, Bucket=self.name, **place)
        if made is None and not self.exists():
            raise ForeignResourceError(
                f"the bucket {self.name} belongs to another account", advice="Name one of your own: --bucket NAME"
            )


def tls_only(name: str, partition: str) -> dict[str, Any]:
    """Return the policy that refuses every call without TLS."""
    arn = f"arn:{partition}:s3:::{name}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [arn, f"{arn}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
