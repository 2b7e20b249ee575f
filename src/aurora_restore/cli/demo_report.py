"""What the demo tells at its end: to a person, and with ``--json`` to a program."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from aurora_restore.cli.documents import steps_document
from aurora_restore.cli.output import print_json, say
from aurora_restore.cli.presentation import print_outcome
from aurora_restore.embedded.account import EmbeddedAccount
from aurora_restore.embedded.dump import Dump
from aurora_restore.embedded.findings import Attempt, Findings, Origin, check_audit, examine, notification_of
from aurora_restore.embedded.sample import SOURCE, SOURCE_REGION, TARGET, TARGET_REGION, Sample
from aurora_restore.operation import Operation, OperationStatus
from aurora_restore.steps.announcement import duration

_LABEL_WIDTH: Final = 14


@dataclass(frozen=True, slots=True)
class Report:
    """An operation that has ended and, when it ended well, what was found in both databases."""

    operation: Operation
    findings: Findings | None
    document: Mapping[str, Any]
    took_s: float

    @property
    def is_good(self) -> bool:
        """Say whether the operation succeeded and kept every promise that was tried."""
        return self.findings is not None and not self.findings.broken_promises


def examined(account: EmbeddedAccount, sample: Sample, operation: Operation, took_s: float) -> Report:
    """Return the report on an operation, after looking at both databases."""
    if operation.status is OperationStatus.SUCCEEDED:
        findings = examine(account, sample, operation)
        return Report(operation, findings, _document_of(operation, findings), took_s)
    return Report(operation, None, _document_of_failure(account, sample, operation), took_s)


def print_introduction(console: Console, account: EmbeddedAccount, dump: Dump | None) -> None:
    """Say what there is before the operation."""
    what = "the sample shop" if dump is None else dump.path.name
    console.print(f"  {account.server.url} answers as AWS does", soft_wrap=True)
    console.print(f"  {SOURCE} in {SOURCE_REGION} holds {what}, with an automated snapshot", soft_wrap=True)
    console.print(f"  {TARGET} in {TARGET_REGION} holds older data, and is to be replaced", soft_wrap=True)
    console.print()


def print_report(console: Console, report: Report, *, as_json: bool) -> None:
    """Print the report, to stdout; and to stderr what is not as it must be."""
    if as_json:
        print_json(report.document)
    elif report.findings is None:
        print_outcome(console, report.operation)
    else:
        _print_findings(console, report.operation, report.findings)
        _print_time(console, report)
    for sentence in report.findings.broken_promises if report.findings else ():
        say(f"Error: {sentence}")


def _document_of(operation: Operation, findings: Findings) -> dict[str, Any]:
    return {
        "operation_id": operation.operation_id,
        "status": operation.status.value,
        "steps": steps_document(operation),
        "source": {"cluster": SOURCE, "rows": dict(findings.source_rows)},
        "target": {
            "cluster": TARGET,
            "endpoint": findings.target.host,
            "port": findings.target.port,
            "instances": [
                {
                    "name": instance.name,
                    "class": instance.instance_class,
                    "promotion_tier": instance.promotion_tier,
                    "writer": instance.is_writer,
                }
                for instance in findings.instances
            ],
            "rows": dict(findings.target_rows),
            "logins": findings.logins,
            "refused": findings.refused,
        },
        "audit": {"events": findings.audit_events, "verified": findings.audit_verified},
        "notification": {"subject": findings.notification.subject, "message": findings.notification.message},
    }


def _document_of_failure(account: EmbeddedAccount, sample: Sample, operation: Operation) -> dict[str, Any]:
    events, verified = check_audit(account, sample, operation)
    told = notification_of(sample.deployment.topic_arn, operation.operation_id)
    return {
        "operation_id": operation.operation_id,
        "status": operation.status.value,
        "steps": steps_document(operation),
        "failure": operation.failure.model_dump(mode="json") if operation.failure else None,
        "source": {"cluster": SOURCE},
        "target": {"cluster": TARGET},
        "audit": {"events": events, "verified": verified},
        "notification": {"subject": told.subject, "message": told.message},
    }


def _print_findings(console: Console, operation: Operation, findings: Findings) -> None:
    console.print()
    console.print(Text(f"{TARGET} is a copy of {SOURCE}", style="bold green"))
    _field(console, "Source", f"{findings.source}  {SOURCE}, {SOURCE_REGION}")
    _field(console, "Target", f"{findings.target}  {TARGET}, {TARGET_REGION}")
    for instance in findings.instances:
        role = "writer" if instance.is_writer else "reader"
        _field(console, "", f"{instance.name}: {role}, {instance.instance_class}, tier {instance.promotion_tier}")
    _print_heading(console, "Rows, counted on both sides")
    console.print(Padding(rows_table(findings.source_rows, findings.target_rows), (0, 0, 0, 2), expand=False))
    _print_heading(console, "Logins, each tried on the target")
    console.print(Padding(_logins_table(findings), (0, 0, 0, 2), expand=False))
    _print_heading(console, "Audit")
    chain = "the chain of their hashes is whole" if findings.audit_verified else "THE CHAIN IS BROKEN"
    console.print(f"  {findings.audit_events} events; {chain}", soft_wrap=True)
    _print_heading(console, "Notification")
    _print_lines(console, [f"Subject: {findings.notification.subject}", "", *_body(findings)])
    _print_remarks(console, operation)


def _body(findings: Findings) -> list[str]:
    return findings.notification.message.splitlines()


def rows_table(source: Mapping[str, int], target: Mapping[str, int]) -> Table:
    """Return the rows of each table on both sides, and whether they are as many."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    table.add_column("Table", overflow="fold", min_width=len("Table"))
    for side in ("Source", "Target"):
        table.add_column(side, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in sorted({*source, *target}):
        ours, theirs = source.get(name), target.get(name)
        verdict = Text("equal", style="green") if ours == theirs else Text("DIFFERENT", style="bold red")
        table.add_row(Text(name), _count(ours), _count(theirs), verdict)
    table.add_row(Text("all", style="dim"), _count(sum(source.values())), _count(sum(target.values())))
    return table


def _count(count: int | None) -> str:
    return "none" if count is None else f"{count:,}"


def _logins_table(findings: Findings) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 3, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for attempt in findings.attempts:
        word = "let in" if attempt.was_let_in else "refused"
        style = "green" if attempt.is_as_promised else "bold red"
        table.add_row(Text(word, style=style), Text(attempt.user), Text(_remark(attempt, findings)))
    return table


def _remark(attempt: Attempt, findings: Findings) -> str:
    if attempt.password_from is Origin.PRODUCTION:
        return "with production's password"
    return findings.grants.get(attempt.user, "the master, with the password that RDS manages")


def _print_remarks(console: Console, operation: Operation) -> None:
    if operation.not_restored:
        _print_heading(console, "Worth knowing")
        _print_lines(console, operation.not_restored)


def _print_time(console: Console, report: Report) -> None:
    operation = report.operation
    if operation.ended_at is None:
        return
    in_aws = duration(operation.ended_at - operation.requested_at)
    console.print()
    console.print(f"{in_aws} of Aurora's time, {report.took_s:.1f} s of yours.", soft_wrap=True)


def _print_heading(console: Console, words: str) -> None:
    console.print()
    console.print(Text(words, style="bold"))


def _print_lines(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        # The terminal wraps it, not we: what is longer than the line can be copied whole.
        console.print(Text(f"  {line}".rstrip()), soft_wrap=True)


def _field(console: Console, label: str, value: str) -> None:
    console.print(Text.assemble((f"{label:<{_LABEL_WIDTH}}", "bold"), value), soft_wrap=True)
