"""Where SetupDBUsersFunction stands: in the VPC, with a security group of its own and a way to AWS's services."""

import aws_cdk as cdk
from aws_cdk import aws_ec2, aws_lambda
from constructs import Construct

from infra.parameters import Parameters

_HTTPS = 443
# The ports that RDS lets a cluster listen on.
_DATABASE_PORTS = (1150, 65535)


def add_network(scope: Construct, parameters: Parameters) -> aws_lambda.CfnFunction.VpcConfigProperty:
    """Make the function's security group, and the endpoints if the condition holds; return the function's place."""
    group = aws_ec2.CfnSecurityGroup(
        scope,
        "DatabaseClientGroup",
        group_description="SetupDBUsersFunction: what a database must let in",
        vpc_id=parameters.vpc_id.value_as_string,
        security_group_egress=[
            _egress(_HTTPS, _HTTPS, "Secrets Manager and DynamoDB"),
            _egress(*_DATABASE_PORTS, "Aurora"),
        ],
    )
    for resource in _endpoints(scope, parameters, group):
        resource.cfn_options.condition = parameters.makes_endpoints
    cdk.CfnOutput(
        scope,
        "DatabaseClientGroupId",
        value=group.attr_group_id,
        description="Let this security group into the databases of the targets",
    )
    return aws_lambda.CfnFunction.VpcConfigProperty(
        subnet_ids=parameters.subnet_ids.value_as_list, security_group_ids=[group.attr_group_id]
    )


def _endpoints(
    scope: Construct, parameters: Parameters, client: aws_ec2.CfnSecurityGroup
) -> tuple[cdk.CfnResource, ...]:
    """Return the endpoints. Secrets Manager and DynamoDB call KMS themselves: the function needs no way to it."""
    group = aws_ec2.CfnSecurityGroup(
        scope,
        "EndpointGroup",
        group_description="Endpoint of Secrets Manager: SetupDBUsersFunction only",
        vpc_id=parameters.vpc_id.value_as_string,
        security_group_ingress=[
            aws_ec2.CfnSecurityGroup.IngressProperty(
                ip_protocol="tcp",
                from_port=_HTTPS,
                to_port=_HTTPS,
                source_security_group_id=client.attr_group_id,
                description="SetupDBUsersFunction",
            )
        ],
        # An endpoint answers and never asks: without a rule of its own a group would let everything out.
        security_group_egress=[
            aws_ec2.CfnSecurityGroup.EgressProperty(
                ip_protocol="tcp", from_port=_HTTPS, to_port=_HTTPS, cidr_ip="127.0.0.1/32", description="Nothing"
            )
        ],
    )
    secrets = aws_ec2.CfnVPCEndpoint(
        scope,
        "SecretsManagerEndpoint",
        service_name=cdk.Fn.sub("com.amazonaws.${AWS::Region}.secretsmanager"),
        vpc_endpoint_type="Interface",
        vpc_id=parameters.vpc_id.value_as_string,
        subnet_ids=parameters.subnet_ids.value_as_list,
        security_group_ids=[group.attr_group_id],
        private_dns_enabled=True,
    )
    dynamodb = aws_ec2.CfnVPCEndpoint(
        scope,
        "DynamoDBEndpoint",
        service_name=cdk.Fn.sub("com.amazonaws.${AWS::Region}.dynamodb"),
        vpc_endpoint_type="Gateway",
        vpc_id=parameters.vpc_id.value_as_string,
        route_table_ids=cdk.Fn.split(",", parameters.route_table_ids.value_as_string),
    )
    return group, secrets, dynamodb


def _egress(first: int, last: int, what: str) -> aws_ec2.CfnSecurityGroup.EgressProperty:
    return aws_ec2.CfnSecurityGroup.EgressProperty(
        ip_protocol="tcp", from_port=first, to_port=last, cidr_ip="0.0.0.0/0", description=what
    )
