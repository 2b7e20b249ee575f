"""boto3 clients: one a service and region, each with explicit limits."""

from collections.abc import Callable
from threading import Lock
from typing import Any

import botocore.session
from botocore.config import Config

from aurora_restore.aws.door import demand
from aurora_restore.errors import EnvironmentUnfitError

# The state machine retries, with jitter and back-off; a client that retried too would multiply its attempts.
ONE_ATTEMPT = Config(
    connect_timeout=5,
    read_timeout=30,
    retries={"mode": "standard", "total_max_attempts": 1},
    user_agent_extra="aurora-restore",
)
# A person at a terminal has no state machine behind the call.
PATIENT = Config(
    connect_timeout=5,
    read_timeout=30,
    retries={"mode": "adaptive", "total_max_attempts": 5},
    user_agent_extra="aurora-restore",
)


class Clients:
    """Makes clients and keeps them: one thread-safe place a process."""

    def __init__(
        self, config: Config = ONE_ATTEMPT, *, on_date: Callable[[str], None] | None = None, **options: str
    ) -> None:
        """Take the limits, and what every client takes besides: endpoint_url, aws_access_key_id and the like.

        ``on_date`` is told the date of each answer, as HTTP writes it.
        Raises EnvironmentUnfitError when the profile that boto3 is configured for does not exist.
        """
        self._config = config
        self._on_date = on_date
        self._options = options
        # What boto3's session stands on and makes the same clients; boto3 is an eighth of a function's cold start more.
        self._session = botocore.session.Session()
        # Asked for now, so that a profile that does not exist is found now.
        demand(self._session.get_scoped_config)
        self._lock = Lock()  # a session must not make two clients at once
        self._made: dict[tuple[str, str | None], Any] = {}

    def __call__(self, service: str, region: str | None = None) -> Any:
        """Return the client of a service in a region, or in the region that boto3 is configured for.

        Raises EnvironmentUnfitError when boto3 has no region, a broken profile, or an endpoint that is no URL.
        """
        with self._lock:
            if (service, region) not in self._made:
                self._made[service, region] = self._make(service, region)
            return self._made[service, region]

    def _make(self, service: str, region: str | None) -> Any:
        options: dict[str, Any] = {**self._options, **({} if region is None else {"region_name": region})}
        try:
            client: Any = demand(self._session.create_client, service_name=service, config=self._config, **options)
        except ValueError as error:
            # botocore's own, for what is no URL.
            raise EnvironmentUnfitError(
                f"AWS cannot be called there: {error}", advice="AWS_ENDPOINT_URL must be as http://127.0.0.1:4570"
            ) from None
        if self._on_date is not None:
            client.meta.events.register("after-call", self._hear)
        return client

    def _hear(self, http_response: Any, **_: Any) -> None:
        if self._on_date is not None and "date" in http_response.headers:
            self._on_date(http_response.headers["date"])
