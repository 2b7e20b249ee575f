"""The control plane's state as bytes, and back: the emulated Aurora's records, and what the pipeline needs of moto's.

moto's objects refer to each other's backends, hold private keys and locks, and an execution is a running program. So
the pickle names a backend instead of holding it, writes keys as PEM, and takes an execution as a kill would leave it.
"""

import io
import pickle
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final, TypeAlias
from weakref import WeakValueDictionary

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from moto.awslambda.models import LambdaFunction
from moto.backends import get_backend
from moto.core.base_backend import BackendDict, BaseBackend
from moto.ssm.models import ParameterDict
from moto.stepfunctions.parser.backend.execution import Execution

from aurora_restore.embedded import lambdas, stacks, states
from aurora_restore.embedded.aurora_records import Place, Records
from aurora_restore.errors import EnvironmentUnfitError

_Name: TypeAlias = tuple[str, str, str]

# Not S3: nothing reads a bundle or a template again, and both would be written at every change. deploy uploads anew.
_SERVICES: Final = (
    "cloudformation", "dynamodb", "ec2", "events", "iam", "kms", "lambda", "rds", "secretsmanager", "sns", "sqs", "ssm",
    "stepfunctions",
)  # fmt: skip
# Of this backend a part is enough, and the rest does not pickle.
_PARTS: Final = {"ssm": frozenset({"_parameters"})}
# These, the same for every account, are nine tenths of all.
_LEFT_OUT: Final = {"ec2": frozenset({"amis", "snapshots"})}
_PRIVATE_KEYS: Final = (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)
_LOCKS: Final[dict[type, Callable[[], object]]] = {
    type(threading.Lock()): threading.Lock,
    type(threading.RLock()): threading.RLock,
    threading.Condition: threading.Condition,
}
_OWN_PACKAGES: Final = ("moto.", "aurora_restore.")
# A pickle may call what it names: what is neither moto's nor ours is listed. Against accidents; it is no wall.
_FOREIGN: Final = frozenset({
    "_thread.allocate_lock", "_thread.RLock",
    "builtins.set", "builtins.frozenset", "builtins.bytearray", "builtins.object",
    "builtins.getattr", "builtins.list", "builtins.dict", "builtins.int", "builtins.str", "builtins.tuple",
    "collections.OrderedDict", "collections.defaultdict", "collections.deque", "copyreg._reconstructor",
    "datetime.date", "datetime.datetime", "datetime.timedelta", "datetime.timezone", "dateutil.tz.tz.tzutc",
    "decimal.Decimal", "ipaddress.IPv4Address", "ipaddress.IPv4Network", "ipaddress.IPv6Network",
    "threading.Condition", "threading.Lock", "threading.RLock",
    "uuid.UUID", "uuid.SafeUUID", "weakref.WeakValueDictionary", "zoneinfo.ZoneInfo._unpickle", "re._compile",
})  # fmt: skip


@dataclass(slots=True)
class AccountState:
    """What an account's control plane is made of."""

    places: dict[Place, Records]
    # Names of the executions that ran, and will not go on.
    interrupted: list[str] = field(default_factory=list)


def write(state: AccountState) -> bytes:
    """Return the state, and that of moto's backends, as bytes. Nobody may change either meanwhile.

    EnvironmentUnfitError: somebody has made a thing in the account that cannot be kept.
    """
    pickled = io.BytesIO()
    names = {id(backend): name for name, backend in _backends()}
    parts = {name: _part(name, backend) for name, backend in _backends() if name[0] in _SERVICES}
    state.interrupted = [each.name for each in states.executions() if states.is_running(each)]
    try:
        _Pickler(pickled, names).dump((state, parts))
    except (pickle.PickleError, AttributeError, RuntimeError, TypeError) as error:
        raise EnvironmentUnfitError(f"something in the account cannot be kept: {error}") from error
    return pickled.getvalue()


