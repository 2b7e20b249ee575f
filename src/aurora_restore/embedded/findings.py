"""What a rehearsal has come to: looked up and tried in both databases, never taken from the pipeline's word."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sns.models import sns_backends

from aurora_restore.aws.tables import Table
from aurora_restore.database.engine import Endpoint, Login
from aurora_restore.embedded import shop
from aurora_restore.embedded.account import EmbeddedAccount
from aurora_restore.embedded.sample import Sample
from aurora_restore.embedded.sample_kinds import Database, kind_of
from aurora_restore.errors import AuditBrokenError
from aurora_restore.operation import Operation, require
from aurora_restore.store.audit import Audit, verify


class Origin(StrEnum):
    """Whose password was tried."""

    SECRET = "the secret"  # noqa: S105
    PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login that was tried on the target: whose, with the new or production's password, and what came of it."""

    user: str
    password_from: Origin
    was_let_in: bool

    @property
    def is_as_promised(self) -> bool:
        """Say whether it kept I7: new passwords work, production's do not."""
        return self.was_let_in == (self.password_from is Origin.SECRET)


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of the target."""

    name: str
    instance_class: str
    promotion_tier: int
    is_writer: bool


@dataclass(frozen=True, slots=True)
class Notification:
    """What the topic's e-mail subscribers get."""

    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that was found."""

    source: Endpoint
    target: Endpoint
    source_rows: Mapping[str, int]
    target_rows: Mapping[str, int]
    attempts: tuple[Attempt, ...]
    grants: Mapping[str, str]
    instances: tuple[Instance, ...]
    audit_events: int
    audit_verified: bool
    notification: Notification

    @property
    def logins(self) -> list[str]:
        """Return who was let into the target."""
        return sorted({attempt.user for attempt in self.attempts if attempt.was_let_in})

    @property
    def refused(self) -> list[str]:
        """Return whose production password was refused by the target."""
        tried = (attempt for attempt in self.attempts if attempt.password_from is Origin.PRODUCTION)
        return sorted(attempt.user for attempt in tried if not attempt.was_let_in)

    @property
    def broken_promises(self) -> list[str]:
        """Return a sentence for each thing that is not as it must be after a success."""
        words = {True: "let in", False: "refused"}
        sentences = [
            f"{attempt.user} was {words[attempt.was_let_in]} with the password from {attempt.password_from}"
            for attempt in self.attempts
            if not attempt.is_as_promised
        ]
        if self.source_rows != self.target_rows:
            sentences.append("the target's row counts differ from the source's")
        if not self.audit_verified:
            sentences.append("the audit chain does not verify")
        return sentences


def notification_of(topic_arn: str, operation_id: str) -> Notification:
    """Return the last message about an operation; empty when nobody was told."""
    region = topic_arn.split(":")[3]
    for _, message, subject, _, _ in reversed(
        sns_backends[DEFAULT_ACCOUNT_ID][region].topics[topic_arn].sent_notifications
    ):
        bodies = json.loads(message)
        if json.loads(bodies["default"]).get("operation_id") == operation_id:
            return Notification(subject or "", bodies["email"])
    return Notification("", "")


def count_rows(database: Database) -> Mapping[str, int]:
    """Return how many rows each table has, counted."""
    return kind_of(database.engine).count_rows(database)


def examine(account: EmbeddedAccount, sample: Sample, operation: Operation) -> Findings:
    """Look at both clusters after a successful operation."""
    restored = require(operation.restored, "restored cluster")
    endpoint = Endpoint(restored.endpoint, restored.port)
    new = _new_logins(account, operation)
    target = replace(sample.target, endpoint=endpoint, login=new[sample.source.login.user])
    audit_events, audit_verified = check_audit(account, sample, operation)
    return Findings(
        source=sample.source.endpoint,
        target=endpoint,
        source_rows=count_rows(sample.source),
        target_rows=count_rows(target),
        attempts=tuple(_attempts(sample, target, new.values())),
        grants=_grants(target, operation),
        instances=_instances(account, operation),
        audit_events=audit_events,
        audit_verified=audit_verified,
        notification=notification_of(sample.deployment.topic_arn, operation.operation_id),
    )


def check_audit(account: EmbeddedAccount, sample: Sample, operation: Operation) -> tuple[int, bool]:
    """Return how many events the operation's audit has, and whether its chain is whole."""
    events = Audit(Table(account.client("dynamodb"), sample.deployment.audit_table)).events(operation.operation_id)
    try:
        return verify(events, head=operation.audit_hash), True
    except AuditBrokenError:
        return len(events), False


def _new_logins(account: EmbeddedAccount, operation: Operation) -> dict[str, Login]:
    """Return the master and the request's users with the passwords of their secrets."""
    secrets = account.client("secretsmanager", operation.wanted.target.region)
    master = require(operation.master_secret_arn, "managed master secret")
    arns = [master, *operation.user_secrets.values()]
    values = [json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"]) for arn in arns]
    return {value["username"]: Login(value["username"], value["password"]) for value in values}


def _attempts(sample: Sample, target: Database, new: Iterable[Login]) -> Iterable[Attempt]:
    engine = kind_of(target.engine).users()
    known = [sample.source.login, *(Login(name, shop.LOGIN_PASSWORD) for name in shop.LOGINS)]
    # A login that never worked proves nothing by not working.
    production = [login for login in known if engine.can_log_in(sample.source.endpoint, login, sample.source.name)]
    for origin, logins in ((Origin.SECRET, new), (Origin.PRODUCTION, production)):
        for login in logins:
            yield Attempt(login.user, origin, engine.can_log_in(target.endpoint, login, target.name))


def _grants(target: Database, operation: Operation) -> dict[str, str]:
    kind = kind_of(target.engine)
    return {user.name: kind.grants(target, user.name) for user in operation.wanted.users}


def _instances(account: EmbeddedAccount, operation: Operation) -> tuple[Instance, ...]:
    target = operation.wanted.target
    rds = account.client("rds", target.region)
    cluster = rds.describe_db_clusters(DBClusterIdentifier=target.cluster)["DBClusters"][0]
    classes = {
        found["DBInstanceIdentifier"]: found["DBInstanceClass"]
        for found in rds.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [target.cluster]}])[
            "DBInstances"
        ]
    }
    return tuple(
        Instance(
            member["DBInstanceIdentifier"],
            classes[member["DBInstanceIdentifier"]],
            member["PromotionTier"],
            member["IsClusterWriter"],
        )
        for member in sorted(cluster["DBClusterMembers"], key=lambda member: str(member["DBInstanceIdentifier"]))
    )
