"""What RDS refuses about a call whatever the world is like: names, tags, windows, ranges. With AWS's codes."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from moto.core.exceptions import ServiceException
from moto.rds.utils import valid_preferred_maintenance_window

from aurora_restore.embedded.aurora_records import Tag

Params: TypeAlias = Mapping[str, Any]
_Item = TypeVar("_Item")

# The region's default version of each engine: what a restore without EngineVersion gets, whatever the snapshot has.
DEFAULT_VERSIONS = {"aurora-postgresql": "17.7", "aurora-mysql": "8.0.mysql_aurora.3.10.1"}
_VERSION_FORM = {
    "aurora-postgresql": r"(1[1-9]|2\d)\.\d{1,2}(-limitless)?",
    "aurora-mysql": r"(5\.7|8\.0|8\.4)\.mysql_aurora\.\d+\.\d+\.\d+",
}
_LOG_TYPES = {
    "aurora-postgresql": {"postgresql", "iam-db-auth-error", "instance"},
    "aurora-mysql": {"audit", "error", "general", "slowquery", "iam-db-auth-error", "instance"},
}
LICENSES = {"aurora-postgresql": "postgresql-license", "aurora-mysql": "general-public-license"}
DEFAULT_PORTS = {"aurora-postgresql": 5432, "aurora-mysql": 3306}
# The families that AWS offers for Aurora; not each of them in each size.
_INSTANCE_CLASS = r"db\.(serverless|(t[34]g?|r[5-8][a-z]*|x2g|x2iedn)\.(medium|large|\d*xlarge))"
# What is offered when nobody asks for a class by name.
COMMON_CLASSES = ("db.serverless", "db.t4g.medium", "db.r6g.large", "db.r7g.large", "db.r8g.large")


class Refused(ServiceException):
    """RDS's refusal of a call: the code as it is on the wire, and a message."""

    def __init__(self, code: str, message: str) -> None:
        """Take the wire's code, for example ``DBInstanceNotFound``, and the message."""
        super().__init__(code, message)


def bad_value(message: str) -> Refused:
    """Return the refusal of one parameter's value."""
    return Refused("InvalidParameterValue", message)


def bad_combination(message: str) -> Refused:
    """Return the refusal of parameters that do not go together, or not with the thing's state."""
    return Refused("InvalidParameterCombination", message)


def identifier(value: str, member: str) -> str:
    """Return an identifier as RDS stores it, in lower case, or refuse it."""
    well_formed = re.fullmatch(r"[a-zA-Z][a-zA-Z0-9-]{0,62}", value) and "--" not in value and not value.endswith("-")
    if not well_formed:
        raise bad_value(
            f"The parameter {member} is not a valid identifier. Identifiers must begin with a letter; must contain "
            "only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive "
            "hyphens."
        )
    return value.lower()


def tags(given: Iterable[Mapping[str, str]] | None) -> list[Tag]:
    """Return tags as records hold them, or refuse AWS's own prefix and too many."""
    plain = [{"Key": tag["key"], "Value": tag.get("value") or ""} for tag in given or ()]
    reserved = [tag["Key"] for tag in plain if tag["Key"].lower().startswith("aws:")]
    if reserved:
        raise bad_value(f"Tag keys that start with aws: are reserved for system use: {reserved[0]}")
    if len(plain) > 50:
        raise bad_value("A resource can have at most 50 tags.")
    return plain


def engine(name: str) -> str:
    """Return the engine's name, or refuse what is no Aurora engine."""
    if name not in DEFAULT_VERSIONS:
        raise bad_value(f"Invalid DB engine: {name}. The embedded account has {', '.join(DEFAULT_VERSIONS)}.")
    return name


def engine_version(engine_name: str, version: str | None) -> str:
    """Return the version, the region's default when none is given, or refuse one that there is not."""
    version = version or DEFAULT_VERSIONS[engine_name]
    if not re.fullmatch(_VERSION_FORM[engine_name], version):
        raise bad_combination(f"Cannot find version {version} for {engine_name}")
    return version


def orderable(engine_name: str, version: str | None, classes: Iterable[str]) -> list[dict[str, str]]:
    """Return those of the instance classes that the engine's version is offered in, as RDS shows them."""
    if engine_name not in DEFAULT_VERSIONS or not re.fullmatch(_VERSION_FORM[engine_name], version or ""):
        return []
    offered = [name for name in classes if re.fullmatch(_INSTANCE_CLASS, name)]
    return [{"Engine": engine_name, "EngineVersion": version or "", "DBInstanceClass": name} for name in offered]


def is_older(version: str, than: str) -> bool:
    """Say whether a version is older than another of the same engine."""
    numbers = [[int(part) for part in re.findall(r"\d+", text)] for text in (version, than)]
    return numbers[0] < numbers[1]


