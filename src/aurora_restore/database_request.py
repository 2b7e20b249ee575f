"""The request's part about the database: who can log in, what they may do, what is run and checked afterwards."""

import hashlib
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, model_validator

from aurora_restore.strict import Matching, Strict


def _grants_from_words(value: object) -> object:
    """Let ``grants: readonly`` and ``grants: [readonly]`` stand for their long form."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        return [{"preset": grant} if isinstance(grant, str) else grant for grant in value]
    return value


class GrantPreset(StrEnum):
    """A bundle of privileges with a name."""

    READONLY = "readonly"
    READWRITE = "readwrite"
    OWNER = "owner"


Privilege = Literal[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "REFERENCES",
    "TRIGGER",
    "USAGE",
    "EXECUTE",
    "CREATE",
    "CONNECT",
    "TEMPORARY",
]


def _without_nul(value: object) -> object:
    """Refuse what no database takes, and drivers cut a statement off at: an UPDATE would go without its WHERE."""
    if isinstance(value, str) and "\0" in value:
        raise ValueError("a text without the character NUL")
    return value


_NO_NUL = AfterValidator(_without_nul)
# 64 characters are MySQL's; where it is PostgreSQL, with its 63 bytes, there is nothing of such a name.
_SQL_NAME = Field(min_length=1, max_length=64)
_SqlName = Annotated[str, _SQL_NAME, _NO_NUL]
_SECRET = Matching(r"^[A-Za-z0-9/_+=.@-]{1,512}$", "a secret's name: 1 to 512 letters, digits and any of /_+=.@-")
_HOST = Matching(r"^[A-Za-z0-9_.:/%-]+$", "an address or a name, with % as a wildcard, such as 10.%")
_SETTING = Matching(r"^[a-z_][a-z0-9_.]*$", "a setting's name in lower case, such as statement_timeout")


class Grant(Strict):
    """What a user may do: a preset, or named privileges on named things. Existing and future objects alike."""

    preset: Annotated[GrantPreset, Field(strict=False)] | None = Field(
        default=None, description="readonly, readwrite or owner."
    )
    privileges: list[Privilege] | None = Field(default=None, min_length=1, description="Instead of a preset.")
    database: _SqlName | None = Field(default=None, description="Unset: every database.")
    schema_name: _SqlName | None = Field(default=None, alias="schema", description="Unset: every schema.")
    table: _SqlName | None = Field(default=None, description="Unset: every table. Needs schema, or in MySQL database.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.preset is None) == (self.privileges is None):
            raise ValueError("either preset or privileges")
        place = self.schema_name or self.database
        if self.table is not None and (place is None or self.preset is not None):
            raise ValueError("table together with privileges and schema (in MySQL: and database)")
        return self


def _login_name(value: str) -> str:
    if len(value.encode()) > 63:
        raise ValueError("a name of at most 63 bytes")
    if value == "rdsadmin" or value.startswith(("rds_", "pg_")):
        raise ValueError("a name that is not reserved (rdsadmin, rds_… and pg_… belong to RDS and PostgreSQL)")
    return value


def _no_iam_role(value: str) -> str:
    if value == "rds_iam":
        raise ValueError("iam: true in its place")
    return value


class Password(StrEnum):
    """What a restore does to a user's password."""

    ROTATE = "rotate"
    KEEP = "keep"


