"""docs/leftovers.md says of each leftover what the code does about it."""

import re

from aurora_restore.database_request import Leftover
from tests.tidy.repository import PACKAGE, ROOT, table_rows

_PAGE = ROOT / "docs" / "leftovers.md"
_MODULES = {
    "PostgreSQL": PACKAGE / "database" / "postgresql_leftovers.py",
    "MySQL": PACKAGE / "database" / "mysql_plan.py",
}


def test_every_leftover_is_described_with_what_is_done_about_it() -> None:
    """Each has a row, under the word by which it is kept, and none besides; each statement shown is in its engine."""
    rows = {row[0].strip("`"): row for row in table_rows(_PAGE)}
    assert rows.keys() == {leftover.value for leftover in Leftover}
    for leftover, (_, engine, _, _, statements) in rows.items():
        code = _MODULES[engine].read_text(encoding="utf-8")
        shown = re.findall(r"`([^`]+)`", statements)
        assert shown
        for statement in shown:
            # What stands for a name there is a placeholder here.
            words = re.escape(statement).replace("…", r"\{\w*\}")
            assert re.search(words, code), f"{leftover}: {statement} is not what {engine} does"
