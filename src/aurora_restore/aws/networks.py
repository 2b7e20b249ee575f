"""EC2: the security groups that a cluster is to have."""

from collections.abc import Iterable, Mapping
from typing import Any

from aurora_restore.aws.door import pages


class Networks:
    """EC2 in one region, as far as databases go."""

    def __init__(self, client: Any, region: str) -> None:
        """Take a boto3 EC2 client and the region it is for."""
        self._client = client
        self.region = region

    def security_groups(self, ids: Iterable[str]) -> Mapping[str, str]:
        """Return the VPC of each of these security groups that exists."""
        # A filter finds what is there; naming the ids would fail on the first that is not.
        wanted = [{"Name": "group-id", "Values": sorted(ids)}]
        found = pages(self._client, "describe_security_groups", "SecurityGroups", Filters=wanted)
        return {group["GroupId"]: group["VpcId"] for group in found}
