"""What came with production's data and acts by itself, or opens a way to production's neighbours: found, and stopped.

An enabled subscription pulls from production from the moment the copy starts, and scheduled jobs run in it: so this
comes before everything else. Nothing is dropped that a person could want to look at, but slots, which hold back the
server's files, and user mappings, which hold passwords.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql
from psycopg.rows import class_row

from aurora_restore.database.engine import Change, ChangeKind
from aurora_restore.database.postgresql_actions import Action, Unit
from aurora_restore.database.postgresql_borrowing import borrowing
from aurora_restore.database.postgresql_cluster import Cluster
from aurora_restore.database.postgresql_connection import MAINTENANCE_DATABASE, PgConnection
from aurora_restore.database_request import Leftover

_SESSION_END_TIMEOUT_MS = 5_000
_WAITING_TERMINATE = 140_000


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription that is enabled or has a slot at its publisher."""

    name: str
    owner: str
    is_enabled: bool
    has_slot: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot, with its database.

    It can be dropped from any: where it has none, or none that lets anybody in, from the maintenance database.
    """

    name: str
    database: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class CronJob:
    """A job of pg_cron that is switched on."""

    id: int
    owner: str
    database: str


@dataclass(frozen=True, slots=True)
class UserMapping:
    """How a user logs in to a foreign server; ``user`` is None for everybody (PUBLIC)."""

    user: str | None
    server: str
    owner: str


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What one database has of them.

    ``hides_jobs``: pg_cron shows the master none but its own. ``replicators``: extensions that replicate in their own
    way, of which we know no more than their names.
    """

    database: str
    subscriptions: tuple[Subscription, ...] = ()
    slots: tuple[Slot, ...] = ()
    jobs: tuple[CronJob, ...] = ()
    mappings: tuple[UserMapping, ...] = ()
    hides_jobs: bool = False
    replicators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftoversPlan:
    """What to run in the database, a unit for each thing, what a person can do if one is refused, and what is left."""

    units: tuple[Unit, ...]
    doubts: tuple[str, ...]
    remarks: tuple[str, ...]


# Readable by everybody are these columns, and not the one with the publisher's password.
_SUBSCRIPTIONS = """
    SELECT s.subname AS name, r.rolname AS owner, s.subenabled AS is_enabled, s.subslotname IS NOT NULL AS has_slot
    FROM pg_subscription AS s JOIN pg_roles AS r ON r.oid = s.subowner
    WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (s.subenabled OR s.subslotname IS NOT NULL)
    ORDER BY name
"""
_SLOTS = """
    SELECT slot_name AS name, coalesce(s.database, current_database()) AS database, active AS is_active
    FROM pg_replication_slots AS s LEFT JOIN pg_database AS d ON d.datname = s.database
    WHERE NOT temporary AND slot_name !~ '^rds' AND current_database() =
        CASE WHEN d.datallowconn AND d.datconnlimit NOT IN (0, -2) AND d.datname <> 'template1'
        THEN d.datname ELSE %s END
    ORDER BY name
"""
_MAPPINGS = """
    SELECT CASE m.umuser WHEN 0 THEN NULL ELSE m.usename END AS user, m.srvname AS server, r.rolname AS owner
    FROM pg_user_mappings AS m
    JOIN pg_foreign_server AS s ON s.oid = m.srvid JOIN pg_roles AS r ON r.oid = s.srvowner
    ORDER BY server, "user"
"""
_REPLICATORS = "SELECT extname FROM pg_extension WHERE extname IN ('pglogical', 'pgactive') ORDER BY extname"
_HAS_CRON = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron')"
_CRON_IS_OPEN = """
    SELECT CASE WHEN has_schema_privilege('cron', 'USAGE') THEN has_table_privilege('cron.job', 'SELECT') ELSE false END
"""
_CRON_IS_HIDDEN = "SELECT row_security_active('cron.job')"
_JOBS = "SELECT jobid AS id, username AS owner, database FROM cron.job WHERE active ORDER BY id"


def read_leftovers(connection: PgConnection) -> Leftovers:
    """Read what the connection's database has of them."""
    with connection.cursor(row_factory=class_row(Subscription)) as cursor:
        subscriptions = tuple(cursor.execute(_SUBSCRIPTIONS))
    with connection.cursor(row_factory=class_row(Slot)) as slots_cursor:
        slots = tuple(slots_cursor.execute(_SLOTS, [MAINTENANCE_DATABASE]))
    with connection.cursor(row_factory=class_row(UserMapping)) as mappings_cursor:
        mappings = tuple(mappings_cursor.execute(_MAPPINGS))
    jobs, hides_jobs = _read_jobs(connection)
    replicators = tuple(name for (name,) in connection.execute(_REPLICATORS))
    return Leftovers(connection.info.dbname, subscriptions, slots, jobs, mappings, hides_jobs, replicators)


def _read_jobs(connection: PgConnection) -> tuple[tuple[CronJob, ...], bool]:
    """Return the jobs that the master can see, and whether there may be others."""
    if not _holds(connection, _HAS_CRON):
        return (), False
    if not _holds(connection, _CRON_IS_OPEN):
        return (), True
    with connection.cursor(row_factory=class_row(CronJob)) as cursor:
        jobs = tuple(cursor.execute(_JOBS))
    return jobs, _holds(connection, _CRON_IS_HIDDEN)


