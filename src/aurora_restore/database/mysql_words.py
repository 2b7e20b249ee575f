"""Names and texts as MySQL writes them, in statements that take no parameters."""


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
    r"""Return the pattern, as mysql.db holds it, for this database alone: ``_`` and ``%`` are wildcards there."""
    return database.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")
