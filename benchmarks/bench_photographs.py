"""From a folder of photographs to the first question, and what later rounds cost.

Run ``DATA=FOLDER python benchmarks/bench_photographs.py [--encoder package:efficientnet-lite0]``;
the folder has a folder of photographs for each class. A new workspace is made, and its first query
of 20 is chosen by coverage of the encoder's features, none of which exist: elapsed seconds of
``init`` and ``query``, their start included. Then rounds follow: the asked images get the names of
their folders as labels, and ``train`` and ``query`` of 20 more run, whose CPU seconds count.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from making import Line, print_table

DGAAL = [sys.executable, "-m", "dgaal_cli", "-q"]
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="package:efficientnet-lite0")
    options = parser.parse_args()
    pool = Path(os.environ["DATA"]).absolute()
    classes = sorted(folder.name for folder in pool.iterdir() if folder.is_dir())
    with tempfile.TemporaryDirectory() as temporary:
        workspace = Path(temporary) / "w"
        made = ["init", str(workspace), "--pool", str(pool), "--classes", ",".join(classes)]
        first = [run([*made, "--encoder", options.encoder]), ask(workspace)]
        lines = [
            Line("photographs", sum(1 for path in pool.rglob("*") if path.is_file())),
            Line("first question, s elapsed", sum(each.elapsed for each in first), "<= 60"),
            Line("first question, CPU s", sum(each.cpu for each in first)),
        ]
        for number in range(1, ROUNDS + 1):
            answer(workspace, first[-1].output)
            trained, first[-1] = run(["-C", str(workspace), "train"]), ask(workspace)
            spent = trained.cpu + first[-1].cpu
            lines.append(Line(f"round {number}: train and query, CPU s", spent, "<= 5"))
    print_table("bench_photographs", lines)


class Run(NamedTuple):
    """What a command took and printed."""

    elapsed: float
    cpu: float
    """Of its children too."""
    output: bytes


def ask(workspace: Path) -> Run:
    return run(["-C", str(workspace), "--json", "query", "-n", "20"])


def answer(workspace: Path, query: bytes) -> None:
    """Label the images of a query by their folders."""
    names = [entry["id"] for entry in json.loads(query)["query"]]
    table = workspace / "answers.jsonl"
    lines = [json.dumps({"file_name": name, "label": Path(name).parent.name}) for name in names]
    table.write_text("\n".join(lines) + "\n")
    run(["-C", str(workspace), "labels", "import", str(table)])


def run(arguments: list[str]) -> Run:
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([*DGAAL, *arguments], stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.perf_counter() - began
        output.seek(0)
        printed = output.read()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return Run(elapsed, usage.ru_utime + usage.ru_stime, printed)


if __name__ == "__main__":
    main()