class User(Strict):
    """One database user who can log in after the operation."""

    name: Annotated[str, Field(min_length=1), AfterValidator(_login_name), _NO_NUL] = Field(
        description="The user's name in the database."
    )
    secret: Annotated[str, _SECRET] | None = Field(
        default=None,
        description="Name of the secret in the target's region that holds the password; made if it does not exist.",
    )
    grants: Annotated[
        list[Grant],
        BeforeValidator(_grants_from_words, json_schema_input_type=GrantPreset | list[GrantPreset | Grant]),
    ] = Field(default_factory=list, description="Presets, or explicit privileges.")
    iam: bool = Field(default=False, description="Log in with an IAM token instead of a password.")
    password: Annotated[Password, Field(strict=False)] = Field(
        default=Password.ROTATE,
        description="rotate: a new one with each restore, in the same secret. keep: the one that the secret holds.",
    )
    host: Annotated[str, _HOST] = Field(default="%", min_length=1, max_length=255, description="MySQL: from where.")
    roles: list[Annotated[_SqlName, AfterValidator(_no_iam_role)]] = Field(
        default_factory=list, max_length=100, description="Roles that the user is a member of."
    )
    connection_limit: int | None = Field(
        default=None, ge=1, le=100_000, description="How many connections at once. Unset: no limit."
    )
    valid_until: AwareDatetime | None = Field(
        default=None, strict=False, description="When the password ends, with its offset from UTC. Unset: never."
    )
    settings: dict[
        Annotated[str, _SETTING, Field(max_length=63)],
        Annotated[str | int | float | bool, _NO_NUL],
    ] = Field(default_factory=dict, max_length=50, description="PostgreSQL: settings of the user's sessions.")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.iam == (self.secret is not None):
            raise ValueError("either secret (a password) or iam: true")
        if self.iam and (self.valid_until is not None or self.password is Password.KEEP):
            raise ValueError("neither valid_until nor password: keep with iam: true, which has no password")
        if self.name in self.roles:
            raise ValueError("roles other than the user itself")
        return self


class Logins(StrEnum):
    """Who can log in besides the users listed."""

    ONLY_LISTED = "only-listed"
    KEEP = "keep"


class Leftover(StrEnum):
    """What came with production's data and would act by itself, or open a way, if it were left."""

    SUBSCRIPTIONS = "subscriptions"
    REPLICATION_SLOTS = "replication-slots"
    CRON_JOBS = "cron-jobs"
    USER_MAPPINGS = "user-mappings"
    EVENTS = "events"


class OwnershipTransfer(Strict):
    """All that one role owns is to be another's."""

    old: _SqlName = Field(alias="from", description="The role that owns it now.")
    new: _SqlName = Field(alias="to", description="The role or user that is to own it.")
    database: _SqlName | None = Field(default=None, description="Unset: in every database.")


class SqlScript(Strict):
    """SQL that is run before the users are let in, once in an operation, as the master user."""

    file: str = Field(
        min_length=1, max_length=1_024, description="Path from the request's own place. Read by the command line."
    )
    text: Annotated[str | None, _NO_NUL] = Field(
        default=None, max_length=200_000, description="What the file holds; the command line fills it in. No secrets."
    )
    database: _SqlName | None = Field(default=None, description="Unset: the cluster's first database.")
    timeout_minutes: int = Field(default=10, ge=1, le=14, description="How long one statement may take.")

    @property
    def sha256(self) -> str:
        """Return by what the text is known wherever the text itself does not belong."""
        return hashlib.sha256((self.text or "").encode()).hexdigest()


class Verification(Strict):
    """One thing that must hold in the restored database: a query's answer, a table, or how many rows one has."""

    name: str | None = Field(default=None, min_length=1, max_length=100, description="What reports call it.")
    query: Annotated[str | None, _NO_NUL] = Field(
        default=None, min_length=1, max_length=10_000, description="One SELECT."
    )
    returns: str | int | float | bool | None = Field(
        default=None, description="What the query's first row must hold in its first column."
    )
    table: Annotated[str | None, _NO_NUL] = Field(
        default=None, min_length=1, max_length=200, description="Instead: a table, schema.table."
    )
    rows_at_least: int = Field(default=0, ge=0, description="How many rows the table must have.")
    database: _SqlName | None = Field(default=None, description="Unset: the cluster's first database.")
    user: str | None = Field(default=None, description="Which of the users asks. Unset: the first one with a secret.")

    def title(self, number: int) -> str:
        """Return what reports call it; ``number`` is its place in the request, from 0."""
        return self.name or (f"table {self.table}" if self.table is not None else f"verify[{number}]")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.query is None) == (self.table is None):
            raise ValueError("either query or table")
        if (self.query is None) != (self.returns is None):
            raise ValueError("returns together with query")
        if self.query is not None and self.rows_at_least:
            raise ValueError("rows_at_least together with table")
        return self
