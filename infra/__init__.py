"""The pipeline's infrastructure as a CDK app: it imports the package, and the package never imports it."""

from pathlib import Path

import aurora_restore

SHIPPED_TEMPLATE = Path(aurora_restore.__file__).parent / "cloudformation" / "template.json"
"""The template that the package ships, which ``infra.shipped`` writes."""
