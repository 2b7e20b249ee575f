"""What is to be done after a deployment, in its order. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final

from aurora_restore.aws.stacks import Stack

_CLIENT_GROUP: Final = "DatabaseClientGroupId"
_DEFAULT_STACK: Final = "aurora-restore"


def next_steps(stack: Stack, region: str) -> Iterator[str]:
    """Yield sentences, each with its command, for a stack that has just been deployed."""
    email = stack.parameters.get("AlarmEmail")
    if email:
        yield f"Confirm the subscription: AWS has written to {email}, and tells nobody before that"
    else:
        yield "Nobody is told how operations end: deploy again with --email"
    group = stack.outputs.get(_CLIENT_GROUP)
    if group:
        yield f"Let the security group {group} into your target's database, on its port"
    where = _options(stack.name, region)
    yield "Write a request: aurora-restore init restore.yaml"
    yield f"Check everything: aurora-restore doctor restore.yaml{where}"
    yield f"Restore: aurora-restore run restore.yaml{where}"


def _options(stack: str, region: str) -> str:
    options: Mapping[str, str] = {"--region": region, **({"--stack": stack} if stack != _DEFAULT_STACK else {})}
    return "".join(f" {option} {value}" for option, value in options.items())
