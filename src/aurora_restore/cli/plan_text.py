"""A plan as a person reads it: sections, 80 columns, names whole."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from aurora_restore.cli.output import print_beside, print_wrapped
from aurora_restore.database_request import Password
from aurora_restore.estimates import QuotaUse
from aurora_restore.names import SnapshotRole
from aurora_restore.plan_document import shown
from aurora_restore.plan_parts import Choice, Copy, Deletion, Fate, PlannedUser, Setting
from aurora_restore.planning import Plan

_LABEL = 13
_WIDE = 25
_UNKNOWN = "unknown"
_NOTHING: tuple[object, ...] = (None, False, "", 0, [], {})
_WORTH_A_LINE_S = 30
_KINDS = {
    SnapshotRole.NEW: "a new snapshot",
    SnapshotRole.COPY: "a copy",
    SnapshotRole.FINAL: "a final snapshot",
}


def print_plan(console: Console, plan: Plan) -> None:
    """Print all of a plan."""
    source, target = plan.request.source, plan.request.target
    _line(console, f"Plan of {plan.request.name}, made {plan.planned_at:%Y-%m-%d %H:%M} UTC", style="bold")
    _field(console, "From", f"{source.region}/{source.cluster}")
    _field(console, "To", f"{target.region}/{target.cluster}")
    _snapshot(console, plan.snapshot)
    _copies(console, plan.copies)
    _deletion(console, plan.deletion)
    _shape(console, plan)
    _users(console, plan)
    _scripts_and_checks(console, plan)
    _pruned(console, plan)
    _quotas(console, plan.quotas)
    _time_and_cost(console, plan)
    _verdict(console, plan)


def _snapshot(console: Console, choice: Choice | None) -> None:
    _head(console, "Snapshot to restore from")
    if choice is None:
        _sentence(console, "none: see the problems below")
        return
    if choice.identifier is not None:
        _item(console, "", choice.identifier)
        taken = f"{choice.created_at:%Y-%m-%d %H:%M} UTC" if choice.created_at else _UNKNOWN
        _field(console, "Taken", f"{taken}, {choice.age_hours:.1f} hours ago; {choice.kind}, {choice.size_gib} GiB")
        _field(console, "Key", choice.kms_key_arn or "not encrypted")
    _field(console, "Why", choice.why)


def _copies(console: Console, copies: Iterable[Copy]) -> None:
    _head(console, "Snapshots that will be made")
    for copy in copies:
        _item(console, "+", f"{_KINDS[copy.role]} of {copy.of} in {copy.region}", style="green")
        _field(console, "Why", copy.why)
        _field(console, "Key", copy.kms_key_arn or "not encrypted")
    if not copies:
        _sentence(console, "none: the snapshot can be restored as it is")


def _deletion(console: Console, deletion: Deletion | None) -> None:
    _head(console, "Cluster that will be deleted")
    if deletion is None:
        _sentence(console, "none: there is no target yet")
        return
    size = f"{_UNKNOWN}: CloudWatch tells none" if deletion.size_gib is None else f"{deletion.size_gib:.1f} GiB"
    connections = (
        f"{_UNKNOWN}: CloudWatch tells none"
        if deletion.connections is None
        else f"{deletion.connections} when last measured"
    )
    _item(console, "-", f"{deletion.cluster} ({deletion.status})", style="red")
    _field(console, "ARN", deletion.arn)
    _field(console, "Resource id", deletion.resource_id)
    _field(console, "Instances", ", ".join(deletion.instances) or "none")
    _field(console, "Size", size)
    _field(console, "Connections", connections)
    _field(console, "Protection", deletion.protection)
    _field(console, "Final", "a final snapshot is taken first" if deletion.final_snapshot else "no final snapshot")
    for refusal in deletion.refusals:
        _field(console, "Refused", refusal, style="bold red")
    if not deletion.refusals:
        _field(console, "Warrant", "would be issued: every clause holds as far as can be seen now")


def _shape(console: Console, plan: Plan) -> None:
    _head(console, "Shape of the restored cluster")
    if not plan.settings and not plan.lost:
        _sentence(console, "not known: see the problems below")
        return
    if plan.shape_from is not None:
        _sentence(console, f"as {plan.shape_from} captured it, which did not bring it back")
    for setting in plan.settings:
        if setting.fate is Fate.OVERRIDDEN:
            change = f"{shown(setting.before)} -> {shown(setting.after)}"
            _item(console, "~", f"{setting.name}: {change}, by {setting.why}", style="yellow")
        elif setting.fate is Fate.REMOVED:
            _item(console, "-", f"{setting.name} ({setting.before}): not made again, {setting.why}", style="red")
    for sentence in plan.lost:
        _item(console, "!", f"lost: {sentence}", style="yellow")
    for fate, words in (
        (Fate.KEPT, "Kept as it is:"),
        (Fate.NEW, "As the request, the snapshot or AWS's default says:"),
    ):
        _alike(console, words, [setting for setting in plan.settings if setting.fate is fate])


def _alike(console: Console, words: str, settings: list[Setting]) -> None:
    """Print settings that need no attention: a line each, an instance's together, those that are off in one."""
    if not settings:
        return
    _sentence(console, words)
    instances: dict[str, list[str]] = {}
    off = []
    for setting in settings:
        identifier, _, inner = setting.name.rpartition(".")
        if identifier and not identifier.startswith("monitoring"):
            instances.setdefault(identifier.partition(".")[0], []).extend(_unless_off(inner, setting.after))
        elif setting.after in _NOTHING:
            off.append(setting.name)
        else:
            _wide(console, f"= {setting.name}", shown(setting.after))
    for identifier, values in instances.items():
        _item(console, "=", f"{identifier}: {', '.join(values)}")
    if off:
        _item(console, "=", f"off or empty: {', '.join(off)}")


