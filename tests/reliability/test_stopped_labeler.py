"""G16, G17: a labeler stops within a transaction or abandons an image."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from class_labels import as_label, name_of
from label_workspaces import DGAAL, make_store, make_workspace

from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store

# The program stops itself once, within the transaction of its first answer.
STOPPING = """
import os, signal
from dgaal_cli.store.sqlite import answers
sound = answers.submit
def submit(*arguments, **options):
    receipt = sound(*arguments, **options)
    if {is_once}.pop("first", False):
        os.kill(os.getpid(), signal.SIGSTOP)
    return receipt
answers.submit = submit
"""
MAIN = "from dgaal_cli.cli import main; main()"
UNLIMITED_WAIT = (
    "import dgaal_cli.store.sqlite.gate as gate; gate.DEADLINE_S = gate.MAX_WAIT_S = 1e6\n"
)


def is_stopped(process: subprocess.Popen[str]) -> bool:
    status = Path(f"/proc/{process.pid}/stat").read_text()
    return status.rpartition(")")[2].split()[0] == "T"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_workspace(tmp_path, [f"{n}.png" for n in range(8)])


@pytest.fixture
def stopped(root: Path) -> Iterator[subprocess.Popen[str]]:
    """Start Ann's terminal, stopped (SIGSTOP) within the transaction of her first answer."""
    code = STOPPING.replace("{is_once}", "once").replace(
        "sound =", 'once = {"first": True}\nsound ='
    )
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            code + MAIN,
            *arguments_for(root, "label", "--plain", "--annotator", "ann"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdin.write("cat\nq\n")
    process.stdin.flush()
    end = time.monotonic() + 60
    while not is_stopped(process):
        assert time.monotonic() < end
        time.sleep(0.02)
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGCONT)
    process.kill()
    process.communicate()


def arguments_for(root: Path, *arguments: str) -> list[str]:
    return ["-C", str(root), *arguments]


def label(root: Path, name: str, *, code: str = MAIN, timeout_s: float = 60.0):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments_for(root, "label", "--plain", "--annotator", name)],
        input="dog\nq\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )


@pytest.mark.slow
def test_blocked_labeler_gets_the_holder_and_labels_after_it_resumes(root, stopped):
    began = time.monotonic()
    other = label(root, "bob")
    waited = time.monotonic() - began
    assert other.returncode == 6
    assert f"process {stopped.pid} " in other.stderr
    assert len(other.stderr.splitlines()) == 1
    assert "saved:" not in other.stdout
    assert waited < 16  # 8 s at the gate, and a start on a busy machine
    reading = subprocess.run(
        [*DGAAL, *arguments_for(root, "status")], capture_output=True, check=False
    )
    assert reading.returncode == 0  # readers do not wait
    os.kill(stopped.pid, signal.SIGCONT)
    out, _ = stopped.communicate()
    assert stopped.returncode == 0
    assert "saved: cat" in out
    assert label(root, "bob").returncode == 0
    with open_store(root / "labels.db") as store:
        answers = [(event.annotator, name_of(store, event)) for event in store.events()]
        assert answers == [("ann", "cat"), ("bob", "dog")]
        assert store.check() == []


@pytest.mark.deep
def test_control_unlimited_waiting_is_caught(root, stopped):
    with pytest.raises(subprocess.TimeoutExpired):
        label(root, "bob", code=UNLIMITED_WAIT + MAIN, timeout_s=12)


LEAVING = """
import sys, time
from pathlib import Path
from dgaal_cli.store.sqlite import answers
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Answer
from dgaal_cli.tasks.classification.label import class_label

if sys.argv[2] == "careless":  # as if the last answer always counted
    answers._is_counted = lambda *_, **__: True
with open_store(Path(sys.argv[1]), lease_s=1.0) as store:
    task = store.next_task("ann", "s")
    print(task.item.item_id, time.monotonic(), flush=True)
    sys.stdin.readline()
    answer = Answer(op_id="late", kind="label", item_id=task.item.item_id,
                    label=class_label(store.classes()[0].uid))
    print(store.submit(answer, annotator="ann", session="s", lease=task.lease).is_counted)
"""


def leave_an_image(tmp_path: Path, variant: str) -> tuple[float, list[bool]]:
    """Ann gets an image and leaves; Bob labels it; Ann answers late.

    Returns:
        Seconds until the image was offered to Bob, and which of its answers count.
    """
    path = tmp_path / "labels.db"
    make_store(path, 1)
    with (
        subprocess.Popen(
            [sys.executable, "-c", LEAVING, str(path), variant],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as ann,
        open_store(path) as store,
    ):
        item, taken = ann.stdout.readline().split()
        while (task := store.next_task("bob", "t")) is None:
            time.sleep(0.02)
        waited = time.monotonic() - float(taken)
        assert task.item.item_id == int(item)
        answer = _answer(store, "dog", int(item))
        assert store.submit(answer, annotator="bob", session="t", lease=task.lease).is_counted
        assert ann.communicate("now\n")[0].strip() == str(variant == "careless")
        assert [name_of(store, label) for label in store.labels()] == ["dog"]
        return waited, [event.is_counted for event in store.events()]


def _answer(store: Store, name: str, item: int):
    from dgaal_cli.ids import ItemId
    from dgaal_cli.store.records import Answer

    uid = store.class_by_name(name).uid
    return Answer(op_id="op", kind="label", item_id=ItemId(item), label=as_label(uid))


def test_abandoned_image_is_offered_again_and_late_answer_is_ignored(tmp_path):
    waited, counted = leave_an_image(tmp_path, "sound")
    assert 0.9 < waited < 4.0  # a lease of 1 s, and a busy machine
    assert counted == [True, False]


def test_control_counting_late_answers_is_caught(tmp_path):
    assert leave_an_image(tmp_path, "careless")[1] != [True, False]
