"""Child processes end with their parent, whichever signal ends it, and free what they hold."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from label_workspaces import DGAAL, make_workspace
from PIL import Image
from process_tree import descendants, is_running, remaining_after

SIGNALED = (
    "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    "signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from dgaal_cli.cli import main; main()"
)
"""The program with the signals of a terminal: nohup and background jobs ignore two of them."""

LIMIT_S = 5.0
"""Max. seconds from the end of the parent to the end of its children: 1.2, and a busy machine."""


def start(*command: object) -> "subprocess.Popen[str]":
    arguments = [*map(str, command)]
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def run_parent(code: str, *arguments: object) -> "subprocess.Popen[str]":
    return start(sys.executable, "-c", code, *arguments)


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


def orphans(parent: "subprocess.Popen[str]", number: signal.Signals) -> list[str]:
    """Send a signal to the parent; return the children that outlive it by ``LIMIT_S``."""
    children = descendants(parent.pid)
    assert children
    parent.send_signal(number)
    try:
        if number != signal.SIGKILL:
            parent.wait(10)
        left = remaining_after(children, LIMIT_S)
    finally:
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        parent.kill()
        parent.communicate()
    return list(left.values())


def serve(root: Path, number: signal.Signals) -> tuple[int, list[str]]:
    """Open a tab of ``label --serve`` and end the server.

    Returns:
        Its exit code and the processes that it leaves.
    """
    aiohttp = pytest.importorskip("aiohttp")
    pytest.importorskip("textual_serve")
    command = ("-C", root, "label", "--serve", "--port", "0", "--annotator", "ann")
    server = run_parent(SIGNALED, *command)
    address = server.stdout.readline().strip()

    async def open_tab() -> list[str]:
        base = address.partition("/?")[0]
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            await (await session.get(address)).read()
            async with session.ws_connect(f"{base}/ws?width=100&height=30", origin=base) as socket:
                output = b""
                while "▀".encode() not in output:  # the first image is on the screen
                    message = await socket.receive(60)
                    assert message.type is aiohttp.WSMsgType.BINARY, output
                    output += message.data
                return await asyncio.to_thread(orphans, server, number)

    left = asyncio.run(open_tab())
    return server.returncode, left


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGKILL, -9)],
)
def test_server_ends_its_terminals_and_frees_the_annotator(tmp_path, number, code):
    root = make_workspace(tmp_path, [f"{n}.png" for n in range(8)])
    exit_code, left = serve(root, number)
    assert left == []
    assert exit_code == code
    again = subprocess.run(
        [*DGAAL, "-C", str(root), "label", "--plain", "--annotator", "ann"],
        input="dog\nq\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr


# The command of a step blocks in its work, as a long training does. The parent reads its output.
TRAINER = """
import sys, threading
from dgaal_cli.tui.trainer import Trainer
if sys.argv[1] == "careless":  # as if no child watched its parent
    from dgaal_cli import parent
    parent.CHILD.clear()
dgaal = "import time; from dgaal_cli import cli; cli.app = lambda **_: time.sleep(60); cli.main()"
outlook = (
    "import time; from dgaal_cli.labeling import pool_predictions as p;"
    "p.open_workspace = lambda _: time.sleep(60); p.main(['x'])"
)
code = outlook if sys.argv[2] == "outlook" else dgaal
trainer = Trainer(lambda step: [sys.executable, "-c", code], [sys.argv[2]], on_change=lambda _: 0)
trainer.start()
while trainer._process is None:
    pass
print("started", flush=True)
threading.Event().wait()
"""


def orphans_of_trainer(variant: str, step: str, number: signal.Signals) -> list[str]:
    parent = run_parent(TRAINER, variant, step)
    parent.stdout.readline()
    time.sleep(1.5)  # the child is in its work
    return orphans(parent, number)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["train", "export", "outlook"])
def test_process_of_a_training_step_ends_with_the_terminal(step):
    assert orphans_of_trainer("sound", step, signal.SIGKILL) == []


@pytest.mark.slow
def test_control_step_that_does_not_watch_its_parent_is_caught():
    assert len(orphans_of_trainer("careless", "export", signal.SIGKILL)) == 1


TRAINING = """
import sys, threading
from pathlib import Path
from dgaal_cli.tui.trainer import Trainer, command_for
at = threading.Event()
def follow(state):
    if state.stage == "failed":
        print("failed", state.reason, flush=True)
    if state.done and not at.is_set():
        at.set()
        print("training", flush=True)
Trainer(command_for(Path(sys.argv[1])), ["train"], on_change=follow).start()
threading.Event().wait()
"""


@pytest.mark.slow
def test_training_ends_with_the_terminal_and_frees_the_workspace(tmp_path: Path):
    root = tmp_path / "w"
    make_labeled(root)
    parent = run_parent(TRAINING, root)
    assert parent.stdout.readline() == "training\n"
    assert orphans(parent, signal.SIGKILL) == []
    with start(*DGAAL, "-C", root, "train", "--events") as again:
        assert "round" in again.stdout.readline(), again.stderr.read()
        again.kill()


def make_labeled(root: Path) -> None:
    make_workspace(root, [f"{n}.png" for n in range(24)])
    rows = [f"{n}.png,{'cat' if n % 2 else 'dog'}" for n in range(12)]
    (root / "labels.csv").write_text("\n".join(["file_name,label", *rows]))
    imported = ["labels", "import", str(root / "labels.csv")]
    subprocess.run([*DGAAL, "-q", "-C", str(root), *imported], check=True)


DECODING = """
import sys
from dgaal_cli.data.decoders.process import DecoderProcess, Shape
process = DecoderProcess()
process.decode(sys.argv[1])
print("started", flush=True)
if sys.argv[2] == "busy":
    shape = Shape(side=8, channels=3, hashes=False, reduces=False)
    process.decode_many([sys.argv[1]] * 200, shape)
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize("state", ["idle", "busy"])
def test_decoder_process_ends_with_its_parent(tmp_path: Path, state: str):
    pixels = np.random.default_rng(1).integers(0, 256, (2500, 2500, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    parent = run_parent(DECODING, tmp_path / "large.png", state)
    parent.stdout.readline()
    time.sleep(0.3)
    assert orphans(parent, signal.SIGKILL) == []


@pytest.mark.slow
@pytest.mark.parametrize("state", ["starting", "training"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_processes_of_a_simulation_end_with_it(tmp_path: Path, number: signal.Signals, state: str):
    simulation = start(
        *(*DGAAL, "simulate", "builtin:digits#train", "--methods", "random,margin"),
        *("--seeds", "4", "--jobs", "2", "-o", tmp_path / "out"),
    )

    def is_reached() -> bool:
        workers = [c for c in descendants(simulation.pid).values() if "spawn_main" in c]
        parts = list(tmp_path.glob("out/**/*.part"))
        return len(workers if state == "starting" else parts) == 2

    until(lambda: is_reached() or simulation.poll() is not None)
    time.sleep(0.5)
    assert is_running(simulation.pid), simulation.communicate()
    assert orphans(simulation, number) == []
