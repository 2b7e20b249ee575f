"""The template that the package ships: ``python -m infra.shipped`` writes it anew, with --check it only compares."""

import json
import sys
import tempfile
from pathlib import Path

import aurora_restore
from infra.app import DEFAULT_STACK, build

TEMPLATE = Path(aurora_restore.__file__).parent / "cloudformation" / "template.json"


def synthesised() -> str:
    """Return the template as the app makes it now; raises what a check finds that nobody has acknowledged."""
    with tempfile.TemporaryDirectory() as folder:
        template = build(folder).synth().get_stack_by_name(DEFAULT_STACK).template
    return json.dumps(template, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the shipped template, or say with 1 that it is not what the app makes."""
    made = synthesised()
    if "--check" in sys.argv[1:]:
        if TEMPLATE.read_text(encoding="utf-8") == made:
            return 0
        sys.stderr.write(f"{TEMPLATE.name} is not what the app makes: run make synth, and commit it\n")
        return 1
    TEMPLATE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
