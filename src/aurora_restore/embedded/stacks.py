"""CloudFormation in the embedded account: moto's, which tells of each resource, and of a failure as AWS does.

Of a resource type that moto does not know, the stack has a resource with a name, and nothing else is made.
"""

import json
from typing import Any

from moto.cloudformation import models, responses
from moto.cloudformation.parsing import ResourceMap, get_model_map, parse_and_update_resource
from moto.core.base_backend import BackendDict
from moto.core.exceptions import ServiceException
from werkzeug.exceptions import HTTPException

from aurora_restore.cloudformation.changes import STATEFUL
from aurora_restore.embedded.adaptations import Json, adapted

# What moto raises when a resource cannot be made of its properties.
_FAILURES = (HTTPException, ServiceException, ValueError, KeyError)


def install() -> None:
    """Make moto keep stacks as AWS does; forget those there are."""
    models.Stack = _Stack  # type: ignore[misc]
    models.ChangeSet = _ChangeSet  # type: ignore[misc]
    kept = BackendDict(_Backend, "cloudformation")
    # Not in moto.cloudformation itself: there moto looks for the addresses that the service answers at.
    for module in (models, responses):
        vars(module)["cloudformation_backends"] = kept


def backends() -> Any:
    """Return moto's backends of CloudFormation that keep the stacks, by account and region."""
    return models.cloudformation_backends


def _parsed(text: str) -> Json:
    """Return a template as moto can read it; moto's own parser takes a second for a JSON template of 200 KB."""
    try:
        template: Json = json.loads(text)
    except ValueError:
        template = _MOTOS_STACK.parse_template(text)
    return adapted(template)


