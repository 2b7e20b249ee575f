"""Decide what has to be granted and revoked in one database. Pure: reads its state, returns statements and sentences.

Privileges on the same things for the same users share a statement, so the number of statements follows the number of
different rules in the request, not users times objects.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from aurora_restore.database.engine import DesiredUser
from aurora_restore.database.postgresql_actions import Action
from aurora_restore.database.postgresql_batches import Batches, Verb, described
from aurora_restore.database.postgresql_borrowing import borrowing
from aurora_restore.database.postgresql_cluster import ADMIN_OPTION_RULES, Cluster
from aurora_restore.database.postgresql_objects import FutureHeld, Held, Kind, Object, Objects, Thing
from aurora_restore.database.postgresql_privileges import ByUser, Privileges, Wanted

_NOTHING: Privileges = frozenset()


@dataclass(frozen=True, slots=True)
class GrantsPlan:
    """What to run in the database, and what is left as it is.

    The statements of a unit belong into one transaction. Every transaction begins with ``take`` and ends with
    ``give_back``, between which the master has the owners' privileges. ``doubts`` names the owners whose privileges
    PostgreSQL will probably not lend to the master. It is tried nevertheless, see RolesPlan.
    """

    units: tuple[tuple[Action, ...], ...]
    take: tuple[Action, ...]
    give_back: tuple[Action, ...]
    doubts: tuple[str, ...]
    remarks: tuple[str, ...]

    def transactions(self, statements: int, things: int) -> Iterator[tuple[Action, ...]]:
        """Return the statements in transactions of about so many, or that name about so many things."""
        gathered: list[Action] = []
        for unit in self.units:
            gathered += unit
            if len(gathered) >= statements or sum(action.things for action in gathered) >= things:
                yield (*self.take, *gathered, *self.give_back)
                gathered = []
        if gathered:
            yield (*self.take, *gathered, *self.give_back)


def plan_grants(cluster: Cluster, objects: Objects, users: Sequence[DesiredUser]) -> GrantsPlan:
    """Compare what the users hold in a database with what they shall hold: that, and no more."""
    return _Grants(cluster, objects, users).plan()


class _Grants:
    def __init__(self, cluster: Cluster, objects: Objects, users: Sequence[DesiredUser]) -> None:
        self.cluster = cluster
        self.objects = objects
        self.users = frozenset(user.name for user in users)
        self.wanted = Wanted(users, objects, cluster.version)
        self.batches = Batches(objects.database, objects.closed)
        self.owners = {item.thing.name: item.owner for item in objects.items if item.thing.kind is Kind.SCHEMA}
        self.acting_as: set[str] = set()
        # What only somebody else can change: of whom, of which kind; nothing in particular is what is yet to come.
        self.left: dict[tuple[str, Kind], set[Thing | None]] = {}

    def plan(self) -> GrantsPlan:
        for item in self.objects.items:
            self._compare(item)
        self._compare_future()
        units = tuple(self.batches.units())
        take, give_back = borrowing(self.cluster, self.acting_as)
        doubts = [name for name in sorted(self.acting_as) if not self.cluster.can_act_as(name)]
        return GrantsPlan(
            units=units,
            take=tuple(take),
            give_back=tuple(give_back),
            doubts=tuple(self._doubt(name) for name in doubts),
            remarks=tuple(self._remarks()),
        )

    def _compare(self, item: Object) -> None:
        wanted = {user: words for user, words in self._wanted_on(item).items() if user != item.owner}
        has: dict[str, set[str]] = {}
        for held in item.held:
            if held.is_by_owner and held.is_whole:
                has.setdefault(held.user, set()).add(held.privilege)
        missing = _difference(wanted, has)
        self._take_back(item, wanted)
        if missing and self._can_reach(item.owner, item.thing.kind, item.thing):
            self.batches.on_thing(Verb.GRANT, item.thing, missing, acting_as=self._giver(item))
            self._act(item.owner, self._giver(item), item.thing)

    def _wanted_on(self, item: Object) -> ByUser:
        return self.wanted.on(item.thing) if item.is_ours else {}

    def _take_back(self, item: Object, wanted: ByUser) -> None:
        excess: dict[tuple[Verb, str, str], dict[str, set[str]]] = {}
        for verb, grantor, held in self._excess(item, wanted):
            key = (verb, grantor, self._giver(item) if held.is_by_owner else grantor)
            excess.setdefault(key, {}).setdefault(held.user, set()).add(held.privilege)
        for (verb, grantor, acting_as), by_user in excess.items():
            if self._can_reach(grantor, item.thing.kind, item.thing):
                self.batches.on_thing(verb, item.thing, _frozen(by_user), acting_as=acting_as)
                self._act(grantor, acting_as, item.thing)

    def _giver(self, item: Object) -> str:
        """Return as whom the owner's privileges are granted and revoked; nobody where having them is enough."""
        owner = self.cluster.roles.get(item.owner)
        # Before 16, through an owner who inherits nothing one has that role's privileges, not pg_database_owner's.
        is_cut = item.owning_role != item.owner and self.cluster.version < ADMIN_OPTION_RULES
        return item.owning_role if is_cut and owner is not None and not owner.inherits else item.giver

    def _act(self, name: str, acting_as: str, thing: Thing) -> None:
        """Have the privileges of a role at hand, and those of whoever lets it in where the thing is."""
        doors = {self.owners.get(place) for place in thing.places if (acting_as, place) in self.objects.closed}
        self.acting_as |= {name, *(owner for owner in doors if owner is not None and not self._is_out(owner))}

    def _excess(self, item: Object, wanted: ByUser) -> Iterator[tuple[Verb, str, Held]]:
        """Yield what must be taken back on an object, how, and by whom: the one who gave it."""
        for held in item.held:
            is_wanted = held.privilege in wanted.get(held.user, _NOTHING)
            if not held.is_by_owner:
                # The owner grants it again if it is wanted: a third party's grant would hang on that party's rights.
                # What a listed user passed on goes by CASCADE with that user's right to pass on.
                if held.grantor not in self.users:
                    yield Verb.REVOKE, held.grantor, held
            elif not is_wanted:
                yield Verb.REVOKE, item.owner, held
            elif held.is_grantable:
                yield Verb.REVOKE_OPTION, item.owner, held

    def _compare_future(self) -> None:
        held: dict[tuple[str, str | None, Kind], list[FutureHeld]] = {}
        for one in self.objects.future:
            held.setdefault((one.creator, one.schema, one.kind), []).append(one)
        wanted = self.wanted.on_future()
        creators = self._creators()
        of_creators = {(creator, schema, kind) for schema, kind in wanted for creator in creators}
        for key in sorted(held.keys() | of_creators, key=str):
            creator, schema, kind = key
            by_user = {user: words for user, words in wanted.get((schema, kind), {}).items() if user != creator}
            # Of one who can create nothing (any more) it can stay as well as not: what else is taken back decides that.
            self._compare_future_of(key, by_user, held.get(key, []), is_creator=creator in creators)

    def _compare_future_of(
        self, key: tuple[str, str | None, Kind], wanted: ByUser, held: Iterable[FutureHeld], *, is_creator: bool
    ) -> None:
        creator, schema, kind = key
        has: dict[str, set[str]] = {}
        excess: dict[Verb, dict[str, set[str]]] = {Verb.REVOKE: {}, Verb.REVOKE_OPTION: {}}
        for one in held:
            has.setdefault(one.user, set()).add(one.privilege)
            if one.privilege not in wanted.get(one.user, _NOTHING):
                excess[Verb.REVOKE].setdefault(one.user, set()).add(one.privilege)
            elif one.is_grantable:
                excess[Verb.REVOKE_OPTION].setdefault(one.user, set()).add(one.privilege)
        missing = _difference(wanted, has) if is_creator else {}
        steps = {**{verb: _frozen(by_user) for verb, by_user in excess.items()}, Verb.GRANT: missing}
        for verb, by_user in steps.items():
            if by_user and self._can_reach(creator, kind, None):
                self.batches.on_future(verb, creator, schema, kind, by_user)
                self.acting_as.add(creator)

    def _creators(self) -> frozenset[str]:
        """Return who may create objects here: owners of what is there, holders of CREATE, users to be, the master."""
        owners = {item.owner for item in self.objects.items if item.is_ours}
        # Somebody who owns nothing yet and is out of our reach is no reason to fail.
        others = {name for name in self.objects.creators - self.users if self.cluster.can_act_as(name)}
        everybody = owners | others | self.wanted.creators() | self._able_by_others() | {self.cluster.master}
        return frozenset(name for name in everybody if not self._is_rds(name) and not self._is_out(name))

    def _able_by_others(self) -> frozenset[str]:
        """Return the users who may create objects because everybody may, or somebody whose member they are to be."""
        able = self.objects.creators | self.wanted.creators()
        able |= {item.owner for item in self.objects.items if item.is_ours}
        to_be = {user.name: user.roles for user in self.wanted.users}

        def may(name: str) -> bool:
            return self.objects.everybody_creates or bool(self.cluster.groups_of(name, to_be) & able)

        return frozenset(name for name in self.users if may(name))

    def _is_rds(self, name: str) -> bool:
        return name.startswith(("rds_", "pg_")) or self.cluster.belongs_to_rds(name)

    def _is_out(self, name: str) -> bool:
        """Say whether the role is RDS's own or a superuser, whose privileges nobody can lend."""
        role = self.cluster.roles.get(name)
        return role is not None and not role.is_held and (role.is_superuser or self.cluster.belongs_to_rds(name))

    def _can_reach(self, name: str, kind: Kind, thing: Thing | None) -> bool:
        if not self._is_out(name):
            return True
        self.left.setdefault((name, kind), set()).add(thing)
        return False

    def _doubt(self, name: str) -> str:
        me = self.cluster.master
        return (
            f"{me} may not act for {name}, who owns objects in {self.objects.database}: run GRANT {name} TO {me}"
            " WITH ADMIN OPTION as the role that created it"
        )

    def _remarks(self) -> Iterator[str]:
        database = self.objects.database
        for (name, kind), left in self.left.items():
            if things := [thing for thing in left if thing is not None]:
                what = described(kind, things, database)
                yield f"the users' privileges on {what} stay as they are: only {name} can change them"
            if None in left:
                what = f"{kind}s of {database} that {name} will create"
                yield f"the users' privileges on {what} stay as they are: only {name} can change them"
        owned: dict[str, int] = {}
        for item in self.objects.items:
            if item.owner in self.users:
                owned[item.owner] = owned.get(item.owner, 0) + 1
        for owner, count in sorted(owned.items()):
            objects = "1 object" if count == 1 else f"{count} objects"
            yield f"{owner} owns {objects} in database {database} and may do anything with what it owns"


def _frozen(by_user: dict[str, set[str]]) -> ByUser:
    return {user: frozenset(words) for user, words in by_user.items()}


def _difference(wanted: ByUser, has: dict[str, set[str]]) -> ByUser:
    missing = {user: words - has.get(user, _NOTHING) for user, words in wanted.items()}
    return {user: words for user, words in missing.items() if words}
