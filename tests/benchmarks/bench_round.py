"""CPU seconds of ``tiny`` rounds on the embedded digits, each in a process of its own.

Run ``OMP_NUM_THREADS=1 python tests/benchmarks/bench_round.py [--rounds 3] [--method dgaal]``. A
workspace starts with 40 labels; each round is one process that trains as ``dgaal train`` does, then
40 more labels are asked and answered. Printed are the CPU seconds of all threads of that process
and of processes that it started, as ``os.times`` has them: imports alone (matplotlib too, and
torch's compiler, which its optimizers import at their first step), the round alone, both. Wall
seconds stand beside them and depend on what else runs.
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

ONE_ROUND = """
import json, os, sys
from pathlib import Path
import matplotlib.figure, torch._dynamo
from dgaal_cli.config.load import configuration
from dgaal_cli.workflows.train import train
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
from dgaal_cli.config.load import configuration
from dgaal_cli.simulation.oracle import answer_items, true_labels
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.workspace import Workspace
workspace, count = Workspace(Path(sys.argv[1])), int(sys.argv[2])
with LabelStore.open(workspace.store_path) as store:
    if not store.watermark():
        from dgaal_cli.training.seeding import numpy_generator
        items = store.items()
        picked = numpy_generator(0, "first labels").permutation(len(items))[:count]
        asked = [items[i].item_id for i in picked]
    else:
        from dgaal_cli.workflows.query import query
        query(workspace, configuration(workspace))
        asked = [entry.item_id for entry in store.open_query().entries]
    answer_items(store, asked, true_labels("builtin:digits#train", base=workspace.root))
"""


def python(source: str, *arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", source, *arguments],
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--method", default="dgaal")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        init = [sys.executable, "-m", "dgaal_cli", "init", folder + "/w", "--query-size", "40"]
        init += ["--pool", "builtin:digits#train", "--test", "builtin:digits#test"]
        init += ["--classes", ",".join("0123456789"), "--preset", options.preset]
        subprocess.run([*init, "--method", options.method], check=True, capture_output=True)
        workspace = str(Path(folder) / "w")
        rows = []
        for _ in range(options.rounds):
            python(ASK, workspace, "40")
            rows.append(json.loads(python(ONE_ROUND, workspace, *options.set)))
            print({k: round(v, 2) for k, v in rows[-1].items()})
    alone = statistics.mean(row["alone"] for row in rows)
    whole = statistics.mean(row["whole"] for row in rows)
    print(f"mean of {len(rows)}: {alone:.2f} CPU-s a round, {whole:.2f} with imports")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {options.preset}")


if __name__ == "__main__":
    main()
