"""The schema is valid in PostgreSQL after six textual substitutions."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dgaal_cli.store.sqlite import schema

SUBSTITUTIONS = (
    (r"INTEGER PRIMARY KEY AUTOINCREMENT", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
    (r"\bINTEGER\b", "BIGINT"),
    (r"\bBLOB\b", "BYTEA"),
    (r"\bREAL\b", "DOUBLE PRECISION"),
    (r"\bifnull\(", "coalesce("),
    (r"\) STRICT$", ")"),
)
APPEND_ONLY = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'append-only'; END $$;
CREATE TRIGGER event_no_change BEFORE UPDATE OR DELETE ON event
    FOR EACH ROW EXECUTE FUNCTION refuse();
"""
ROWS = """
INSERT INTO class VALUES ('c', 'cat', '1', 0, NULL);
INSERT INTO item(item_id, sha256, sample, bytes, w, h) VALUES (1, '\\x00', '\\xff', 1, 8, 8);
INSERT INTO query(round, strategy, opened_us) VALUES (0, 'random', 0);
INSERT INTO label VALUES (1, '\\x63', 1);
INSERT INTO label_class VALUES (1, 'c');
INSERT INTO event(op_id, kind, says, item_id, annotator, label_id, note, item_sha, body_sha,
    counted, provenance, at_us, app, session)
    VALUES ('o', 'label', 'label', 1, 'ann', 1, '', '\\x00', '\\x00', 1, 'human', 0, '', '');
"""
EVENT = ROWS[ROWS.rindex("INSERT") :]
REFUSED = {
    "INSERT INTO query(round, strategy, opened_us) VALUES (1, 'x', 0);": "duplicate key",
    "UPDATE item SET state = 'lost';": "check constraint",
    EVENT.replace("'o'", "'p'").replace("'ann', 1", "'ann', NULL"): "check constraint",
    EVENT: "duplicate key",
    "UPDATE event SET note = 'x';": "append-only",
    "DELETE FROM event;": "append-only",
    "INSERT INTO lease VALUES ('t', 9, 'ann', 's', 1, 1.0, 'boot');": "foreign key",
}


def translated() -> list[str]:
    statements: list[str] = []
    for statement in (s for migration in schema.MIGRATIONS for s in migration):
        if not statement.startswith(
            ("CREATE TABLE", "CREATE UNIQUE", "CREATE INDEX", "ALTER", "DROP")
        ):
            continue  # triggers differ, and a new store has no rows to move
        for pattern, replacement in SUBSTITUTIONS:
            statement = re.sub(pattern, replacement, statement)  # noqa: PLW2901
        statements.append(statement)
    return statements


def test_columns_have_types_known_to_both_databases():
    types = "BIGINT GENERATED ALWAYS AS IDENTITY|BIGINT|TEXT|BYTEA|DOUBLE PRECISION"
    for statement in translated():
        if not statement.startswith("CREATE TABLE"):
            continue
        body = re.sub(r"\([^()]*\)", "()", statement[statement.index("(") + 1 : -1])
        for column in (part.strip() for part in re.sub(r"\([^()]*\)", "()", body).split(",")):
            assert re.match(rf"(CHECK|PRIMARY KEY|UNIQUE|\w+ ({types})\b)", column), column


def test_translated_schema_contains_no_sqlite_keyword():
    text = " ".join(translated()).lower()
    for word in ("autoincrement", "strict", "without rowid", "ifnull", "blob", "pragma", "glob(",
                 "collate", "rowid", "json_", "virtual", "conflict"):  # fmt: skip
        assert word not in text, word


def program(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else None)


@pytest.fixture
def postgres() -> Iterator[list[str]]:
    """Start a PostgreSQL server on a socket in a temporary folder; return the psql command."""
    initdb, control, psql = (program(name) for name in ("initdb", "pg_ctl", "psql"))
    if initdb is None or control is None or psql is None:
        pytest.skip("needs PostgreSQL's programs")
    as_nobody = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        if not shutil.which("setpriv"):
            pytest.skip("needs setpriv to leave root")
        as_nobody = ["setpriv", "--reuid=nobody", "--clear-groups", "--regid=nogroup"]
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o777)

        def call(*command: str) -> None:
            subprocess.run(
                [*as_nobody, *command],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "HOME": folder},
            )

        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        call(initdb, "-D", f"{folder}/d", "-A", "trust", "-U", "u", "--no-sync")
        call(control, "-D", f"{folder}/d", "-o", options, "-l", f"{folder}/log", "-w", "start")
        try:
            yield [psql, "-h", folder, "-U", "u", "-v", "ON_ERROR_STOP=1", "-q", "postgres"]
        finally:
            call(control, "-D", f"{folder}/d", "-m", "immediate", "-w", "stop")


def run_sql(postgres: list[str], text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(postgres, input=text, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_postgresql_accepts_the_schema_and_refuses_the_same_statements(postgres: list[str]):
    made = run_sql(postgres, ";\n".join([*translated(), APPEND_ONLY + ROWS]))
    assert made.returncode == 0, made.stderr
    for statement, message in REFUSED.items():
        assert message in run_sql(postgres, statement).stderr, statement
    assert (
        run_sql(postgres, "SELECT note FROM event WHERE event_id = 1;").stdout.count("1 row") == 1
    )
