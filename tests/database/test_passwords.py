"""Passwords and verifiers, and the values of the engine that hold them."""

import base64
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_restore.database.engine import DesiredUser, Login, engine_for
from aurora_restore.database.mysql import MySQL
from aurora_restore.database.passwords import scram_verifier, strong_password
from aurora_restore.database.postgresql import PostgreSQL
from aurora_restore.errors import ConfigurationError
from tests.database.conftest import Database, login, user


@given(st.integers())
@settings(max_examples=50)
def test_a_strong_password_needs_no_escaping_anywhere(seed: int) -> None:
    """32 characters of four classes, none of which a URL, a shell, JSON or SQL would take for something else."""
    password = strong_password(Random(seed))  # noqa: S311
    assert len(password) == 32
    assert any(character in "-._~" for character in password)
    assert all(character.isascii() and (character.isalnum() or character in "-._~") for character in password)


def test_two_passwords_differ() -> None:
    """The randomness is the caller's."""
    random = Random(1)  # noqa: S311
    assert strong_password(random) != strong_password(random)


def test_a_verifier_is_what_the_standard_says() -> None:
    """The example of RFC 7677: user "user", password "pencil", its salt and 4096 rounds."""
    verifier = scram_verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    assert verifier.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    assert verifier.endswith(
        "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


def test_a_salt_has_its_length() -> None:
    """A short salt is a mistake of ours, not a weak verifier."""
    with pytest.raises(ValueError, match="16 bytes"):
        scram_verifier("testing", b"short")


def test_the_server_takes_our_verifiers_for_any_password(restored: Database) -> None:
    """SASLprep included: spaces, soft hyphens, compatibility forms, right-to-left text, and what it prohibits."""
    passwords = [
        "testing",
        "té\u00adsting",
        "a\u00a0b",
        "ﬁne Ⅸ",
        "\u0627\u0628",
        "\u06271",
        "a\u200b",
        "x\u0007é",
        "\ue000",
    ]
    users = [user(f"user {number}", password=password) for number, password in enumerate(passwords)]
    restored.apply(*users)
    for one, password in zip(users, passwords, strict=True):
        assert PostgreSQL().can_log_in(restored.endpoint, login(one.name, password), "shop"), repr(password)
    assert restored.apply(*users) == []


def test_no_repr_shows_a_password() -> None:
    """I6: values end up in logs and tracebacks."""
    assert "testing" not in repr((user("a", password="testing"), Login("a", "testing")))


def test_a_user_has_exactly_one_way_in() -> None:
    """A password or IAM."""
    for password, iam in ((None, False), ("testing", True)):
        with pytest.raises(ConfigurationError, match="either a password or IAM"):
            DesiredUser("a", password, iam=iam)


def test_an_engine_that_is_not_supported_is_named_with_those_that_are() -> None:
    """Neptune and DocumentDB have snapshots of clusters too."""
    assert isinstance(engine_for("aurora-postgresql"), PostgreSQL)
    assert isinstance(engine_for("aurora-mysql"), MySQL)
    with pytest.raises(ConfigurationError, match=r"neptune.*Supported are aurora-postgresql and aurora-mysql"):
        engine_for("neptune")
