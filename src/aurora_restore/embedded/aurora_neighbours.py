"""What Aurora needs from the rest of the emulated account: keys, secrets, networks and parameter groups, all moto's."""

import json
import uuid
from collections.abc import Sequence
from typing import Any

from moto.ec2.models import ec2_backends
from moto.kms.models import kms_backends
from moto.rds.models import RDSBackend, rds_backends
from moto.secretsmanager.models import secretsmanager_backends

from aurora_restore.embedded.aurora_records import Place
from aurora_restore.embedded.aurora_rules import Refused, bad_combination, bad_value

DEFAULT_RDS_KEY = "alias/aws/rds"
DEFAULT_SECRETS_KEY = "alias/aws/secretsmanager"


def key_arn(place: Place, key: str) -> str:
    """Return the ARN of a key given by id, ARN or alias; refuse one missing, disabled or of another region."""
    account, region = place.account, place.region
    if key.startswith("arn:"):
        _, _, _, region, account, _ = key.split(":", 5)
    # moto answers an unknown id with KeyError, and an unknown alias with AttributeError.
    try:
        found = kms_backends[account][place.region].describe_key(key)
    except (KeyError, AttributeError):
        found = None
    if found is None or region != place.region or found.key_state != "Enabled":
        raise Refused(
            "KMSKeyNotAccessibleFault",
            f"The specified KMS key [{key}] does not exist, is not enabled or you do not have "
            "permissions to access it.",
        )
    return str(found.arn)


def is_default_key(place: Place, arn: str) -> bool:
    """Say whether it is the account's own key for RDS, under which nothing can be shared."""
    return arn == key_arn(place, DEFAULT_RDS_KEY)


def subnet_group(place: Place, name: str | None) -> tuple[str, str]:
    """Return a DB subnet group's name and its VPC, ``default``'s when none is named; refuse an unknown one."""
    rds = _rds(place)
    wanted = (name or "default").lower()
    if wanted == "default" and wanted not in rds.subnet_groups:
        subnets = _default_subnets(place)
        rds.create_subnet_group(wanted, "The default VPC's subnets", subnets, [])
    if wanted not in rds.subnet_groups:
        raise Refused("DBSubnetGroupNotFoundFault", f"DB subnet group '{wanted}' does not exist.")
    found = rds.subnet_groups[wanted]
    return found.name, str(found.vpc_id)


def _default_subnets(place: Place) -> list[Any]:
    ec2 = ec2_backends[place.account][place.region]
    vpc = ec2.get_default_vpc()
    subnets = ec2.describe_subnets(filters={"vpc-id": [vpc.id]}) if vpc else []
    if not subnets:
        raise Refused("DBSubnetGroupNotFoundFault", "No default subnet group: the region has no default VPC.")
    return list(subnets)


def security_groups(place: Place, ids: Sequence[str] | None, vpc_id: str) -> list[str]:
    """Return the ids of security groups of the VPC, its default one when none is given; refuse all others."""
    ec2 = ec2_backends[place.account][place.region]
    if not ids:
        default = ec2.get_default_security_group(vpc_id)
        return [default.id] if default else []
    for group_id in ids:
        group = ec2.get_security_group_from_id(group_id)
        if group is None:
            raise bad_value(f"Invalid security group , groupId= {group_id}, groupName=.")
        if group.vpc_id != vpc_id:
            raise Refused(
                "InvalidVPCNetworkStateFault",
                f"The DB cluster and EC2 security group {group_id} are in different VPCs.",
            )
    return list(ids)


def cluster_parameter_group(place: Place, name: str | None, family: str) -> str:
    """Return a DB cluster parameter group's name, the family's default when none is named; refuse what does not fit."""
    rds = _rds(place)
    wanted = (name or f"default.{family}").lower()
    # AWS makes the default group of a family when it is first used.
    if wanted == f"default.{family}" and wanted not in rds.db_cluster_parameter_groups:
        rds.create_db_cluster_parameter_group(wanted, family, f"Default cluster parameter group for {family}", [])
    if wanted not in rds.db_cluster_parameter_groups:
        raise Refused("DBClusterParameterGroupNotFound", f"DBClusterParameterGroup not found: {wanted}")
    _require_family(wanted, rds.db_cluster_parameter_groups[wanted].db_parameter_group_family, family)
    return wanted


def instance_parameter_group(place: Place, name: str | None, family: str) -> str:
    """Return a DB parameter group's name, the family's default when none is named; refuse what does not fit."""
    rds = _rds(place)
    wanted = (name or f"default.{family}").lower()
    if wanted == f"default.{family}" and wanted not in rds.db_parameter_groups:
        description = f"Default parameter group for {family}"
        rds.create_db_parameter_group(
            {
                "db_parameter_group_name": wanted,
                "db_parameter_group_family": family,
                "description": description,
                "tags": [],
            }
        )
    if wanted not in rds.db_parameter_groups:
        raise Refused("DBParameterGroupNotFound", f"DBParameterGroup not found: {wanted}")
    _require_family(wanted, rds.db_parameter_groups[wanted].family, family)
    return wanted


def _require_family(name: str, found: str | None, family: str) -> None:
    if found != family:
        raise bad_combination(
            f"The Parameter Group {name} with DBParameterGroupFamily {found} cannot be used for this instance. "
            f"Please use a Parameter Group with DBParameterGroupFamily {family}"
        )


def make_secret(place: Place, cluster_arn: str, content: dict[str, str], kms_key_arn: str) -> str:
    """Make the secret that RDS manages for a cluster's master user; return its ARN, which is new each time."""
    secret = secretsmanager_backends[place.account][place.region].create_managed_secret(
        service_name="rds",
        secret_id=f"rds!cluster-{uuid.uuid4()}",
        secret_string=json.dumps(content),
        description=f"The secret associated with the primary RDS DB cluster: {cluster_arn}",
        kms_key_id=kms_key_arn,
        tags=[{"Key": "aws:rds:primaryDBClusterArn", "Value": cluster_arn}],
    )
    return str(secret.arn)


def rewrite_secret(place: Place, arn: str, content: dict[str, str]) -> None:
    """Give a managed secret a new content."""
    secretsmanager_backends[place.account][place.region].put_secret_value(
        arn, json.dumps(content), "", str(uuid.uuid4()), ["AWSCURRENT"]
    )


def delete_secret(place: Place, arn: str) -> None:
    """Delete a managed secret at once, as RDS does."""
    secretsmanager_backends[place.account][place.region].delete_secret(
        arn, recovery_window_in_days=None, force_delete_without_recovery=True
    )


def _rds(place: Place) -> RDSBackend:
    return rds_backends[place.account][place.region]
