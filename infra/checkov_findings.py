"""What checkov finds in the shipped template and we answer for; ``python -m infra.checkov_findings CHECKOV`` runs it.

checkov can be told to skip a check everywhere, which would hide tomorrow's mistake beside today's decision. So it
skips nothing, and what it finds must be exactly what stands here.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from aurora_restore.operation import Step
from infra import SHIPPED_TEMPLATE


@dataclass(frozen=True, slots=True)
class Accepted:
    """A finding that is no mistake, at which resources, and why."""

    check: str
    resources: tuple[str, ...]
    why: str


def _functions(*but: Step) -> tuple[str, ...]:
    return tuple(f"AWS::Lambda::Function.{step.function_name}" for step in Step if step not in but)


ACCEPTED = (
    Accepted(
        "CKV_AWS_115",
        _functions(Step.SNS_NOTIFICATION),
        "Reserved concurrency takes from the account's quota. Only the function that ends operations has some: another "
        "that is throttled is called again by the state machine, and its operation waits.",
    ),
    Accepted(
        "CKV_AWS_116",
        _functions(Step.SNS_NOTIFICATION),
        "Only an asynchronous call can be lost. The state machine waits for all the others' answers.",
    ),
    Accepted(
        "CKV_AWS_117",
        _functions(Step.SETUP_DB_USERS),
        "Only SetupDBUsers speaks to a database. In a VPC the others would need a way out to RDS, in every region.",
    ),
    Accepted(
        "CKV_AWS_173",
        _functions(),
        "The variables are the names of the stack, its tables and its topic. Lambda encrypts them with a key of AWS's.",
    ),
    Accepted(
        "CKV_AWS_111",
        ("AWS::IAM::Role.SetupDBUsersRole",),
        "Lambda needs them to put the function into the VPC; the function's own code is denied them.",
    ),
)


def differences(found: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return a sentence for each finding that nobody answers for, and for each answer to what is not found any more."""
    seen = set(found)
    known = {(each.check, resource) for each in ACCEPTED for resource in each.resources}
    return (
        *(f"{check} is found at {resource}" for check, resource in sorted(seen - known)),
        *(
            f"{check} is not found at {resource} any more: accept it no longer"
            for check, resource in sorted(known - seen)
        ),
    )


def _found(checkov: str) -> set[tuple[str, str]]:
    command = [
        checkov,
        "--framework",
        "cloudformation",
        "--skip-download",
        "--quiet",
        "-o",
        "json",
        "-f",
        str(SHIPPED_TEMPLATE),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(answer.stdout)
    if report["summary"]["parsing_errors"]:
        raise RuntimeError("checkov could not read the template")
    return {(each["check_id"], each["resource"]) for each in report["results"]["failed_checks"]}


def main() -> int:
    """Run checkov, and say with 1 that it finds something else than what is accepted."""
    left = differences(_found(sys.argv[1]))
    for sentence in left:
        sys.stderr.write(f"checkov: {sentence}\n")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
