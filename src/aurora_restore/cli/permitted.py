"""What of a request IAM would deny to a deployment's functions: their roles know clusters and secrets by patterns."""

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

    def problem(self, origin: str) -> Problem:
        """Return it as a mistake of the request in this file."""
        kind = "secret" if self.path.endswith("secret") else "cluster"
        return Problem(f"{origin}, {self.path}", f"{self.name}, which {self.why}", f"another {kind}, or {self.option}")


def denied_clusters(request: RestoreRequest, sources: str, targets: str) -> Iterator[Denial]:
    """Yield each cluster that a deployment with these two patterns may not read as source, or not replace."""
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


def denied_secrets(request: RestoreRequest, secrets: str) -> Iterator[Denial]:
    """Yield each user's secret that a deployment with this pattern may neither make nor read."""
    for number, user in enumerate(request.users):
        if user.secret is not None and not fnmatchcase(user.secret, secrets):
            why = f"is not among the secrets that the functions may make and read, {secrets}"
            yield Denial(f"users[{number}].secret", user.secret, why, "another --parameter SecretPattern=")