def family(engine_name: str, version: str) -> str:
    """Return the parameter group family of a version."""
    major = (
        version.split(".", maxsplit=1)[0] if engine_name == "aurora-postgresql" else ".".join(version.split(".")[:2])
    )
    return f"{engine_name}{major}"


def is_family(name: str) -> bool:
    """Say whether it is the parameter group family of a version that there is."""
    return bool(re.fullmatch(r"aurora-postgresql(1[1-9]|2\d)|aurora-mysql(5\.7|8\.0|8\.4)", name))


def log_types(engine_name: str, version: str, given: Sequence[str]) -> list[str]:
    """Return log types to export, or refuse those that the engine does not have."""
    unknown = sorted(set(given) - _LOG_TYPES[engine_name])
    if unknown:
        raise bad_combination(
            f"You cannot use the log types '{', '.join(unknown)}' with engine version {engine_name} {version}."
        )
    return sorted(set(given))


def serverless_range(given: Mapping[str, float]) -> dict[str, float]:
    """Return a Serverless v2 range as records hold it, or refuse one that is out of bounds."""
    low, high = given.get("min_capacity"), given.get("max_capacity")
    if low is None or high is None:
        raise bad_combination("Specify both MinCapacity and MaxCapacity of ServerlessV2ScalingConfiguration.")
    if not (0 <= low <= high and 1 <= high <= 256) or any(value * 2 % 1 for value in (low, high)):
        raise bad_value(f"Serverless v2 capacity {low} to {high} isn't valid: steps of 0.5, from 0 and 1, up to 256.")
    return {key: value for key, value in given.items() if value is not None}


def windows(backup: str, maintenance: str) -> None:
    """Refuse windows that are malformed, too short or overlap."""
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", backup):
        raise bad_value(
            f"Invalid backup window format: {backup}. Should be specified as a range hh24:mi-hh24:mi (24H Clock UTC)."
        )
    problem = valid_preferred_maintenance_window(maintenance, backup)
    if problem:
        raise bad_value(problem)


def retention_days(days: int) -> int:
    """Return a backup retention period, or refuse one out of bounds."""
    if not 1 <= days <= 35:
        raise bad_value(f"Invalid backup retention period: {days}. Must be between 1 and 35.")
    return days


def port(number: int) -> int:
    """Return a port, or refuse one that Aurora cannot listen on."""
    if not 1150 <= number <= 65535:
        raise bad_value(f"The port {number} is not valid. Must be between 1150 and 65535.")
    return number


def master_password(password: str) -> str:
    """Return a master password, or refuse one that RDS would not take. Never shows it."""
    if not 8 <= len(password) <= 41 or re.search(r'[/"@ ]', password) or not password.isprintable():
        raise bad_value(
            "The parameter MasterUserPassword is not a valid password: 8 to 41 printable ASCII characters, "
            "none of them '/', '@', '\"' or a space."
        )
    return password


def instance_class(name: str) -> str:
    """Return an instance class, or refuse one that there is not."""
    if not re.fullmatch(_INSTANCE_CLASS, name):
        raise bad_value(f"Invalid DB Instance class: {name}")
    return name


def promotion_tier(tier: int) -> int:
    """Return a promotion tier, or refuse one out of bounds."""
    if not 0 <= tier <= 15:
        raise bad_value(f"Invalid promotion tier: {tier}. Must be between 0 and 15.")
    return tier


def refuse_members(params: Params, members: Iterable[str], why: str) -> None:
    """Refuse a call that gives any of these members."""
    given = [member for member in members if params.get(member) not in (None, False)]
    if given:
        raise bad_combination(f"{why} ({', '.join(given)})")


def matches(
    item: _Item, filters: Iterable[Params], known: Mapping[str, Callable[[_Item], Iterable[str | None]]]
) -> bool:
    """Say whether an item passes every filter of a describe call, or refuse an unknown filter."""
    for each in filters:
        if each["name"] not in known:
            raise bad_value(f"Unrecognized filter name: {each['name']}")
        if not set(each["values"]) & set(known[each["name"]](item)):
            return False
    return True


def page(items: Sequence[_Item], name: Callable[[_Item], str], params: Params) -> tuple[list[_Item], str | None]:
    """Return one page of a describe call, ordered by name as AWS does (never by time), and the marker of the next."""
    size = params.get("max_records") or 100
    if not 20 <= size <= 100:
        raise bad_value(f"Invalid value {size} for MaxRecords. Must be between 20 and 100")
    after = _from_marker(params.get("marker"))
    rest = [item for item in sorted(items, key=name) if name(item) > after]
    shown = rest[:size]
    marker = urlsafe_b64encode(name(shown[-1]).encode()).decode() if len(rest) > size else None
    return shown, marker


def _from_marker(marker: str | None) -> str:
    try:
        return urlsafe_b64decode(marker).decode() if marker else ""
    except (Base64Error, UnicodeDecodeError) as error:
        raise bad_value(f"Invalid value {marker} for Marker") from error
