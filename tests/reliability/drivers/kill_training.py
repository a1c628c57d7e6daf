"""Kill ``dgaal train`` at random steps and within its saves; compare with uninterrupted runs.

Arguments: seed, pristine workspace, runs, kills a run, variant. The variant ``forgetful`` resumes
without the optimizers' moments: the negative control. torch is imported once, each attempt is a
fork of this process that runs the command line's own ``main``.

Only the first attempt at a round has a ``--set``; resumed attempts must remember it. The last
attempt is killed once more, between its final checkpoint and its end. After it, no later training
may use the remembered ``--set``.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import sklearn.datasets  # noqa: F401 - imported once for all forks
import torch

from dgaal_cli import cli
from dgaal_cli.rounds.resume_state import newest_resume_state
from dgaal_cli.store.open import open_store
from dgaal_cli.training import checkpoint, checkpoint_folder, runner
from dgaal_cli.workspace import Workspace

ROUND = "001"
SETTING = ("--set", "classifier.lr=0.0015")


class SteppedOutput:
    """Standard output of a child that waits until the driver has read each write."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self.buffer = self

    def write(self, data: str | bytes) -> int:
        """Send the data and wait for the driver's permission to continue."""
        self._channel.sendall(data.encode() if isinstance(data, str) else data)
        self._channel.recv(1)
        return len(data)

    def flush(self) -> None:
        """Do nothing: every write is sent at once."""


def start(root: Path, *arguments: str, dies_after_save: bool = False) -> tuple[int, socket.socket]:
    """Fork ``dgaal``; return its process id and the socket to its standard output.

    Args:
        root: The workspace.
        *arguments: Arguments of the command line.
        dies_after_save: Kill the child after it has saved its final checkpoint.
    """
    driver_end, child_end = socket.socketpair()
    child = os.fork()
    if child:
        child_end.close()
        return child, driver_end
    driver_end.close()
    code: Any = 1
    try:
        if dies_after_save:
            checkpoint_folder.remove = die_after_save
        sys.stdout = SteppedOutput(child_end)
        sys.argv = ["dgaal", "-C", str(root), *arguments]
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        os._exit(code if isinstance(code, int) else 1)


def die_after_save(folder: Path) -> None:
    """Replace ``checkpoint_folder.remove``, which also cleans up before a training."""
    if checkpoint.exists(folder.with_name("checkpoint")) and folder.parent.name == ROUND:
        os.kill(os.getpid(), signal.SIGKILL)


def finish(child: int, channel: socket.socket) -> int:
    """Let a child run to its end and return its exit code."""
    with channel, contextlib.suppress(OSError):
        while channel.recv(1 << 16):
            channel.sendall(b".")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def train(root: Path, *options: str) -> None:
    """Train to the end without a kill, then choose the next query."""
    for arguments in (("train", "--events", "-q", *options), ("query", "-q")):
        code = finish(*start(root, *arguments))
        assert code == 0, (arguments, code)


def train_and_die(root: Path) -> bool:
    """Resume, die after the final checkpoint, then query; return whether a resume state is left."""
    code = finish(*start(root, "train", "--events", "-q", dies_after_save=True))
    assert code == -signal.SIGKILL, code
    is_left = newest_resume_state(Workspace(root)) is not None
    code = finish(*start(root, "query", "-q"))
    assert code == 0, code
    return is_left or newest_resume_state(Workspace(root)) is not None


def kill_once(root: Path, rng: random.Random, lines: int, options: tuple[str, ...]) -> str:
    """Start a training and kill it; return where the kill hit, empty if it had already ended."""
    waits_for_save = rng.random() < 0.4
    folder = root / "rounds" / ROUND
    child, channel = start(root, "train", "--events", "-q", *options)
    with contextlib.suppress(OSError):
        for _ in range(rng.randrange(1, lines)):
            if not channel.recv(1 << 16):
                break
            channel.sendall(b".")
    end = time.monotonic() + 1.0
    while waits_for_save and time.monotonic() < end:
        if any(name.startswith(".") for name in os.listdir(folder)):  # noqa: PTH208
            break
    time.sleep(rng.random() * 0.004)
    os.kill(child, signal.SIGKILL)
    code = finish(child, channel)
    if code != -signal.SIGKILL:
        assert code == 0, code
        return ""
    is_in_save = any(path.name.startswith(".") for path in folder.iterdir())
    return "save" if is_in_save else "step"


def outcome(root: Path) -> str:
    """Return a digest of the next query and of everything that it depends on."""
    digest = hashlib.sha256()
    tensors, _ = checkpoint.load(root / "rounds" / ROUND / "checkpoint")
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    with open_store(root / "labels.db") as store:
        query = store.open_query()
        assert query is not None
        assert query.round == int(ROUND)
        for entry in query.entries:
            digest.update(f"{entry.item_id} {entry.score!r} {entry.probabilities!r}".encode())
        for item in store.items():
            digest.update(item.sha256 if item.is_synthetic else b"")
        assert store.check() == []
    return digest.hexdigest()


def run_once(pristine: Path, number: int, kills: int, rng: random.Random) -> dict[str, Any]:
    """Train one workspace without kills and once more with kills; compare the outcomes."""
    results: list[str] = []
    hits: list[str] = []
    leaves_resume_state = False
    for name in ("uninterrupted", "killed"):
        root = pristine.with_name(f"{name}-{number}")
        shutil.copytree(pristine, root)
        toml = root / "dgaal.toml"
        toml.write_text(toml.read_text().replace("\nseed = 0", f"\nseed = {number}"))
        lines = 120
        while name == "killed" and len(hits) < kills:
            hit = kill_once(root, rng, lines, () if hits else SETTING)
            if not hit:  # it had ended: restart this round, with an earlier kill
                shutil.rmtree(root)
                shutil.copytree(pristine, root)
                toml.write_text(toml.read_text().replace("\nseed = 0", f"\nseed = {number}"))
                hits, lines = [], max(4, lines // 2)
                continue
            hits.append(hit)
        if name == "uninterrupted":
            train(root, *SETTING)
        else:
            leaves_resume_state = train_and_die(root)
        results.append(outcome(root))
        shutil.rmtree(root)
    return {"is_same": results[0] == results[1], "hits": hits, "hands_on": leaves_resume_state}


def main() -> None:
    """Run the trainings and print a report."""
    seed, pristine, runs, kills = int(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:5])
    torch.set_num_threads(1)
    runner.CHECKPOINT_INTERVAL_S = 0.0  # saves after every step; real runs every 15 s
    if sys.argv[5] == "forgetful":
        checkpoint.restore_optimizers = lambda *_: None
    rng = random.Random(seed)
    results_by_run = [run_once(pristine, number, kills, rng) for number in range(runs)]
    hits = [hit for run in results_by_run for hit in run["hits"]]
    report = {
        "runs": runs,
        "identical": sum(run["is_same"] for run in results_by_run),
        "kills": len(hits),
        "handed_on": sum(run["hands_on"] for run in results_by_run),
        "in_saves": hits.count("save"),
    }
    sys.stdout.write("\n" + json.dumps(report))


if __name__ == "__main__":
    main()
