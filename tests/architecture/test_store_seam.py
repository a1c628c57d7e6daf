"""SQL and SQLite's files are known to ``store/sqlite`` alone."""

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "dgaal_cli"
SQLITE = PACKAGE / "store" / "sqlite"
MARKS = re.compile(
    r"\bsqlite3\b|\bPRAGMA\b|\blastrowid\b|-wal\b|-journal\b|-shm\b"
    r"|\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE|ALTER TABLE)\s+[\w*(]+\s"
    r"|dgaal_cli\.store\.sqlite\b"
)
KNOWN = {"store/open.py": "dgaal_cli.store.sqlite"}
"""Where the registry of kinds names the module."""


def marks(text: str) -> set[str]:
    return {match[0] for match in MARKS.finditer(text)}


def test_sqlite_stays_in_its_folder():
    found = {
        str(path.relative_to(PACKAGE)): marks(path.read_text())
        for path in PACKAGE.rglob("*.py")
        if not path.is_relative_to(SQLITE)
    }
    found = {name: words - {KNOWN.get(name)} for name, words in found.items()}
    assert {name: words for name, words in found.items() if words} == {}


def test_the_search_sees_what_it_looks_for():
    """Negative control: each file of SQLite that holds SQL is found."""
    holding = [path for path in SQLITE.glob("*.py") if "connection.execute" in path.read_text()]
    assert len(holding) > 5
    assert all(marks(path.read_text()) for path in holding)
    assert marks("path + '-wal'") == {"-wal"}
    assert marks("update the selected images") == set()
