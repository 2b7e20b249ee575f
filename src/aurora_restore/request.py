"""The request: what the user asks for, parsed and refused here. The same document in YAML, JSON and as an input."""

import json
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from aurora_restore.database_request import Leftover, Logins, OwnershipTransfer, SqlScript, User, Verification
from aurora_restore.errors import Problem, RequestError
from aurora_restore.mistakes import explain, shown
from aurora_restore.strict import Matching, Strict

# An execution's input may have 256 KiB and an item of the State table 400 KB; the item holds much besides the request.
LARGEST_BYTES = 200_000

_WINDOW_OF_DAY = r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d"
_DAY = r"(mon|tue|wed|thu|fri|sat|sun)"
_TIME = r"([01]\d|2[0-3]):[0-5]\d"
_BACKUP_WINDOW = Matching(f"^{_WINDOW_OF_DAY}$", "hh:mm-hh:mm in UTC, such as 02:00-02:30")
_MAINTENANCE_WINDOW = Matching(
    f"^{_DAY}:{_TIME}-{_DAY}:{_TIME}$", "ddd:hh:mm-ddd:hh:mm in UTC, such as sun:04:00-sun:05:00"
)
_NAME = Matching(r"^[a-z][a-z0-9-]{0,39}$", "1 to 40 lower-case letters, digits and hyphens, starting with a letter")
_SNAPSHOT = Matching(
    r"^(latest|latest-automated|latest-manual|new|[a-zA-Z](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?|rds:[a-zA-Z0-9-]+|arn:aws[a-z-]*:rds:.+)$",
    "latest, latest-automated, latest-manual, new, or a snapshot's identifier or ARN",
)
_SECURITY_GROUP = Matching(r"^sg-[0-9a-z]+$", "a security group's id, such as sg-0123456789abcdef0")


def _cluster_name(value: str) -> str:
    # RestoreDBClusterFromSnapshot's rule for DBClusterIdentifier (botocore's RDS model).
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,62})", value) or "--" in value or value.endswith("-"):
        raise ValueError(
            "1 to 63 lower-case letters, digits and hyphens, starting with a letter, no '--', no '-' at the end"
        )
    return value


def _no_aws_tag(tags: Mapping[str, str]) -> Mapping[str, str]:
    reserved = sorted(key for key in tags if key.lower().startswith(("aws:", "aurora-restore:")))
    if reserved:
        raise ValueError(f"tag keys that start with neither 'aws:' nor 'aurora-restore:' (reserved: {reserved[0]})")
    return tags


ClusterName = Annotated[str, AfterValidator(_cluster_name)]
Region = Annotated[
    str, Matching(r"^[a-z]{2}(-[a-z]+)+-\d$", "a region, such as us-east-1"), Field(examples=["us-east-1"])
]
Tags = Annotated[dict[str, str], AfterValidator(_no_aws_tag), Field(max_length=40)]
AuroraCapacity = Annotated[float, Field(ge=0, le=256, multiple_of=0.5)]


class Source(Strict):
    """Where the data comes from."""

    cluster: ClusterName = Field(description="The source cluster's identifier. It is never changed.")
    region: Region = Field(description="The source cluster's region.")
    snapshot: Annotated[str, _SNAPSHOT] = Field(
        default="latest",
        description="latest, latest-automated, latest-manual, new (take one now), or a snapshot's identifier or ARN.",
    )
    max_age_hours: float | None = Field(
        default=None, gt=0, description="Refuse a snapshot older than this. Unset: any age."
    )


class InstanceRequest(Strict):
    """One instance of the target. The first one in the list becomes the writer."""

    instance_class: Annotated[
        str, Matching(r"^db\.[a-z0-9-]+(\.[a-z0-9]+)?$", "an instance class, such as db.r6g.large or db.serverless")
    ] = Field(alias="class", description="For example db.r6g.large or db.serverless.")
    promotion_tier: int = Field(default=1, ge=0, le=15, description="Failover order, 0 first.")
    parameter_group: str | None = Field(
        default=None, description="The instance's own DB parameter group. Unset: as it was."
    )
    availability_zone: str | None = Field(default=None, description="Unset: AWS chooses.")


