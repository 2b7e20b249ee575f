"""A MySQL script taken apart into statements as the mysql client does, and what in it cannot be run, with its line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from aurora_restore.database.scripts import ALONE, DIRECTIVE, MOST_WORDS, Script, Statement

# Two hyphens begin a comment only before a space; /*! is no comment but SQL for MySQL; strings have escapes.
_TOKEN = re.compile(
    r"""
      (?P<space>   \s+ | --(?=\s|\Z)[^\n]* | \#[^\n]* | /\*(?!!).*?\*/ )
    | (?P<string>  '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`]|``)*` )
    | (?P<own>     /\*!.*?\*/ )
    | (?P<word>    [A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]* )
    | (?P<number>  \d[A-Za-z0-9_.]* )
    | (?P<meta>    \\[^\n]* )
    | (?P<other>   . )
    """,
    re.VERBOSE | re.DOTALL,
)
_WORDS = re.compile(r"[^\W\d][\w$]*")
_DELIMITER = re.compile(r"DELIMITER[^\S\n]+(\S+)[^\n]*", re.IGNORECASE)
_CONTROL = re.compile(r"(BEGIN|START TRANSACTION|COMMIT|XA|LOCK TABLES?|UNLOCK TABLES?)\b|ROLLBACK(?! (WORK )?TO)\b")
_AUTOCOMMIT = re.compile(r"SET\b.*\bAUTOCOMMIT\b")
_BY_CLIENT = re.compile(r"(SOURCE|SYSTEM|TEE|PAGER|DELIMITER)\b|LOAD (DATA|XML) .*\bLOCAL\b")
_SETS = re.compile(r"USE\b|SET\b(?! (GLOBAL|PERSIST|PERSIST_ONLY|PASSWORD|DEFAULT)\b)")
# What ends no transaction. CALL may: a procedure commits as it likes.
_ENDS_NONE = re.compile(
    r"(SELECT|INSERT|UPDATE|DELETE|REPLACE|LOAD (DATA|XML)|WITH|VALUES|TABLE|DO|(RELEASE )?SAVEPOINT|ROLLBACK"
    r"|(CREATE|DROP) TEMPORARY TABLE|SHOW|EXPLAIN|DESC|DESCRIBE)\b"
)


def read_script(text: str) -> Script:
    """Return the statements in a file for the mysql client, less the client's own commands, which are mistakes.

    It runs as a whole if no statement in it ends a transaction, as all DDL does.
    """
    reader = _Reader(text.lstrip("\ufeff").replace("\r\n", "\n"))
    found = list(reader.statements())
    first = reader.text.partition("\n")[0].strip()
    if first.startswith(DIRECTIVE) and first != ALONE:
        reader.mistakes.append((1, f"this word to the pipeline is not known; the only one is: {ALONE}"))
    if not found and not reader.mistakes:
        reader.mistakes.append((1, "there is no statement in it"))
    mistakes = tuple(f"line {line}: {what}" for line, what in sorted(reader.mistakes))
    whole = first != ALONE and not any(each.commits for each in found)
    return Script(tuple(found), as_a_whole=whole, mistakes=mistakes)


def _judge(head: str) -> Iterator[str]:
    """Yield what is wrong with a statement, by its first words."""
    if _CONTROL.match(head) or _AUTOCOMMIT.match(head):
        yield f"{head.partition(' ')[0]} begins or ends a transaction, which the pipeline does itself: leave it out"
    if _BY_CLIENT.match(head):
        yield f"{head.partition(' ')[0]} with this needs the mysql client"


@dataclass
class _Reader:
    text: str
    at: int = 0
    delimiter: str = ";"
    mistakes: list[tuple[int, str]] = field(default_factory=list)

    def statements(self) -> Iterator[Statement]:
        """Yield every statement; comments around them belong to none."""
        begin: int | None = None
        words: list[str] = []
        while self.at < len(self.text):
            start = self.at
            if self.text.startswith(self.delimiter, start):
                self.at += len(self.delimiter)
                if begin is not None:
                    yield self._found(begin, start, words)
                begin, words = None, []
            elif begin is None and self._is_delimiter_command():
                continue
            else:
                kind = self._next()
                if kind not in {"space", "meta"}:
                    begin = start if begin is None else begin
                if kind in {"word", "own"} and len(words) < MOST_WORDS:
                    # In a comment with an exclamation mark the words come after the version.
                    words += _WORDS.findall(self.text[start : self.at].upper())
        if begin is not None:
            yield self._found(begin, len(self.text), words)

    def _is_delimiter_command(self) -> bool:
        command = _DELIMITER.match(self.text, self.at)
        if command is None:
            return False
        self.delimiter, self.at = command[1], command.end()
        return True

    def _next(self) -> str:
        """Move behind the next token; return its kind."""
        start = self.at
        token = _TOKEN.match(self.text, start)
        # The last alternative takes any character.
        kind, shown = (str(token.lastgroup), token[0]) if token else ("other", "")
        self.at = start + len(shown)
        if kind == "word" and self.delimiter in shown:
            # A name may hold dollars, and END$$ ends a statement all the same.
            self.at = start + shown.index(self.delimiter)
        elif kind == "meta":
            self._complain(start, f"{shown.partition(' ')[0]} is a command of the mysql client and no SQL")
        elif kind == "other" and (shown in "'\"`" or self.text.startswith("/*", start)):
            # Only what has no end is no string, no quoted name and no comment.
            self._complain(start, "what is opened here is never closed")
            self.at = len(self.text)
        return kind

    def _complain(self, start: int, what: str) -> None:
        self.mistakes.append((self._line(start), what))

    def _line(self, position: int) -> int:
        return self.text.count("\n", 0, position) + 1

    def _found(self, begin: int, end: int, words: list[str]) -> Statement:
        head = " ".join(words)
        self.mistakes.extend((self._line(begin), what) for what in _judge(head))
        only_sets = bool(_SETS.match(head))
        return Statement(
            text=self.text[begin:end].rstrip(),
            line=self._line(begin),
            only_sets=only_sets,
            commits=not only_sets and not _ENDS_NONE.match(head),
        )
