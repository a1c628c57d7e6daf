"""CPU seconds of rounds on the built-in digits by preset and method, each in its own process.

Run ``OMP_NUM_THREADS=1 python benchmarks/bench_round.py [--rounds 3] [--preset tiny,small]
[--method dgaal,vaal] [--side 32]``. A workspace starts with 40 labels; each round is one process
that trains like ``dgaal train``; then 40 more images are queried and answered. ``--side`` enlarges
the digits, in color from 32 pixels on; the cost of a round depends only on their size. The output
is CPU seconds of all threads of that process and of its child processes, from ``os.times``: of the
imports (with matplotlib and torch's compiler, which its optimizers import at their first step), of
the round, and of both. Wall seconds are printed too; they depend on the load of the machine.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ONE_ROUND = """
import json, os, sys
from pathlib import Path
import matplotlib.figure, torch._dynamo
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.api.train import train
from dgaal_cli.workspace import Workspace
imported = sum(os.times()[:4])
workspace = Workspace(Path(sys.argv[1]))
result = train(workspace, configuration(workspace, "threads=1", *sys.argv[2:]))
whole = sum(os.times()[:4])
print(json.dumps({"round": result.round, "accuracy": result.accuracy, "imports": imported,
                  "alone": whole - imported, "whole": whole, "wall": result.seconds}))
"""
ASK = """
import sys
from pathlib import Path
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.tasks.oracle import answer_items, true_labels
from dgaal_cli.store.open import open_store
from dgaal_cli.workspace import Workspace
workspace, count = Workspace(Path(sys.argv[1])), int(sys.argv[2])
with open_store(workspace.store_path) as store:
    if not store.watermark():
        from dgaal_cli.training.seeds import numpy_generator
        items = store.items()
        picked = numpy_generator(0, "first labels").permutation(len(items))[:count]
        asked = [items[i].item_id for i in picked]
    else:
        from dgaal_cli.api.query import query
        query(workspace, configuration(workspace))
        asked = [entry.item_id for entry in store.open_query().entries]
    answer_items(store, asked, true_labels(sys.argv[3], base=workspace.root))
"""


def python(source: str, *arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", source, *arguments],
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


def pool_of(side: int, folder: Path) -> tuple[str, str]:
    """Return the sources of pool and test images."""
    if side == 8:
        return "builtin:digits#train", "builtin:digits#test"
    from dgaal_cli.data.images import resize
    from dgaal_cli.data.sources import open_source

    arrays = {}
    for split in ("train", "test"):
        entries = list(open_source(f"builtin:digits#{split}", base=folder).entries())
        images = [entry.read().reshape(8, 8, 1) for entry in entries]
        if side >= 32:
            images = [np.repeat(image, 3, axis=2) for image in images]
        channels = images[0].shape[2]
        arrays[f"x_{split}"] = np.stack([resize(i, size=side, channels=channels) for i in images])
        arrays[f"y_{split}"] = np.array([int(entry.label) for entry in entries])
    np.savez(folder / "digits.npz", **arrays)
    return f"{folder / 'digits.npz'}#train", f"{folder / 'digits.npz'}#test"


def rounds_of(preset: str, method: str, options: argparse.Namespace) -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        pool, test = pool_of(options.side, Path(folder))
        init = [sys.executable, "-m", "dgaal_cli", "init", folder + "/w", "--query-size", "40"]
        init += ["--pool", pool, "--test", test, "--classes", ",".join("0123456789")]
        init += ["--preset", preset, "--method", method]
        subprocess.run(init, check=True, capture_output=True)
        workspace = str(Path(folder) / "w")
        rows = []
        for _ in range(options.rounds):
            python(ASK, workspace, "40", pool)
            rows.append(json.loads(python(ONE_ROUND, workspace, *options.set)))
            print({k: round(v, 2) for k, v in rows[-1].items()})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--method", default="dgaal")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--side", type=int, choices=(8, 16, 32, 64), default=8)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    found = {
        (preset, method): rounds_of(preset, method, options)
        for preset in options.preset.split(",")
        for method in options.method.split(",")
    }
    print(f"CPU seconds per round, {options.side} px    first   later   with imports")
    for (preset, method), rows in found.items():
        first, *later = (row["alone"] for row in rows)
        whole = statistics.mean(row["whole"] for row in rows)
        rest = f"{statistics.mean(later):8.2f}" if later else "       -"
        print(f"{preset:<14} {method:<14}{first:>11.2f}{rest}{whole:>15.2f}")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
