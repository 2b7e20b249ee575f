"""What moto's CloudFormation cannot read in the shipped template, and what it gets in its place.

Nothing else of the template is changed. Whatever stands here is not tried by a rehearsal, so the list is kept short.
"""

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

# Templates are JSON of any shape.
Json = dict[str, Any]

_PLACE: Final = re.compile(r"\$\{([A-Za-z0-9]+)\}")


@dataclass(frozen=True, slots=True)
class Adaptation:
    """One change of a resource's properties, and why moto needs it."""

    resource_type: str
    property_name: str
    why: str
    adapt: Callable[[Json], Json]


def _substituted(properties: Json) -> Json:
    substitutions: Mapping[str, Any] = properties["DefinitionSubstitutions"]
    parts: list[Any] = []
    for number, part in enumerate(_PLACE.split(properties["DefinitionString"])):
        # Every other part is a name; one that nothing is given for stays as it is, as in AWS.
        parts.append(part if number % 2 == 0 else substitutions.get(part, f"${{{part}}}"))
    rest = {key: value for key, value in properties.items() if key != "DefinitionSubstitutions"}
    return {**rest, "DefinitionString": {"Fn::Join": ["", parts]}}


def _renamed_tags(properties: Json) -> Json:
    tags = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in properties["Tags"]]
    return {**properties, "Tags": tags}


def _listed_tags(properties: Json) -> Json:
    return {**properties, "Tags": [{"Key": key, "Value": value} for key, value in properties["Tags"].items()]}


def _policy_as_text(properties: Json) -> Json:
    return {**properties, "KeyPolicy": {"Fn::ToJsonString": properties["KeyPolicy"]}}


ADAPTATIONS: Final = (
    Adaptation(
        "AWS::KMS::Key",
        "KeyPolicy",
        "moto reads it as the text that KMS's own API takes, and fails on a document at every use of the key",
        _policy_as_text,
    ),
    Adaptation(
        "AWS::SSM::Parameter",
        "Tags",
        "moto expects a list, where this type alone has a map",
        _listed_tags,
    ),
    Adaptation(
        "AWS::KMS::Key",
        "Tags",
        "moto looks for the names that KMS's own API has, TagKey and TagValue, in CloudFormation's too",
        _renamed_tags,
    ),
    Adaptation(
        "AWS::StepFunctions::StateMachine",
        "DefinitionSubstitutions",
        "moto ignores it: the functions' ARNs are joined into the definition instead",
        _substituted,
    ),
)


def adapted(template: Json) -> Json:
    """Return a template as moto can read it."""
    changed = copy.deepcopy(template)
    for resource in changed.get("Resources", {}).values():
        for adaptation in ADAPTATIONS:
            properties = resource.get("Properties", {})
            if resource["Type"] == adaptation.resource_type and adaptation.property_name in properties:
                resource["Properties"] = adaptation.adapt(properties)
    return changed
