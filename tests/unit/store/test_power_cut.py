r"""What is left of the store after a power cut or a failing disk, by way of strace.

Cut: the system calls of an unmodified labeling process are recorded, then replayed up to a random
call; what was synced is kept, of the rest a random part. It is a model of a disk, no real one.
Failure: strace lets the Nth write or sync of the store fail, for every N.
"""

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dgaal_cli.ids import ItemId
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.store.records import Query, QueryEntry

CHILD = """
import os, sys
from pathlib import Path
from dgaal_cli.errors import DgaalError
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.store.records import Answer

with LabelStore.open(Path(sys.argv[1])) as store:
    store._database.connection.execute(f"PRAGMA synchronous = {sys.argv[2]}")
    uid = store.classes()[0].uid
    for number in range(int(sys.argv[3])):
        answer = Answer(op_id=f"op{number}", kind="label", item_id=number + 1, class_uid=uid)
        try:
            store.submit(answer, annotator="sam", session="s")
        except DgaalError as error:
            os.write(1, f"ERR {error.exit_code}\\n".encode())
        else:
            os.write(1, f"ACK op{number}\\n".encode())
"""
ANSWERS = 12
CUTS = 60
_CALL = re.compile(
    r"^\d+\s+(pwrite64|write|fsync|fdatasync|ftruncate)\(\d+<([^>]*)>"
    r'(?:, "([^"]*)")?(.*)\)\s+= \d+'
)


def is_traceable() -> bool:
    strace = shutil.which("strace")
    return (
        bool(strace)
        and not subprocess.run(
            [strace, "-o", "/dev/null", "true"], capture_output=True, check=False
        ).returncode
    )


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_traceable(), reason="needs strace and leave to trace"),
]


@pytest.fixture
def prepared(path: Path, make_item) -> Path:
    with LabelStore.create(path) as store:
        store.add_class("cat")
        store.add_items(make_item(f"{number}.png") for number in range(40))
        entries = tuple(QueryEntry(item_id=ItemId(n), rank=n) for n in range(1, 41))
        store.save_query(Query(round=0, strategy="random", model_sha=None, entries=entries))
    return path


def unescape(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", "")) if "\\x" in text else text.encode()


def record(path: Path, synchronous: str) -> list[tuple[str, str, bytes, int]]:
    """Return (call, file name, data, offset or length) in order; an ACK is a write to no file."""
    log = path.parent / "trace"
    calls = "trace=pwrite64,write,fsync,fdatasync,ftruncate"
    subprocess.run(
        [
            *("strace", "-f", "-y", "-xx", "-s", "70000", "-o", str(log), "-e", calls),
            *(sys.executable, "-c", CHILD, str(path), synchronous, str(ANSWERS)),
        ],
        check=True,
        capture_output=True,
    )
    found: list[tuple[str, str, bytes, int]] = []
    for line in log.read_text().splitlines():
        match = _CALL.match(line)
        if match is None:
            continue
        name = Path(unescape(match[2]).decode(errors="replace")).name
        data = unescape(match[3] or "")
        if name.startswith("labels.db") and not name.endswith(".lock"):
            numbers = re.findall(r"\d+", match[4])
            found.append((match[1], name, data, int(numbers[-1]) if numbers else 0))
        elif data.startswith(b"ACK "):
            found.append(("ack", "", data[4:].strip(), 0))
    log.unlink()
    return found


def apply(files: dict[str, bytearray], call: str, name: str, data: bytes, number: int) -> None:
    content = files.setdefault(name, bytearray())
    if call == "ftruncate":
        del content[number:]
        content.extend(bytes(number - len(content)))
        return
    if len(content) < number:
        content.extend(bytes(number - len(content)))
    content[number : number + len(data)] = data


def cut(path: Path, calls: list[tuple[str, str, bytes, int]], rng: random.Random) -> set[str]:
    """Lay the files as a power cut leaves them; return what was acknowledged before it."""
    files = {
        name: bytearray(path.with_name(f"before-{name}").read_bytes())
        for name in ("labels.db", "labels.db-journal")
    }
    pending: list[tuple[str, str, bytes, int]] = []
    acknowledged: set[str] = set()
    for call in calls[: rng.randrange(len(calls) + 1)]:
        if call[0] == "ack":
            acknowledged.add(call[2].decode())
        elif call[0] in ("fsync", "fdatasync"):
            for earlier in [p for p in pending if p[1] == call[1]]:
                apply(files, *earlier)
            pending = [p for p in pending if p[1] != call[1]]
        else:
            pending.append(call)
    kept = rng.choice([0.0, 0.5, 0.9])
    for call in pending:
        if rng.random() < kept:
            apply(files, *call)
    for name, content in files.items():
        path.with_name(name).write_bytes(content)
    return acknowledged


def survey(path: Path, synchronous: str) -> tuple[int, int]:
    """Return how many of ``CUTS`` cuts lost an acknowledged answer, and damaged the store."""
    for name in ("labels.db", "labels.db-journal"):
        shutil.copyfile(path.with_name(name), path.with_name(f"before-{name}"))
    calls = record(path, synchronous)
    assert sum(call[0] == "ack" for call in calls) == ANSWERS
    rng = random.Random(11)
    lost = damaged = 0
    for _ in range(CUTS):
        acknowledged = cut(path, calls, rng)
        try:
            with LabelStore.open(path) as store:
                stored = {event.op_id for event in store.events()}
                damaged += store.check() != []
            lost += not acknowledged <= stored
        except Exception:  # noqa: BLE001 - whatever keeps the store from opening is damage
            damaged += 1
    return lost, damaged


def test_a_power_cut_loses_no_acknowledged_answer(prepared):
    assert survey(prepared, "FULL") == (0, 0)


def test_the_model_of_the_disk_catches_missing_syncs(prepared):
    lost, damaged = survey(prepared, "OFF")
    assert lost + damaged > CUTS // 4


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "ftruncate"])
def test_a_failing_disk_is_reported_and_loses_nothing(prepared, call, error):
    path = prepared
    for name in ("labels.db", "labels.db-journal"):
        shutil.copyfile(path.with_name(name), path.with_name(f"before-{name}"))
    reported = 0
    for nth in (1, 2, 3, 5, 8):
        for name in ("labels.db", "labels.db-journal"):
            shutil.copyfile(path.with_name(f"before-{name}"), path.with_name(name))
        watched = [str(path), f"{path}-journal"]
        result = subprocess.run(
            [
                *("strace", "-f", "-o", "/dev/null", *(f"-P{name}" for name in watched)),
                *("-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={nth}"),
                *(sys.executable, "-c", CHILD, str(path), "FULL", "3"),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        told = result.stdout.split("\n")
        acknowledged = {line[4:] for line in told if line.startswith("ACK ")}
        codes = {line[4:] for line in told if line.startswith("ERR ")}
        assert codes <= {"8"}, result.stdout
        reported += bool(codes)
        with LabelStore.open(path) as store:
            assert acknowledged <= {event.op_id for event in store.events()}
            assert store.check() == []
    assert reported > 0 or call == "ftruncate"