class ServerlessRange(Strict):
    """The Aurora Serverless v2 range, in Aurora capacity units (ACU)."""

    min_acu: AuroraCapacity = Field(description="Lowest capacity; 0 lets the cluster pause.")
    max_acu: AuroraCapacity = Field(ge=1, description="Highest capacity.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_acu > self.max_acu:
            raise ValueError("min_acu not above max_acu")
        return self


class Target(Strict):
    """Where the data goes, and what about the target's captured shape is to be different."""

    cluster: ClusterName = Field(description="The target cluster's identifier. It is replaced.")
    region: Region = Field(description="The target cluster's region.")
    kms_key: str | None = Field(
        default=None,
        min_length=1,
        description="Key id, ARN or alias/… in the target's region. Unset: the snapshot's key.",
    )
    engine_version: str | None = Field(default=None, description="Unset: the snapshot's version.")
    parameter_group: str | None = Field(default=None, description="DB cluster parameter group.")
    subnet_group: str | None = Field(default=None, description="DB subnet group.")
    security_groups: list[Annotated[str, _SECURITY_GROUP]] | None = Field(
        default=None, min_length=1, description="VPC security groups of the target."
    )
    instances: list[InstanceRequest] | None = Field(
        default=None, min_length=1, max_length=16, description="The writer first, then the readers."
    )
    serverless: ServerlessRange | None = Field(default=None, description="Serverless v2 capacity range.")
    tags: Tags | None = Field(default=None, description="Tags of the target cluster; replace the captured ones.")
    port: int | None = Field(default=None, ge=1150, le=65535, description="The port the database listens on.")
    log_exports: (
        list[Literal["postgresql", "instance", "iam-db-auth-error", "audit", "error", "general", "slowquery"]] | None
    ) = Field(default=None, description="Logs to publish to CloudWatch Logs.")
    iam_authentication: bool | None = Field(default=None, description="Let IAM users log in to the database.")
    backup_retention_days: int | None = Field(default=None, ge=1, le=35, description="Automated backups, in days.")
    backup_window: Annotated[str, _BACKUP_WINDOW] | None = Field(default=None, description="hh:mm-hh:mm, UTC.")
    maintenance_window: Annotated[str, _MAINTENANCE_WINDOW] | None = Field(
        default=None, description="ddd:hh:mm-ddd:hh:mm, UTC."
    )
    storage_type: Literal["aurora", "aurora-iopt1"] | None = Field(
        default=None, description="aurora (standard) or aurora-iopt1 (I/O-Optimized)."
    )
    deletion_protection: bool | None = Field(default=None, description="Of the restored cluster.")


class Protection(StrEnum):
    """What to do about a target that is protected against deletion."""

    RESPECT = "respect"
    LIFT = "lift"


class Replace(Strict):
    """The permission to delete an existing target, in words (I2)."""

    allow: bool = Field(default=False, description="May an existing target be deleted?")
    confirm: str | None = Field(default=None, description="The target's identifier, typed again.")
    final_snapshot: bool = Field(default=True, description="Take a snapshot of the old target before it goes.")
    protection: Annotated[Protection, Field(strict=False)] = Field(
        default=Protection.RESPECT,
        description="respect: a protected target stops the operation. lift: it is unprotected first.",
    )


class Archive(Strict):
    """How many archives and final snapshots of this target the pipeline keeps. The newest is never deleted."""

    keep: int = Field(default=7, ge=1, le=90, description="How many, newest first.")
    keep_days: int | None = Field(
        default=None, ge=1, description="Delete those older than this. Unset: no limit by age."
    )


class Timeouts(Strict):
    """How long a step may wait, in minutes. Unset: what AWS is known to need, with room."""

    snapshot_minutes: int = Field(default=360, ge=1, le=4_320, description="Taking a new snapshot.")
    copy_minutes: int | None = Field(
        default=None, ge=1, le=4_320, description="Copying. Unset: 6 hours in one region, 24 across regions."
    )
    delete_minutes: int = Field(default=60, ge=1, le=4_320, description="Deleting the old target.")
    restore_minutes: int = Field(
        default=480, ge=1, le=4_320, description="Restoring the cluster and creating its instances."
    )
    users_minutes: int = Field(
        default=30, ge=1, le=1_440, description="Reaching the database, setting up its users, running SQL and checks."
    )

    def copy_limit_minutes(self, *, crosses_regions: bool) -> int:
        """Return the copy's limit in minutes; the defaults are those of aurora-facts: 6 h in a region, 24 h across."""
        if self.copy_minutes is not None:
            return self.copy_minutes
        return 24 * 60 if crosses_regions else 6 * 60


class RestoreRequest(Strict):
    """One restore of a target cluster from a snapshot of a source cluster."""

    name: Annotated[str, _NAME] = Field(description="What you call this restore; the operation's id starts with it.")
    source: Source
    target: Target
    replace: Replace = Field(default_factory=Replace)
    users: list[User] = Field(default_factory=list, max_length=1_000, description="Who can log in afterwards.")
    logins: Annotated[Logins, Field(strict=False)] = Field(
        default=Logins.ONLY_LISTED, description="only-listed: nobody else can log in. keep: the source's logins stay."
    )
    keep: list[Annotated[Leftover, Field(strict=False)]] = Field(
        default_factory=list,
        description="What of production's is left as it came, of what acts by itself.",
    )
    ownership: list[OwnershipTransfer] = Field(
        default_factory=list, max_length=1_000, description="Which roles' objects change hands."
    )
    sql: list[SqlScript] = Field(
        default_factory=list, max_length=100, description="What is run before the users are let in, in this order."
    )
    verify: list[Verification] = Field(
        default_factory=list, max_length=100, description="What must hold before anyone is told that it succeeded."
    )
    archive: Archive = Field(default_factory=Archive)
    timeouts: Timeouts = Field(default_factory=Timeouts)
    tags: Tags = Field(default_factory=dict, description="Tags of everything the operation makes.")
    plan: Annotated[str, Matching(r"^[0-9a-f]{64}$", "a plan's SHA-256, 64 hex digits")] | None = Field(
        default=None,
        description="SHA-256 of the plan that this request was run from; run --plan sets it, the audit keeps it.",
    )

    @classmethod
    def parse(cls, document: object, *, origin: str = "the request") -> Self:
        """Return the request in ``document``, a mapping as YAML or JSON gives it; ``origin`` names it in errors.

        Raises RequestError with every mistake: its path, what was found, what is expected.
        """
        if not isinstance(document, dict):
            problem = Problem("(the document)", shown(document), "a mapping with name, source and target")
            raise RequestError([problem], origin=origin)
        problems = list(_contradictions(document))
        try:
            # The names inside the program (schema_name for schema) are none of the user's.
            request = cls.model_validate(document, by_alias=True, by_name=False)
        except ValidationError as error:
            problems = [*explain(error, document, cls), *problems]
        else:
            problems.extend(_too_large(request))
        if problems:
            raise RequestError(problems, origin=origin)
        return request

    def without_text(self) -> Iterator[Problem]:
        """Yield a problem for each SQL file whose text nobody has put into the request."""
        for number, script in enumerate(self.sql):
            if script.text is None:
                expected = "what the file holds: the command line puts it there, everybody else gives it"
                yield Problem(f"sql[{number}].text", "nothing", expected)

    def asking_user(self, check: Verification) -> User:
        """Return the user as whom a check asks: the one that it names, or the first with a password."""
        if check.user is not None:
            return next(user for user in self.users if user.name == check.user)
        return next((user for user in self.users if user.secret is not None), self.users[0])

    def document(self) -> dict[str, Any]:
        """Return the request as the JSON document it was parsed from, defaults included."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a request, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **RestoreRequest.model_json_schema()}


def _contradictions(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the mistakes that lie between fields; reads the raw document, so that they are found beside all others."""
    source, target, replace = (
        section if isinstance(section := document.get(name), Mapping) else {}
        for name in ("source", "target", "replace")
    )
    name = target.get("cluster")
    if name is not None and (name, target.get("region")) == (source.get("cluster"), source.get("region")):
        yield Problem(
            "target.cluster", f"the source itself, {shown(name)}", "another cluster: the source is never changed (I1)"
        )
    confirm = replace.get("confirm")
    if confirm is not None and confirm != name:
        yield Problem("replace.confirm", shown(confirm), f"the target's name typed again, {shown(name)}")
    if replace.get("allow") is True and confirm is None:
        yield Problem(
            "replace.confirm",
            "nothing",
            f"the target's name typed again, {shown(name)}, because replace.allow is true",
        )
    yield from _askers(document)
    yield from _transfers(document)
    yield from _repetitions(document.get("users"), "name", "each user once")
    yield from _repetitions(document.get("users"), "secret", "a secret for each user: it holds one name and password")


def _askers(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the checks that no listed user could make."""
    names = [user.get("name") for user in _mappings(document.get("users"))]
    for number, check in enumerate(_mappings(document.get("verify"))):
        if not names:
            yield Problem(f"verify[{number}]", "no user who could ask", "at least one of users: checks are made as one")
        elif "user" in check and check["user"] not in names:
            yield Problem(f"verify[{number}].user", shown(check["user"]), "one of users")


def _transfers(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the changes of ownership whose end would depend on which comes first."""
    transfers = _mappings(document.get("ownership"))
    givers = [transfer["from"] for transfer in transfers if transfer.get("from") is not None]
    for number, transfer in enumerate(transfers):
        place, giver, taker = f"ownership[{number}]", transfer.get("from"), transfer.get("to")
        if taker in givers:
            yield Problem(f"{place}.to", f"{shown(taker)}, from whom things are taken", "a role that only takes")
        databases = [each.get("database") for each in transfers[:number] if giver and each.get("from") == giver]
        if databases and (None in databases or transfer.get("database") in [None, *databases]):
            yield Problem(f"{place}.from", f"{shown(giver)} a second time", "each role once in a database")


def _mappings(section: object) -> list[Mapping[str, Any]]:
    return [each if isinstance(each, Mapping) else {} for each in section] if isinstance(section, list) else []


def _too_large(request: RestoreRequest) -> Iterator[Problem]:
    size = len(json.dumps(request.document()))
    if size > LARGEST_BYTES:
        yield Problem(
            "(the document)",
            f"{size:,} bytes as JSON, the texts of SQL files included",
            f"{LARGEST_BYTES:,} at most: Step Functions and DynamoDB take no more",
        )


def _repetitions(users: object, field: str, expected: str) -> Iterator[Problem]:
    values = [user.get(field) for user in _mappings(users)]
    for index, value in enumerate(values):
        if value is not None and value in values[:index]:
            yield Problem(f"users[{index}].{field}", f"{shown(value)} a second time", expected)
