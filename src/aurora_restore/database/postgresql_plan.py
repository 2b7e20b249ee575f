"""The whole comparison of a server with the desired state, and what is to be done about it in which order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aurora_restore.database.engine import Change, DesiredState
from aurora_restore.database.postgresql_cluster import Cluster
from aurora_restore.database.postgresql_connection import MAINTENANCE_DATABASE, PgConnection
from aurora_restore.database.postgresql_entering import EnteringPlan, plan_entering
from aurora_restore.database.postgresql_grants import GrantsPlan, plan_grants
from aurora_restore.database.postgresql_leftovers import Leftovers, LeftoversPlan, plan_leftovers, read_leftovers
from aurora_restore.database.postgresql_objects import Objects, read_objects, with_closed
from aurora_restore.database.postgresql_ownership import (
    Owned,
    OwnershipPlan,
    ownership_problems,
    plan_ownership,
    read_owned,
    transferred,
    transfers_in,
)
from aurora_restore.database.postgresql_privileges import unmatched
from aurora_restore.database.postgresql_roles import RolesPlan, plan_roles
from aurora_restore.database.postgresql_stages import STATEMENTS_A_STAGE, THINGS_A_STAGE, Stage, stages_of
from aurora_restore.database_request import Leftover
from aurora_restore.errors import PreflightError

# Names of roles belong to all databases, and are sent in UTF-8. SQL_ASCII is PostgreSQL's word for "as it comes".
_UTF8_OR_ANY = frozenset({"UTF8", "SQL_ASCII"})
_ENTER = "let its master into every database"
_STOP_LEFTOVERS = "stop what came along with production's data in its database {}"
CHANGE_USERS = "change its users"
_CHANGE_OWNERS = "change the owners of what is in its database {}"
_CHANGE_PRIVILEGES = "change its users' privileges in its database {}"


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What one database has of all that is compared. ``objects`` is as ownership will have it."""

    objects: Objects
    leftovers: Leftovers
    owned: Owned


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in order: what acts by itself is stopped first, then who can log in, then the rest.

    ``entering`` lets the master into databases that it could not look into: then all that opens something has to wait
    until it has looked.
    """

    entering: EnteringPlan
    roles: RolesPlan
    leftovers: Mapping[str, LeftoversPlan]
    ownership: Mapping[str, OwnershipPlan]
    grants: Mapping[str, GrantsPlan]

    @property
    def changes(self) -> tuple[Change, ...]:
        """All differences."""
        return tuple(change for stage in self.stages() for change in stage.changes)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is left as it is."""
        leftovers = (remark for plan in self.leftovers.values() for remark in plan.remarks)
        grants = (remark for plan in self.grants.values() for remark in plan.remarks)
        return (*self.entering.remarks, *leftovers, *self.roles.remarks, *grants)

    def stages(self) -> tuple[Stage, ...]:
        """Return the transactions to run; none if nothing differs."""
        return tuple(stage for stage in self._stages() if any(stage.units) or stage.ends_sessions_of)

    def _stages(self) -> Iterator[Stage]:
        for database, leftovers in self.leftovers.items():
            doing = _STOP_LEFTOVERS.format(database)
            yield Stage(database, doing, leftovers.units, leftovers.doubts, closes=True)
        roles = self.roles
        yield Stage(MAINTENANCE_DATABASE, CHANGE_USERS, roles.close, roles.doubts, closes=True)
        if roles.close or roles.session_changes or roles.open:
            yield Stage(
                MAINTENANCE_DATABASE,
                CHANGE_USERS,
                ends_sessions_of=roles.sent_away,
                session_changes=roles.session_changes,
                closes=True,
            )
        if self.entering.units:
            yield Stage(MAINTENANCE_DATABASE, _ENTER, self.entering.units, self.entering.doubts)
            return
        yield from stages_of(MAINTENANCE_DATABASE, CHANGE_USERS, roles.open, roles.doubts)
        yield Stage(MAINTENANCE_DATABASE, CHANGE_USERS, (roles.join,), roles.doubts)
        for database, grants in self.grants.items():
            ownership = self.ownership[database]
            yield Stage(database, _CHANGE_OWNERS.format(database), (ownership.actions,), ownership.doubts)
            for transaction in grants.transactions(STATEMENTS_A_STAGE, THINGS_A_STAGE):
                yield Stage(database, _CHANGE_PRIVILEGES.format(database), (transaction,), grants.doubts)


def looks_inside(desired: DesiredState) -> bool:
    """Say whether what is desired has to do with anything inside the databases."""
    return bool(desired.users or desired.ownership or frozenset(Leftover) - desired.leftovers)


def read_database(connection: PgConnection, desired: DesiredState) -> DatabaseState:
    """Read all that is compared of the connection's database."""
    transfers = transfers_in(connection.info.dbname, desired)
    if strangers := list(_strangers(connection, [user.name for user in desired.users])):
        raise PreflightError(strangers)
    objects = read_objects(connection, [user.name for user in desired.users])
    return DatabaseState(
        objects=with_closed(connection, transferred(objects, transfers)),
        leftovers=read_leftovers(connection),
        owned=read_owned(connection, transfers),
    )


def _strangers(connection: PgConnection, users: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each user whose name the database would write in other bytes than those it is known by."""
    database, encoding = connection.info.dbname, connection.info.parameter_status("server_encoding")
    for name in users:
        if encoding not in _UTF8_OR_ANY and not name.isascii():
            yield (
                f"in the encoding {encoding} of database {database}, PostgreSQL takes the name {name} for another: give"
                " the user a name of ASCII letters"
            )


def compare(
    cluster: Cluster,
    databases: Sequence[DatabaseState],
    desired: DesiredState,
    proven: frozenset[str],
    salt: Callable[[], bytes],
) -> Plan:
    """Compare everything; ``proven`` names the users whose password is right already.

    Raises PreflightError with all that makes the desired state impossible.
    """
    roles = plan_roles(cluster, desired, proven, salt)
    objects = [one.objects for one in databases]
    problems = [*roles.problems, *ownership_problems(cluster, desired)]
    if not cluster.barred:  # in which may be what is missed
        problems += unmatched(desired.users, objects)
    if problems:
        raise PreflightError(problems)
    later = cluster.without(roles.ended)
    return Plan(
        plan_entering(cluster),
        roles,
        leftovers={
            one.leftovers.database: plan_leftovers(cluster, one.leftovers, desired.leftovers) for one in databases
        },
        ownership={one.owned.database: plan_ownership(later, one.owned, desired) for one in databases},
        grants={one.database: plan_grants(later, one, desired.users) for one in objects},
    )