def _holds(connection: PgConnection, question: LiteralString) -> bool:
    return connection.execute(question).fetchone() == (True,)


def plan_leftovers(cluster: Cluster, found: Leftovers, kept: frozenset[Leftover]) -> LeftoversPlan:
    """Decide what has to be stopped in a database, but for what is ``kept``."""
    owners: set[str] = set()
    units: list[Unit] = []
    if Leftover.SUBSCRIPTIONS not in kept:
        owners |= {one.owner for one in found.subscriptions}
        units += (_as_owner(cluster, one.owner, _detaching(one, found.database)) for one in found.subscriptions)
    if Leftover.CRON_JOBS not in kept and found.jobs:
        units.append((_switching_off(found.jobs, found.database),))
    if Leftover.REPLICATION_SLOTS not in kept:
        units += ((_dropping(one, cluster.version),) for one in found.slots)
    if Leftover.USER_MAPPINGS not in kept:
        owners |= {one.owner for one in found.mappings}
        units += (_as_owner(cluster, one.owner, [_removing(one, found.database)]) for one in found.mappings)
    return LeftoversPlan(
        units=tuple(units),
        doubts=tuple(_doubts(cluster, sorted(owners))),
        remarks=tuple(_remarks(cluster, found, kept)),
    )


def _as_owner(cluster: Cluster, owner: str, actions: Iterable[Action]) -> Unit:
    take, give_back = borrowing(cluster, {owner})
    return (*take, *actions, *give_back)


def _detaching(one: Subscription, database: str) -> Iterator[Action]:
    name = sql.Identifier(one.name)
    sentence = f"the subscription {one.name} of {database} is disabled and detached from its publisher's slot"
    changes: tuple[Change, ...] = (_change(one.owner, database, sentence),)
    if one.is_enabled:
        yield Action(sql.SQL("ALTER SUBSCRIPTION {} DISABLE").format(name), changes)
        changes = ()
    if one.has_slot:
        # Without it the publisher is never spoken to again, not even when the subscription is dropped.
        yield Action(sql.SQL("ALTER SUBSCRIPTION {} SET (slot_name = NONE)").format(name), changes)


def _switching_off(jobs: Sequence[CronJob], database: str) -> Action:
    statement = sql.SQL(
        "UPDATE cron.job SET active = false WHERE jobid OPERATOR(pg_catalog.=) ANY ({}::bigint[])"
    ).format(sql.Literal([job.id for job in jobs]))
    changes = (
        _change(job.owner, database, f"the cron job {job.id} of {job.owner} in {job.database} is switched off")
        for job in jobs
    )
    return Action(statement, tuple(changes))


def _dropping(one: Slot, version: int) -> Action:
    """Drop the slot; if somebody reads from it, the reader goes first."""
    name = sql.Literal(one.name)
    drop = sql.SQL("SELECT pg_catalog.pg_drop_replication_slot({})").format(name)
    if one.is_active:
        timeout = sql.SQL(", {}").format(sql.Literal(_SESSION_END_TIMEOUT_MS))
        drop = sql.SQL(
            "SELECT pg_catalog.pg_terminate_backend(active_pid{}), pg_catalog.pg_drop_replication_slot(slot_name)"
            " FROM pg_catalog.pg_replication_slots WHERE slot_name OPERATOR(pg_catalog.=) {}"
        ).format(timeout if version >= _WAITING_TERMINATE else sql.SQL(""), name)
    return Action(drop, (_change("", one.database, f"the replication slot {one.name} of {one.database} is dropped"),))


def _removing(one: UserMapping, database: str) -> Action:
    user = sql.SQL("PUBLIC") if one.user is None else sql.Identifier(one.user)
    statement = sql.SQL("DROP USER MAPPING IF EXISTS FOR {} SERVER {}").format(user, sql.Identifier(one.server))
    whose = one.user or "everybody"
    sentence = f"the user mapping of {whose} for the foreign server {one.server} of {database} is removed"
    return Action(statement, (_change(one.user or "", database, sentence),))


def _change(user: str, database: str, sentence: str) -> Change:
    return Change(ChangeKind.STOP_LEFTOVER, user, database, sentence)


def _doubts(cluster: Cluster, borrowed: Iterable[str]) -> Iterator[str]:
    me = cluster.master
    for name in borrowed:
        if not cluster.can_act_as(name):
            yield f"{me} may not act for {name}: run GRANT {name} TO {me} WITH ADMIN OPTION as the role that created it"
    yield "what may stay as it came can be named in the request's keep"


def _remarks(cluster: Cluster, found: Leftovers, kept: frozenset[Leftover]) -> Iterator[str]:
    counts = {
        Leftover.SUBSCRIPTIONS: len(found.subscriptions),
        Leftover.REPLICATION_SLOTS: len(found.slots),
        Leftover.CRON_JOBS: len(found.jobs),
        Leftover.USER_MAPPINGS: len(found.mappings),
    }
    for leftover, count in counts.items():
        if count and leftover in kept:
            yield f"{count} of production's {leftover} in database {found.database} stay as they came"
    for name in found.replicators:
        yield (
            f"the extension {name} of database {found.database} may replicate from production or to it: it is not"
            " stopped"
        )
    if found.hides_jobs and Leftover.CRON_JOBS not in kept:
        yield (
            f"pg_cron of database {found.database} shows {cluster.master} none but its own jobs: those of others run on"
            " wherever their user can log in"
        )
