"""The template that the package ships: ``python -m infra.shipped`` writes it anew."""

import json
import tempfile

from infra import SHIPPED_TEMPLATE
from infra.app import DEFAULT_STACK, build


def synthesised() -> str:
    """Return the template as the app makes it now; raises what a check finds that nobody has acknowledged."""
    with tempfile.TemporaryDirectory() as folder:
        template = build(folder).synth().get_stack_by_name(DEFAULT_STACK).template
    return json.dumps(template, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SHIPPED_TEMPLATE.write_text(synthesised(), encoding="utf-8")
