"""Strong passwords, and the SCRAM verifiers that the database gets in their place (I6)."""

import base64
import hashlib
import hmac
import stringprep
import unicodedata
from random import Random

# The characters that need no escaping in a URL, a shell, JSON or a connection string. 66 ** 32 > 2 ** 193.
_PUNCTUATION = "-._~"
_CLASSES = ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", _PUNCTUATION)
_LENGTH = 32
# PostgreSQL's default (scram_iterations). The password is random: more rounds would only slow each connection down.
_ITERATIONS = 4096
_SALT_BYTES = 16

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def strong_password(random: Random) -> str:
    """Return 32 letters, digits and URL-safe punctuation, at least one of each class.

    ``random`` must be a ``SystemRandom`` outside tests.
    """
    while True:
        password = "".join(random.choice("".join(_CLASSES)) for _ in range(_LENGTH))
        if all(set(password) & set(characters) for characters in _CLASSES):
            return password


def scram_verifier(password: str, salt: bytes) -> str:
    """Return what PostgreSQL stores for ``password`` under SCRAM-SHA-256 (RFC 5803); ``salt`` is 16 random bytes."""
    if len(salt) != _SALT_BYTES:
        raise ValueError(f"a salt of {_SALT_BYTES} bytes")
    salted = hashlib.pbkdf2_hmac("sha256", _saslprep(password).encode(), salt, _ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${_ITERATIONS}:{_base64(salt)}${_base64(stored_key)}:{_base64(server_key)}"


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _saslprep(password: str) -> str:
    """Normalise as RFC 4013 says; what it prohibits is taken as it is, because libpq and the server do so too."""
    if password.isascii():
        return password
    # Spaces first: U+200B stands in both tables, and the server takes it for a space.
    spaced = (" " if stringprep.in_table_c12(character) else character for character in password)
    mapped = "".join(character for character in spaced if not stringprep.in_table_b1(character))
    prepared = unicodedata.normalize("NFKC", mapped)
    if not prepared or any(forbids(character) for character in prepared for forbids in _PROHIBITED):
        return password
    right_to_left = [stringprep.in_table_d1(character) for character in prepared]
    if any(right_to_left):
        mixed = any(stringprep.in_table_d2(character) for character in prepared)
        if mixed or not (right_to_left[0] and right_to_left[-1]):
            return password
    return prepared
