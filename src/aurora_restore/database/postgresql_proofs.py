"""Whose password is right already: the only way to know is to log in, because verifiers can be read by nobody."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aurora_restore.database.engine import DesiredUser, Endpoint, Login
from aurora_restore.database.postgresql_cluster import Cluster
from aurora_restore.database.postgresql_connection import Connect, password_is_right

# A login is a handful of round trips and some thousand hashes on either side: one after the other, a thousand users
# would take minutes where the server is far. Few enough for the smallest instance's connections.
_LOGINS_AT_ONCE = 8
# A login costs as much as making the role did. So of those who have just been given a password, and whose transaction
# the server has acknowledged, no more are tried than it takes to find out a server that says so and does otherwise.
_TRIED_OF_THE_NEW = 20


def proven(
    connect: Connect, endpoint: Endpoint, cluster: Cluster, users: Iterable[DesiredUser], written: frozenset[str]
) -> frozenset[str]:
    """Return the names of those whom the server lets in for the password they shall have.

    ``written`` are users who were given it a moment ago: some of them have to prove it, and stand for the rest.
    """
    logins = [Login(user.name, user.password) for user in users if user.password is not None and _could(cluster, user)]
    new = sorted(login.user for login in logins if login.user in written)
    trusted = frozenset(new) - frozenset(new[:: max(1, len(new) // _TRIED_OF_THE_NEW)])
    return trusted | _let_in(connect, endpoint, [login for login in logins if login.user not in trusted])


def _let_in(connect: Connect, endpoint: Endpoint, logins: Sequence[Login]) -> frozenset[str]:

    def is_right(login: Login) -> bool:
        return password_is_right(connect, endpoint, login)

    if not logins:
        return frozenset()
    with ThreadPoolExecutor(min(_LOGINS_AT_ONCE, len(logins))) as pool:
        answers = list(pool.map(is_right, logins))
    return frozenset(login.user for login, answer in zip(logins, answers, strict=True) if answer)


def _could(cluster: Cluster, user: DesiredUser) -> bool:
    role = cluster.roles.get(user.name)
    return user.opens and role is not None and role.can_login and not role.is_barred
