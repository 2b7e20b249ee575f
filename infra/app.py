"""The CDK app: ``python -m infra.app`` synthesises the stack, and refuses what cdk-nag finds."""

from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from aurora_restore.names import STACK_TAG
from aurora_restore.operation import Step
from infra.schedules import read_schedules
from infra.stack import add_pipeline, interface

DEFAULT_STACK = "aurora-restore"
# Lambda takes 64 characters for the functions' names, which begin with the stack's.
LONGEST_STACK_NAME = 64 - max(len(f"-{step.function_name}") for step in Step)


def build(outdir: str | None = None, context: Mapping[str, str] | None = None) -> cdk.App:
    """Return the app with its stack, not yet synthesised.

    Of CDK's context, be it given here or by the cdk command's -c, it reads ``stack``, the stack's name, and
    ``schedules``, a folder with requests and their timetable.
    """
    app = cdk.App(outdir=outdir, context={"@aws-cdk/core:validateAgainstDefaultRules": True, **(context or {})})
    stack = cdk.Stack(
        app,
        "Pipeline",
        stack_name=app.node.try_get_context("stack") or DEFAULT_STACK,
        description="aurora-restore: restores Aurora clusters from snapshots of others. "
        f"The stack's name has {LONGEST_STACK_NAME} characters at most",
        synthesizer=cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
    )
    stack.template_options.metadata = interface()
    folder = app.node.try_get_context("schedules")
    add_pipeline(stack, read_schedules(Path(folder)) if folder else ())
    # Every resource that can carry a tag carries this one.
    cdk.Tags.of(stack).add(STACK_TAG, cdk.Aws.STACK_NAME, exclude_resource_types=["aws:cdk:stack"])
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app


if __name__ == "__main__":
    build().synth()
