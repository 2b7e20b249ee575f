"""What one types to look around in an embedded account: exports, psql and aws commands, ready to be copied."""

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from aurora_restore.aws.deployment import Deployment
from aurora_restore.embedded.account import EmbeddedAccount
from aurora_restore.embedded.sample import (
    DATABASE,
    SOURCE_REGION,
    TARGET,
    TARGET_REGION,
    Database,
    Sample,
    engine_of_target,
    request,
)
from aurora_restore.embedded.sample_kinds import kind_of
from aurora_restore.embedded.shop import LOGIN_PASSWORD
from aurora_restore.operation import Operation

_CLUSTERS: Final = "--query 'DBClusters[].[DBClusterIdentifier,Status,Endpoint,Port]' --output text"


def exports(url: str) -> Iterator[str]:
    """Yield the lines that point every AWS tool of a shell at the account."""
    settings = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": TARGET_REGION,
        "AWS_DEFAULT_REGION": TARGET_REGION,
        "AWS_PAGER": "",
    }
    for name, value in settings.items():
        yield f"export {name}={value}"


def print_everything(console: Console, account: EmbeddedAccount, sample: Sample, operation: Operation) -> None:
    """Say how to look around after the demo's operation."""
    print_block(console, "It goes on until Ctrl-C. In another shell, first", exports(account.server.url))
    ours = [f"aurora-restore {words}" for words in (f"status {operation.operation_id}", "audit --verify", "history")]
    ours[1] += f" {operation.operation_id}"
    print_block(console, "Then look at what the operation did", [*ours, *aws_commands(sample.deployment)])
    print_block(console, "The databases", [*databases(sample.source), *_target_commands(operation, sample)])
    console.print()


def _target_commands(operation: Operation, sample: Sample) -> Iterator[str]:
    restored = operation.restored
    shell = kind_of(sample.target.engine).shell
    if restored is not None:
        for user in operation.wanted.users:
            yield password_of(str(user.secret))
            yield shell(restored.endpoint, str(restored.port), user.name, restored.database or "")


def databases(source: Database) -> Iterator[str]:
    """Yield the command that opens the source as its application does."""
    place = source.endpoint
    shell = kind_of(source.engine).shell
    yield shell(place.host, str(place.port), "orders_app", source.name, LOGIN_PASSWORD)


def restored_database(account: EmbeddedAccount) -> Iterator[str]:
    """Yield the commands that open the target as a user of the sample's request, once there has been an operation."""
    user = request()["users"][0]
    yield password_of(user["secret"])
    cluster = f"aws rds describe-db-clusters --db-cluster-identifier {TARGET}"
    port = f"$({cluster} --query 'DBClusters[0].Port' --output text)"
    yield kind_of(engine_of_target(account)).shell("127.0.0.1", port, user["name"], DATABASE)


def password_of(secret: str) -> str:
    """Return the command that shows a secret's value, with the password of a new user in it."""
    return f"aws secretsmanager get-secret-value --secret-id '{secret}' --query SecretString --output text"


def aws_commands(deployment: Deployment) -> Iterator[str]:
    """Yield some calls that show what there is, and what the pipeline has done."""
    yield f"aws rds describe-db-clusters --region {SOURCE_REGION} {_CLUSTERS}"
    yield f"aws rds describe-db-clusters {_CLUSTERS}"
    yield f"aws dynamodb scan --table-name {deployment.state_table}"
    yield f"aws dynamodb scan --table-name {deployment.audit_table}"


def start_execution(deployment: Deployment, file: Path) -> str:
    """Return the command that starts an operation without our command line."""
    arn, quoted_url = deployment.state_machine_arn, shlex.quote(f"file://{file}")
    return f"aws stepfunctions start-execution --state-machine-arn {arn} --input {quoted_url}"


def quoted(path: Path) -> str:
    """Return a path as a shell takes it."""
    return shlex.quote(str(path))


def print_block(console: Console, heading: str, lines: Iterable[str]) -> None:
    """Print lines to be copied: whole, whatever the width of the terminal."""
    console.print()
    console.print(Text(heading, style="bold"))
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=True)
