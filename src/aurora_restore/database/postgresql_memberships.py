"""Decide which roles the roles leave and join. Pure: reads the cluster's state, returns statements and sentences."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from aurora_restore.database.engine import Change, ChangeKind, DesiredUser
from aurora_restore.database.postgresql_actions import Action, Unit, identifiers
from aurora_restore.database.postgresql_borrowing import borrowing, grantor_of
from aurora_restore.database.postgresql_cluster import ADMIN_OPTION_RULES, Cluster, Membership

IAM_ROLE = "rds_iam"
_DANGEROUS_ROLES = frozenset({"rds_superuser", "rds_replication"})


@dataclass(frozen=True)
class Memberships:
    """The roles of ``users``, and of those who are locked out (``unlisted``); nobody stays in a role of ``keep``."""

    cluster: Cluster
    users: Mapping[str, DesiredUser]
    unlisted: frozenset[str]
    keep: frozenset[str]

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each membership that cannot be."""
        if any(user.iam for user in self.users.values()) and IAM_ROLE not in self.cluster.roles:
            yield f"the cluster has no role {IAM_ROLE}: IAM authentication does not exist on it"
        for user in self.users.values():
            for role in dict.fromkeys(user.roles):
                yield from self._problems_of(user.name, role)

    def ended(self) -> frozenset[Membership]:
        """Return the memberships that the master ends."""
        return frozenset(one for one in self._to_end() if self._is_revocable(one) and not self._is_wanted(one))

    def leavings(self) -> Iterator[Unit]:
        """Yield what ends memberships, and the right to pass one on.

        Each as its grantor, who from PostgreSQL 16 on is part of what a membership is.
        """
        by_grantor: dict[str, list[Membership]] = {}
        for one in self._leaving_ones():
            by_grantor.setdefault(one.grantor if self._by_grantor else "", []).append(one)
        for grantor, leaving in by_grantor.items():
            lends = grantor and self.cluster.can_act_as(grantor)
            take, give_back = borrowing(self.cluster, {grantor} if lends else ())
            yield (*take, *(self._leaving(one) for one in leaving), *give_back)

    def iam_joining(self, user: DesiredUser) -> Iterator[Action]:
        """Yield what lets a user in with an IAM token: part of the way in, and not of what it may do inside."""
        if IAM_ROLE in self._to_join(user):
            yield self._joining(IAM_ROLE, [user.name])

    def joinings(self) -> Unit:
        """Return what makes the listed users members of the request's roles, a statement a role."""
        joining: dict[str, list[str]] = {}
        for user in self.users.values():
            for role in sorted(self._to_join(user) - {IAM_ROLE}):
                joining.setdefault(role, []).append(user.name)
        take, give_back = borrowing(self.cluster, {grantor_of(self.cluster, role) for role in joining})
        return (*take, *(self._joining(role, names) for role, names in joining.items()), *give_back)

    def doubts(self) -> Iterator[str]:
        """Yield what a person can do about roles that PostgreSQL will probably not let the master hand out."""
        me = self.cluster.master
        for role in sorted({role for user in self.users.values() for role in user.roles}):
            if role in self.cluster.roles and not self.cluster.can_grant(role):
                yield f"{me} may not make anybody a member of {role}: run GRANT {role} TO {me} WITH ADMIN OPTION"

        for one in self._to_end():
            if self._is_grave(one) and not self._may_revoke(one):
                yield (
                    f"{one.member} is in the role {one.role} because {one.grantor} granted it, and {me} may not revoke"
                    f" it: give the user another name, or leave it in {one.role} by its roles"
                )

    def remarks(self) -> Iterator[str]:
        """Yield a sentence for each membership that is left because the master may not end it."""
        for one in self._to_end():
            if not self._is_revocable(one):
                granted = (
                    f"{one.grantor or 'a role that is gone'} granted it, and {self.cluster.master} may not revoke it"
                )
                stays = "may pass on" if self._is_wanted(one) else "stays in"
                yield f"{one.member} {stays} the role {one.role}: {granted}"

    @property
    def _by_grantor(self) -> bool:
        return self.cluster.version >= ADMIN_OPTION_RULES

    def _problems_of(self, user: str, role: str) -> Iterator[str]:
        if role == IAM_ROLE:
            yield f"{user} is to be a member of {IAM_ROLE}: that is what iam: true is for"
        elif role == user or role in self.keep:
            yield f"{user} cannot be a member of {role}, who is the user itself, the cluster's master or kept as it is"
        elif role not in self.cluster.roles and role not in self.users:
            yield f"{user} is to be a member of the role {role}, which the restored cluster does not have"
        elif user in self.cluster.groups_of(role, {name: one.roles for name, one in self.users.items()}):
            yield f"{user} cannot be a member of {role}, which is a member of {user}"

    def _to_join(self, user: DesiredUser) -> frozenset[str]:
        present = self.cluster.memberships_of(user.name)
        return _wanted(user) - {one.role for one in present if one.is_inherited and one not in self._cascaded}

    def _leaving_ones(self) -> list[Membership]:
        return [one for one in self._to_end() if self._is_revocable(one)]

    @cached_property
    def _cascaded(self) -> frozenset[Membership]:
        """Return the memberships that go with their grantor's right to make others members."""
        if not self._by_grantor:
            return frozenset()
        leaving = self._leaving_ones()
        cascaded: set[Membership] = set()
        unable = [(one.role, one.member) for one in leaving if one.is_administered]
        while unable:
            role, member = unable.pop()
            others = (one for one in self.cluster.memberships_of(member) if one not in {*leaving, *cascaded})
            if any(one.role == role and one.is_administered for one in others):
                continue
            new = {one for one in self.cluster.memberships if (one.role, one.grantor) == (role, member)} - cascaded
            cascaded |= new
            unable += [(one.role, one.member) for one in new if one.is_administered]
        return frozenset(cascaded)

    def _to_end(self) -> Iterator[Membership]:
        locked_out = self.unlisted - self._rds_groups()
        dangerous = _DANGEROUS_ROLES | self.keep
        for one in self.cluster.memberships:
            if one.member in self.users:
                # Whatever a role may do its members may do: that would be more than the request grants.
                if not self._is_wanted(one) or one.is_administered:
                    yield one
            elif one.member in locked_out and one.role in dangerous:
                yield one

    def _is_wanted(self, one: Membership) -> bool:
        return one.member in self.users and one.role in _wanted(self.users[one.member])

    def _rds_groups(self) -> frozenset[str]:
        # rds_superuser is itself a member of rds_replication.
        return frozenset(name for name in self.cluster.roles if name.startswith("rds_"))

    def _is_revocable(self, one: Membership) -> bool:
        # Tried nevertheless: a listed user with the master's power is no success, and RDS may allow more than is known.
        return self._is_grave(one) or self._may_revoke(one)

    def _is_grave(self, one: Membership) -> bool:
        is_mighty = one.role in _DANGEROUS_ROLES | self.keep
        return self._by_grantor and is_mighty and one.member in self.users and not self._is_wanted(one)

    def _may_revoke(self, one: Membership) -> bool:
        if not self.cluster.can_grant(one.role):
            return False
        return not self._by_grantor or self.cluster.can_act_as(one.grantor)

    def _joining(self, role: str, names: list[str]) -> Action:
        how = sql.SQL(" WITH INHERIT TRUE" if self._by_grantor else "")
        statement = sql.SQL("GRANT {} TO {}{}").format(sql.Identifier(role), identifiers(names), how)
        changes = (Change(ChangeKind.JOIN_ROLE, name, None, f"{name} joins the role {role}") for name in names)
        return Action(statement, tuple(changes))

    def _leaving(self, one: Membership) -> Action:
        stays = self._is_wanted(one)
        # CASCADE: what the member passed on, it passed on with a right that it no longer has.
        statement = sql.SQL("REVOKE {}{} FROM {}{} CASCADE").format(
            sql.SQL("ADMIN OPTION FOR ") if stays else sql.SQL(""),
            sql.Identifier(one.role),
            sql.Identifier(one.member),
            sql.SQL(" GRANTED BY {}").format(sql.Identifier(one.grantor)) if self._by_grantor else sql.SQL(""),
        )
        sentence = f"{one.member} may no longer pass on the role {one.role}"
        if not stays:
            sentence = f"{one.member} leaves the role {one.role}"
        return Action(statement, (Change(ChangeKind.LEAVE_ROLE, one.member, None, sentence),))


def _wanted(user: DesiredUser) -> frozenset[str]:
    return frozenset(user.roles) | ({IAM_ROLE} if user.iam else frozenset())
