"""What of a request IAM would deny to a deployment's functions: their roles know names by patterns."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from aurora_restore.errors import Problem
from aurora_restore.request import RestoreRequest


@dataclass(frozen=True, slots=True)
class Denial:
    """A name in a request, by its path there, why the functions may not use it, and the option that decides."""

    path: str
    name: str
    why: str
    option: str

    @property
    def kind(self) -> str:
        """Return what is called so: a cluster, a secret or a user."""
        field = self.path.rpartition(".")[2]
        return field if field in {"secret", "user"} else "cluster"

    def problem(self, origin: str) -> Problem:
        """Return it as a mistake of the request in this file."""
        found, expected = f"{self.name}, which {self.why}", f"another {self.kind}, or {self.option}"
        return Problem(f"{origin}, {self.path}", found, expected)


@dataclass(frozen=True, slots=True)
class Patterns:
    """The patterns of a deployment; ``iam_users`` may be empty, and then fits nobody."""

    sources: str
    targets: str
    secrets: str
    iam_users: str


def denials(request: RestoreRequest, patterns: Patterns) -> Iterator[Denial]:
    """Yield everything of a request that a deployment with these patterns would be denied."""
    yield from _denied_clusters(request, patterns.sources, patterns.targets)
    yield from _denied_secrets(request, patterns.secrets)
    yield from _denied_tokens(request, patterns.iam_users)


def _denied_clusters(request: RestoreRequest, sources: str, targets: str) -> Iterator[Denial]:
    source, target = request.source.cluster, request.target.cluster
    if not fnmatchcase(source, sources):
        why = f"is not among the sources that the functions may read, {sources}"
        yield Denial("source.cluster", source, why, "another --source-pattern")
    if not fnmatchcase(target, targets):
        why = f"is not among the targets that the functions may replace, {targets}"
        yield Denial("target.cluster", target, why, "another --target-pattern")
    if fnmatchcase(target, sources):
        why = f"is among the sources, {sources}, which are never replaced"
        yield Denial("target.cluster", target, why, "another --source-pattern")


def _denied_secrets(request: RestoreRequest, secrets: str) -> Iterator[Denial]:
    for number, user in enumerate(request.users):
        if user.secret is not None and not fnmatchcase(user.secret, secrets):
            why = f"is not among the secrets that the functions may make and read, {secrets}"
            yield Denial(f"users[{number}].secret", user.secret, why, "another --parameter SecretPattern=")


def _denied_tokens(request: RestoreRequest, users: str) -> Iterator[Denial]:
    for number, check in enumerate(request.verify):
        user = request.asking_user(check)
        if user.iam and not fnmatchcase(user.name, users):
            why = f"logs in with a token, which the functions may make for {users or 'nobody'}"
            yield Denial(f"verify[{number}].user", user.name, why, "another --parameter IamUserPattern=")
