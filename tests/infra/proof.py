"""The recording held against the policies: what is refused, what is never used, and what could be taken away unseen."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from infra.permissions import PERMISSIONS
from infra.statements import Statement, policy

from aurora_restore.operation import Step
from aurora_restore.runtime import Settings
from tests.infra.authorisations import ACCOUNT, HOME, OWN_KEY
from tests.infra.evaluation import Answer, Authorisation, Policy
from tests.infra.recording import Recording, RecordingRig


class Part(NamedTuple):
    """A part of the table that an auditor could strike out: an action or a resource of a statement."""

    step: Step
    sid: str
    name: str


@dataclass(frozen=True)
class Proof:
    """The recording and the policies of all functions, for given values of their substitutions."""

    recording: Recording
    values: Mapping[str, str]

    @classmethod
    def of(cls, rig: RecordingRig) -> "Proof":
        """Return the proof of what a rig has recorded."""
        return cls(rig.recording, _values(rig.settings))

    @cached_property
    def policies(self) -> Mapping[Step, Policy]:
        """Return the policy of each function."""
        return {step: Policy(policy(statements, self.values)["Statement"]) for step, statements in PERMISSIONS.items()}

    @cached_property
    def supports(self) -> Mapping[Step, Mapping[Authorisation, frozenset[str]]]:
        """For each thing that IAM was asked, the sids of the statements that allow it."""
        return {
            step: {each: self.policies[step].allowing(each) for each in self.recording.asked[step]} for step in Step
        }

    def refused(self) -> Iterator[str]:
        """Yield a sentence for everything that was asked and is not allowed."""
        for step, asked in self.recording.all():
            given = self.policies[step].answer(asked)
            if given is not Answer.ALLOWED:
                calls = ", ".join(sorted(self.recording.asked[step][asked]))
                yield f"{step}, {calls}: {asked.action} on {asked.resource} is {given.value}, in {dict(asked.context)}"

    def unused(self) -> Iterator[Part]:
        """Yield each allowed action that nothing asked for and that has no reason why not."""
        for step, statement in self._shown():
            asked = {each.action for each, sids in self.supports[step].items() if statement.sid in sids}
            yield from (Part(step, statement.sid, action) for action in statement.actions if action not in asked)

    def unnoticed(self) -> Iterator[Part]:
        """Yield each action and resource without which everything that was asked would still be allowed."""
        for step, statement in self._shown():
            alone = [each for each, sids in self.supports[step].items() if sids == {statement.sid}]
            actions = {each.action for each in alone}
            yield from (Part(step, statement.sid, action) for action in statement.actions if action not in actions)
            yield from (Part(step, statement.sid, name) for name in self._needless_resources(step, statement, alone))

    def _needless_resources(self, step: Step, statement: Statement, alone: Iterable[Authorisation]) -> Iterator[str]:
        document = next(each for each in self.policies[step].statements if each["Sid"] == statement.sid)
        for name, resolved in zip(statement.resources, document["Resource"], strict=True):
            others = [each for each in document["Resource"] if each != resolved]
            without = Policy([{**document, "Resource": others}] if others else [])
            if all(without.allowing(each) for each in alone):
                yield name

    def shown_by(self, step: Step, sid: str) -> list[str]:
        """Return the operations of AWS's API that a statement was needed for, sorted."""
        calls = self.recording.asked[step]
        return sorted({call for each, sids in self.supports[step].items() if sid in sids for call in calls[each]})

    def _shown(self) -> Iterator[tuple[Step, Statement]]:
        for step, statements in PERMISSIONS.items():
            for statement in statements:
                if statement.effect == "Allow" and not statement.unseen:
                    yield step, statement


def _values(settings: Settings) -> dict[str, str]:
    """Return what CloudFormation puts in the place of the substitutions, in the account of the recording."""
    tables = f"arn:aws:dynamodb:{HOME}:{ACCOUNT}:table"
    return {
        "AWS::Partition": "aws",
        "AWS::AccountId": ACCOUNT,
        "AWS::Region": HOME,
        "AWS::StackName": settings.stack,
        "SourcePattern": "orders-prod",
        "TargetPattern": "orders-staging",
        "SecretPattern": "orders-staging/*/login",
        "IamUserPattern": "reporting",
        "StateTable.Arn": f"{tables}/{settings.state_table}",
        "AuditTable.Arn": f"{tables}/{settings.audit_table}",
        "Topic": settings.topic_arn,
        "KeyArn": OWN_KEY,
        "DeadLetters.Arn": f"arn:aws:sqs:{HOME}:{ACCOUNT}:dead-letters",
    }
