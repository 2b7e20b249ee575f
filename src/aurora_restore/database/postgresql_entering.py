"""Decide how the master gets into databases that keep it out. Pure.

Whoever owns a database may take CONNECT from everybody, and the master of RDS is no superuser.
"""

from dataclasses import dataclass

from psycopg import sql

from aurora_restore.database.engine import Change, ChangeKind
from aurora_restore.database.postgresql_actions import Action, Unit
from aurora_restore.database.postgresql_borrowing import borrowing
from aurora_restore.database.postgresql_cluster import Cluster, DatabaseEntry


@dataclass(frozen=True, slots=True)
class EnteringPlan:
    """What to run in any database, what a person can do if it is refused, and which databases nobody can look into."""

    units: tuple[Unit, ...]
    doubts: tuple[str, ...]
    remarks: tuple[str, ...]


def plan_entering(cluster: Cluster) -> EnteringPlan:
    """Give the master CONNECT where it has none, as the database's owner; it keeps it."""
    return EnteringPlan(
        units=tuple(_entering(cluster, one) for one in cluster.barred),
        doubts=tuple(
            f"run GRANT CONNECT ON DATABASE {one.name} TO {cluster.master} as {one.owner}, who owns it"
            for one in cluster.barred
            if not cluster.can_act_as(one.owner)
        ),
        remarks=tuple(
            f"database {name} takes no connections: nothing in it was looked at or changed" for name in cluster.shut
        ),
    )


def _entering(cluster: Cluster, one: DatabaseEntry) -> Unit:
    me = cluster.master
    statement = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(one.name), sql.Identifier(me))
    sentence = f"{me} gets CONNECT on database {one.name}, which kept it out; what is in it is looked at then"
    take, give_back = borrowing(cluster, {one.owner})
    return (*take, Action(statement, (Change(ChangeKind.GRANT, me, one.name, sentence),)), *give_back)