def read(pickled: bytes) -> AccountState:
    """Put moto's backends into the state that ``write`` found them in, and return the rest of it.

    EnvironmentUnfitError: these are not bytes of ``write``'s.
    """
    try:
        state, parts = _Unpickler(io.BytesIO(pickled)).load()
    except (pickle.PickleError, EOFError, AttributeError, ImportError, TypeError, ValueError) as error:
        raise EnvironmentUnfitError(
            f"the embedded account's state cannot be read: {type(error).__name__}: {error}",
            advice="Remove the directory, or name another with --dir",
        ) from error
    for name, part in parts.items():
        vars(_backend(name)).update(part)
    found: AccountState = state
    return found


def _service(name: str) -> Any:
    # moto has two backends for these; only one of them interprets, calls functions, tells what became of a resource.
    ours = {"stepfunctions": states.backends, "lambda": lambdas.backends, "cloudformation": stacks.backends}
    return ours[name]() if name in ours else get_backend(name)  # type: ignore[call-overload]


def _backends() -> Iterator[tuple[_Name, BaseBackend]]:
    seen: dict[_Name, BaseBackend] = {}
    for service in _SERVICES:
        for account, regions in _service(service).items():
            seen |= {(service, account, region): backend for region, backend in regions.items()}
    # Others are named only, and made empty when they are missed.
    others: list[Any] = list(BackendDict._instances)  # type: ignore[misc]  # noqa: SLF001  moto's only list of them
    for other in others:
        for account, regions in other.items():
            for region, backend in regions.items():
                seen.setdefault((other.service_name, account, region), backend)
    yield from seen.items()


def _backend(name: _Name) -> BaseBackend:
    service, account, region = name
    found: BaseBackend = _service(service)[account][region]
    return found


def _part(name: _Name, backend: BaseBackend) -> dict[str, Any]:
    wanted = _PARTS.get(name[0], vars(backend).keys()) - _LEFT_OUT.get(name[0], frozenset())
    return {key: value for key, value in vars(backend).items() if key in wanted}


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, names: dict[int, _Name]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._names = names

    def persistent_id(self, it: Any) -> _Name | None:
        return self._names.get(id(it)) if isinstance(it, BaseBackend) else None

    def reducer_override(self, it: Any) -> Any:
        if isinstance(it, type | FunctionType | BuiltinFunctionType):
            # Rather no new file than one that is not read again.
            _require_listed(it.__module__, it.__qualname__)
            return NotImplemented
        if isinstance(it, Execution):
            return states.forgotten, (), states.remembered(it)
        if isinstance(it, LambdaFunction):
            # Nobody runs it, and an update of the code has brought it back.
            it.code_bytes = b""
        if isinstance(it, defaultdict):
            return _without_factory(it)
        if isinstance(it, _PRIVATE_KEYS):
            return _private_key, (it.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),)
        if isinstance(it, WeakValueDictionary):
            return WeakValueDictionary, (dict(it),)
        return (_LOCKS[type(it)], ()) if type(it) in _LOCKS else NotImplemented


def _without_factory(it: defaultdict[Any, Any]) -> Any:
    if isinstance(it, ParameterDict):
        return _parameters, (it.account_id, it.region_name), vars(it), None, iter(it.items())
    if "<locals>" in getattr(it.default_factory, "__qualname__", ""):
        # Made by a function that no name leads to; what it has given is kept.
        return dict, (dict(it),)
    return NotImplemented


def _parameters(account_id: str, region: str) -> ParameterDict:
    # Its constructor asks for more than a defaultdict's reduction gives, and gives what new names need.
    return ParameterDict(account_id, region)


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, name: _Name) -> BaseBackend:
        return _backend(name)

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if f"{module}.{name}" not in _FOREIGN:
            # By where it is from, and not by whose import of it is named.
            _require_listed(getattr(found, "__module__", None) or "", name)
        return found


def _require_listed(module: str, name: str) -> None:
    if not module.startswith(_OWN_PACKAGES) and f"{module}.{name}" not in _FOREIGN:
        raise pickle.PickleError(f"{module}.{name} has no place in an account's state")


def _private_key(pem: bytes) -> Any:
    return load_pem_private_key(pem, None)
