"""What MySQL stores in a password's place, computed here so that no password is ever in a statement (I6)."""

import hashlib
import hmac

NATIVE = "mysql_native_password"
SHA2 = "caching_sha2_password"
SALT_BYTES = 20

# The digest's rounds in thousands, as MySQL writes them; 5 is its default (caching_sha2_password_digest_rounds).
_ROUNDS = 5_000
_SHA2_PREFIX = "$A$005$"
_SHA2_DIGEST_AT = len(_SHA2_PREFIX) + SALT_BYTES
_SHA2_LENGTH = _SHA2_DIGEST_AT + 43
# How the digests of nobody's passwords begin: 80 bits and more, so that no password could be made to have such a one.
_NATIVE_NOBODY = "*" + "0" * 20
_SHA2_NOBODY = "." * 14
_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# The order in which SHA-crypt writes the digest's bytes, three to a group.
_GROUPS = tuple(((i * 21) % 30, (i * 21 + 10) % 30, (i * 21 + 20) % 30) for i in range(10))


def verifier(plugin: str, password: str, random: bytes) -> str:
    """Return what the server stores for a password under one of the two plugins; ``random`` is 20 random bytes."""
    if plugin == NATIVE:
        return native_verifier(password)
    return sha2_verifier(password, salt_of(random))


def native_verifier(password: str) -> str:
    """Return the double SHA-1 that mysql_native_password stores."""
    return "*" + hashlib.sha1(hashlib.sha1(password.encode()).digest()).hexdigest().upper()  # noqa: S324


def sha2_verifier(password: str, salt: str) -> str:
    """Return what caching_sha2_password stores: SHA-crypt with SHA-256 and a salt of 20 characters."""
    return f"{_SHA2_PREFIX}{salt}{_sha256_crypt(password.encode(), salt.encode())}"


def salt_of(random: bytes) -> str:
    """Return a salt of printable characters, as good as 20 random bytes can make it."""
    if len(random) != SALT_BYTES:
        raise ValueError(f"a salt of {SALT_BYTES} bytes")
    return "".join(_ALPHABET[byte % 64] for byte in random)


def nobodys_verifier(plugin: str, random: bytes) -> str:
    """Return a well-formed verifier of a random digest, whose password nobody has or could find; it is known again.

    ``random`` is 20 random bytes. A random password would do as well once, but a second run could not tell whose it is.
    """
    digest = hashlib.sha256(random).digest()
    if plugin == NATIVE:
        return _NATIVE_NOBODY + digest.hex().upper()[: 41 - len(_NATIVE_NOBODY)]
    return f"{_SHA2_PREFIX}{salt_of(random)}{_SHA2_NOBODY}{_encoded(digest)[len(_SHA2_NOBODY) :]}"


def is_nobodys(stored: str) -> bool:
    """Say whether what the server stores is from ``nobodys_verifier``, whatever the account's plugin."""
    if len(stored) == _SHA2_LENGTH:
        return stored.startswith(_SHA2_PREFIX) and stored.startswith(_SHA2_NOBODY, _SHA2_DIGEST_AT)
    return len(stored) == 41 and stored.startswith(_NATIVE_NOBODY)


def is_for(plugin: str, stored: str, password: str) -> bool:
    """Say whether what the server stores is for this password."""
    if plugin == NATIVE:
        return hmac.compare_digest(stored.upper(), native_verifier(password))
    if plugin == SHA2 and len(stored) == _SHA2_LENGTH and stored.startswith(_SHA2_PREFIX):
        salt = stored[len(_SHA2_PREFIX) : _SHA2_DIGEST_AT]
        return hmac.compare_digest(stored, sha2_verifier(password, salt))
    return False


def _sha256_crypt(password: bytes, salt: bytes) -> str:
    """Return the 43 characters of SHA-crypt (Drepper's specification, steps 1 to 22) after the salt."""
    length = len(password)
    alternate = hashlib.sha256(password + salt + password).digest()
    mixed = password + salt + _repeated(alternate, length)
    bits = length
    while bits:
        mixed += alternate if bits & 1 else password
        bits >>= 1
    digest = hashlib.sha256(mixed).digest()
    p_bytes = _repeated(hashlib.sha256(password * length).digest(), length)
    s_bytes = _repeated(hashlib.sha256(salt * (16 + digest[0])).digest(), len(salt))
    for number in range(_ROUNDS):
        parts = p_bytes if number % 2 else digest
        parts += s_bytes if number % 3 else b""
        parts += p_bytes if number % 7 else b""
        parts += digest if number % 2 else p_bytes
        digest = hashlib.sha256(parts).digest()
    return _encoded(digest)


def _repeated(block: bytes, length: int) -> bytes:
    return (block * (length // len(block) + 1))[:length]


def _encoded(digest: bytes) -> str:
    written = []
    for first, second, third in _GROUPS:
        group = digest[first] << 16 | digest[second] << 8 | digest[third]
        written.append("".join(_ALPHABET[group >> shift & 63] for shift in (0, 6, 12, 18)))
    last = digest[31] << 8 | digest[30]
    return "".join(written) + "".join(_ALPHABET[last >> shift & 63] for shift in (0, 6, 12))