def _unless_off(name: str, value: object) -> list[str]:
    return [] if value in _NOTHING else [f"{name} {shown(value)}"]


def _users(console: Console, plan: Plan) -> None:
    _head(console, "Database users")
    for user in plan.users:
        _user(console, user)
    for sentence in (*plan.logins, *plan.leftovers):
        _sentence(console, sentence)


def _user(console: Console, user: PlannedUser) -> None:
    fate = {True: ", which gets a new password", False: ", which will be made", None: ""}[user.secret_exists]
    if user.secret_exists and user.password is Password.KEEP:
        fate = ", whose password is kept"
    _item(console, "+", f"{user.name}: {'; '.join(user.grants) or 'no privileges'}", style="green")
    _field(console, "Logs in by", f"{user.login}{fate}")
    if user.more:
        _field(console, "With", "; ".join(user.more))


def _scripts_and_checks(console: Console, plan: Plan) -> None:
    if plan.scripts:
        _head(console, "SQL that is run before they are let in")
    for script in plan.scripts:
        _item(console, "+", f"{script.file} ({script.size_bytes:,} bytes)", style="green")
        _field(console, "SHA-256", script.sha256)
        _field(console, "Database", script.database or "the cluster's first")
    if plan.checks:
        _head(console, "What must hold at last")
    for check in plan.checks:
        _item(console, "?", f"{check.name}: {check.expects} (asks: {check.user})")


def _pruned(console: Console, plan: Plan) -> None:
    _head(console, "Older snapshots that will be pruned")
    for snapshot in plan.pruned:
        taken = f"{snapshot.created_at:%Y-%m-%d}" if snapshot.created_at else _UNKNOWN
        _item(console, "-", f"{snapshot.identifier} ({taken}, {snapshot.size_gib} GiB)", style="red")
    if not plan.pruned:
        _sentence(console, f"none: at most {plan.request.archive.keep} of a kind are kept")


def _quotas(console: Console, quotas: Iterable[QuotaUse]) -> None:
    _head(console, "Quotas")
    for quota in quotas:
        use = _UNKNOWN if quota.limit is None else f"{quota.used} of {quota.limit} used"
        _wide(console, quota.name, f"{use}, {quota.needed} more needed in {quota.region}")


def _time_and_cost(console: Console, plan: Plan) -> None:
    total = sum(estimate.seconds for estimate in plan.times)
    _head(console, f"Time: probably {_about(total)}")
    for estimate in plan.times:
        if estimate.seconds >= min(_WORTH_A_LINE_S, total / 20):
            _wide(console, estimate.step, f"{_about(estimate.seconds)} ({estimate.basis})")
    _head(console, f"Cost of the pipeline itself: about ${plan.cost.dollars:.4f}")
    _sentence(console, plan.cost.formula)
    _sentence(console, "Not in it:")
    for amount in plan.cost.left_out:
        _item(console, "-", amount)


def _verdict(console: Console, plan: Plan) -> None:
    console.print()
    if not plan.obstacles:
        _line(console, "Nothing that was seen would stop it. Nothing was changed.", style="bold green")
        return
    _line(console, "It cannot run as things are. Nothing was changed.", style="bold red")
    for problem in plan.obstacles:
        _item(console, "x", problem, style="red")


def _about(seconds: int) -> str:
    if seconds < 90:
        return f"{seconds} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    words = (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "")
    return " ".join(word for word in words if word)


def _head(console: Console, title: str) -> None:
    console.print()
    _line(console, title, style="bold")


def _line(console: Console, line: str, *, style: str = "") -> None:
    console.print(Text(line, style=style), soft_wrap=True)


def _item(console: Console, mark: str, text: str, *, style: str = "") -> None:
    print_wrapped(console, f"{mark} {text}" if mark else text, 2, hang=2 if mark else 0, style=style)


def _sentence(console: Console, sentence: str) -> None:
    print_wrapped(console, sentence, 2)


def _field(console: Console, label: str, value: str, *, style: str = "") -> None:
    _labelled(console, f"    {label:<{_LABEL}}", value, style=style)


def _wide(console: Console, label: str, value: str) -> None:
    _labelled(console, f"  {label:<{_WIDE}} ", value)


def _labelled(console: Console, label: str, value: str, *, style: str = "") -> None:
    print_beside(console, Text(label), value, beneath=4, style=style)
