"""G2: labels survive a power cut, which is simulated with strace.

The system calls of the unmodified ``dgaal label`` are recorded and replayed up to a random call.
Synced data is kept, and a random part of the rest. This is a model of a disk, harsher than ext4,
not a real disk.
"""

import random
import shutil
import sys
from pathlib import Path

import pytest
from label_workspaces import DGAAL, make_workspace
from tracing import Call, needs_strace, record

from dgaal_cli.store.open import open_store

pytestmark = [pytest.mark.slow, needs_strace]

ANSWERS = 14
FILES = ("labels.db", "labels.db-journal", "labels.db-wal")

# The program with one change: it never waits for the disk.
UNSYNCED = """
import dgaal_cli.store.sqlite.connection as module
sound = module._set_pragmas
def unsound(connection, path):
    sound(connection, path)
    connection.execute("PRAGMA synchronous = OFF")
module._set_pragmas = unsound
from dgaal_cli.cli import main
main()
"""


def apply(files: dict[str, bytearray], call: Call) -> None:
    content = files.setdefault(call.file, bytearray())
    if call.name == "ftruncate":
        del content[call.number :]
        content.extend(bytes(call.number - len(content)))
        return
    if len(content) < call.number:
        content.extend(bytes(call.number - len(content)))
    content[call.number : call.number + len(call.data)] = call.data


def cut_power(before: Path, after: Path, calls: list[Call], rng: random.Random) -> int:
    """Write the files as a power cut leaves them; return how many answers were reported saved."""
    files = {
        name: bytearray((before / name).read_bytes()) for name in FILES if (before / name).is_file()
    }
    pending: list[Call] = []
    saved = 0
    for call in calls[: rng.randrange(len(calls) + 1)]:
        if call.name == "saved":
            saved += 1
        elif call.name in ("fsync", "fdatasync"):
            for earlier in [p for p in pending if p.file == call.file]:
                apply(files, earlier)
            pending = [p for p in pending if p.file != call.file]
        else:
            pending.append(call)
    kept = rng.choice([0.0, 0.5, 0.9])
    for call in pending:
        if rng.random() < kept:
            apply(files, call)
    shutil.rmtree(after, ignore_errors=True)
    after.mkdir()
    for name, content in files.items():
        (after / name).write_bytes(content)
    return saved


def simulate_power_cuts(
    tmp_path: Path, program: list[str], *, cuts: int, seed: int
) -> tuple[int, int]:
    """Return how many cuts lost an answer reported as saved, and how many damaged the store."""
    root = make_workspace(tmp_path / "w", [f"{n:02d}.png" for n in range(ANSWERS + 4)])
    before = tmp_path / "before"
    before.mkdir()
    for name in FILES:
        if (root / name).is_file():
            shutil.copyfile(root / name, before / name)
    command = [*program, "-C", str(root), "label", "--plain", "--annotator", "sam"]
    typed = "cat\nx\ns\nu\ndog\n" * 10
    lines = typed.splitlines()[:ANSWERS]
    calls = record(
        command, prefix="labels.db", log=tmp_path / "log", typed="\n".join(lines) + "\nq\n"
    )
    answers = sum(line != "u" for line in lines)
    assert sum(call.name == "saved" for call in calls) == answers
    rng = random.Random(seed)
    lost = damaged = 0
    for _ in range(cuts):
        saved = cut_power(before, tmp_path / "after", calls, rng)
        try:
            with open_store(tmp_path / "after" / "labels.db") as store:
                answered = sum(event.kind != "undo" for event in store.events())
                damaged += store.check() != []
        except Exception:  # noqa: BLE001 - a store that does not open is damaged
            damaged += 1
        else:
            lost += answered < saved
    sys.stdout.write(f"{cuts} power cuts, {len(calls)} calls: {lost} lost, {damaged} damaged\n")
    return lost, damaged


@pytest.mark.parametrize("cuts", [80, pytest.param(400, marks=pytest.mark.deep)])
def test_power_cut_loses_no_answer_reported_as_saved(tmp_path: Path, seed: int, cuts: int):
    assert simulate_power_cuts(tmp_path, DGAAL, cuts=cuts, seed=seed) == (0, 0)


def test_control_missing_syncs_are_caught(tmp_path: Path, seed: int):
    lost, damaged = simulate_power_cuts(
        tmp_path, [sys.executable, "-c", UNSYNCED], cuts=40, seed=seed
    )
    assert lost + damaged > 10
