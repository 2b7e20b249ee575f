"""A PostgreSQL script taken apart into statements as psql does, and what in it cannot be run, with its line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from aurora_restore.database.scripts import ALONE, DIRECTIVE, MOST_WORDS, Script, Statement

# What PostgreSQL's own scanner knows (scan.l), as far as it decides where a statement ends. A string with escapes goes
# on in the next line's quotes, with escapes too. A name may hold a dollar: $ opens a quote only where no name goes on.
_TOKEN = re.compile(
    r"""
      (?P<space>    \s+ | --[^\n\r]* )
    | (?P<comment>  /\* )
    | (?P<string>   [eE]'(?:[^'\\]|\\.|'')*' (?: [^\S\n\r]*[\n\r]\s*'(?:[^'\\]|\\.|'')*' )*
                  | (?: [bBxXnN] | [uU]& )? '(?:[^']|'')*' )
    | (?P<quoted>   (?:[uU]&)? "(?:[^"]|"")*" )
    | (?P<dollar>   \$(?P<tag>(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?)\$ )
    | (?P<word>     [A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]* )
    | (?P<number>   \d[A-Za-z0-9_.]* )
    | (?P<meta>     \\[^\n]* )
    | (?P<open>     [\[(] ) | (?P<close> [\])] )
    | (?P<end>      ; )
    | (?P<other>    . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_FUNCTION = re.compile(r"CREATE (OR REPLACE )?(FUNCTION|PROCEDURE)\b")
_CONTROL = re.compile(
    r"(BEGIN|START TRANSACTION|COMMIT|END|ABORT|PREPARE TRANSACTION)\b|ROLLBACK(?! (WORK |TRANSACTION )?TO)\b"
)
_ALONE_ONLY = re.compile(
    r"VACUUM\b|ALTER SYSTEM\b|(CREATE|DROP) (DATABASE|TABLESPACE)\b|REINDEX (DATABASE|SYSTEM)\b"
    r"|(CREATE (UNIQUE )?|DROP |RE)INDEX\b.*\bCONCURRENTLY\b|ALTER TABLE\b.*\bDETACH PARTITION\b.*\bCONCURRENTLY\b"
)
_BY_CLIENT = re.compile(r"COPY\b.*\b(FROM STDIN|TO STDOUT)\b")
_SETS = re.compile(r"(SET|RESET)\b(?! (LOCAL|CONSTRAINTS|TRANSACTION)\b)")
_OTHER_ROLE = re.compile(r"SET (SESSION )?(ROLE|AUTHORIZATION)\b")


def read_script(text: str) -> Script:
    """Return the statements in a file for psql, less psql's own commands, which are mistakes."""
    reader = _Reader(text.lstrip("\ufeff").replace("\r\n", "\n"))
    found = list(reader.statements())
    first = reader.text.partition("\n")[0].strip()
    alone = first == ALONE
    if first.startswith(DIRECTIVE) and not alone:
        reader.mistakes.append((1, f"this word to the pipeline is not known; the only one is: {ALONE}"))
    if not found and not reader.mistakes:
        reader.mistakes.append((1, "there is no statement in it"))
    for each in found:
        reader.mistakes.extend((each.statement.line, what) for what in _judge(each.head, alone=alone))
    mistakes = tuple(f"line {line}: {what}" for line, what in sorted(reader.mistakes))
    return Script(tuple(each.statement for each in found), as_a_whole=not alone, mistakes=mistakes)


def _judge(head: str, *, alone: bool) -> Iterator[str]:
    """Yield what is wrong with a statement, by its first words."""
    if _CONTROL.match(head):
        yield f"{head.partition(' ')[0]} begins or ends a transaction, which the pipeline does itself: leave it out"
    if _BY_CLIENT.match(head):
        yield "COPY from STDIN or to STDOUT needs psql: write INSERT statements"
    if not alone and _ALONE_ONLY.match(head):
        yield f"this statement cannot run in a transaction: say so in the file's first line: {ALONE}"
    if alone and _OTHER_ROLE.match(head):
        yield "a file without a transaction cannot go on as another role: put this into a file of its own"


@dataclass(frozen=True, slots=True)
class _Found:
    statement: Statement
    head: str


@dataclass
class _Reader:
    text: str
    at: int = 0
    mistakes: list[tuple[int, str]] = field(default_factory=list)

    def statements(self) -> Iterator[_Found]:
        """Yield every statement; comments around them belong to none."""
        begin: int | None = None
        words: list[str] = []
        depth = _Depth()
        while self.at < len(self.text):
            kind, start = self._next()
            if kind == "end" and depth.is_outside:
                if begin is not None:
                    yield self._found(begin, start, words)
                begin, words, depth = None, [], _Depth()
                continue
            if kind in {"space", "comment", "meta"}:
                continue
            begin = start if begin is None else begin
            word = self.text[start : self.at].upper() if kind == "word" else ""
            if word and len(words) < MOST_WORDS:
                words.append(word)
            depth.after(kind, word, words)
        if begin is not None:
            yield self._found(begin, len(self.text), words)

    def _next(self) -> tuple[str, int]:
        """Move behind the next token; return its kind and where it begins."""
        start = self.at
        token = _TOKEN.match(self.text, start)
        # The last alternative takes any character.
        kind, shown = (str(token.lastgroup), token[0]) if token else ("other", "")
        self.at = start + len(shown)
        if kind == "comment":
            self._skip_comment(start)
        elif kind == "dollar":
            self._skip_to(shown, start)
        elif kind == "meta":
            self._complain(start, f"{shown.split()[0]} is a command of psql and no SQL")
        elif kind == "other" and self.text[start] in "'\"":
            # Only a quote that has no end is no string and no quoted name.
            self._unfinished(start)
        return kind, start

    def _skip_comment(self, start: int) -> None:
        level = 1
        while level:
            edge = _COMMENT_EDGE.search(self.text, self.at)
            if edge is None:
                self._unfinished(start)
                return
            self.at = edge.end()
            level += 1 if edge[0] == "/*" else -1

    def _skip_to(self, closing: str, start: int) -> None:
        end = self.text.find(closing, self.at)
        if end < 0:
            self._unfinished(start)
        else:
            self.at = end + len(closing)

    def _unfinished(self, start: int) -> None:
        self._complain(start, "what is opened here is never closed")
        self.at = len(self.text)

    def _complain(self, start: int, what: str) -> None:
        self.mistakes.append((self._line(start), what))

    def _line(self, position: int) -> int:
        return self.text.count("\n", 0, position) + 1

    def _found(self, begin: int, end: int, words: list[str]) -> _Found:
        head = " ".join(words)
        statement = Statement(self.text[begin:end].rstrip(), self._line(begin), only_sets=bool(_SETS.match(head)))
        return _Found(statement, head)


@dataclass
class _Depth:
    """How deep in brackets, or in the body of a function of standard SQL (BEGIN ATOMIC … END), a statement is."""

    brackets: int = 0
    blocks: int = 0

    @property
    def is_outside(self) -> bool:
        return self.brackets <= 0 and self.blocks <= 0

    def after(self, kind: str, word: str, words: list[str]) -> None:
        """Take the token that comes next; ``words`` are the statement's first."""
        if kind == "open":
            self.brackets += 1
        elif kind == "close":
            self.brackets -= 1
        elif word in {"BEGIN", "CASE", "END"} and self.brackets <= 0 and _FUNCTION.match(" ".join(words[:4])):
            # In brackets BEGIN is an argument's name; and what is a block's is closed again where they are.
            self._block(word)

    def _block(self, word: str) -> None:
        if word == "BEGIN" or (word == "CASE" and self.blocks):
            self.blocks += 1
        elif word == "END" and self.blocks:
            self.blocks -= 1
