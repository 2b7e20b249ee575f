"""Deploys the template that the package ships into the embedded account, as CloudFormation does in AWS."""

import io
import zipfile
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final

from aurora_restore.aws.deployment import Deployment, read_deployment

_CAPABILITIES: Final = ["CAPABILITY_NAMED_IAM"]


def deploy(client: Callable[[str], Any], stack: str, account_region: str) -> Deployment:
    """Create the stack with its defaults, in the account's default network, for every cluster and secret."""
    bucket, key = f"{stack}-bundle", "bundle.zip"
    s3 = client("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": account_region})
    s3.put_object(Bucket=bucket, Key=key, Body=_empty_bundle())
    parameters = {**_network(client("ec2")), "BundleBucket": bucket, "BundleKey": key, **_EVERYTHING}
    client("cloudformation").create_stack(
        StackName=stack,
        TemplateBody=files("aurora_restore.cloudformation").joinpath("template.json").read_text(encoding="utf-8"),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=_CAPABILITIES,
    )
    return read_deployment(client("ssm"), stack)


# Nobody's permissions are checked in a rehearsal: it needs no limits, and the request's names are the user's.
_EVERYTHING: Final = {"SourcePattern": "*", "TargetPattern": "*", "SecretPattern": "*"}


def _network(ec2: Any) -> dict[str, str]:
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    return {"VpcId": vpc, "SubnetIds": ",".join(subnet["SubnetId"] for subnet in subnets[:2])}


def _empty_bundle() -> bytes:
    """Return a function's code that holds nothing: the account runs the handlers of this process."""
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("handler.py", "")
    return bundle.getvalue()
