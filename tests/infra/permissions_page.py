"""docs/reference/permissions.md, from the table and the recording: ``make permissions`` writes it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from infra.permissions import PERMISSIONS, SCHEDULER, STATE_MACHINE
from infra.statements import Statement

from aurora_restore.operation import Step
from tests.infra.operations import OPERATIONS, prepared, record
from tests.infra.proof import Proof
from tests.infra.recording import RecordingRig

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "permissions.md"

_TOP = """\
# Permissions

What each of the nine functions may do in AWS, on what, and why. Their roles have these statements and no others.
This page is written from the table, which begins in `infra/permissions.py`, and from a recording. `make permissions`
writes it anew; a test holds the table, the page and the template that is deployed together.

`${SourcePattern}` and `${TargetPattern}` are the patterns of cluster names that you allow when you deploy,
`${SecretPattern}` that of the users' secrets, `${IamUserPattern}` that of
database users who log in with a token. ARNs are shown without partition, account and home region: all are of
the stack's account. A `*` in a region's place is there because source and target are where the request says.
[0011](../decisions/0011-what-iam-holds.md) says why it is cut this way, and what IAM cannot hold.

## Proven

%(count)s operations run whole on the embedded account: %(operations)s.

Each call of each function is taken down, and with it what AWS asks IAM: the action, each resource, the context that
conditions speak of; and where a service goes on with the caller's rights, what that service asks. moto's evaluator of
policies judges it, and our own code the conditions.

