"""EventBridge in the embedded account: which functions a deployment's rules send an event to."""

from collections.abc import Iterator, Mapping
from typing import Any

from moto.events.models import events_backends

_SOURCE = "aws.states"
_KIND = "Step Functions Execution Status Change"


def execution_event(detail: Mapping[str, str]) -> dict[str, Any]:
    """Return the event that Step Functions sends when an execution has reached the status in ``detail``."""
    arn = detail["executionArn"]
    _, _, _, region, account, *_ = arn.split(":")
    return {
        "version": "0",
        "source": _SOURCE,
        "detail-type": _KIND,
        "account": account,
        "region": region,
        "resources": [arn],
        "detail": dict(detail),
    }


def functions_for(event: Any) -> Iterator[str]:
    """Yield the ARN of each function that is a target of a rule which the event matches, in its account and region."""
    for bus in events_backends[event["account"]][event["region"]].event_buses.values():
        for rule in list(bus.rules.values()):
            # A rule that goes by the clock has no pattern, and to moto that matches everything.
            matches = rule.event_pattern.get_pattern() and rule.event_pattern.matches_event(event)
            if rule.state == "ENABLED" and matches:
                yield from (target["Arn"] for target in rule.targets if ":lambda:" in target["Arn"])
