"""The shipped template, and what CloudFormation would make of it for given parameters."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from infra import SHIPPED_TEMPLATE

Json = dict[str, Any]

ACCOUNT = "123456789012"
REGION = "us-west-2"
STACK = "aurora-restore"
NO_VALUE = object()
_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::StackName": STACK,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::NoValue": NO_VALUE,
}
CHOSEN = {
    "SourcePattern": "*-prod",
    "TargetPattern": "*-staging",
    "VpcId": "vpc-1",
    "SubnetIds": ["subnet-1", "subnet-2"],
    "BundleBucket": "bundles",
    "BundleKey": "bundle.zip",
}
# What Ref returns where it is not the physical name, and the services whose ARNs are built in a way of their own.
_ARNS = {
    "AWS::SNS::Topic": "sns:{region}:{account}:{name}",
    "AWS::StepFunctions::StateMachine": "states:{region}:{account}:stateMachine:{stack}",
    "AWS::DynamoDB::Table": "dynamodb:{region}:{account}:table/{name}",
    "AWS::KMS::Key": "kms:{region}:{account}:key/{name}",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{stack}-{name}",
    "AWS::SQS::Queue": "sqs:{region}:{account}:{name}",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{name}:*",
    "AWS::CloudWatch::Alarm": "cloudwatch:{region}:{account}:alarm:{stack}-{name}",
    "AWS::Events::Rule": "events:{region}:{account}:rule/{name}",
}
_REF_IS_ARN = ("AWS::SNS::Topic", "AWS::StepFunctions::StateMachine")


@cache
def shipped() -> Json:
    """Return the shipped template."""
    template: Json = json.loads(SHIPPED_TEMPLATE.read_text(encoding="utf-8"))
    return template


def of_type(resource_type: str) -> dict[str, Json]:
    """Return the template's resources of a type, by logical id."""
    return {name: each for name, each in shipped()["Resources"].items() if each["Type"] == resource_type}


@dataclass(frozen=True)
class Deployed:
    """The template with its intrinsic functions answered for some parameters and the others' defaults."""

    given: Mapping[str, Any] = field(default_factory=dict)
    template: Json = field(default_factory=shipped)

    def resources(self) -> dict[str, Json]:
        """Return what would be made: each resource whose condition holds."""
        return {name: self.answered(each) for name, each in self.template["Resources"].items() if self._is_made(each)}

    def properties(self, name: str) -> Json:
        """Return the properties of one resource."""
        found: Json = self.answered(self.template["Resources"][name])["Properties"]
        return found

    def policies(self) -> Iterator[tuple[str, Json]]:
        """Yield the policy of every role, with the role's logical id."""
        for name, each in self.resources().items():
            if each["Type"] == "AWS::IAM::Role":
                yield from ((name, policy["PolicyDocument"]) for policy in each["Properties"]["Policies"])

    def answered(self, part: Any) -> Any:
        """Return a part of the template with its intrinsic functions answered."""
        if isinstance(part, list):
            return [value for value in map(self.answered, part) if value is not NO_VALUE]
        if not isinstance(part, dict):
            return part
        if len(part) == 1:
            ((function, argument),) = part.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self._answer(function, argument)
        answered = {key: self.answered(value) for key, value in part.items()}
        return {key: value for key, value in answered.items() if value is not NO_VALUE}

    def _answer(self, function: str, argument: Any) -> Any:
        match function:
            case "Ref":
                return self._ref(argument)
            case "Fn::GetAtt":
                return self._attribute(*argument)
            case "Fn::Sub":
                text, values = argument if isinstance(argument, list) else (argument, {})
                return self._substituted(text, self.answered(values))
            case "Fn::Join":
                return argument[0].join(self.answered(argument[1]))
            case "Fn::Split":
                return self.answered(argument[1]).split(argument[0])
            case "Fn::If":
                condition, then, otherwise = argument
                return self.answered(then if self._holds({"Condition": condition}) else otherwise)
            case _:
                raise NotImplementedError(function)

    def _substituted(self, text: str, values: Mapping[str, str]) -> str:
        def value(found: re.Match[str]) -> str:
            name = found[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in values:
                return str(values[name])
            return str(self._attribute(*name.split(".", 1)) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", value, text)

    def _ref(self, name: str) -> Any:
        if name in _PSEUDO:
            return _PSEUDO[name]
        if name in self.template["Parameters"]:
            return {**CHOSEN, **self.given}.get(name, self.template["Parameters"][name].get("Default"))
        resource = self.template["Resources"][name]
        return self._arn(name, resource["Type"]) if resource["Type"] in _REF_IS_ARN else f"{STACK}-{name}"

    def _attribute(self, name: str, attribute: str) -> str:
        kind = self.template["Resources"][name]["Type"]
        return self._arn(name, kind) if attribute.endswith("Arn") else f"{name}.{attribute}"

    def _arn(self, name: str, kind: str) -> str:
        return "arn:aws:" + _ARNS[kind].format(region=REGION, account=ACCOUNT, stack=STACK, name=name)

    def _is_made(self, resource: Json) -> bool:
        return "Condition" not in resource or self._holds({"Condition": resource["Condition"]})

    def _holds(self, condition: Json) -> bool:
        ((function, argument),) = condition.items()
        match function:
            case "Condition":
                return self._holds(self.template["Conditions"][argument])
            case "Fn::Equals":
                left, right = self.answered(argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self._holds(argument[0])
            case _:
                raise NotImplementedError(function)