"""

_AFTER = """
*Needed* are the actions that were asked for, *allowed* those that the role has but for the few that
[no call shows](#what-no-call-shows). Take away any one action, resource or statement, and an operation fails; take away
a Deny, and an attack goes through. No function may do any of RDS's more than a hundred changing actions to a source,
but for the snapshot that step 1 may take, or to a cluster that the operator has not allowed as a target.

The proof stands on what AWS documents that it asks. Where it documents nothing, both possible answers are allowed for.
"""

_NOT_GRANTED = """\
## Not granted

| Action | Why not |
|---|---|
| `iam:CreateServiceLinkedRole` | RDS's own role is in every account that has an Aurora cluster: the source is one. |
| `rds:ModifyDBInstance`, `rds:RebootDBInstance` | An instance is made as it is to be. |
| `rds:CreateDBSnapshot` | It is for the final snapshot of an instance that is in no cluster. |
| `secretsmanager:DeleteSecret`, `secretsmanager:RotateSecret` | RDS does both for the secrets that it manages. |
| `dynamodb:UpdateItem`, `dynamodb:BatchWriteItem` | Every write is a put, or a lock's deletion, on a condition. |
| `logs:CreateLogGroup` | The stack makes the log groups, encrypted and with an end. |
"""


def page(proof: Proof) -> str:
    """Return the page."""
    parts = [
        _TOP % {"count": len(OPERATIONS), "operations": "; ".join(each.name for each in OPERATIONS)},
        "\n".join(_summary(proof)),
        _AFTER,
        *_functions(proof),
        "\n".join(_services()),
        "\n".join(_unseen()),
        _NOT_GRANTED,
    ]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def _summary(proof: Proof) -> Iterator[str]:
    yield "| Function | Operations of AWS's API called | Actions needed | Allowed | Denied | Unused |"
    yield "|---|---|---|---|---|---|"
    for step in Step:
        asked = proof.recording.asked[step]
        needed = {each.action for each in asked}
        allowed = {action for each in PERMISSIONS[step] if _is_shown(each) for action in each.actions}
        denied = [sentence for sentence in proof.refused() if sentence.startswith(f"{step},")]
        unused = [part for part in proof.unused() if part.step is step]
        numbers = (len(set().union(*asked.values())), len(needed), len(allowed), len(denied), len(unused))
        yield f"| {step.function_name} | {' | '.join(map(str, numbers))} |"


def _functions(proof: Proof) -> Iterator[str]:
    common = [each for each in PERMISSIONS[Step.SNAPSHOT_CHECK] if _is_common(each)]
    yield "\n".join(["## Every function", "", *_sections(common)]).replace(
        Step.SNAPSHOT_CHECK.function_name, "<its name>"
    )
    for step in Step:
        own = [each for each in PERMISSIONS[step] if not _is_common(each)]
        yield "\n".join([f"## {step.function_name}", "", *_sections(own, proof, step)])


def _sections(statements: Sequence[Statement], proof: Proof | None = None, step: Step | None = None) -> Iterator[str]:
    yield from _table((each for each in statements if each.effect == "Allow"), proof, step)
    yield ""
    yield "Denied, whatever else is allowed:"
    yield ""
    yield from _denials(statements)


def _is_common(statement: Statement) -> bool:
    """Say whether every function has it, with the same actions on the same things, but for the function's name."""
    said = {_without_name(each, step) for step in Step for each in PERMISSIONS[step] if each.sid == statement.sid}
    everywhere = all(statement.sid in {each.sid for each in statements} for statements in PERMISSIONS.values())
    return everywhere and len(said) == 1


def _without_name(statement: Statement, step: Step) -> str:
    return str(statement.document()).replace(step.function_name, "")


def _is_shown(statement: Statement) -> bool:
    return statement.effect == "Allow" and not statement.unseen


def _table(statements: Iterable[Statement], proof: Proof | None = None, step: Step | None = None) -> Iterator[str]:
    shown = proof is not None and step is not None
    yield "| Statement | Allows | On | Only if | Why |" + (" Seen in |" if shown else "")
    yield "|---|---|---|---|---|" + ("---|" if shown else "")
    for each in statements:
        cells = [each.sid, _words(each.actions), _on(each), _conditions(each), each.why]
        if proof is not None and step is not None:
            cells.append(", ".join(proof.shown_by(step, each.sid)) or "see below")
        yield f"| {' | '.join(cells)} |"


def _denials(statements: Iterable[Statement]) -> Iterator[str]:
    yield "| Statement | Denies | On | Only if | Why |"
    yield "|---|---|---|---|---|"
    for each in statements:
        if each.effect == "Deny":
            what = _words(each.actions) or f"everything but {_words(each.every_action_but)}"
            what = "everything" if each.actions == ("*",) else what
            yield f"| {each.sid} | {what} | {_on(each)} | {_conditions(each)} | {each.why} |"


def _services() -> Iterator[str]:
    for title, statements in (("The state machine", STATE_MACHINE), ("A schedule", SCHEDULER)):
        yield f"## {title}"
        yield ""
        yield from _table(statements)
        yield ""
    yield "EventBridge's rules take no role: the last function's own policy lets them, and nobody else, call it."
    yield ""


def _unseen() -> Iterator[str]:
    yield "## What no call shows"
    yield ""
    yield "| Statement | Of | Why no call of the functions' code shows that it is needed |"
    yield "|---|---|---|"
    reasons: dict[tuple[str, str], list[Step]] = {}
    for step, statements in PERMISSIONS.items():
        for each in statements:
            if each.unseen:
                reasons.setdefault((each.sid, each.unseen), []).append(step)
    for (sid, reason), steps in reasons.items():
        of = "every function" if len(steps) == len(Step) else ", ".join(step.function_name for step in steps)
        yield f"| {sid} | {of} | {reason} |"
    yield ""


def _words(actions: Sequence[str]) -> str:
    return ", ".join(f"`{action}`" for action in actions)


def _on(statement: Statement) -> str:
    return ", ".join(f"`{_short(resource)}`" for resource in statement.resources)


def _conditions(statement: Statement) -> str:
    clauses = [
        f"{key} {_OPERATORS[operator]} {' or '.join(_listed(wanted))}"
        for operator, keys in statement.conditions.items()
        for key, wanted in keys.items()
    ]
    return f"`{'` and `'.join(clauses)}`" if clauses else ""


_OPERATORS = {
    "StringEquals": "is",
    "StringNotEquals": "is not",
    "StringLike": "is",
    "ArnEquals": "is",
    "Bool": "is",
    "ForAllValues:StringLike": "is",
}


def _listed(value: str | Sequence[str]) -> Iterator[str]:
    for each in [value] if isinstance(value, str) else value:
        yield _short(each)


def _short(arn: str) -> str:
    return (
        arn.replace("arn:${AWS::Partition}:", "")
        .replace(":${AWS::Region}:${AWS::AccountId}:", ":")
        .replace(":${AWS::AccountId}:", ":")
        .replace("iam::", "iam:")
        .replace("${AWS::StackName}", "${StackName}")
        .replace("${AWS::Region}", "${Region}")
    )


def main() -> None:
    """Run the operations, and write the page."""
    with RecordingRig() as rig:
        record(prepared(rig))
        PAGE.write_text(page(Proof.of(rig)), encoding="utf-8")


if __name__ == "__main__":
    main()
