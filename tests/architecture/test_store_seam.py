"""Only ``store/sqlite`` contains SQL and names of SQLite's files."""

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "dgaal_cli"
SQLITE = PACKAGE / "store" / "sqlite"
SQLITE_MARKS = re.compile(
    r"\bsqlite3\b|\bPRAGMA\b|\blastrowid\b|-wal\b|-journal\b|-shm\b"
    r"|\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE|ALTER TABLE)\s+[\w*(]+\s"
    r"|dgaal_cli\.store\.sqlite\b"
)
ALLOWED = {"store/open.py": "dgaal_cli.store.sqlite"}
"""The registry of kinds names the module."""


def marks(text: str) -> set[str]:
    return {match[0] for match in SQLITE_MARKS.finditer(text)}


def test_only_store_sqlite_uses_sqlite():
    found = {
        str(path.relative_to(PACKAGE)): marks(path.read_text())
        for path in PACKAGE.rglob("*.py")
        if not path.is_relative_to(SQLITE)
    }
    found = {name: found_marks - {ALLOWED.get(name)} for name, found_marks in found.items()}
    assert {name: found_marks for name, found_marks in found.items() if found_marks} == {}


def test_control_sql_is_found():
    """Negative control: each file of ``store/sqlite`` with SQL is found."""
    sql_files = [path for path in SQLITE.glob("*.py") if "connection.execute" in path.read_text()]
    assert len(sql_files) > 5
    assert all(marks(path.read_text()) for path in sql_files)
    assert marks("path + '-wal'") == {"-wal"}
    assert marks("update the selected images") == set()
