"""What a request asks for that its engine has no like of: no field is accepted and then does nothing."""

import pytest

from aurora_restore.database.unsupported import unsupported
from aurora_restore.request import RestoreRequest

AREA = {
    "source": {"cluster": "orders-prod", "region": "us-east-1"},
    "target": {"cluster": "orders-staging", "region": "us-west-2"},
}


@pytest.mark.parametrize(
    ("grant", "said"),
    [
        ({"table": "orders", "database": "shop", "privileges": ["SELECT"]}, "table needs schema"),
        ({"table": "orders", "schema": "sales", "privileges": ["EXECUTE"]}, "EXECUTE is a privilege on a function"),
        ({"table": "orders", "schema": "sales", "privileges": ["SELECT", "CREATE"]}, "CREATE is a privilege on a sch"),
        ({"table": "orders", "schema": "sales", "privileges": ["CONNECT", "USAGE", "SELECT"]}, None),
        ({"schema": "sales", "privileges": ["EXECUTE", "CREATE"]}, None),
    ],
)
def test_on_postgresql_a_table_s_grant_names_what_a_table_has(grant: dict[str, object], said: str | None) -> None:
    """It would be accepted, and the user could do nothing with it."""
    users = [{"name": "app", "secret": "s", "grants": [grant]}]
    request = RestoreRequest.parse({"name": "nightly", **AREA, "users": users})
    found = list(unsupported(request, "aurora-postgresql"))
    assert len(found) == (said is not None)
    assert all(f"the user app: grants[0]: {said}" in sentence for sentence in found)


@pytest.mark.parametrize("name", ["app ", "app\N{GRINNING FACE}", "a" * 33])
def test_a_name_that_mysql_would_keep_as_another_is_refused(name: str) -> None:
    """It cuts off spaces at the end, and has no characters of four bytes in names: who is made would not be found."""
    request = RestoreRequest.parse({"name": "nightly", **AREA, "users": [{"name": name, "secret": "s"}]})
    (said,) = unsupported(request, "aurora-mysql")
    assert "a name in MySQL" in said
    assert not list(unsupported(request, "aurora-postgresql"))


def test_a_name_of_rds_s_own_is_refused_where_it_is_one() -> None:
    """Step 7 would set up nobody because of it, hours later."""
    request = RestoreRequest.parse({"name": "nightly", **AREA, "users": [{"name": "rdsproxyadmin", "secret": "s"}]})
    (said,) = unsupported(request, "aurora-mysql")
    assert "belongs to RDS or MySQL" in said
    assert not list(unsupported(request, "aurora-postgresql"))


@pytest.mark.parametrize("name", ["public", "none"])
def test_a_name_that_postgresql_keeps_for_itself_is_refused(name: str) -> None:
    """Before anything is done, and not when all users are to be made; in capitals it is a name like any other."""
    for written, count in ((name, 1), (name.upper(), 0)):
        request = RestoreRequest.parse({"name": "nightly", **AREA, "users": [{"name": written, "secret": "s"}]})
        found = list(unsupported(request, "aurora-postgresql"))
        assert len(found) == count
        assert all("PostgreSQL keeps this word for itself" in said for said in found)
