"""The CDK app: ``python -m infra.app`` synthesises the stack."""

import aws_cdk as cdk

from infra.stack import add_pipeline, interface

DEFAULT_STACK = "aurora-restore"


def build(outdir: str | None = None) -> cdk.App:
    """Return the app with its stack, not yet synthesised."""
    app = cdk.App(outdir=outdir)
    stack = cdk.Stack(
        app,
        "Pipeline",
        stack_name=app.node.try_get_context("stack") or DEFAULT_STACK,
        description="Restores Aurora clusters from snapshots of others: aurora-restore",
        synthesizer=cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
    )
    stack.template_options.metadata = interface()
    add_pipeline(stack)
    return app


if __name__ == "__main__":
    build().synth()
