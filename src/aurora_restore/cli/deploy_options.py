"""The options of deploy, each with its name and its one line of help."""

from pathlib import Path
from typing import Annotated

import typer

Vpc = Annotated[str, typer.Option("--vpc", metavar="ID", show_default=False, help="The VPC that reaches the targets.")]
Subnets = Annotated[
    str, typer.Option("--subnets", metavar="ID,ID", show_default=False, help="Private subnets of it, two or more.")
]
TargetPattern = Annotated[
    str, typer.Option("--target-pattern", show_default=False, help="Clusters that may be replaced, as staging-*.")
]
SourcePattern = Annotated[
    str, typer.Option("--source-pattern", show_default=False, help="Clusters that are never changed, as prod-*.")
]
Email = Annotated[
    str, typer.Option("--email", metavar="ADDRESS", show_default=False, help="Who is told how operations end.")
]
Key = Annotated[
    str, typer.Option("--key", metavar="ARN", show_default=False, help="A KMS key to use in place of a new one.")
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--parameter", metavar="NAME=VALUE", show_default=False, help="Any parameter of the template."),
]
Schedules = Annotated[
    list[str] | None,
    typer.Option(
        "--schedule",
        metavar="EXPRESSION=FILE",
        show_default=False,
        help="Run the request in FILE again and again, as 'cron(10 3 * * ? *)=nightly.yaml'.",
    ),
]
BucketName = Annotated[
    str, typer.Option("--bucket", show_default=False, help="Where code and template go; unset: one that is made.")
]
BundleFile = Annotated[
    Path | None,
    typer.Option("--bundle", metavar="ZIP", show_default=False, help="The code, as the command bundle wrote it."),
]
CaBundle = Annotated[
    Path | None,
    typer.Option(
        "--ca-bundle",
        metavar="PEM",
        show_default=False,
        help="Verify database servers against these certificates, which AWS publishes for RDS.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
AllowReplacement = Annotated[
    bool, typer.Option("--allow-replacement", help="Let a table, topic, key or log be replaced or removed.")
]