def _as_text(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


class _NameOnly:
    """A resource of a type that moto does not know: others can refer to it."""

    def __init__(self, key: str, kind: str, pseudo: Json) -> None:
        self.logical_resource_id = key
        self.cf_resource_type = kind
        self.physical_resource_id = f"{pseudo['AWS::StackName']}-{key}"
        service = kind.split("::")[1].lower()
        self.arn = f"arn:aws:{service}:{pseudo['AWS::Region']}:{pseudo['AWS::AccountId']}:{self.physical_resource_id}"

    def get_cfn_attribute(self, name: str) -> str:
        return self.arn if name.endswith("Arn") else self.physical_resource_id

    def is_created(self) -> bool:
        return True

    def delete(self, account_id: str, region: str) -> None:
        """Do nothing: it was never made."""


class _Resources(ResourceMap):
    """moto's resources of a stack, which tell the stack what becomes of them."""

    stack: "_Stack | None" = None
    failed: str | None = None

    def __getitem__(self, key: str) -> Any:
        is_new = key not in self._parsed_resources and key in self._resource_json_map
        if is_new and self._is_unknown(key):
            self._parsed_resources[key] = _NameOnly(key, self.type_of(key), self._parsed_resources)
        try:
            found: Any = super().__getitem__(key)
        except _FAILURES:
            # Making one makes those first that it refers to: the innermost is the one that could not be made.
            self.failed = self.failed or key
            raise
        if is_new and found is not None:
            self._tell(key, "CREATE_COMPLETE")
        return found

    def _is_unknown(self, key: str) -> bool:
        condition = self._resource_json_map[key].get("Condition")
        is_wanted = condition is None or self.lazy_condition_map[condition]
        return is_wanted and self.type_of(key) not in get_model_map()

    def build_resource_diff(self, other_template: Json, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        # moto takes a parameter that has its default until now for changed.
        now = {name: _as_text(value) for name, value in self.resolved_parameters.items()}
        changed = {name: value for name, value in (parameters or {}).items() if now.get(name) != value}
        found: dict[str, Any] = super().build_resource_diff(other_template, changed)
        return found

    def update(self, template: Json, parameters: dict[str, Any] | None = None) -> None:
        changes = self.build_resource_diff(template, parameters)
        for key in changes["Remove"]:
            self._remove(key)
        self._template, self._resource_json_map = template, template["Resources"]
        self.input_parameters = parameters or self.input_parameters
        self.load_mapping()
        self.load_parameters()
        self.load_conditions()
        for key in self._resource_json_map:
            _ = self[key]
        for key in changes["Modify"]:
            self._modify(key)

    def _remove(self, key: str) -> None:
        resource, declared = self._parsed_resources.pop(key, None), self._resource_json_map[key]
        if resource is not None and declared.get("DeletionPolicy") != "Retain":
            self._delete_resource(resource, declared)

    def _modify(self, key: str) -> None:
        if self._parsed_resources.get(key) is None:
            return
        # In place: moto makes some of them anew, without what was in them.
        if self.type_of(key) in get_model_map().keys() - STATEFUL:
            declared = self._resource_json_map[key]
            updated = parse_and_update_resource(key, declared, self, self._account_id, self._region_name)
            self._parsed_resources[key] = updated or self._parsed_resources[key]
        self._tell(key, "UPDATE_COMPLETE")

    def _delete_resource(self, parsed_resource: Any, resource_json: Json) -> None:
        super()._delete_resource(parsed_resource, resource_json)
        self._tell(parsed_resource.logical_resource_id, "DELETE_COMPLETE")

    def type_of(self, key: str) -> str:
        """Return the type of a resource, or "" for a name that is none's."""
        return str(self._resource_json_map.get(key, {}).get("Type", ""))

    def _tell(self, key: str, status: str) -> None:
        if self.stack is not None:
            resource = self._parsed_resources.get(key)
            self.stack.tell(key, self.type_of(key), str(getattr(resource, "physical_resource_id", "")), status)


class _Stack(models.Stack):
    @staticmethod
    def parse_template(template: str) -> Json:
        return _parsed(template)

    def has_parameters(self, other_parameters: dict[str, Any]) -> bool:
        """Say whether these values, where some are given, are those that the stack has, defaults too."""
        return {**self.stack_parameters, **other_parameters} == self.stack_parameters

    @property
    def stack_parameters(self) -> dict[str, str]:
        """Return the values as text, lists too: an update that keeps them gives them back."""
        values = self.resource_map.resolved_parameters
        return {name: _as_text(value) for name, value in values.items()}

    @property
    def stack_resources(self) -> Any:
        """Return what there is; moto would list nothing at all for each resource whose condition does not hold."""
        return [resource for resource in self.resource_map.values() if resource is not None]

    @property
    def parameter_list(self) -> list[dict[str, str]]:
        return [{"ParameterKey": name, "ParameterValue": value} for name, value in self.stack_parameters.items()]

    def _create_resource_map(self) -> _Resources:
        resources = _Resources(
            self.stack_id,
            self.name,
            self.parameters,
            self.tags,
            account_id=self.account_id,
            region_name=self.region_name,
            template=self.template_dict,
            cross_stack_resources=self.cross_stack_resources,
        )
        resources.load()
        resources.stack = self
        return resources

    def tell(self, logical_id: str, kind: str, physical_id: str, status: str, reason: str | None = None) -> None:
        """Add an event of a resource."""
        self.events.append(
            models.Event(
                stack_id=self.stack_id,
                stack_name=self.name,
                logical_resource_id=logical_id,
                physical_resource_id=physical_id,
                resource_type=kind,
                resource_status=status,
                resource_status_reason=reason,
                resource_properties=None,
            )
        )


class _ChangeSet(models.ChangeSet):
    def _parse_template(self) -> None:
        self.template_dict = _parsed(self.template)

    def diff(self) -> list[models.Change]:
        """Return what moto tells, and besides what changes by its parameters alone."""
        declared = {**self.stack.template_dict.get("Resources", {}), **self.template_dict["Resources"]}
        found = self.stack.resource_map.build_resource_diff(self.template_dict, self.parameters)
        return [
            models.Change(action=action, logical_resource_id=key, resource_type=declared[key]["Type"])
            for action, keys in found.items()
            for key in keys
        ]


class _Backend(models.CloudFormationBackend):
    """moto's, but what goes wrong while a change set is executed is the stack's status, not the call's answer."""

    def execute_change_set(self, change_set_name: str, stack_name: str | None = None) -> None:
        change_set = self.describe_change_set(change_set_name)
        assert change_set is not None  # noqa: S101  it raises when there is none
        stack = self.stacks[change_set.stack_id]
        try:
            super().execute_change_set(change_set.change_set_id, stack_name)
        except _FAILURES as error:
            if change_set.change_set_type == "CREATE":
                # What it was to become can be asked for, and is: by who deletes it, or deploys again.
                stack.template = change_set.template
                stack._parse_template()  # noqa: SLF001
            _fail(stack, change_set.change_set_type, str(error))
        else:
            # moto forgets these two when it executes a change set.
            stack.parameters = change_set.parameters
            stack._parse_template()  # noqa: SLF001
            stack.output_map = stack._create_output_map()  # noqa: SLF001


def _fail(stack: Any, kind: str, reason: str) -> None:
    resources: _Resources = stack.resource_map
    name = resources.failed or stack.name
    resources.failed = None
    verb = "CREATE" if kind == "CREATE" else "UPDATE"
    stack.tell(name, resources.type_of(name), "", f"{verb}_FAILED", reason)
    if kind == "CREATE":
        resources.delete()
    stack.status = "ROLLBACK_COMPLETE" if kind == "CREATE" else "UPDATE_ROLLBACK_COMPLETE"
    stack._add_stack_event(stack.status)  # noqa: SLF001


_MOTOS_STACK = models.Stack
