"""Names and texts as MySQL writes them, in statements that take no parameters."""

import re

# The characters that mysql.db holds of a pattern. What is longer is cut off without a word, and is another one then.
LONGEST_PATTERN = 64
_WILDCARDS = {"%": ".*", "_": "."}
_IN_A_PATTERN = re.compile(r"\\(?P<escaped>.)|(?P<plain>.)", re.DOTALL)
_QUOTED = r"""`(?:[^`]|``)*`|'(?:[^']|'')*'|"(?:[^"]|"")*"|[^\s,@`'"]+"""
_ACCOUNT = re.compile(rf"({_QUOTED})(?:@({_QUOTED}))?")


def identifier(name: str) -> str:
    """Return a name in backticks, whatever it contains; ValueError for what no name can hold."""
    if "\0" in name:
        raise ValueError("a name without NUL")
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """Return a text in quotes, for a session with NO_BACKSLASH_ESCAPES, as ours are, or without a backslash in it."""
    if "\0" in text:
        raise ValueError("a text without NUL")
    return "'" + text.replace("'", "''") + "'"


def account(user: str, host: str) -> str:
    """Return an account's name. In backticks: what is in them holds no escapes, whatever the session's mode."""
    return f"{identifier(user)}@{identifier(host)}"


def pattern_of(database: str) -> str:
    r"""Return the pattern, as mysql.db holds it, for this database: ``_`` and ``%`` are wildcards there.

    It is for this one alone, unless the name with its escapes is too long: then ``_`` stands, unescaped, for each of
    the last characters that would need one, and the pattern for all names that are the same but for these.
    """
    escapes_left = LONGEST_PATTERN - len(database)
    written = []
    for character in database:
        if character not in "_%\\":
            written.append(character)
        elif escapes_left > 0:
            escapes_left -= 1
            written.append(f"\\{character}")
        else:
            written.append("_")
    return "".join(written)


def matches(pattern: str, database: str) -> bool:
    """Say whether a pattern of mysql.db stands for this database too."""
    found = _IN_A_PATTERN.finditer(pattern)
    parts = (re.escape(part["escaped"]) if part["escaped"] else _any(part["plain"]) for part in found)
    return re.fullmatch("".join(parts), database, re.DOTALL) is not None


def accounts_in(listed: str) -> frozenset[tuple[str, str]]:
    """Return name and host of each account in a list as MySQL's variables hold one: quoted or not, % without a host."""
    return frozenset((_unquoted(user), _unquoted(host) or "%") for user, host in _ACCOUNT.findall(listed))


def _any(character: str) -> str:
    return _WILDCARDS.get(character) or re.escape(character)


def _unquoted(name: str) -> str:
    quote = name[:1]
    return name[1:-1].replace(quote * 2, quote) if quote and quote in "`'\"" else name
