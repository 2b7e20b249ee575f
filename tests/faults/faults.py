"""What can go wrong at one call to AWS: each fault is a way to treat a call, given what sends it."""

from collections.abc import Callable, Mapping

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.faults.evidence import Call
from tests.faults.harness import Act, Rig, Send, Trap

# How long a client waits for an answer that does not come.
_READ_TIMEOUT_S = 30
_THROTTLED = {"rds": "Throttling", "sns": "Throttled", "ec2": "RequestLimitExceeded"}
_DENIED = {"rds": "AccessDenied", "sns": "AuthorizationError", "ec2": "UnauthorizedOperation"}


def refused(call: Call, code: str, message: str, status: int = 400) -> ClientError:
    """Return a refusal as botocore raises it, whatever the service's protocol."""
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        call.action,
    )


def refuse(code: str, message: str = "As the scenario wants it", status: int = 400) -> Act:
    """Return what refuses a call with this code, before it has its effect."""

    def act(_: Rig, call: Call, __: Send) -> AWSResponse:
        raise refused(call, code, message, status)

    return act


def _throttle(_: Rig, call: Call, __: Send) -> AWSResponse:
    raise refused(call, _THROTTLED.get(call.service, "ThrottlingException"), "Rate exceeded")


def _break(_: Rig, call: Call, __: Send) -> AWSResponse:
    raise refused(call, "InternalFailure", "An internal error occurred", 500)


def _lose_answer(rig: Rig, _: Call, send: Send) -> AWSResponse:
    send()
    rig.clock.advance(_READ_TIMEOUT_S)
    raise ReadTimeoutError(endpoint_url=rig.account.server.url)


def _kill_before(_: Rig, __: Call, ___: Send) -> AWSResponse:
    raise SystemExit("killed before the call")


def _kill_after(_: Rig, __: Call, send: Send) -> AWSResponse:
    send()
    raise SystemExit("killed after the call")


def _run_twice(rig: Rig, _: Call, send: Send) -> AWSResponse:
    rig.invoke_again()
    # The first goes on a second later: what it writes is not by chance the same.
    rig.clock.advance(1)
    return send()


def _deny(_: Rig, call: Call, __: Send) -> AWSResponse:
    raise refused(call, _DENIED.get(call.service, "AccessDeniedException"), "User is not authorized")


ONCE: Mapping[str, Act] = {
    "throttled-once": _throttle,
    "unavailable": _break,
    "lost-answer": _lose_answer,
    "killed-before": _kill_before,
    "killed-after": _kill_after,
    "twice-at-once": _run_twice,
}
FIVE_TIMES: Mapping[str, Act] = {"throttled-five-times": _throttle}
FOR_EVER: Mapping[str, Act] = {"denied": _deny}
# What a call without an effect cannot suffer in another way than by one of the others.
ONLY_WHERE_CHANGED = frozenset({"throttled-once", "lost-answer", "killed-after"})


def at(site: str) -> Callable[[Call], bool]:
    """Return what recognises one call of an operation: step, action and ordinal."""
    return lambda call: call.site == site


def from_(site: str) -> Callable[[Call], bool]:
    """Return what recognises a call, and all later ones of the same step and action."""
    step, action, ordinal = site.split(".")

    def where(call: Call) -> bool:
        same = call.caller is not None and (call.caller.step, call.action) == (step, action)
        return same and call.ordinal >= int(ordinal)

    return where


def trap(site: str, fault: str) -> Trap:
    """Return the trap that lets a call of an operation suffer a fault."""
    if fault in ONCE:
        return Trap(at(site), ONCE[fault])
    if fault in FIVE_TIMES:
        return Trap(from_(site), FIVE_TIMES[fault], times=5)
    return Trap(from_(site), FOR_EVER[fault], times=10**6)
