"""Sessions in which scripts run and checks ask, on real servers: once, all or nothing, and without telling data."""

from aurora_restore.database.postgresql import PostgreSQL
from aurora_restore.database.scripts import Mark
from tests.database.conftest import Database

WHOLE = Mark("nightly", 0, 2)


def run(database: Database, text: str, mark: Mark = WHOLE, timeout_s: float = 30) -> None:
    """Run a script as the master in ``shop``."""
    engine = PostgreSQL()
    script = engine.read_script(text)
    assert not script.mistakes
    with engine.session(database.endpoint, database.master, "shop") as session:
        session.run(script.statements, mark, lambda: timeout_s)


def test_a_script_is_run_once(restored: Database) -> None:
    """Called again with the same mark, it does nothing; another operation's mark is another."""
    text = "CREATE TABLE public.runs (at timestamptz DEFAULT now()); INSERT INTO public.runs DEFAULT VALUES"
    run(restored, text)
    run(restored, text)
    assert restored.query(restored.master, "SELECT count(*) FROM public.runs") == [(1,)]
    run(restored, "INSERT INTO public.runs DEFAULT VALUES", Mark("tomorrow", 0, 1))
    assert restored.query(restored.master, "SELECT count(*) FROM public.runs") == [(2,)]
    with PostgreSQL().session(restored.endpoint, restored.master, "shop") as session:
        assert session.marks("nightly") == {0: 2}
        session.forget()
        assert session.marks("nightly") == {}
    assert restored.query(restored.master, "SELECT to_regnamespace('aurora_restore')") == [(None,)]
